// What the pointer does to a graph: zoom, move, select, point.

import { AXIS_HEIGHT } from './graph_draw.js';

/** @typedef {import('./graph_model.js').GraphModel} GraphModel */

/** Movements shorter than this are clicks. */
const CLICK_PIXELS_MAX = 4;
/** Nearest distance at which the edge of a selection is taken hold of. */
const EDGE_PIXELS = 5;

/**
 * What the pointer needs of the pane it is in.
 * @typedef {object} PointerPane
 * @property {GraphModel} model
 * @property {(y: number) => number | null} rowAt
 * @property {(dy: number) => void} scroll
 * @property {(x: number, y: number) => void} point shows what is there
 * @property {() => void} leave
 * @property {(row: number | null, ns: number) => void} click
 * @property {(row: number | null, ns: number) => void} doubleClick
 */

/** Watches the pointer over an element. */
export class GraphPointer {
  /**
   * @param {HTMLElement} element
   * @param {PointerPane} pane
   */
  constructor(element, pane) {
    this.element = element;
    this.pane = pane;
    /** @type {{ x: number, y: number, from: number, anchor: number, selects: boolean, moved: boolean } | null} */
    this.drag = null;
    element.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    element.addEventListener('pointerdown', (event) => this.down(event));
    element.addEventListener('pointermove', (event) => this.move(event));
    element.addEventListener('pointerup', (event) => this.up(event));
    element.addEventListener('pointercancel', () => this.end());
    element.addEventListener('pointerleave', () => this.pane.leave());
    element.addEventListener('dblclick', (event) => {
      const { x, y } = this.place(event);
      this.pane.doubleClick(this.pane.rowAt(y), this.time(x));
    });
  }

  /** @param {MouseEvent} event */
  place(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** Nanoseconds of a pixel. */
  get step() {
    const { model } = this.pane;
    return (model.to - model.from) / Math.max(1, this.element.clientWidth);
  }

  /** @param {number} x */
  time(x) {
    const { model } = this.pane;
    return Math.min(Math.max(0, model.from + x * this.step), model.meta.end_ns);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (event.shiftKey) {
      this.pane.scroll(dy || dx);
    } else if (Math.abs(dx) > Math.abs(dy) || event.altKey) {
      this.pane.model.pan(Math.round(dx || dy) * this.step);
    } else {
      const factor = Math.exp(Math.min(Math.max(dy, -400), 400) * 0.0022);
      this.pane.model.zoom(factor, this.time(this.place(event).x));
    }
    const { x, y } = this.place(event);
    this.pane.point(x, y);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0) {
      return;
    }
    const { x, y } = this.place(event);
    const { model } = this.pane;
    const edge = this.edgeAt(x);
    const anchor = edge && model.selection ? model.selection[edge === 'left' ? 1 : 0] : this.time(x);
    const selects = event.shiftKey || y < AXIS_HEIGHT || edge !== null;
    this.drag = { x, y, from: model.from, anchor, selects, moved: false };
    this.element.setPointerCapture(event.pointerId);
    this.element.focus({ preventScroll: true });
  }

  /** @param {number} x */
  edgeAt(x) {
    const { model } = this.pane;
    if (!model.selection) {
      return null;
    }
    const [left, right] = model.selection.map((ns) => (ns - model.from) / this.step);
    if (Math.abs(x - (left ?? 0)) <= EDGE_PIXELS) {
      return 'left';
    }
    return Math.abs(x - (right ?? 0)) <= EDGE_PIXELS ? 'right' : null;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { x, y } = this.place(event);
    const { drag } = this;
    if (!drag) {
      const over = this.edgeAt(x) ? 'ew-resize' : y < AXIS_HEIGHT || event.shiftKey ? 'text' : '';
      this.element.style.cursor = over;
      this.pane.point(x, y);
      return;
    }
    if (!drag.moved && Math.abs(x - drag.x) < CLICK_PIXELS_MAX && Math.abs(y - drag.y) < CLICK_PIXELS_MAX) {
      return;
    }
    if (!drag.selects) {
      this.element.style.cursor = 'grabbing';
    }
    drag.moved = true;
    const { model } = this.pane;
    if (drag.selects) {
      const one = Math.round(drag.anchor);
      const other = Math.round(this.time(x));
      model.change({ selection: [Math.min(one, other), Math.max(one, other)], hover: other });
      return;
    }
    const length = model.to - model.from;
    const from = drag.from - Math.round(x - drag.x) * this.step;
    model.change({ from, to: from + length });
    this.pane.scroll(drag.y - y);
    drag.y = y;
    this.pane.point(x, y);
  }

  /** @param {PointerEvent} event */
  up(event) {
    const { drag } = this;
    this.end();
    if (!drag) {
      return;
    }
    const { x, y } = this.place(event);
    const { model } = this.pane;
    if (!drag.moved && y >= AXIS_HEIGHT) {
      this.pane.click(this.pane.rowAt(y), this.time(x));
    } else if (model.selection && model.selection[0] === model.selection[1]) {
      model.change({ selection: null });
    } else if (!drag.moved && drag.selects) {
      model.change({ selection: null });
    }
  }

  end() {
    this.drag = null;
    this.element.style.cursor = '';
  }
}
