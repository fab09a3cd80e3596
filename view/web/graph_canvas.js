// The picture of a graph: a canvas of spans, and one over it for everything else.

import { make } from './dom.js';
import { AXIS_HEIGHT, drawAxis, drawLabels, drawRowLines, drawSpans, timeX } from './graph_draw.js';
import { drawFlag, drawLosses, drawMarks, drawPath } from './graph_draw.js';
import { drawArrows } from './graph_arrows.js';
import { SpanRaster } from './graph_raster.js';
import { timeText } from './time.js';

/** @typedef {import('./graph_draw.js').Scene} Scene */

/** Two canvases over one another. */
export class GraphCanvas {
  constructor() {
    this.spans = make('canvas', { attributes: { 'aria-hidden': 'true' } });
    this.marks = make('canvas', { attributes: { 'aria-hidden': 'true' } });
    this.element = make('div', {
      class: 'graph-plot',
      attributes: {
        tabindex: 0, role: 'img',
        'aria-label': 'Event graph: states of rows over time. The table behind it has the same; ? lists the keys.',
      },
    }, this.spans, this.marks);
    this.raster = new SpanRaster();
    this.width = 0;
    this.height = 0;
    this.scale = 1;
  }

  /** Fits the canvases to their place; says whether there is anything to draw on. */
  fit() {
    this.width = this.element.clientWidth;
    this.height = this.element.clientHeight;
    this.scale = Math.min(3, window.devicePixelRatio || 1);
    const width = Math.round(this.width * this.scale);
    const height = Math.round(this.height * this.scale);
    for (const canvas of [this.spans, this.marks]) {
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        this.raster.key = '';
      }
    }
    return width > 0 && height > 0;
  }

  /**
   * Draws a picture.
   * @param {Scene} scene
   * @param {import('./graph_arrows.js').ArrowStore} arrows
   * @param {string} key what the spans depend on besides time and scale
   */
  draw(scene, arrows, key) {
    this.drawRaster(scene, key);
    const context = this.marks.getContext('2d');
    if (!context) {
      return;
    }
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    drawOver(context, scene, arrows);
    if (scene.model.hover !== null) {
      const x = timeX(scene, scene.model.hover);
      context.fillStyle = scene.color('text');
      context.globalAlpha = 0.5;
      context.fillRect(Math.round(x), AXIS_HEIGHT, 1, this.height);
      context.globalAlpha = 1;
      drawFlag(context, scene, x, `${timeText(scene.model.hover, Math.max(1, scene.step))} s`, false);
    }
  }

  /**
   * @param {Scene} scene
   * @param {string} key
   */
  drawRaster(scene, key) {
    const context = this.spans.getContext('2d', { willReadFrequently: true });
    const { scale, raster } = this;
    const { store } = scene;
    const step = scene.step / scale;
    const places = scene.places.filter(({ item }) => item.row >= 0).map(({ item, top, height, clip }) => {
      const gap = height > 8 ? 2 : 1;
      const [upper, lower] = [Math.round(top * scale), Math.round((top + height - gap) * scale)];
      return { row: item.row, top: upper, bottom: Math.max(lower, upper + 1), clip: Math.round(clip * scale) };
    });
    const pieces = (/** @type {number} */ row, /** @type {number} */ from, /** @type {number} */ to) =>
      store.pieces(row, from, to, scene.step);
    const { width, height } = this.spans;
    const drawn = raster.draw(width, height, scene.from, step, key, places, pieces, scene.colors);
    if (drawn && context) {
      context.putImageData(raster.image, 0, 0);
    }
  }
}

/**
 * Draws all that lies over the spans and does not depend on the pointer.
 * @param {import('./svg.js').DrawingContext} c
 * @param {Scene} scene
 * @param {import('./graph_arrows.js').ArrowStore} arrows
 */
function drawOver(c, scene, arrows) {
  drawRowLines(c, scene);
  drawLabels(c, scene);
  drawAxis(c, scene);
  drawArrows(c, scene, arrows);
  drawPath(c, scene);
  drawLosses(c, scene);
  drawMarks(c, scene);
}

/**
 * Draws a whole picture to save: names at the left, the graph at the right.
 * @param {import('./svg.js').DrawingContext} c
 * @param {Scene} scene
 * @param {import('./graph_arrows.js').ArrowStore} arrows
 * @param {number} names width of the names
 */
export function drawPicture(c, scene, arrows, names) {
  const { width, height, color } = scene;
  c.fillStyle = color('back');
  c.fillRect(0, 0, names + width, height);
  for (const { item, top, height: rowHeight, clip } of scene.places) {
    if (rowHeight >= 10 && top + rowHeight / 2 > clip) {
      c.fillStyle = color(item.row < 0 ? 'faint' : 'text');
      c.font = '11px sans-serif';
      c.textAlign = 'left';
      c.textBaseline = 'middle';
      const indent = 6 + Math.min(item.depth, 8) * 10;
      c.fillText(scene.text.fit(item.name, names - indent - 6), indent, top + rowHeight / 2);
    }
  }
  c.save();
  c.translate(names, 0);
  c.beginPath();
  c.rect(0, 0, width, height);
  c.clip();
  drawSpans(c, scene);
  drawOver(c, scene, arrows);
  c.restore();
}
