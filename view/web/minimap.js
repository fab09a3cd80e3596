// The whole trace in a strip: load of each CPU, density of events, losses, and a box around what is seen.

import { make } from './dom.js';
import { LatestAnswer } from './graph_ask.js';
import { drawHatch } from './graph_draw.js';
import { countText, percentText, timeText } from './time.js';

/** @typedef {import('./graph_model.js').GraphModel} GraphModel */
/** @typedef {import('./types.d.ts').Histogram} Histogram */

/** Nearest distance at which an edge of the box is taken hold of. */
const GRIP_PIXELS = 6;
/** Height of the curve of events. */
const DENSITY_HEIGHT = 18;
/** Most pixels for one CPU. */
const CPU_HEIGHT_MAX = 11;
/** Most pixels for all CPUs. */
const CPUS_HEIGHT_MAX = 48;

/** A strip below which the graph lies. */
export class Minimap {
  /**
   * @param {GraphModel} model
   * @param {(name: string) => string} color
   * @param {() => void} changed called when there is something new to draw
   */
  constructor(model, color, changed) {
    this.model = model;
    this.color = color;
    this.base = make('canvas', { attributes: { 'aria-hidden': 'true' } });
    this.box = make('canvas', { attributes: { 'aria-hidden': 'true' } });
    this.element = make('div', {
      class: 'graph-map',
      title: 'The whole trace: density of events and load of each CPU. Drag the box, its edges, or beside it.',
    }, this.base, this.box);
    /** @type {LatestAnswer<Histogram>} */
    this.answer = new LatestAnswer(400, changed);
    this.drawn = '';
    /** @type {{ part: 'box' | 'left' | 'right' | 'new', x: number, from: number, to: number } | null} */
    this.drag = null;
    this.box.addEventListener('pointerdown', (event) => this.down(event));
    this.box.addEventListener('pointermove', (event) => this.move(event));
    this.box.addEventListener('pointerup', () => this.up());
    this.box.addEventListener('pointercancel', () => this.up());
    this.box.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
  }

  get end() {
    return Math.max(1, this.model.meta.end_ns);
  }

  get width() {
    return Math.max(1, this.element.clientWidth);
  }

  /** Height that shows all CPUs. */
  get height() {
    return DENSITY_HEIGHT + 4 + Math.min(CPUS_HEIGHT_MAX, Math.max(1, this.model.meta.cpus) * CPU_HEIGHT_MAX);
  }

  /** Draws what has changed; `theme` says what colours are in use. */
  draw(/** @type {number} */ theme) {
    const { model, end, width } = this;
    const height = this.element.clientHeight;
    const scale = Math.min(3, window.devicePixelRatio || 1);
    const buckets = Math.min(2048, width);
    const key = `${end} ${buckets} ${model.meta.version}`;
    this.answer.want(key, (signal) => model.source.histogram(0, end, buckets, signal));
    const size = [Math.round(width * scale), Math.round(height * scale)].join(' ');
    const drawn = `${size} ${theme} ${this.answer.answered} ${end} ${model.meta.losses.length}`;
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      const context = minimapContext(this.base, width, height, scale);
      if (context) {
        this.drawBase(context, width, height);
      }
    }
    const context = minimapContext(this.box, width, height, scale);
    if (context) {
      this.drawBox(context, width, height);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {number} width
   * @param {number} height
   */
  drawBase(c, width, height) {
    const histogram = this.answer.value;
    if (histogram) {
      const edge = (/** @type {number} */ index) => Math.round(((index * histogram.step_ns) / this.end) * width);
      const most = Math.max(1, ...histogram.events);
      c.fillStyle = this.color('density');
      histogram.events.forEach((count, index) => {
        const tall = count > 0 ? Math.max(1, Math.sqrt(count / most) * DENSITY_HEIGHT) : 0;
        c.fillRect(edge(index), DENSITY_HEIGHT - tall, edge(index + 1) - edge(index), tall);
      });
      const room = height - DENSITY_HEIGHT - 2;
      const each = Math.min(CPU_HEIGHT_MAX, room / Math.max(1, histogram.busy.length));
      c.fillStyle = this.color('user');
      histogram.busy.forEach((loads, cpu) => {
        const top = DENSITY_HEIGHT + 2 + cpu * each;
        loads.forEach((load, index) => {
          if (load > 0) {
            c.globalAlpha = 0.25 + 0.75 * Math.min(1, load);
            c.fillRect(edge(index), top, edge(index + 1) - edge(index), Math.max(0.75, each - (each > 3 ? 1 : 0)));
          }
        });
      });
      c.globalAlpha = 1;
    }
    c.strokeStyle = this.color('lost');
    let last = -9;
    for (const loss of this.model.meta.losses) {
      const x = (loss.at / this.end) * width;
      if (x - last > 3) {
        drawHatch(c, x - 3, 0, 6, height);
        last = x;
      }
    }
  }

  /** Where the box begins and ends, in pixels. */
  edges() {
    const { model, end, width } = this;
    const left = (model.from / end) * width;
    return { left, right: Math.max(left + 2, (model.to / end) * width) };
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {number} width
   * @param {number} height
   */
  drawBox(c, width, height) {
    const { model, end } = this;
    const { left, right } = this.edges();
    c.fillStyle = this.color('back');
    c.globalAlpha = 0.6;
    c.fillRect(0, 0, left, height);
    c.fillRect(right, 0, width - right, height);
    c.globalAlpha = 1;
    c.fillStyle = this.color('accent');
    for (const x of [left, right]) {
      const edge = Math.min(width - 1, Math.max(0, Math.round(x) - 1));
      c.fillRect(edge, 0, 1, height);
      c.fillRect(edge - 1, height / 2 - 7, 3, 14);
    }
    if (model.selection) {
      const start = (model.selection[0] / end) * width;
      c.globalAlpha = 0.35;
      c.fillRect(start, 0, Math.max(1, ((model.selection[1] - model.selection[0]) / end) * width), height);
      c.globalAlpha = 1;
    }
    if (model.cursor !== null) {
      c.fillRect((model.cursor / end) * width - 0.5, 0, 1, height);
    }
  }

  /** @param {MouseEvent} event */
  x(event) {
    return event.clientX - this.element.getBoundingClientRect().left;
  }

  /**
   * What is taken hold of at a place.
   * @param {number} x
   */
  partAt(x) {
    const { left, right } = this.edges();
    const whole = right - left >= this.width - 1;
    if (Math.abs(x - left) <= GRIP_PIXELS && right - left > GRIP_PIXELS) {
      return 'left';
    }
    if (Math.abs(x - right) <= GRIP_PIXELS) {
      return 'right';
    }
    return x > left && x < right && !whole ? 'box' : 'new';
  }

  /** @param {PointerEvent} event */
  down(event) {
    const x = this.x(event);
    this.drag = { part: this.partAt(x), x, from: this.model.from, to: this.model.to };
    this.box.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const x = this.x(event);
    const ns = Math.min(Math.max(0, (x / this.width) * this.end), this.end);
    const { drag, model } = this;
    if (!drag) {
      this.box.style.cursor = { box: 'grab', left: 'ew-resize', right: 'ew-resize', new: 'crosshair' }[this.partAt(x)];
      this.element.title = this.tip(ns);
      return;
    }
    const moved = ((x - drag.x) / this.width) * this.end;
    if (drag.part === 'box') {
      const from = Math.min(Math.max(0, drag.from + moved), this.end - (drag.to - drag.from));
      model.change({ from, to: from + drag.to - drag.from });
    } else if (drag.part === 'left') {
      model.change({ from: Math.min(ns, drag.to - 1), to: drag.to });
    } else if (drag.part === 'right') {
      model.change({ from: drag.from, to: Math.max(ns, drag.from + 1) });
    } else if (Math.abs(x - drag.x) > 3) {
      const start = (drag.x / this.width) * this.end;
      model.change({ from: Math.min(start, ns), to: Math.max(start, ns) });
    }
  }

  up() {
    const { drag, model } = this;
    this.drag = null;
    const untouched = model.from === drag?.from && model.to === drag.to;
    if (drag?.part === 'new' && untouched && model.to - model.from < this.end) {
      const middle = (drag.x / this.width) * this.end;
      const half = (model.to - model.from) / 2;
      model.change({ from: middle - half, to: middle + half });
    }
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const factor = Math.exp(Math.min(Math.max(event.deltaY, -400), 400) * 0.0022);
    this.model.zoom(factor, (this.model.from + this.model.to) / 2);
  }

  /** @param {number} ns */
  tip(ns) {
    const near = (GRIP_PIXELS / this.width) * this.end;
    const loss = this.model.meta.losses.find((one) => Math.abs(one.at - ns) < near);
    if (loss) {
      const count = loss.count === null ? 'An unknown number of' : countText(loss.count);
      return `${count} events lost on CPU ${loss.cpu} at ${timeText(loss.at)} s`;
    }
    const histogram = this.answer.value;
    const index = histogram ? Math.floor(ns / Math.max(1, histogram.step_ns)) : 0;
    const loads = (histogram?.busy ?? []).map((load, cpu) => `CPU ${cpu}: ${percentText((load[index] ?? 0) * 100)}`);
    const events = countText(histogram?.events[index] ?? 0);
    return [`${timeText(ns, 1e6)} s`, `${events} events`, ...loads.slice(0, 16)].join('\n');
  }
}

/**
 * A canvas of a size, emptied.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 */
function minimapContext(canvas, width, height, scale) {
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const context = canvas.getContext('2d');
  context?.setTransform(scale, 0, 0, scale, 0, 0);
  context?.clearRect(0, 0, width, height);
  return height > 0 ? context : null;
}
