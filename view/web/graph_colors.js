// Colours and labels of states, looked up once for each theme.

import { plain } from './dom.js';

/** @typedef {import('./types.d.ts').Meta} Meta */

/**
 * Red, green, blue and opacity (0 to 255) of a colour of the style sheets.
 * @param {string} text
 * @returns {[number, number, number, number]}
 */
export function colorParts(text) {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  if (!context || text === '') {
    return [128, 128, 128, 255];
  }
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0, opacity = 0] = context.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, opacity];
}

/**
 * Mixes two colours; at 0 it is the first.
 * @param {[number, number, number, number]} one
 * @param {[number, number, number, number]} other
 * @param {number} part
 * @returns {[number, number, number, number]}
 */
function mixed(one, other, part) {
  const mix = (/** @type {number} */ a, /** @type {number} */ b) => Math.round(a + (b - a) * part);
  return [mix(one[0], other[0]), mix(one[1], other[1]), mix(one[2], other[2]), one[3]];
}

/**
 * A pixel as the bytes of a picture hold it (little-endian).
 * @param {[number, number, number, number]} parts
 */
function pixelOf([red, green, blue, opacity]) {
  return ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** What states look like. */
export class GraphColors {
  /**
   * @param {Meta} meta
   * @param {(name: string) => string} color
   */
  constructor(meta, color) {
    const ink = colorParts(color('text'));
    const back = colorParts(color('back'));
    const dark = ink[0] < back[0] ? ink : back;
    const light = ink[0] < back[0] ? back : ink;
    const parts = meta.kinds.map((kind) => colorParts(kindColor(kind.name, color)));
    /** Colour of a kind, by its number. */
    this.kinds = meta.kinds.map((kind) => kindColor(kind.name, color));
    /** Colour of text on a kind. */
    this.inks = parts.map((one) => {
      const bright = one[0] * 0.3 + one[1] * 0.59 + one[2] * 0.11;
      return `rgb(${(bright > 132 || one[3] === 0 ? dark : light).slice(0, 3).join(', ')})`;
    });
    /** Whether a CPU is busy with a kind. */
    this.runs = meta.kinds.map((kind) => kind.runs);
    this.none = meta.kinds.findIndex((kind) => kind.name === 'none');
    this.idle = meta.kinds.findIndex((kind) => kind.name === 'idle');
    /** Kind of a state. */
    this.stateKinds = Uint16Array.from(meta.states, ([kind]) => kind);
    /** Pixel of a state, and of its left edge. */
    this.pixels = Uint32Array.from(meta.states, ([kind]) => pixelOf(parts[kind] ?? [0, 0, 0, 0]));
    this.edges = Uint32Array.from(meta.states, ([kind]) => pixelOf(mixed(parts[kind] ?? [0, 0, 0, 0], back, 0.55)));
    /** What a state is called in a span, and in a sentence. */
    this.labels = meta.states.map(([kind, label]) => (label === '' ? kindTitle(meta, kind) : plain(label, 80)));
    this.titles = meta.states.map(([kind, label]) => fullTitle(kindTitle(meta, kind), plain(label, 200)));
  }

  /**
   * Colour of a state.
   * @param {number} state
   */
  stateColor(state) {
    return this.kinds[this.stateKinds[state] ?? 0] ?? 'transparent';
  }
}

/**
 * @param {Meta} meta
 * @param {number} kind
 */
function kindTitle(meta, kind) {
  return meta.kinds[kind]?.title ?? '';
}

/**
 * @param {string} title
 * @param {string} label
 */
function fullTitle(title, label) {
  return label === '' || label === title ? title : `${title}: ${label}`;
}

/**
 * @param {string} name
 * @param {(name: string) => string} color
 */
function kindColor(name, color) {
  return name === 'none' ? 'transparent' : color(name);
}
