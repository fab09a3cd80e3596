// One graph with all that belongs to it: controls, small picture, names, spans, details.

import { make, oncePerFrame, plain } from './dom.js';
import { ArrowStore } from './graph_arrows.js';
import { LatestAnswer } from './graph_ask.js';
import { FittingText } from './graph_axis.js';
import { GraphCanvas } from './graph_canvas.js';
import { GraphColors } from './graph_colors.js';
import { GraphDetails } from './graph_details.js';
import { AXIS_HEIGHT } from './graph_draw.js';
import { savePng, saveSvg } from './graph_export.js';
import { graphKey } from './graph_keys.js';
import { GraphPointer } from './graph_pointer.js';
import { RowList } from './graph_rows.js';
import { SpanStore } from './graph_spans.js';
import { GraphTable } from './graph_table.js';
import { GraphTools } from './graph_tools.js';
import { GraphTooltip, tipLines } from './graph_tooltip.js';
import { GraphTree } from './graph_tree.js';
import { Minimap } from './minimap.js';
import { lengthText, timeText } from './time.js';

/** @typedef {import('./graph_model.js').GraphModel} GraphModel */
/** @typedef {import('./graph_draw.js').Place} Place */
/** @typedef {import('./graph_draw.js').Scene} Scene */
/** @typedef {import('./types.d.ts').Statistics} Statistics */

/** Heights of rows. */
const ROW_HEIGHTS = { large: 24, normal: 18, small: 6 };
/** Room below the last row. */
const ROOM_BELOW = 24;
/** Width of the names at first, and what it can be changed to. */
const NAMES_WIDTH = 250;
const NAMES_WIDTH_MIN = 90;
const NAMES_WIDTH_MAX = 700;

/**
 * What a graph needs of the page it is in.
 * @typedef {object} PaneHost
 * @property {(name: string) => string} color
 * @property {(text: string, tone?: 'info' | 'error') => void} say
 * @property {((ns: number) => void) | null} events shows the list of events
 * @property {((pid: number) => void) | null} report shows the report of a process
 * @property {boolean} details whether there is a panel of details
 */

/** A graph. */
export class GraphPane {
  /**
   * @param {GraphModel} model
   * @param {PaneHost} host
   */
  constructor(model, host) {
    this.model = model;
    this.host = host;
    this.redraw = oncePerFrame(() => this.draw());
    this.rows = new RowList(model);
    this.text = new FittingText();
    this.colors = new GraphColors(model.meta, host.color);
    this.theme = 0;
    this.store = new SpanStore(model.source, this.redraw, (text) => host.say(text, 'error'));
    this.arrows = new ArrowStore(model.source, this.redraw);
    /** @type {LatestAnswer<Statistics>} */
    this.ran = new LatestAnswer(300, () => this.takeRan());
    /** @type {{ key: string, answer: Promise<Statistics> } | null} */
    this.summed = null;
    this.canvas = new GraphCanvas();
    this.tree = new GraphTree({
      model, select: (row) => model.change({ row }), toggle: (key) => this.toggle(key), pin: (row) => this.pin(row),
      move: (step) => this.moveRow(step),
    });
    this.minimap = new Minimap(model, host.color, this.redraw);
    this.tip = new GraphTooltip();
    this.table = new GraphTable();
    this.tools = new GraphTools({ model, save: (as) => this.save(as) });
    this.details = host.details ? new GraphDetails({
      model, colors: () => this.colors, redraw: this.redraw, say: host.say,
      goTo: (row, ns) => this.goTo(row, ns), reveal: (row) => this.reveal(row),
      events: host.events, report: host.report, statistics: (from, to) => this.statistics(from, to),
    }) : null;
    /** @type {Scene | null} */
    this.scene = null;
    /** Where the pointer is over the picture. */
    /** @type {{ x: number, y: number } | null} */
    this.pointer = null;
    this.namesWidth = NAMES_WIDTH;
    this.shownHeight = -1;
    this.spacer = make('div', { attributes: { 'aria-hidden': 'true' } });
    this.split = make('div', {
      class: 'graph-split',
      attributes: {
        role: 'separator', tabindex: 0, 'aria-orientation': 'vertical', 'aria-label': 'width of the names',
        'aria-valuemin': NAMES_WIDTH_MIN, 'aria-valuemax': NAMES_WIDTH_MAX,
      },
    });
    this.sticky = make('div', { class: 'graph-sticky' },
      this.tree.element, this.split, this.canvas.element, this.tip.element);
    this.body = make('div', { class: 'graph-body', attributes: { tabindex: -1 } }, this.sticky, this.spacer);
    this.mapLine = make('div', { class: 'graph-map-line' },
      make('div', { class: 'graph-map-name faint', text: 'events, CPU load' }), this.minimap.element);
    this.element = make('div', { class: 'graph' }, this.tools.element, this.mapLine, this.body,
      make('div', { class: 'unseen' }, this.table.element), this.details?.element);
    this.setNamesWidth(NAMES_WIDTH);
    this.watch();
  }

  watch() {
    this.model.on(this.redraw);
    this.body.addEventListener('scroll', () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.body);
    new GraphPointer(this.canvas.element, {
      model: this.model,
      rowAt: (y) => this.placeAt(y)?.item.row ?? null,
      scroll: (pixels) => this.scroll(pixels),
      point: (x, y) => this.point(x, y),
      leave: () => this.leave(),
      click: (row, ns) => this.click(row, ns),
      doubleClick: (row, ns) => this.doubleClick(row, ns),
    });
    this.split.addEventListener('pointerdown', (event) => this.split.setPointerCapture(event.pointerId));
    this.split.addEventListener('pointermove', (event) => {
      if (this.split.hasPointerCapture(event.pointerId)) {
        this.setNamesWidth(event.clientX - this.sticky.getBoundingClientRect().left);
      }
    });
    this.split.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
      if (step) {
        this.setNamesWidth(this.namesWidth + step);
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  /** @param {number} pixels */
  setNamesWidth(pixels) {
    this.namesWidth = Math.round(Math.min(Math.max(pixels, NAMES_WIDTH_MIN), NAMES_WIDTH_MAX));
    this.split.setAttribute('aria-valuenow', String(this.namesWidth));
    this.element.style.setProperty('--names', `${this.namesWidth}px`);
    this.redraw();
  }

  /** Looks up all colours anew. */
  themeChanged() {
    this.theme += 1;
    if (this.details) {
      this.details.themed = this.theme;
    }
    this.colors = new GraphColors(this.model.meta, this.host.color);
    this.redraw();
  }

  /** Takes what the trace has now. */
  dataChanged() {
    this.themeChanged();
  }

  /** Ends what is under way. */
  close() {
    this.store.asked?.abort.abort();
    this.arrows.answer.want('', () => Promise.reject());
    this.ran.want('', () => Promise.reject());
  }

  get rowHeight() {
    return ROW_HEIGHTS[this.model.choices.size];
  }

  /** Draws all, once in a frame. */
  draw() {
    const { model } = this;
    if (!this.element.isConnected) {
      return;
    }
    this.updateRows();
    this.tools.draw(`${timeText(model.from, (model.to - model.from) / 1000)} s + ${lengthText(model.to - model.from)}`);
    if (!this.canvas.fit()) {
      return;
    }
    const { scrollTop } = this.body;
    const scene = this.makeScene();
    this.scene = scene;
    this.showTip(scene);
    this.tree.draw(scene.places, this.rows.items.length);
    const key = [this.store.version, this.theme, this.rows.version, scrollTop, this.rowHeight].join(' ');
    this.canvas.draw(scene, this.arrows, key);
    this.minimap.draw(this.theme);
    this.ask(scene);
    this.table.want(scene);
    this.details?.draw();
  }

  /** Lists rows anew where that is due, and gives the list its height. */
  updateRows() {
    const listed = this.rows.update();
    if (listed || this.shownHeight !== this.rowHeight * 1e5 + this.body.clientHeight) {
      this.measure();
    }
  }

  measure() {
    const view = this.body.clientHeight;
    this.shownHeight = this.rowHeight * 1e5 + view;
    this.sticky.style.height = `${view}px`;
    const whole = this.bodyTop + this.rows.items.length * this.rowHeight + ROOM_BELOW;
    this.spacer.style.height = `${Math.max(0, whole - view)}px`;
    const bar = this.body.offsetWidth - this.body.clientWidth;
    this.mapLine.style.paddingRight = `${bar}px`;
    this.mapLine.style.height = `${this.minimap.height}px`;
  }

  /** Where the rows begin that can be scrolled. */
  get bodyTop() {
    const most = Math.max(0, this.body.clientHeight / 2 - AXIS_HEIGHT);
    const pinned = Math.min(this.rows.pinned.length * this.rowHeight, most);
    return AXIS_HEIGHT + (pinned > 0 ? pinned + 3 : 0);
  }

  /** @returns {Scene} */
  makeScene() {
    const { model } = this;
    const { width, height } = this.canvas;
    const row = this.rowHeight;
    const body = this.bodyTop;
    /** @type {Place[]} */
    const places = this.rows.pinned.slice(0, Math.floor((body - AXIS_HEIGHT) / row))
      .map((item, index) => ({ item, top: AXIS_HEIGHT + index * row, height: row, clip: AXIS_HEIGHT }));
    const { scrollTop } = this.body;
    const first = Math.max(0, Math.floor(scrollTop / row));
    const last = Math.min(this.rows.items.length, Math.ceil((scrollTop + height - body) / row));
    for (let index = first; index < last; index += 1) {
      const item = this.rows.items[index];
      if (item) {
        places.push({ item, top: body + index * row - scrollTop, height: row, clip: body });
      }
    }
    return {
      model, colors: this.colors, text: this.text, store: this.store, color: this.host.color,
      width, height, body, from: model.from, step: (model.to - model.from) / width, places,
    };
  }

  /**
   * Asks for what the picture needs: what is seen first, then what is just above and below.
   * @param {Scene} scene
   */
  ask(scene) {
    const { model } = this;
    const seen = scene.places.map(({ item }) => item.row);
    const first = Math.floor(this.body.scrollTop / this.rowHeight);
    const count = Math.ceil(scene.height / this.rowHeight);
    const near = this.rows.items.slice(Math.max(0, first - (count >> 1)), first + count + (count >> 1));
    const rows = [...new Set([...seen, ...near.map((item) => item.row)])].filter((row) => row >= 0);
    this.store.want({ from: model.from, to: model.to, step: scene.step, rows, meta: model.meta });
    this.arrows.want(scene);
    const [from, to] = [Math.max(0, Math.floor(model.from)), Math.min(model.meta.end_ns, Math.ceil(model.to))];
    const key = model.choices.ran ? `${from} ${to} ${model.meta.version}` : '';
    this.ran.want(key, () => this.statistics(from, to));
  }

  /**
   * Sums of an interval, asked for once however many want them.
   * @param {number} from
   * @param {number} to
   */
  statistics(from, to) {
    const key = `${from} ${to} ${this.model.meta.version}`;
    if (this.summed?.key !== key) {
      const { source } = this.model;
      this.summed = { key, answer: source.statistics(from, to) };
      this.summed.answer.catch(() => {
        this.summed = null;
      });
    }
    return this.summed.answer;
  }

  /** Lists only rows that did something in the visible time; the row that is looked at stays where it is if it can. */
  takeRan() {
    const { kinds } = this.model.meta;
    const ran = (this.ran.value?.rows ?? []).filter(([, sums]) =>
      sums.some(([kind, ns]) => ns > 0 && (kinds[kind]?.runs || kinds[kind]?.name === 'busy')));
    const own = this.scene?.places.find(({ item }) => item.row === this.model.row);
    const anchor = this.pointer ? this.placeAt(this.pointer.y) : own;
    this.rows.setRan(this.ran.value ? new Set(ran.map(([row]) => row)) : null);
    this.updateRows();
    const key = anchor?.item.pinned ? '' : anchor?.item.key;
    const index = this.rows.items.findIndex((item) => item.key === key);
    if (anchor && index >= 0) {
      this.body.scrollTop = this.bodyTop + index * this.rowHeight - anchor.top;
    }
    this.redraw();
  }

  /** @param {number} y */
  placeAt(y) {
    return this.scene?.places.find(({ top, height, clip }) => y >= Math.max(top, clip) && y < top + height);
  }

  /** @param {number} pixels */
  scroll(pixels) {
    this.body.scrollTop += pixels;
  }

  /**
   * Shows what is under the pointer.
   * @param {number} x
   * @param {number} y
   */
  point(x, y) {
    this.pointer = { x, y };
    const { model } = this;
    const ns = model.from + (x * (model.to - model.from)) / Math.max(1, this.canvas.width);
    model.change({ hover: Math.min(Math.max(model.low, ns), model.end) });
  }

  /**
   * Says what is under the pointer now, whichever of the two has moved.
   * @param {Scene} scene
   */
  showTip(scene) {
    const { model, pointer } = this;
    if (!pointer) {
      return;
    }
    const { x, y } = pointer;
    model.hover = Math.min(Math.max(model.low, scene.from + x * scene.step), model.end);
    const row = this.placeAt(y)?.item.row ?? null;
    model.hoverRow = row;
    const left = this.canvas.element.offsetLeft;
    const lines = tipLines(scene, this.arrows, x, y, row !== null && row >= 0 ? row : null);
    this.tip.show(lines, x + left, y, scene.width + left, scene.height);
  }

  leave() {
    this.pointer = null;
    this.tip.hide();
    this.model.change({ hover: null, hoverRow: null });
  }

  /**
   * @param {number | null} row
   * @param {number} ns
   */
  click(row, ns) {
    this.model.change({ cursor: Math.floor(ns), ...(row === null || row < 0 ? {} : { row }) });
  }

  /**
   * Zooms to the span that was clicked twice.
   * @param {number | null} row
   * @param {number} ns
   */
  async doubleClick(row, ns) {
    if (row === null || row < 0) {
      return;
    }
    const span = await this.model.source.at(row, Math.floor(ns)).catch(() => null);
    if (span) {
      const margin = (span.to_ns - span.from_ns) * 0.15;
      this.model.change({ from: span.from_ns - margin, to: span.to_ns + margin });
    }
  }

  /**
   * Goes to a time of a row, and no further than is needed to see it.
   * @param {number} row
   * @param {number} ns
   */
  goTo(row, ns) {
    this.model.change({ row, cursor: ns });
    this.model.showTime(ns);
    this.reveal(row);
  }

  /**
   * Opens and scrolls the list so that a row is seen.
   * @param {number} row
   */
  reveal(row) {
    const { model } = this;
    this.updateRows();
    const above = new Set(this.rows.above(row));
    if (model.choices.closed.some((key) => above.has(key))) {
      model.change({ choices: { closed: model.choices.closed.filter((key) => !above.has(key)) } });
      this.updateRows();
    }
    const index = this.rows.items.findIndex((item) => item.row === row);
    if (index >= 0) {
      const room = this.body.clientHeight - this.bodyTop - this.rowHeight * 2;
      const top = index * this.rowHeight;
      if (top < this.body.scrollTop) {
        this.body.scrollTop = Math.max(0, top - this.rowHeight);
      } else if (top > this.body.scrollTop + room) {
        this.body.scrollTop = top - room;
      }
    }
    this.redraw();
  }

  /**
   * Opens or closes what is below a row or a group.
   * @param {string} key
   */
  toggle(key) {
    const { closed } = this.model.choices;
    const next = closed.includes(key) ? closed.filter((one) => one !== key) : [...closed, key];
    this.model.change({ choices: { closed: next } });
  }

  /** @param {number} row */
  pin(row) {
    const { pinned } = this.model.choices;
    const next = pinned.includes(row) ? pinned.filter((one) => one !== row) : [...pinned, row];
    this.model.change({ choices: { pinned: next } });
  }

  /**
   * Selects the row so many places further down.
   * @param {number} step
   */
  moveRow(step) {
    this.updateRows();
    const items = this.rows.items.filter((item) => item.row >= 0);
    const index = items.findIndex((item) => item.row === this.model.row);
    const next = items[Math.min(Math.max(0, index < 0 ? 0 : index + step), items.length - 1)];
    if (next) {
      this.model.change({ row: next.row });
      this.reveal(next.row);
    }
  }

  /**
   * Does what a key says; whether it says anything.
   * @param {KeyboardEvent} event
   */
  keydown(event) {
    const { model } = this;
    return graphKey({
      model,
      details: this.details,
      focusTime: () => model.hover ?? (model.cursor !== null && model.cursor > model.from && model.cursor < model.to
        ? model.cursor : (model.from + model.to) / 2),
      scroll: (pixels) => this.scroll(pixels),
      moveRow: (step) => this.moveRow(step),
      flip: (name) => this.tools.flip(name),
      find: () => this.tools.find.focus(),
      pinSelected: () => (model.row === null ? undefined : this.pin(model.row)),
      toggleSelected: () => (model.row === null ? undefined : this.toggle(String(model.row))),
    }, event);
  }

  /** @param {'svg' | 'png'} as */
  async save(as) {
    const { scene, model } = this;
    if (!scene) {
      return;
    }
    const name = `${plain(model.meta.name, 60).replace(/[^\w.-]+/g, '_')}-${timeText(model.from, 1e6)}s`;
    if (as === 'svg') {
      saveSvg(name, scene, this.arrows, this.namesWidth);
    } else if (!(await savePng(name, scene, this.arrows, this.namesWidth))) {
      this.host.say('The browser could not make the picture.', 'error');
    }
  }
}
