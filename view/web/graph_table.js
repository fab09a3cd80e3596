// The table behind the picture: what rows do in the selected or visible time, for those who cannot see it.

import { fill, make } from './dom.js';
import { rowName } from './graph_axis.js';
import { lengthText, percentText, timeText } from './time.js';

/** @typedef {import('./graph_draw.js').Scene} Scene */

/** Most lines of the table. */
const LINES_MAX = 300;

/** A table that is read, not seen. */
export class GraphTable {
  constructor() {
    this.element = make('table', { class: 'graph-table' });
    this.shown = '';
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * Writes the table anew once nothing has moved for a while.
   * @param {Scene} scene
   */
  want(scene) {
    const { model } = scene;
    const rows = scene.places.map(({ item }) => item.row).join();
    const [from, to] = model.selection ?? [model.from, model.to];
    const key = [from, to, model.row, scene.store.version, rows].join(' ');
    if (key !== this.shown) {
      this.shown = key;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.write(scene, from, to), 500);
    }
  }

  /**
   * @param {Scene} scene
   * @param {number} from
   * @param {number} to
   */
  write(scene, from, to) {
    const { model } = scene;
    const rows = [...new Set(scene.places.map(({ item }) => item.row).filter((row) => row >= 0))];
    if (model.row !== null) {
      rows.sort((a, b) => Number(b === model.row) - Number(a === model.row));
    }
    const share = Math.max(4, Math.floor(LINES_MAX / Math.max(1, rows.length)));
    /** @type {HTMLElement[]} */
    const lines = [];
    for (const row of rows) {
      const room = Math.min(LINES_MAX - lines.length, row === model.row ? LINES_MAX / 3 : share);
      lines.push(...tableLines(scene, row, from, to, room));
    }
    const caption = `States from ${timeText(from)} s to ${timeText(to)} s; the first ${LINES_MAX} of the visible rows`;
    fill(this.element,
      make('caption', { text: caption }),
      make('thead', {}, make('tr', {}, ...['row', 'state', 'from, s', 'length'].map((text) =>
        make('th', { text, attributes: { scope: 'col' } })))),
      make('tbody', {}, ...lines));
  }
}

/**
 * @param {Scene} scene
 * @param {number} row
 * @param {number} from
 * @param {number} to
 * @param {number} most
 */
function tableLines(scene, row, from, to, most) {
  const { model, store, colors } = scene;
  const found = model.rows[row];
  /** @type {HTMLElement[]} */
  const lines = [];
  for (const { kept, from: start, to: end } of store.pieces(row, from, to, scene.step)) {
    const { starts, busy, rest, part } = kept.spans;
    for (let index = 0; index < starts.length && lines.length < most; index += 1) {
      const begins = starts[index] ?? 0;
      const ends = starts[index + 1] ?? kept.spans.end;
      const [one, other] = [busy[index] ?? 0, rest[index] ?? 0];
      if (ends <= start || begins >= end || (one === other && colors.stateKinds[one] === colors.none)) {
        continue;
      }
      const share = (part[index] ?? 0) / 655.35;
      const parts = `${percentText(share)} ${colors.titles[one]}, rest ${colors.titles[other]}`;
      const state = one === other ? colors.titles[one] : parts;
      lines.push(make('tr', {},
        make('th', { text: found ? rowName(found) : '', attributes: { scope: 'row' } }),
        make('td', { text: state ?? '' }),
        make('td', { text: timeText(begins) }),
        make('td', { text: lengthText(ends - begins) })));
    }
  }
  return lines;
}
