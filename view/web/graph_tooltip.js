// What is under the pointer, in a few lines, from what has been drawn already.

import { make, plain } from './dom.js';
import { rowName } from './graph_axis.js';
import { AXIS_HEIGHT, timeX } from './graph_draw.js';
import { countText, lengthText, percentText, timeText } from './time.js';

/** @typedef {import('./graph_draw.js').Scene} Scene */

/** A box that follows the pointer. */
export class GraphTooltip {
  constructor() {
    this.element = make('div', { class: 'graph-tip', attributes: { role: 'tooltip' } });
    this.element.hidden = true;
  }

  hide() {
    this.element.hidden = true;
  }

  /**
   * Shows lines beside a place, the first one as a title.
   * @param {string[]} lines
   * @param {number} x
   * @param {number} y
   * @param {number} width of what it must stay in
   * @param {number} height
   */
  show(lines, x, y, width, height) {
    if (lines.length === 0) {
      this.hide();
      return;
    }
    const text = lines.join('\n');
    if (this.element.dataset.text !== text) {
      this.element.dataset.text = text;
      this.element.replaceChildren(...lines.map((line, index) => make(index === 0 ? 'b' : 'div', { text: line })));
    }
    this.element.hidden = false;
    const { offsetWidth, offsetHeight } = this.element;
    const left = x + 14 + offsetWidth > width ? x - offsetWidth - 10 : x + 14;
    const top = y + 18 + offsetHeight > height ? y - offsetHeight - 8 : y + 18;
    this.element.style.transform = `translate(${Math.round(Math.max(2, left))}px, ${Math.round(Math.max(2, top))}px)`;
  }
}

/**
 * What is to be said about a place of a picture.
 * @param {Scene} scene
 * @param {import('./graph_arrows.js').ArrowStore} arrows
 * @param {number} x
 * @param {number} y
 * @param {number | null} row
 * @returns {string[]}
 */
export function tipLines(scene, arrows, x, y, row) {
  const { model } = scene;
  const loss = model.meta.losses.find((one) => Math.abs(timeX(scene, one.at) - x) < 5);
  if (loss) {
    const count = loss.count === null ? 'An unknown number of events' : `${countText(loss.count)} events`;
    return [`${count} lost on CPU ${loss.cpu}`, `at ${timeText(loss.at)} s`];
  }
  if (y < AXIS_HEIGHT) {
    return [];
  }
  const arrow = model.choices.arrows ? arrows.find(scene, x, y) : null;
  if (arrow) {
    const [at, waker, woken, via] = arrow;
    const [one, other] = [model.rows[waker], model.rows[woken]].map((found) => (found ? rowName(found) : '?'));
    return [`${one} woke ${other}`, plain(via, 120), `at ${timeText(at)} s`];
  }
  return row === null ? [] : spanLines(scene, row, x);
}

/**
 * @param {Scene} scene
 * @param {number} row
 * @param {number} x
 */
function spanLines(scene, row, x) {
  const { model, colors } = scene;
  const found = model.rows[row];
  const name = found ? rowName(found) : '';
  const span = scene.store.spanAt(row, scene.from + x * scene.step, scene.step);
  if (!span || (colors.stateKinds[span.busy] === colors.none && span.exact)) {
    return [name];
  }
  const length = `${lengthText(span.to - span.from)}, from ${timeText(span.from, Math.max(1, scene.step / 10))} s`;
  if (span.exact) {
    return [colors.titles[span.busy] ?? '', name, length];
  }
  return [
    'Several states: zoom in',
    name,
    `${percentText(span.part * 100)} ${colors.titles[span.busy] ?? ''}`,
    `${percentText((1 - span.part) * 100)} ${colors.titles[span.rest] ?? ''}`,
  ];
}
