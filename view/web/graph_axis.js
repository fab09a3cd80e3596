// Marks of the axis of times, and text that fits into a width.

import { plain } from './dom.js';
import { countText, roundStep, timeText } from './time.js';

/** Font of everything that a graph writes. */
export const GRAPH_FONT = '11px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';

/** Least distance of two marks, in pixels. */
const MARK_PIXELS_MIN = 96;

/**
 * @typedef {object} AxisMarks
 * @property {string} baseText what the marks are counted from, or nothing where they are times since the start
 * @property {number} step nanoseconds between marks
 * @property {{ at: number, text: string }[]} marks
 */

/**
 * Marks for a range of times; below a millisecond they are counted from a round time, so that they stay short.
 * @param {number} from
 * @param {number} to
 * @param {number} width pixels
 * @returns {AxisMarks}
 */
export function axisMarks(from, to, width) {
  const step = Math.max(1, roundStep(to - from, Math.max(1, Math.floor(width / MARK_PIXELS_MIN))));
  const unit = step < 1e3 ? 1 : 1e3;
  const relative = step < 1e6 && to >= unit * 1e3;
  const base = relative ? Math.floor(from / (unit * 1e3)) * unit * 1e3 : 0;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to && marks.length < 500; at += step) {
    marks.push({ at, text: relative ? `+${unitText(at - base, unit)}` : absoluteText(at, step) });
  }
  return { baseText: relative ? `${timeText(base, unit * 1e3)} s` : '', step, marks };
}

/**
 * @param {number} ns
 * @param {number} unit
 */
function unitText(ns, unit) {
  return `${countText(ns / unit)} ${unit === 1 ? 'ns' : 'µs'}`;
}

/**
 * @param {number} at
 * @param {number} step
 */
function absoluteText(at, step) {
  return step < 1e3 ? unitText(at, 1) : step < 1e6 ? unitText(at, 1e3) : `${timeText(at, step)} s`;
}

/** Measures text once, and cuts it to what fits. */
export class FittingText {
  constructor() {
    this.context = document.createElement('canvas').getContext('2d');
    /** @type {Map<string, number>} */
    this.widths = new Map();
    /** @type {Map<string, string[]>} */
    this.cuts = new Map();
  }

  /**
   * Width of a text in pixels.
   * @param {string} text
   */
  width(text) {
    let width = this.widths.get(text);
    if (width === undefined) {
      if (this.context) {
        this.context.font = GRAPH_FONT;
      }
      width = this.context ? this.context.measureText(text).width : text.length * 6;
      if (this.widths.size > 20_000) {
        this.widths.clear();
        this.cuts.clear();
      }
      this.widths.set(text, width);
    }
    return width;
  }

  /**
   * As much of a text as fits, or nothing where not even three characters do.
   * @param {string} text
   * @param {number} pixels
   */
  fit(text, pixels) {
    const width = this.width(text);
    if (width <= pixels) {
      return text;
    }
    const count = Math.floor(((pixels - 9) * text.length) / width);
    if (count < 3) {
      return '';
    }
    let cuts = this.cuts.get(text);
    if (!cuts) {
      cuts = [];
      this.cuts.set(text, cuts);
    }
    return (cuts[count] ??= `${text.slice(0, count)}…`);
  }
}

/**
 * Name of a row as it is drawn.
 * @param {import('./types.d.ts').Row} row
 */
export function rowName(row) {
  const name = plain(row.name, 120);
  return row.type === 'thread' && row.tid !== null && !name.includes(String(row.tid)) ? `${name} ${row.tid}` : name;
}
