// The data in the page itself: blocks of columns, unpacked when somebody looks at what is in them.

/** Numbers one after the other, each in as many groups of seven bits as it has. */
export class EmbeddedNumbers {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** The next number; 0 behind the last one. */
  next() {
    let byte = this.bytes[this.at++] ?? 0;
    let value = byte & 0x7f;
    let scale = 128;
    while (byte > 0x7f) {
      byte = this.bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      scale *= 128;
    }
    return value;
  }

  /**
   * The next numbers, each the difference to the one before it, as numbers by themselves.
   * @param {number} count
   */
  sums(count) {
    const values = new Float64Array(count);
    let sum = 0;
    for (let index = 0; index < count; index += 1) {
      sum += this.next();
      values[index] = sum;
    }
    return values;
  }

  /**
   * @param {number} count
   */
  small(count) {
    const values = new Uint16Array(count);
    for (let index = 0; index < count; index += 1) {
      values[index] = this.next();
    }
    return values;
  }

  /**
   * @param {number} count
   */
  large(count) {
    const values = new Float64Array(count);
    for (let index = 0; index < count; index += 1) {
      values[index] = this.next();
    }
    return values;
  }
}

/**
 * The position of the first number that is not smaller.
 * @param {ArrayLike<number>} sorted
 * @param {number} value
 */
export function embeddedBound(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Number(sorted[middle]) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** @param {string} text in base64 */
function bytesOfText(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) {
    bytes[index] = binary.charCodeAt(index);
  }
  return bytes;
}

/**
 * Whether this page has a block.
 * @param {string} name
 */
export function hasEmbedded(name) {
  return document.getElementById(`data-${name}`) !== null;
}

/**
 * Unpacks a block.
 * @param {string} name
 */
async function embeddedBytes(name) {
  const element = document.getElementById(`data-${name}`);
  if (!element) {
    throw new Error('This file does not hold that.');
  }
  const packed = new Blob([bytesOfText(element.textContent ?? '')]);
  const stream = packed.stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Unpacks a block of JSON.
 * @param {string} name
 */
export async function embeddedJson(name) {
  return JSON.parse(new TextDecoder().decode(await embeddedBytes(name)));
}

/**
 * Unpacks a block of columns.
 * @param {string} name
 */
export async function embeddedColumns(name) {
  const bytes = await embeddedBytes(name);
  const view = new DataView(bytes.buffer);
  const count = view.getUint32(0, true);
  const columns = [];
  let at = 4 + 4 * count;
  for (let index = 0; index < count; index += 1) {
    const length = view.getUint32(4 + 4 * index, true);
    columns.push(bytes.subarray(at, at + length));
    at += length;
  }
  return columns;
}

/**
 * Remembers what was made for a name, the last so many.
 * @template T
 */
export class EmbeddedCache {
  /**
   * @param {number} most
   * @param {(name: string) => Promise<T>} makeValue
   */
  constructor(most, makeValue) {
    this.most = most;
    this.makeValue = makeValue;
    /** @type {Map<string, Promise<T>>} */
    this.kept = new Map();
  }

  /**
   * @param {string} name
   * @returns {Promise<T>}
   */
  get(name) {
    const value = this.kept.get(name) ?? this.makeValue(name);
    this.kept.delete(name);
    this.kept.set(name, value);
    if (this.kept.size > this.most) {
      const oldest = this.kept.keys().next().value;
      this.kept.delete(String(oldest));
    }
    return value;
  }
}
