// Rows of spans as pixels: for each column of a row what it shows, and a picture of them that moves by copying.

import { spanIndex } from './graph_spans.js';

/** @typedef {import('./graph_spans.js').Piece} Piece */
/** @typedef {import('./graph_colors.js').GraphColors} GraphColors */

/** Spans at least so many pixels wide have an edge at their left. */
const EDGE_WIDTH_MIN = 4;
/** No state: nothing is known of a column. */
const NO_STATE = 0xffff;

/** What each column of one row shows: the state that was busy most, that of the rest, and the busy part. */
export class RowColumns {
  /** @param {number} width */
  constructor(width) {
    this.width = width;
    this.busy = new Uint16Array(width);
    this.rest = new Uint16Array(width);
    this.part = new Uint8Array(width);
    this.edge = new Uint8Array(width);
    // What is being added up for the column that several spans share.
    this.at = -1;
    this.sum = 0;
    this.busyMost = 0;
    this.restMost = 0;
  }

  /**
   * Works out the columns from `start` to `end`.
   * @param {Piece[]} pieces
   * @param {number} from time at the left of column 0
   * @param {number} step nanoseconds of a column
   * @param {number} start
   * @param {number} end
   */
  fill(pieces, from, step, start, end) {
    this.busy.fill(NO_STATE, start, end);
    this.rest.fill(NO_STATE, start, end);
    this.part.fill(0, start, end);
    this.edge.fill(0, start, end);
    this.at = -1;
    for (const { kept, from: pieceFrom, to: pieceTo } of pieces) {
      const left = Math.max(start, (pieceFrom - from) / step);
      const right = Math.min(end, (pieceTo - from) / step);
      if (left < right) {
        this.fillPiece(kept.spans, from, step, left, right);
      }
    }
    this.flush();
  }

  /**
   * @param {import('./types.d.ts').Spans} spans
   * @param {number} from
   * @param {number} step
   * @param {number} left
   * @param {number} right
   */
  fillPiece(spans, from, step, left, right) {
    const { starts, busy, rest, part } = spans;
    const count = starts.length;
    const first = Math.max(0, spanIndex(starts, from + left * step));
    for (let index = first; index < count; index += 1) {
      const begins = (/** @type {number} */ (starts[index]) - from) / step;
      if (begins >= right) {
        break;
      }
      const ends = ((index + 1 < count ? /** @type {number} */ (starts[index + 1]) : spans.end) - from) / step;
      const busyState = /** @type {number} */ (busy[index]);
      const restState = /** @type {number} */ (rest[index]);
      const busyPart = /** @type {number} */ (part[index]);
      if (begins >= left && ends - begins >= EDGE_WIDTH_MIN) {
        this.edge[Math.floor(begins)] = 1;
      }
      this.add(Math.max(begins, left), Math.min(ends, right), busyState, restState, busyPart / 65535);
    }
  }

  /**
   * Adds a span that lies between two places of the picture.
   * @param {number} x
   * @param {number} end
   * @param {number} busy
   * @param {number} rest
   * @param {number} part
   */
  add(x, end, busy, rest, part) {
    let column = Math.floor(x);
    if (x > column || end < column + 1) {
      const next = Math.min(end, column + 1);
      this.addShare(column, next - x, busy, rest, part);
      column += 1;
    }
    const whole = Math.floor(end);
    if (whole > column) {
      this.busy.fill(busy, column, whole);
      this.rest.fill(rest, column, whole);
      this.part.fill(part > 0 ? Math.max(1, Math.round(part * 255)) : 0, column, whole);
    }
    const tail = Math.max(whole, column);
    if (end > tail && tail < this.width) {
      this.addShare(tail, end - tail, busy, rest, part);
    }
  }

  /**
   * Adds a share of one column.
   * @param {number} column
   * @param {number} share
   * @param {number} busy
   * @param {number} rest
   * @param {number} part
   */
  addShare(column, share, busy, rest, part) {
    if (column !== this.at) {
      this.flush();
      this.at = column;
    }
    const busyShare = share * part;
    const restShare = share - busyShare;
    this.sum += busyShare;
    if (busyShare > this.busyMost) {
      this.busyMost = busyShare;
      this.busy[column] = busy;
    }
    if (restShare > this.restMost) {
      this.restMost = restShare;
      this.rest[column] = rest;
    }
  }

  /** Ends the column that is being added up. */
  flush() {
    const { at } = this;
    if (at >= 0 && at < this.width) {
      this.part[at] = this.sum > 0 ? Math.max(1, Math.min(255, Math.round(this.sum * 255))) : 0;
      if (this.restMost === 0) {
        this.rest[at] = this.busy[at] ?? NO_STATE;
      } else if (this.busyMost === 0) {
        this.busy[at] = this.rest[at] ?? NO_STATE;
      }
    }
    this.at = -1;
    this.sum = 0;
    this.busyMost = 0;
    this.restMost = 0;
  }

  /**
   * Calls for each run of equal columns: first, end, busy state, other state, busy part (0 to 1), an edge or none.
   * @param {(start: number, end: number, busy: number, rest: number, part: number, edge: boolean) => void} call
   */
  runs(call) {
    const { busy, rest, part, edge, width } = this;
    let start = 0;
    for (let column = 1; column <= width; column += 1) {
      const same = column < width && busy[column] === busy[start] && rest[column] === rest[start] &&
        part[column] === part[start] && edge[column] === 0;
      if (!same) {
        if (busy[start] !== NO_STATE) {
          call(start, column, busy[start] ?? 0, rest[start] ?? 0, (part[start] ?? 0) / 255, edge[start] === 1);
        }
        start = column;
      }
    }
  }
}

/** Pixels of all rows; moving in time copies what is there and works out only what comes into sight. */
export class SpanRaster {
  constructor() {
    this.columns = new RowColumns(0);
    this.image = new ImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.busyLine = new Uint32Array(0);
    this.restLine = new Uint32Array(0);
    this.from = 0;
    this.step = 0;
    this.key = '';
  }

  /**
   * Draws places at a time and scale; `key` says what else the picture depends on.
   * @param {number} width device pixels
   * @param {number} height device pixels
   * @param {number} from
   * @param {number} step nanoseconds of a device pixel
   * @param {string} key
   * @param {{ row: number, top: number, bottom: number, clip: number }[]} places in device pixels
   * @param {(row: number, from: number, to: number) => Piece[]} pieces
   * @param {GraphColors} colors
   */
  draw(width, height, from, step, key, places, pieces, colors) {
    if (width !== this.image.width || height !== this.image.height) {
      this.image = new ImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.columns = new RowColumns(width);
      this.busyLine = new Uint32Array(width);
      this.restLine = new Uint32Array(width);
      this.key = '';
    }
    const moved = (from - this.from) / step;
    const shift = Math.round(moved);
    const slides = key === this.key && step === this.step && Math.abs(moved - shift) < 0.02 && Math.abs(shift) < width;
    if (slides && shift === 0) {
      return false;
    }
    let start = 0;
    let end = width;
    let origin = from;
    if (slides) {
      origin = this.from + shift * step;
      this.slide(shift);
      start = shift > 0 ? width - shift : 0;
      end = shift > 0 ? width : -shift;
    } else {
      this.pixels.fill(0);
    }
    this.from = origin;
    this.step = step;
    this.key = key;
    for (const place of places) {
      this.columns.fill(pieces(place.row, origin + start * step, origin + end * step), origin, step, start, end);
      this.paint(place, start, end, colors);
    }
    return true;
  }

  /**
   * Moves all pixels to the left, or to the right.
   * @param {number} shift
   */
  slide(shift) {
    const { pixels } = this;
    const { width, height } = this.image;
    if (shift > 0) {
      pixels.copyWithin(0, shift);
    } else {
      pixels.copyWithin(-shift, 0, width * height + shift);
    }
    const start = shift > 0 ? width - shift : 0;
    const end = shift > 0 ? width : -shift;
    for (let line = 0; line < height; line += 1) {
      pixels.fill(0, line * width + start, line * width + end);
    }
  }

  /**
   * Paints columns of one row.
   * @param {{ top: number, bottom: number, clip: number }} place
   * @param {number} start
   * @param {number} end
   * @param {GraphColors} colors
   */
  paint({ top, bottom, clip }, start, end, colors) {
    const { pixels, busyLine, restLine } = this;
    const { width, height } = this.image;
    const { busy, rest, part, edge } = this.columns;
    let mixed = false;
    for (let column = start; column < end; column += 1) {
      const busyState = /** @type {number} */ (busy[column]);
      const restState = /** @type {number} */ (rest[column]);
      const share = /** @type {number} */ (part[column]);
      const table = edge[column] ? colors.edges : colors.pixels;
      busyLine[column] = table[busyState] ?? 0;
      restLine[column] = share === 255 ? busyLine[column] ?? 0 : table[restState] ?? 0;
      mixed ||= share > 0 && share < 255;
    }
    const size = bottom - top;
    for (let line = Math.max(top, clip, 0); line < Math.min(bottom, height); line += 1) {
      const offset = line * width;
      // A line of the bar is drawn where the busy part reaches it; the lowest wherever there is anything busy at all.
      const least = line === bottom - 1 ? 1 : Math.ceil(((bottom - line - 0.5) * 255) / size);
      if (!mixed || least > 255) {
        pixels.set(restLine.subarray(start, end), offset + start);
        continue;
      }
      for (let column = start; column < end; column += 1) {
        pixels[offset + column] =
          /** @type {number} */ (/** @type {number} */ (part[column]) >= least ? busyLine[column] : restLine[column]);
      }
    }
  }
}
