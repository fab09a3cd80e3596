// Two traces above one another, moving together, and the table of what differs.

import { button, choice, errorText, fill, make, plain } from './dom.js';
import { LatestAnswer } from './graph_ask.js';
import { GRAPH_KEYS } from './graph_keys.js';
import { GraphModel } from './graph_model.js';
import { GraphPane } from './graph_pane.js';
import { reportParts } from './page_reports.js';
import { addressOf, askJson } from './source.js';
import { lengthText } from './time.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Report} Report */

/** How long to wait before asking again what a trace holds that is not indexed yet. */
const GROWTH_MILLISECONDS = 700;

/** Two graphs that show the same times, or times that are a fixed length apart. */
class ComparePage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {GraphPane[]} */
    this.panes = [];
    /** Which graph keys go to. */
    this.active = 0;
    /** Nanoseconds that a time of the lower trace is later than the same of the upper one. */
    this.offset = 0;
    this.linking = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.shown = '';
    this.graphs = make('div', { class: 'compare-graphs' });
    this.bar = make('div', { class: 'compare-bar', attributes: { role: 'toolbar', 'aria-label': 'comparison' } });
    this.apart = make('span', { class: 'faint' });
    this.table = make('div', { class: 'compare-report' });
    this.element = make('div', { class: 'page' }, this.bar, this.graphs,
      make('details', { class: 'compare-table' }, make('summary', { text: 'What differs' }), this.table));
    /** @type {LatestAnswer<Report>} */
    this.answer = new LatestAnswer(0, () => this.showReport(), (text) => app.say(text, 'error'));
    app.on('theme', () => this.panes.forEach((pane) => pane.themeChanged()));
  }

  /** The numbers of the two traces. */
  get chosen() {
    const { extra } = this.app.state;
    const count = this.app.sources.length;
    const number = (/** @type {string | undefined} */ text, /** @type {number} */ usual) =>
      text !== undefined && /^\d{1,3}$/.test(text) && Number(text) < count ? Number(text) : usual;
    return [number(extra['compare.upper'], 0), number(extra['compare.lower'], 1)];
  }

  /** Shows the two traces that are chosen. */
  async show() {
    clearTimeout(this.timer);
    const chosen = this.chosen;
    if (this.shown !== chosen.join()) {
      this.shown = chosen.join();
      const offset = this.app.state.extra['compare.offset'] ?? '0';
      this.offset = /^-?\d{1,15}$/.test(offset) ? Number(offset) : 0;
      this.showBar(chosen);
      this.panes.forEach((pane) => pane.close());
      try {
        this.panes = await Promise.all(chosen.map((trace, place) => this.open(trace, place)));
      } catch (error) {
        this.shown = '';
        fill(this.graphs, make('p', { class: 'failed', text: errorText(error) }));
        return;
      }
      fill(this.graphs, ...this.panes.map((pane) => pane.element));
      this.align(this.offset);
      this.panes.forEach((pane) => pane.model.change({ from: pane.model.low, to: pane.model.end }));
      this.panes.forEach((pane, place) => pane.model.on(() => this.link(place)));
    }
    this.panes.forEach((pane) => pane.redraw());
    const [a, b] = chosen;
    this.answer.want(`${a} ${b}`, (signal) => askJson(addressOf('api/compare', { a, b }), signal));
    this.growLater();
  }

  hide() {
    clearTimeout(this.timer);
  }

  /**
   * @param {number} trace
   * @param {number} place
   */
  async open(trace, place) {
    const { app } = this;
    const source = /** @type {import('./types.d.ts').Source} */ (app.sources[trace]);
    const [meta, rows] = await Promise.all([source.meta(), source.rows()]);
    const model = new GraphModel(source, meta, rows);
    // There is room for half of the rows: threads are worth more of it than devices.
    model.choices.closed = ['devices'];
    const pane = new GraphPane(model, {
      color: (name) => app.color(name), say: (text, tone) => app.say(text, tone),
      events: null, report: null, details: false,
    });
    pane.element.setAttribute('aria-label', `${place === 0 ? 'upper' : 'lower'} trace: ${plain(meta.name, 80)}`);
    pane.element.addEventListener('pointerdown', () => {
      this.active = place;
    });
    return pane;
  }

  /** @param {number[]} chosen */
  showBar(chosen) {
    const { app } = this;
    const names = app.names.map((name, index) => /** @type {[string, string]} */ ([String(index), plain(name, 60)]));
    const lists = ['upper', 'lower'].map((place, index) => {
      const list = choice(names, String(chosen[index]), (value) => this.remember({ [`compare.${place}`]: value }));
      list.setAttribute('aria-label', `${place} trace`);
      return list;
    });
    fill(this.bar, 'above ', lists[0], ' below ', lists[1],
      button('align here', () => this.alignHere(), 'Put the cursor of the lower graph under that of the upper one'),
      button('same times', () => this.align(0), 'Let both begin at the same place'), this.apart);
  }

  /**
   * Keeps a choice in the address and shows it.
   * @param {Record<string, string>} extra
   */
  remember(extra) {
    this.app.go({ extra: { ...this.app.state.extra, ...extra } });
    this.show();
  }

  /** Makes the times at the two cursors the same place. */
  alignHere() {
    const [upper, lower] = this.panes.map((pane) => pane.model.cursor);
    if (typeof upper !== 'number' || typeof lower !== 'number') {
      this.app.say('Click on a time in each of the two graphs first.');
      return;
    }
    this.align(lower - upper);
  }

  /**
   * Lets the lower trace be drawn so much earlier than it was.
   * @param {number} offset
   */
  align(offset) {
    const [upper, lower] = this.panes.map((pane) => pane.model);
    if (!upper || !lower) {
      return;
    }
    this.offset = Math.round(offset);
    upper.low = Math.min(0, -this.offset);
    upper.high = Math.max(upper.meta.end_ns, lower.meta.end_ns - this.offset);
    lower.low = upper.low + this.offset;
    lower.high = upper.high + this.offset;
    upper.change({ from: upper.from, to: upper.to });
    this.link(0);
    const way = this.offset < 0 ? 'later' : 'earlier';
    const apart = `the lower trace is drawn ${lengthText(Math.abs(this.offset))} ${way}`;
    this.apart.textContent = this.offset === 0 ? '' : apart;
    this.app.go({ extra: { ...this.app.state.extra, 'compare.offset': this.offset === 0 ? '' : String(this.offset) } });
  }

  /**
   * Moves the other graph like the one that has changed.
   * @param {number} place
   */
  link(place) {
    const model = this.panes[place]?.model;
    const other = this.panes[1 - place]?.model;
    if (this.linking || !model || !other) {
      return;
    }
    const offset = place === 0 ? this.offset : -this.offset;
    const { from, to, selection, hover } = model;
    this.linking = true;
    other.change({
      from: from + offset, to: to + offset,
      selection: selection ? [selection[0] + offset, selection[1] + offset] : null,
      hover: hover === null ? null : hover + offset,
    });
    this.linking = false;
  }

  showReport() {
    if (this.answer.value) {
      fill(this.table, ...reportParts(this.app, this.answer.value));
    }
  }

  /** Asks again what the traces hold, while one of them is not complete. */
  growLater() {
    if (this.panes.every((pane) => pane.model.meta.done)) {
      return;
    }
    this.timer = setTimeout(async () => {
      try {
        await Promise.all(this.panes.map((pane) => this.grow(pane)));
      } catch (error) {
        this.app.say(errorText(error), 'error');
      }
      this.growLater();
    }, GROWTH_MILLISECONDS);
  }

  /** @param {GraphPane} pane */
  async grow(pane) {
    const { model } = pane;
    const [meta, rows] = await Promise.all([model.source.meta(), model.source.rows()]);
    const whole = model.from <= model.low && model.to >= model.end;
    model.grow(meta, rows);
    pane.dataChanged();
    this.align(this.offset);
    if (whole) {
      model.change({ from: model.low, to: model.end });
    }
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    return this.panes[this.active]?.keydown(event) ?? false;
  }
}

/**
 * Makes the page of two traces; there is none where there is only one.
 * @param {App} app
 * @returns {Page | null}
 */
export function comparePage(app) {
  if (app.sources.length < 2 || app.embedded) {
    return null;
  }
  const page = new ComparePage(app);
  return {
    name: 'compare', title: 'Compare', key: '', element: page.element, keys: GRAPH_KEYS,
    show: () => void page.show(),
    hide: () => page.hide(),
    keydown: (event) => page.keydown(event),
  };
}
