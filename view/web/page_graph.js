// The event graph as a page.

import { make } from './dom.js';
import { GRAPH_KEYS } from './graph_keys.js';
import { GraphModel, choicesText, readChoices } from './graph_model.js';
import { GraphPane } from './graph_pane.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').ViewState} ViewState */

/** How long a movement may go on before the rest of the page is told. */
const TELL_MILLISECONDS = 100;

/** Keeps the graph and what the whole page shows the same. */
class GraphPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.element = make('div', { class: 'page' });
    /** What the whole page showed when it was looked at last. */
    /** @type {Readonly<ViewState>} */
    this.seen = app.state;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.pane = this.open();
    app.on('state', () => this.take());
    app.on('theme', () => this.pane.themeChanged());
    app.on('data', () => this.takeData());
  }

  /** Makes the graph of the trace that is shown. */
  open() {
    const { app } = this;
    const model = new GraphModel(app.source, app.meta, app.rows);
    const pane = new GraphPane(model, {
      color: (name) => app.color(name),
      say: (text, tone) => app.say(text, tone),
      events: (ns) => this.leaveTo({ view: 'raw', cursor: ns }, {}),
      report: (pid) => this.leaveTo({ view: 'processes' }, { 'processes.pid': String(pid) }),
      details: true,
    });
    this.seen = app.state;
    model.choices = readChoices(app.state.extra);
    const { from, to, selection, cursor, row } = app.state;
    model.change({ from, to, selection, cursor, row });
    model.on(() => this.tellSoon());
    this.element.replaceChildren(pane.element);
    return pane;
  }

  /**
   * Shows another page.
   * @param {Partial<ViewState>} change
   * @param {Record<string, string>} extra
   */
  leaveTo(change, extra) {
    this.tell();
    this.app.go({ ...change, extra: { ...this.app.state.extra, ...extra } }, 'push');
  }

  tellSoon() {
    this.timer ??= setTimeout(() => this.tell(), TELL_MILLISECONDS);
  }

  /** Tells the whole page what the graph shows. */
  tell() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { app } = this;
    const { model } = this.pane;
    if (model.source !== app.source) {
      return;
    }
    const others = Object.entries(app.state.extra).filter(([name]) => !name.startsWith('graph.'));
    const extra = { ...Object.fromEntries(others), ...choicesText(model.choices) };
    const { selection, cursor, row } = model;
    const next = { from: Math.floor(model.from), to: Math.ceil(model.to), selection, cursor, row, extra };
    const { state } = app;
    const same = state.from === next.from && state.to === next.to && state.cursor === cursor && state.row === row &&
      samePlain(state.selection, selection) && samePlain(state.extra, extra);
    if (!same) {
      this.seen = { ...state, ...next };
      app.go(next);
    }
    this.seen = app.state;
  }

  /** Takes what somebody else has changed, and nothing else: the graph itself may be moving. */
  take() {
    const { app, seen } = this;
    const { model } = this.pane;
    const { state } = app;
    this.seen = state;
    if (model.source !== app.source) {
      return;
    }
    /** @type {import('./graph_model.js').Change} */
    const change = {};
    if (state.from !== seen.from || state.to !== seen.to) {
      change.from = state.from;
      change.to = state.to;
    }
    if (!samePlain(state.selection, seen.selection)) {
      change.selection = state.selection;
    }
    if (state.cursor !== seen.cursor) {
      change.cursor = state.cursor;
    }
    if (state.row !== seen.row) {
      change.row = state.row;
    }
    if (!samePlain(state.extra, seen.extra)) {
      change.choices = readChoices(state.extra);
    }
    if (Object.keys(change).length > 0) {
      model.change(change);
      if (change.row !== undefined && change.row !== null) {
        this.pane.reveal(change.row);
      }
    }
  }

  takeData() {
    const { app } = this;
    if (this.pane.model.source !== app.source) {
      this.pane.close();
      this.pane = this.open();
    } else {
      this.pane.model.grow(app.meta, app.rows);
      this.pane.dataChanged();
    }
  }
}

/**
 * Whether two plain values say the same.
 * @param {unknown} one
 * @param {unknown} other
 */
function samePlain(one, other) {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Makes the page of the event graph.
 * @param {App} app
 * @returns {Page}
 */
export function graphPage(app) {
  const page = new GraphPage(app);
  return {
    name: 'graph', title: 'Event graph', key: '1', element: page.element, keys: GRAPH_KEYS,
    show() {
      page.pane.redraw();
    },
    hide() {
      page.tell();
    },
    keydown: (event) => page.pane.keydown(event),
  };
}
