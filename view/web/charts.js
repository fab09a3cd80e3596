// Pictures of numbers: a histogram of lengths, a picture of density over time, curves over time.

import { fill, fitCanvas, make, oncePerFrame } from './dom.js';
import { countText, lengthText, shortLength, shortText, timeMarks, timeText } from './time.js';

/** @typedef {import('./types.d.ts').App} App */

/** Space around a picture for its axes, in pixels. */
const CHART_EDGE = { left: 58, right: 10, top: 8, bottom: 20 };
const CHART_FONT = '11px system-ui, sans-serif';
/** Widest bar of a histogram, in pixels. */
const BAR_WIDTH_MAX = 72;

/** A canvas with axes, a line that says what is under the pointer, and a table for those who cannot see it. */
class Chart {
  /**
   * @param {App} app
   * @param {string} name what it shows
   * @param {number} height in pixels
   */
  constructor(app, name, height) {
    this.app = app;
    this.canvas = make('canvas', { attributes: { role: 'img', 'aria-label': name, tabindex: 0 } });
    this.canvas.style.height = `${height}px`;
    this.width = innerWidth / 2;
    this.height = height;
    this.said = make('div', { class: 'chart-said faint', attributes: { 'aria-live': 'polite' } });
    this.element = make('figure', { class: 'chart' }, this.canvas, this.said);
    this.draw = oncePerFrame(() => this.drawNow());
    /** Place of the pointer within the canvas, or null. */
    /** @type {{ x: number, y: number } | null} */
    this.pointer = null;
    this.hint = '';
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener('pointermove', (event) => this.moved({ x: event.offsetX, y: event.offsetY }));
    this.canvas.addEventListener('pointerleave', () => this.moved(null));
    this.canvas.addEventListener('click', (event) => this.clicked({ x: event.offsetX, y: event.offsetY }));
    this.canvas.addEventListener('keydown', (event) => this.keydown(event));
  }

  /** @param {{ x: number, y: number } | null} pointer */
  moved(pointer) {
    this.pointer = pointer;
    const text = pointer && this.textAt(pointer);
    this.said.textContent = text || this.hint || '\u00a0';
    this.canvas.style.cursor = text ? 'pointer' : 'default';
    this.draw();
  }

  /**
   * The arrows move as the pointer does, Enter is a click.
   * @param {KeyboardEvent} event
   */
  keydown(event) {
    const { left, top, width, height } = this.inner();
    const from = this.pointer ?? { x: left, y: top + height };
    const step = this.keyStep();
    const x = { ArrowLeft: -step.x, ArrowRight: step.x }[event.key] ?? 0;
    const y = { ArrowUp: -step.y, ArrowDown: step.y }[event.key] ?? 0;
    if (x !== 0 || y !== 0) {
      const inside = (/** @type {number} */ at, /** @type {number} */ low, /** @type {number} */ size) =>
        Math.min(Math.max(at, low + 1), low + size - 1);
      this.moved({ x: inside(from.x + x, left, width), y: inside(from.y + y, top, height) });
    } else if (event.key === 'Enter' && this.pointer) {
      this.clicked(this.pointer);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** How far an arrow key goes, in pixels. */
  keyStep() {
    return { x: 4, y: 4 };
  }

  /**
   * What is at a place, in words; empty for nothing.
   * @param {{ x: number, y: number }} _place
   */
  textAt(_place) {
    return '';
  }

  /** @param {{ x: number, y: number }} _place */
  clicked(_place) {}

  /** The part of the canvas within the axes. */
  inner() {
    const { left, right, top, bottom } = CHART_EDGE;
    // What is hidden has no width; it will be as wide as before.
    this.width = this.canvas.clientWidth || this.width;
    return {
      left,
      top,
      width: Math.max(1, this.width - left - right),
      height: Math.max(1, this.height - top - bottom),
    };
  }

  drawNow() {
    const fitted = fitCanvas(this.canvas);
    if (fitted) {
      fitted.context.font = CHART_FONT;
      fitted.context.textBaseline = 'middle';
      this.paint(fitted.context);
    }
  }

  /** @param {CanvasRenderingContext2D} _context */
  paint(_context) {}

  /**
   * Draws an axis at the left.
   * @param {CanvasRenderingContext2D} context
   * @param {[number, string][]} marks pairs of a part of the height, from below, and text
   */
  paintLeft(context, marks) {
    const { left, top, width, height } = this.inner();
    context.textAlign = 'right';
    for (const [part, text] of marks) {
      const y = Math.round(top + height * (1 - part)) + 0.5;
      context.fillStyle = this.app.color('line');
      context.fillRect(left, y, width, 0.5);
      context.fillStyle = this.app.color('faint');
      context.fillText(text, left - 6, y);
    }
  }

  /**
   * Draws an axis below.
   * @param {CanvasRenderingContext2D} context
   * @param {[number, string][]} marks pairs of a part of the width and text
   */
  paintBelow(context, marks) {
    const { left, top, width, height } = this.inner();
    let free = 0;
    for (const [part, text] of marks) {
      const x = Math.round(left + width * part) + 0.5;
      context.fillStyle = this.app.color('line');
      context.fillRect(x, top, 0.5, height);
      const half = context.measureText(text).width / 2;
      if (x - half >= free && x + half <= this.canvas.clientWidth) {
        context.textAlign = 'center';
        context.fillStyle = this.app.color('faint');
        context.fillText(text, x, top + height + 11);
        free = x + half + 10;
      }
    }
  }

  /**
   * Marks of times below.
   * @param {CanvasRenderingContext2D} context
   * @param {number} from
   * @param {number} to
   */
  paintTimes(context, from, to) {
    const { step, marks } = timeMarks(from, to, Math.max(2, Math.floor(this.inner().width / 110)));
    this.paintBelow(
      context,
      marks.map((at) => [(at - from) / Math.max(1, to - from), `${timeText(at, step)} s`]),
    );
  }

  /**
   * Gives those who cannot see the picture its numbers.
   * @param {string[]} head
   * @param {string[][]} rows
   */
  setTable(head, rows) {
    fill(
      this.canvas,
      make(
        'table',
        {},
        make('tr', {}, ...head.map((text) => make('th', { text }))),
        ...rows.slice(0, 200).map((row) => make('tr', {}, ...row.map((text) => make('td', { text })))),
      ),
    );
  }
}

/** How many lengths there are of each power of two. */
export class HistogramChart extends Chart {
  /**
   * @param {App} app
   * @param {string} name
   * @param {((low: number, high: number) => void) | null} pick called with the bounds of a bucket that is clicked
   * @param {number} [height] in pixels
   */
  constructor(app, name, pick, height = 190) {
    super(app, name, height);
    this.pick = pick;
    /** @type {[number, number][]} */
    this.buckets = [];
  }

  /** @param {[number, number][]} buckets pairs of a lower bound, which is a power of two, and a count */
  set(buckets) {
    const counts = new Map(buckets);
    const low = buckets.length > 0 ? Math.min(...counts.keys()) : 1;
    const high = buckets.length > 0 ? Math.max(...counts.keys()) : 1;
    this.buckets = [];
    for (let bound = low; bound <= high && this.buckets.length < 64; bound = Math.max(1, bound * 2)) {
      this.buckets.push([bound, counts.get(bound) ?? 0]);
    }
    this.setTable(
      ['from', 'count'],
      this.buckets.map(([bound, count]) => [lengthText(bound), countText(count)]),
    );
    this.draw();
  }

  keyStep() {
    return { x: this.barWidth(), y: 0 };
  }

  barWidth() {
    return Math.min(BAR_WIDTH_MAX, this.inner().width / Math.max(1, this.buckets.length));
  }

  /** @param {{ x: number, y: number }} place */
  bucketAt({ x }) {
    return this.buckets[Math.floor((x - this.inner().left) / this.barWidth())];
  }

  /** @param {{ x: number, y: number }} place */
  textAt(place) {
    const bucket = this.bucketAt(place);
    const all = this.buckets.reduce((sum, [, count]) => sum + count, 0);
    if (!bucket) {
      return '';
    }
    const bounds = `${lengthText(bucket[0])} to ${lengthText(2 * Math.max(1, bucket[0]))}`;
    return `${bounds}: ${countText(bucket[1])} of ${countText(all)}`;
  }

  /** @param {{ x: number, y: number }} place */
  clicked(place) {
    const bucket = this.bucketAt(place);
    if (bucket && bucket[1] > 0) {
      this.pick?.(bucket[0], 2 * Math.max(1, bucket[0]));
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  paint(context) {
    const { left, top, width, height } = this.inner();
    const most = Math.max(1, ...this.buckets.map(([, count]) => count));
    const scale = (/** @type {number} */ count) => Math.log1p(count) / Math.log1p(most);
    const decades = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9].filter((count) => count <= most);
    this.paintLeft(
      context,
      decades.map((count) => [scale(count), shortText(count)]),
    );
    const step = this.barWidth();
    const under = this.pointer && this.bucketAt(this.pointer);
    this.buckets.forEach(([, count], index) => {
      const high = scale(count) * height;
      context.fillStyle = this.app.color(under === this.buckets[index] ? 'accent' : 'bar');
      context.fillRect(left + index * step + 1, top + height - high, Math.max(1, step - 2), high);
    });
    this.paintBelow(
      context,
      this.buckets.map(([bound], index) => [(index * step) / width, shortLength(bound)]),
    );
  }
}

/** @typedef {import('./types.d.ts').Latencies['cells'][0]} LatencyCell */

/** Lengths over time: how dark a place is says how many ended there. */
export class DensityChart extends Chart {
  /**
   * @param {App} app
   * @param {string} name
   * @param {(cell: LatencyCell) => string} say words for what is longest in a cell
   * @param {(cell: LatencyCell) => void} pick called with the cell that is clicked
   */
  constructor(app, name, say, pick) {
    super(app, name, 280);
    this.say = say;
    this.pick = pick;
    this.from = 0;
    this.to = 1;
    this.low = 1;
    this.high = 2;
    this.columns = 1;
    this.lines = 1;
    /** @type {Map<number, LatencyCell>} */
    this.cells = new Map();
    this.most = 1;
  }

  /** How many cells fit beside and above each other. */
  size() {
    const { width, height } = this.inner();
    return { width: Math.max(10, Math.round(width / 4)), height: Math.max(10, Math.round(height / 4)) };
  }

  /**
   * @param {import('./types.d.ts').Latencies} answer
   * @param {{ from: number, to: number, width: number, height: number }} asked
   */
  set(answer, asked) {
    Object.assign(this, { from: asked.from, to: asked.to, columns: asked.width, lines: asked.height });
    this.low = Math.max(1, answer.low_ns);
    this.high = Math.max(this.low * 2, answer.high_ns);
    this.cells = new Map(answer.cells.map((cell) => [cell[0] * 10_000 + cell[1], cell]));
    this.most = answer.cells.reduce((most, cell) => Math.max(most, cell[2]), 1);
    this.setTable(
      ['time', 'count', 'longest'],
      answer.cells.map((cell) => [timeText(cell[4]), String(cell[2]), lengthText(cell[3])]),
    );
    this.draw();
  }

  /**
   * The cell at a place, or the nearest within some pixels.
   * @param {{ x: number, y: number }} place
   */
  cellAt({ x, y }) {
    const { left, top, width, height } = this.inner();
    const column = Math.floor(((x - left) / width) * this.columns);
    const line = Math.floor((1 - (y - top) / height) * this.lines);
    for (let far = 0; far <= 2; far += 1) {
      for (let dx = -far; dx <= far; dx += 1) {
        for (let dy = -far; dy <= far; dy += 1) {
          const cell = this.cells.get((column + dx) * 10_000 + line + dy);
          if (cell) {
            return cell;
          }
        }
      }
    }
    return undefined;
  }

  /** @param {{ x: number, y: number }} place */
  textAt(place) {
    const cell = this.cellAt(place);
    return cell ? this.say(cell) : '';
  }

  /** @param {{ x: number, y: number }} place */
  clicked(place) {
    const cell = this.cellAt(place);
    if (cell) {
      this.pick(cell);
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  paint(context) {
    const { left, top, width, height } = this.inner();
    const all = Math.log(this.high / this.low);
    const factors = this.high / this.low < 200 ? [1, 2, 5] : [1];
    /** @type {[number, string][]} */
    const marks = [];
    for (let power = 0; power < 14; power += 1) {
      for (const ns of factors.map((factor) => factor * 10 ** power)) {
        if (ns >= this.low && ns <= this.high) {
          marks.push([Math.log(ns / this.low) / all, shortLength(ns)]);
        }
      }
    }
    this.paintLeft(context, marks);
    this.paintTimes(context, this.from, this.to);
    const [wide, high] = [width / this.columns, height / this.lines];
    const under = this.pointer && this.cellAt(this.pointer);
    context.fillStyle = this.app.color('density');
    for (const cell of this.cells.values()) {
      context.globalAlpha = 0.35 + 0.65 * (Math.log1p(cell[2]) / Math.log1p(this.most));
      context.fillRect(
        left + cell[0] * wide,
        top + height - (cell[1] + 1) * high,
        Math.max(2, wide),
        Math.max(2, high),
      );
    }
    context.globalAlpha = 1;
    if (under) {
      context.strokeStyle = this.app.color('lost');
      context.lineWidth = 2;
      context.strokeRect(left + under[0] * wide - 2, top + height - (under[1] + 1) * high - 2, wide + 4, high + 4);
    }
    this.paintCursor(context);
  }

  /** @param {CanvasRenderingContext2D} context */
  paintCursor(context) {
    const { cursor } = this.app.state;
    if (cursor !== null && cursor >= this.from && cursor <= this.to) {
      const { left, top, width, height } = this.inner();
      context.fillStyle = this.app.color('accent');
      context.fillRect(left + ((cursor - this.from) / (this.to - this.from)) * width, top, 1, height);
    }
  }
}

/** One number over time. */
export class CurveChart extends Chart {
  /**
   * @param {App} app
   * @param {string} name
   * @param {string} color name of a colour
   * @param {(value: number) => string} text writes a value
   */
  constructor(app, name, color, text) {
    super(app, name, 96);
    this.color = color;
    this.text = text;
    this.from = 0;
    this.step = 1;
    /** @type {number[]} */
    this.values = [];
    /** Value of the full height; 0 for the largest there is. */
    this.full = 0;
  }

  /**
   * @param {number} from
   * @param {number} step
   * @param {number[]} values
   */
  set(from, step, values) {
    Object.assign(this, { from, step, values });
    this.setTable(
      ['time', 'value'],
      values.map((value, index) => [timeText(from + index * step), this.text(value)]),
    );
    this.draw();
  }

  /** @param {{ x: number, y: number }} place */
  indexAt({ x }) {
    const { left, width } = this.inner();
    return Math.floor(((x - left) / width) * this.values.length);
  }

  /** @param {{ x: number, y: number }} place */
  textAt(place) {
    const index = this.indexAt(place);
    const value = this.values[index];
    return value === undefined
      ? ''
      : `at ${timeText(this.from + index * this.step, this.step)} s: ${this.text(value)}`;
  }

  /** @param {{ x: number, y: number }} place */
  clicked(place) {
    const index = this.indexAt(place);
    if (this.values[index] !== undefined) {
      this.app.go({ cursor: Math.round(this.from + (index + 0.5) * this.step) });
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  paint(context) {
    const { left, top, width, height } = this.inner();
    const full = this.full || this.values.reduce((most, value) => Math.max(most, value), 0) || 1;
    this.paintLeft(context, [
      [1, this.text(full)],
      [0, '0'],
    ]);
    const to = this.from + this.values.length * this.step;
    this.paintTimes(context, this.from, to);
    const wide = width / Math.max(1, this.values.length);
    context.fillStyle = this.app.color(this.color);
    context.beginPath();
    context.moveTo(left, top + height);
    this.values.forEach((value, index) => {
      const y = top + height * (1 - Math.min(1, value / full));
      context.lineTo(left + index * wide, y);
      context.lineTo(left + (index + 1) * wide, y);
    });
    context.lineTo(left + width, top + height);
    context.fill();
    const { cursor } = this.app.state;
    if (cursor !== null && cursor >= this.from && cursor < to) {
      context.fillStyle = this.app.color('accent');
      context.fillRect(left + ((cursor - this.from) / (to - this.from)) * width, top, 1, height);
    }
  }
}
