// Answers from the server; what the questions mean is in ../PROTOCOL.md.

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').Spans} Spans */
/** @typedef {import('./types.d.ts').ReportOptions} ReportOptions */

/** Most rows that are asked for at once. */
const SPAN_ROWS_MAX = 400;

/**
 * Asks the server; a failure is an Error with its sentence and hint.
 * @param {string} address
 * @param {RequestInit} [request]
 */
async function ask(address, request = {}) {
  let answer;
  try {
    answer = await fetch(address, { ...request, credentials: 'omit', cache: 'no-store' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') {
      throw error;
    }
    throw new Error('The server does not answer: perhaps `guesttrace serve` has ended.');
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    const error = String(said.error ?? `The server answered with status ${answer.status}.`);
    throw new Error(said.hint ? `${error} (${said.hint})` : error);
  }
  return answer;
}

/**
 * Asks for JSON.
 * @param {string} address
 * @param {AbortSignal} [signal]
 */
export async function askJson(address, signal) {
  return (await ask(address, { signal })).json();
}

/**
 * Puts questions behind an address; what is null or undefined is left out, an array is put several times.
 * @param {string} path
 * @param {Record<string, string | number | boolean | (string | number)[] | null | undefined>} questions
 */
export function addressOf(path, questions) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(questions)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) {
        pairs.append(name, String(one));
      }
    }
  }
  const text = pairs.toString();
  return text === '' ? path : `${path}?${text}`;
}

/**
 * Numbers as `1,2,5-9`.
 * @param {number[]} rows
 */
export function rangesText(rows) {
  const sorted = [...new Set(rows)].sort((a, b) => a - b);
  const parts = [];
  for (let index = 0; index < sorted.length;) {
    let last = index;
    while (last + 1 < sorted.length && sorted[last + 1] === (sorted[last] ?? 0) + 1) {
      last += 1;
    }
    parts.push(last > index ? `${sorted[index]}-${sorted[last]}` : `${sorted[index]}`);
    index = last + 1;
  }
  return parts.join(',');
}

/**
 * Reads the bytes of spans.
 * @param {ArrayBuffer} bytes
 * @returns {Spans[]}
 */
export function readSpans(bytes) {
  const view = new DataView(bytes);
  const count = view.getUint32(0, true);
  const all = [];
  let at = 8;
  for (let index = 0; index < count; index += 1) {
    const row = view.getUint32(at, true);
    const spans = view.getUint32(at + 4, true);
    at += 8;
    const starts = new Float64Array(bytes, at, spans);
    at += 8 * spans;
    const end = view.getFloat64(at, true);
    at += 8;
    const busy = new Uint16Array(bytes, at, spans);
    const rest = new Uint16Array(bytes, at + 2 * spans, spans);
    const part = new Uint16Array(bytes, at + 4 * spans, spans);
    at += Math.ceil((6 * spans) / 8) * 8;
    all.push({ row, starts, end, busy, rest, part });
  }
  return all;
}

/** @implements {Source} */
export class ServerSource {
  /** @param {number} trace its number in `api/traces` */
  constructor(trace) {
    this.base = `api/${trace}/`;
  }

  /**
   * @param {string} path
   * @param {Parameters<typeof addressOf>[1]} [questions]
   * @param {AbortSignal} [signal]
   */
  json(path, questions = {}, signal = undefined) {
    return askJson(addressOf(this.base + path, questions), signal);
  }

  meta() {
    return this.json('meta');
  }

  rows() {
    return this.json('rows');
  }

  /** @type {Source['spans']} */
  async spans(from, to, width, rows, signal) {
    const all = [];
    for (let first = 0; first < rows.length; first += SPAN_ROWS_MAX) {
      const some = rangesText(rows.slice(first, first + SPAN_ROWS_MAX));
      const questions = { from: Math.floor(from), to: Math.ceil(to), width: Math.round(width), rows: some };
      const answer = await ask(addressOf(`${this.base}spans`, questions), { signal });
      all.push(...readSpans(await answer.arrayBuffer()));
    }
    return all;
  }

  /** @type {Source['at']} */
  at(row, ns) {
    return this.json('at', { row, ns: Math.floor(ns) });
  }

  /** @type {Source['next']} */
  async next(row, ns, direction) {
    const answer = await this.json('next', { row, ns: Math.floor(ns), direction });
    return answer?.from_ns ?? null;
  }

  /** @type {Source['arrows']} */
  arrows(from, to, rows, max, signal) {
    return this.json('arrows', { ...wholeNumbers(from, to), rows: rangesText(rows), max }, signal);
  }

  /** @type {Source['histogram']} */
  histogram(from, to, width, signal) {
    return this.json('histogram', { ...wholeNumbers(from, to), width: Math.round(width) }, signal);
  }

  /** @type {Source['statistics']} */
  statistics(from, to, signal) {
    return this.json('statistics', wholeNumbers(from, to), signal);
  }

  /** @type {Source['latencies']} */
  latencies(kind, from, to, width, height, only = {}, signal = undefined) {
    const size = { width: Math.round(width), height: Math.round(height) };
    return this.json('latencies', { kind, ...wholeNumbers(from, to), ...size, ...only }, signal);
  }

  /** @type {Source['events']} */
  events(first, count, filter, signal) {
    return this.json('events', { first, count, filter: filter || null }, signal);
  }

  /** @type {Source['position']} */
  async position(ns, filter) {
    return (await this.json('position', { ns: Math.floor(ns), filter: filter || null })).first;
  }

  /** @type {Source['find']} */
  find(n, direction, filter, signal) {
    return this.json('find', { n, direction, filter }, signal);
  }

  /** @type {Source['checkFilter']} */
  checkFilter(text, cursor) {
    return this.json('filter', { text, cursor });
  }

  /** @type {Source['report']} */
  report(name, options, signal) {
    const { from, to, ...others } = options;
    const times = { from: from === undefined ? null : Math.floor(from), to: to === undefined ? null : Math.ceil(to) };
    return this.json(`report/${encodeURIComponent(name)}`, { ...times, ...others }, signal);
  }

  /** @type {Source['flame']} */
  flame(from, to, pid, waiting, signal) {
    return this.json('flame', { ...wholeNumbers(from, to), pid, waiting }, signal);
  }

  /** @type {Source['path']} */
  async path(row, from, to, signal) {
    return (await this.json('path', { row, ...wholeNumbers(from, to) }, signal)).segments;
  }

  /** @type {Source['sql']} */
  async sql(query, signal) {
    return (await ask(`${this.base}sql`, { method: 'POST', body: query, signal })).json();
  }

  /** @type {Source['exportUrl']} */
  exportUrl(to, from, toNs, filter) {
    const times = { from: Math.floor(from), to_ns: Math.ceil(toNs) };
    return addressOf(`${this.base}export`, { to, ...times, filter: filter || null });
  }
}

/**
 * Times as the server wants them.
 * @param {number} from
 * @param {number} to
 */
function wholeNumbers(from, to) {
  return { from: Math.floor(from), to: Math.ceil(to) };
}
