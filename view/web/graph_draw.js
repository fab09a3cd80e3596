// Draws what lies over the spans of a graph; the same functions draw a canvas and a picture to save.

import { GRAPH_FONT, axisMarks } from './graph_axis.js';
import { RowColumns } from './graph_raster.js';
import { spanIndex } from './graph_spans.js';
import { lengthText } from './time.js';

/** @typedef {import('./svg.js').DrawingContext} DrawingContext */
/** @typedef {import('./graph_model.js').GraphModel} GraphModel */

/** Height of the axis of times. */
export const AXIS_HEIGHT = 24;
/** Labels are drawn into spans at least so wide. */
const LABEL_WIDTH_MIN = 22;
/** Labels are drawn into rows at least so high. */
const LABEL_HEIGHT_MIN = 12;
/** Marks of losses nearer than this are one. */
const LOSS_DISTANCE_MIN = 6;

/**
 * Where a row is drawn, in pixels of the page; what is above `clip` is hidden by rows that stay.
 * @typedef {{ item: import('./graph_rows.js').Item, top: number, height: number, clip: number }} Place
 */

/**
 * One picture of a graph.
 * @typedef {object} Scene
 * @property {GraphModel} model
 * @property {import('./graph_colors.js').GraphColors} colors
 * @property {import('./graph_axis.js').FittingText} text
 * @property {import('./graph_spans.js').SpanStore} store
 * @property {(name: string) => string} color
 * @property {number} width
 * @property {number} height
 * @property {number} body where the rows begin that can be scrolled
 * @property {number} from time at the left
 * @property {number} step nanoseconds of a pixel
 * @property {Place[]} places
 */

/**
 * Where a time is drawn.
 * @param {Scene} scene
 * @param {number} ns
 */
export function timeX(scene, ns) {
  return (ns - scene.from) / scene.step;
}

/**
 * Draws the spans as rectangles, for a picture to save.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawSpans(c, scene) {
  const { colors, from, step } = scene;
  const columns = new RowColumns(Math.max(1, Math.floor(scene.width)));
  for (const { item, top, height, clip } of scene.places) {
    if (item.row < 0 || top + height <= clip) {
      continue;
    }
    const upper = Math.max(top, clip);
    const lower = top + height - 1;
    columns.fill(scene.store.pieces(item.row, from, from + step * columns.width, step), from, step, 0, columns.width);
    columns.runs((start, end, busy, rest, part, edge) => {
      const left = start + (edge ? 0.5 : 0);
      const bar = Math.min(lower - upper, part > 0 ? Math.max(1, (height - 1) * part) : 0);
      const restKind = colors.stateKinds[rest] ?? 0;
      if (bar < lower - upper && restKind !== colors.none) {
        c.fillStyle = colors.stateColor(rest);
        c.fillRect(left, upper, end - left, lower - upper - bar);
      }
      if (bar > 0) {
        c.fillStyle = colors.stateColor(busy);
        c.fillRect(left, lower - bar, end - left, bar);
      }
    });
  }
}

/**
 * Draws the names of states into spans that are wide enough.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawLabels(c, scene) {
  const { from, step, width, store } = scene;
  c.font = GRAPH_FONT;
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  for (const { item, top, height, clip } of scene.places) {
    if (item.row < 0 || height < LABEL_HEIGHT_MIN || top + height / 2 < clip + 4) {
      continue;
    }
    const middle = top + (height - 1) / 2 + 0.5;
    for (const { kept, from: pieceFrom, to: pieceTo } of store.pieces(item.row, from, from + step * width, step)) {
      const left = Math.max(0, (pieceFrom - from) / step);
      const right = Math.min(width, (pieceTo - from) / step);
      drawPieceLabels(c, scene, kept.spans, left, right, middle);
    }
  }
}

/**
 * @param {DrawingContext} c
 * @param {Scene} scene
 * @param {import('./types.d.ts').Spans} spans
 * @param {number} left
 * @param {number} right
 * @param {number} middle
 */
function drawPieceLabels(c, scene, spans, left, right, middle) {
  const { colors, text, from, step } = scene;
  const { starts, busy, rest } = spans;
  const count = starts.length;
  for (let index = Math.max(0, spanIndex(starts, from + left * step)); index < count; index += 1) {
    const next = index + 1 < count ? /** @type {number} */ (starts[index + 1]) : spans.end;
    const end = Math.min(right, (next - from) / step);
    const start = Math.max(left, (/** @type {number} */ (starts[index]) - from) / step);
    if (start >= right) {
      return;
    }
    const state = /** @type {number} */ (busy[index]);
    if (end - start < LABEL_WIDTH_MIN || rest[index] !== state) {
      continue;
    }
    const kind = colors.stateKinds[state] ?? 0;
    const quiet = kind === colors.none || kind === colors.idle;
    const label = quiet ? '' : text.fit(colors.labels[state] ?? '', end - start - 7);
    if (label !== '') {
      c.fillStyle = colors.inks[kind] ?? '#000000';
      c.fillText(label, Math.round(start) + 4, middle);
    }
  }
}

/**
 * Draws lines between rows and thin vertical lines of the axis.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawAxis(c, scene) {
  const { width, height, from, step, color } = scene;
  const { baseText, marks } = axisMarks(from, from + step * width, width);
  c.fillStyle = color('panel');
  c.fillRect(0, 0, width, AXIS_HEIGHT - 1);
  c.fillStyle = color('line');
  c.fillRect(0, AXIS_HEIGHT - 1, width, 1);
  c.font = GRAPH_FONT;
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  const baseWidth = baseText === '' ? 0 : scene.text.width(baseText) + 14;
  for (const { at, text } of marks) {
    const x = Math.round(timeX(scene, at));
    c.fillStyle = color('line');
    c.globalAlpha = 0.5;
    c.fillRect(x, AXIS_HEIGHT, 1, height - AXIS_HEIGHT);
    c.globalAlpha = 1;
    c.fillRect(x, AXIS_HEIGHT - 7, 1, 6);
    if (x + 4 >= baseWidth && x + 4 + scene.text.width(text) <= width) {
      c.fillStyle = color('text');
      c.fillText(text, x + 4, AXIS_HEIGHT / 2 - 1);
    }
  }
  if (baseText !== '') {
    c.fillStyle = color('faint');
    c.fillText(baseText, 5, AXIS_HEIGHT / 2 - 1);
  }
}

/**
 * Draws lines below rows, and the row that is selected.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawRowLines(c, scene) {
  const { model, color, width } = scene;
  for (const { item, top, height, clip } of scene.places) {
    const upper = Math.max(top, clip);
    const lower = top + height;
    if (lower <= clip) {
      continue;
    }
    if (item.row < 0) {
      c.fillStyle = color('panel');
      c.fillRect(0, upper, width, lower - upper);
    } else if (item.row === model.row) {
      c.fillStyle = color('accent');
      c.fillRect(0, upper, width, 1);
      c.fillRect(0, lower - 1, width, 1);
    }
  }
  if (scene.body > AXIS_HEIGHT) {
    c.fillStyle = color('faint');
    c.fillRect(0, scene.body - 2, width, 1);
  }
}

/**
 * Draws where events were lost: hatched, over the row of the CPU and as a line through all.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawLosses(c, scene) {
  const { model, width, height, color } = scene;
  let last = -Infinity;
  c.fillStyle = color('lost');
  c.strokeStyle = color('lost');
  c.lineWidth = 1;
  for (const loss of model.meta.losses) {
    const x = timeX(scene, loss.at);
    if (x < -LOSS_DISTANCE_MIN || x > width + LOSS_DISTANCE_MIN || Math.abs(x - last) < LOSS_DISTANCE_MIN / 2) {
      continue;
    }
    last = x;
    c.globalAlpha = 0.5;
    c.fillRect(Math.round(x), AXIS_HEIGHT, 1, height - AXIS_HEIGHT);
    c.globalAlpha = 1;
    for (const { item, top, height: rowHeight, clip } of scene.places) {
      const row = model.rows[item.row];
      if (row?.type === 'cpu' && row.cpu === loss.cpu && top >= clip) {
        drawHatch(c, x - 4, top, 9, rowHeight - 1);
      }
    }
    drawHatch(c, x - 3, AXIS_HEIGHT - 8, 7, 7);
  }
}

/**
 * Draws slanted lines in a rectangle.
 * @param {DrawingContext} c
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
export function drawHatch(c, x, y, width, height) {
  c.beginPath();
  for (let offset = -height; offset < width; offset += 3) {
    const start = Math.max(0, offset);
    const end = Math.min(width, offset + height);
    c.moveTo(x + start, y + height - (start - offset));
    c.lineTo(x + end, y + height - (end - offset));
  }
  c.stroke();
}

/**
 * Draws the critical path as a line through rows.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawPath(c, scene) {
  const { model, color, width } = scene;
  if (!model.path) {
    return;
  }
  const middles = rowMiddles(scene);
  for (const [line, style] of /** @type {[number, string][]} */ ([[5, 'back'], [3, 'accent']])) {
    c.strokeStyle = color(style);
    c.lineWidth = line;
    c.beginPath();
    let previous = NaN;
    let drawn = -Infinity;
    for (const segment of model.path.segments) {
      const y = middles.get(segment.row);
      const start = timeX(scene, segment.from_ns);
      const end = timeX(scene, segment.to_ns);
      // Of parts that are all in one pixel the first is enough.
      if (y === undefined || end < 0 || start > width || end < drawn + 0.5) {
        previous = y ?? previous;
        continue;
      }
      drawn = end;
      const left = Math.max(-5, start);
      if (!Number.isNaN(previous) && start >= 0) {
        c.moveTo(left, previous);
        c.lineTo(left, y);
      } else {
        c.moveTo(left, y);
      }
      c.lineTo(Math.min(width + 5, Math.max(end, left + 1)), y);
      previous = y;
    }
    c.stroke();
  }
}

/**
 * Height of the middle of each row that is drawn; a pinned one counts before its other place.
 * @param {Scene} scene
 */
export function rowMiddles(scene) {
  /** @type {Map<number, number>} */
  const middles = new Map();
  for (const { item, top, height, clip } of scene.places) {
    if (item.row >= 0 && !middles.has(item.row) && top + height / 2 >= clip) {
      middles.set(item.row, top + height / 2);
    }
  }
  return middles;
}

/**
 * Draws the selected times, the cursor and where the pointer is.
 * @param {DrawingContext} c
 * @param {Scene} scene
 */
export function drawMarks(c, scene) {
  const { model, color, width, height } = scene;
  if (model.selection) {
    const left = Math.max(-2, timeX(scene, model.selection[0]));
    const right = Math.min(width + 2, timeX(scene, model.selection[1]));
    if (left < right) {
      c.fillStyle = color('selection');
      c.globalAlpha = 0.5;
      c.fillRect(left, AXIS_HEIGHT, right - left, height - AXIS_HEIGHT);
      c.globalAlpha = 1;
      c.fillStyle = color('accent');
      c.fillRect(Math.round(left), 0, 1, height);
      c.fillRect(Math.round(right), 0, 1, height);
      drawFlag(c, scene, (left + right) / 2, lengthText(model.selection[1] - model.selection[0]), true);
    }
  }
  if (model.cursor !== null) {
    const x = timeX(scene, model.cursor);
    if (x >= -1 && x <= width + 1) {
      c.fillStyle = color('accent');
      c.fillRect(Math.round(x) - 0.5, 0, 2, height);
    }
  }
}

/**
 * Draws a text on the axis, inside of the picture.
 * @param {DrawingContext} c
 * @param {Scene} scene
 * @param {number} x
 * @param {string} text
 * @param {boolean} centred
 */
export function drawFlag(c, scene, x, text, centred) {
  const { color, width } = scene;
  const size = scene.text.width(text) + 10;
  const left = Math.min(Math.max(0, centred ? x - size / 2 : x + 1), Math.max(0, width - size));
  c.fillStyle = color('accent');
  c.fillRect(left, 2, size, AXIS_HEIGHT - 5);
  c.fillStyle = color('back');
  c.font = GRAPH_FONT;
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  c.fillText(text, left + 5, AXIS_HEIGHT / 2 - 0.5);
}
