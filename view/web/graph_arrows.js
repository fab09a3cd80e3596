// Wake-ups as arrows from the row that woke to the row that was woken.

import { rowMiddles, timeX } from './graph_draw.js';
import { GRAPH_FONT } from './graph_axis.js';
import { LatestAnswer } from './graph_ask.js';
import { countText } from './time.js';

/** @typedef {import('./graph_draw.js').Scene} Scene */
/** @typedef {import('./types.d.ts').Arrow} Arrow */

/** More arrows than this hide what they belong to. */
const ARROWS_MAX = 250;
/** So many arrows are drawn in full strength; more are fainter. */
const STRONG_ARROWS_MAX = 40;
/** How near the pointer must be to an arrow. */
const ARROW_PIXELS = 2.5;
/** How long the picture must be at rest before arrows are asked for. */
const QUIET_MILLISECONDS = 120;

/** The wake-ups of what is seen. */
export class ArrowStore {
  /**
   * @param {import('./types.d.ts').Source} source
   * @param {() => void} changed
   */
  constructor(source, changed) {
    this.source = source;
    /** @type {LatestAnswer<{ count: number, arrows: Arrow[] }>} */
    this.answer = new LatestAnswer(QUIET_MILLISECONDS, changed);
  }

  /** Arrows that are known, of this picture or the one before. */
  get arrows() {
    return this.answer.value?.arrows ?? [];
  }

  /** How many there are where they are too many to be drawn. */
  get count() {
    return this.answer.value?.count ?? 0;
  }

  /**
   * Asks for the wake-ups of a picture once it is at rest; those that are known stay until then.
   * @param {Scene} scene
   */
  want(scene) {
    const { model } = scene;
    const rows = [...rowMiddles(scene).keys()].sort((a, b) => a - b).slice(0, 400);
    const from = Math.max(0, Math.floor(model.from));
    const to = Math.ceil(model.to);
    const wanted = model.choices.arrows && rows.length > 1;
    const key = wanted ? `${from} ${to} ${model.meta.version} ${rows.join()}` : '';
    this.answer.want(key, (signal) => this.source.arrows(from, to, rows, ARROWS_MAX, signal));
  }

  /**
   * The arrow under a place of the picture.
   * @param {Scene} scene
   * @param {number} x
   * @param {number} y
   */
  find(scene, x, y) {
    const middles = rowMiddles(scene);
    return this.arrows.find(([at, waker, woken]) => {
      const start = middles.get(waker);
      const end = middles.get(woken);
      return start !== undefined && end !== undefined && Math.abs(timeX(scene, at) - x) < ARROW_PIXELS &&
        y > Math.min(start, end) + 2 && y < Math.max(start, end) - 2;
    }) ?? null;
  }
}

/**
 * Draws arrows; those of the selected row stand out.
 * @param {import('./svg.js').DrawingContext} c
 * @param {Scene} scene
 * @param {ArrowStore} store
 */
export function drawArrows(c, scene, store) {
  const { model, width, color } = scene;
  if (!model.choices.arrows) {
    return;
  }
  const middles = rowMiddles(scene);
  const crowd = Math.max(1, store.arrows.length / STRONG_ARROWS_MAX);
  const strength = 0.65 / Math.sqrt(crowd);
  for (const selected of [false, true]) {
    c.strokeStyle = color(selected ? 'accent' : 'text');
    c.fillStyle = color(selected ? 'accent' : 'text');
    c.lineWidth = selected ? 1.5 : 1;
    c.globalAlpha = selected ? 1 : strength;
    for (const [at, waker, woken] of store.arrows) {
      const start = middles.get(waker);
      const end = middles.get(woken);
      const x = timeX(scene, at);
      const mine = model.row !== null && (waker === model.row || woken === model.row);
      if (mine === selected && start !== undefined && end !== undefined && start !== end && x > -6 && x < width + 6) {
        drawArrow(c, x, start, end);
      }
    }
  }
  c.globalAlpha = 1;
  if (store.count > 0 && store.arrows.length === 0) {
    drawNote(c, scene, `${countText(store.count)} wake-ups: zoom in`);
  }
}

/**
 * @param {import('./svg.js').DrawingContext} c
 * @param {number} x
 * @param {number} start
 * @param {number} end
 */
function drawArrow(c, x, start, end) {
  const down = end > start ? 1 : -1;
  c.beginPath();
  c.moveTo(x, start);
  c.lineTo(x, end - 4 * down);
  c.stroke();
  c.fillRect(x - 1.5, start - 1.5, 3, 3);
  c.beginPath();
  c.moveTo(x, end);
  c.lineTo(x - 3.5, end - 6 * down);
  c.lineTo(x + 3.5, end - 6 * down);
  c.closePath();
  c.fill();
}

/**
 * @param {import('./svg.js').DrawingContext} c
 * @param {Scene} scene
 * @param {string} text
 */
function drawNote(c, scene, text) {
  const { color, width, height } = scene;
  const size = scene.text.width(text) + 12;
  c.font = GRAPH_FONT;
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  c.globalAlpha = 0.9;
  c.fillStyle = color('panel');
  c.fillRect(width - size - 6, height - 21, size, 17);
  c.globalAlpha = 1;
  c.fillStyle = color('faint');
  c.fillText(text, width - size, height - 12);
}
