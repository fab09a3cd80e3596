// What several pages are made of: times to choose, questions of which only the last counts, ways to other pages.

import { button, errorText, fill, isAbort, make } from './dom.js';
import { lengthText, parseTime, timeText } from './time.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */

/** How long a question may take before the page says that it waits. */
const PATIENCE_MS = 200;
/** How old an answer may be while the trace grows. */
const FRESH_MS = 2000;
/** Part of the visible times that is left on each side of what is shown in the graph. */
const MARGIN_PART = 0.6;

/**
 * A page that does its work only while it is shown.
 * @param {App} app
 * @param {{ name: string, title: string, key: string, element: HTMLElement, keys?: [string, string][],
 *   update: () => void, keydown?: (event: KeyboardEvent) => boolean }} page `update` is called when it is shown and
 *   whenever the state, the trace or the theme has changed since
 * @returns {Page}
 */
export function quietPage(app, page) {
  let shown = false;
  const update = () => {
    if (shown) {
      page.update();
    }
  };
  app.on('state', update);
  app.on('data', update);
  app.on('theme', update);
  return {
    name: page.name,
    title: page.title,
    key: page.key,
    element: page.element,
    keys: page.keys ?? [],
    keydown: page.keydown,
    show() {
      shown = true;
      page.update();
    },
    hide() {
      shown = false;
    },
  };
}

/**
 * The times that a page is about: those that are selected, else all.
 * @param {App} app
 */
export function chosenTimes(app) {
  const { selection } = app.state;
  const all = !selection || selection[0] >= selection[1];
  const [from, to] = all ? [0, Math.max(1, app.meta.end_ns)] : selection;
  return { from, to, all, key: all ? null : [from, to] };
}

/**
 * The same as a condition of the filter language; empty for all.
 * @param {App} app
 */
export function timesFilter(app) {
  const { from, to, all } = chosenTimes(app);
  return all ? '' : `time >= ${Math.floor(from)} && time < ${Math.ceil(to)}`;
}

/** Shows which times a page is about, and lets one choose others. */
export class TimesBox {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const input = (/** @type {string} */ name) =>
      make('input', {
        class: 'time',
        attributes: { type: 'text', 'aria-label': name, spellcheck: 'false' },
        on: { change: () => this.typed() },
      });
    this.from = input('from, in seconds');
    this.to = input('to, in seconds');
    this.what = make('span', { class: 'faint' });
    this.whole = button('Whole trace', () => app.go({ selection: null }, 'push'));
    this.visible = button(
      'As in the graph',
      () => app.go({ selection: [Math.floor(app.state.from), Math.ceil(app.state.to)] }, 'push'),
      'The times that the graph shows now',
    );
    this.element = make(
      'span',
      { class: 'times' },
      this.from,
      '–',
      this.to,
      ' s',
      this.what,
      this.whole,
      this.visible,
    );
    this.update();
  }

  update() {
    const { app } = this;
    const { from, to, all } = chosenTimes(app);
    for (const [input, ns] of /** @type {[HTMLInputElement, number][]} */ ([
      [this.from, from],
      [this.to, to],
    ])) {
      if (document.activeElement !== input) {
        input.value = timeText(ns);
      }
    }
    this.what.textContent = all ? 'whole trace' : `selected ${lengthText(to - from)}`;
    this.whole.hidden = all;
    this.visible.hidden = app.state.from <= 0 && app.state.to >= app.meta.end_ns;
  }

  typed() {
    const [from, to] = [parseTime(this.from.value), parseTime(this.to.value)];
    if (from !== null && to !== null && from < to) {
      this.app.go({ selection: [from, Math.min(to, Math.max(from + 1, this.app.meta.end_ns))] }, 'push');
    } else {
      this.app.say('Times are such as 1.5, 200ms or 15us, the first before the second.', 'error');
      this.update();
    }
  }
}

/**
 * A place for an answer: the last question counts, and a question that is the same is not asked again.
 * While a trace grows the answer is asked for anew, but not so often that nothing else gets done.
 */
export class AnswerPlace {
  /**
   * @param {string} [name] class of its element
   * @param {number} [freshMs] how old an answer about a growing trace may be
   */
  constructor(name = '', freshMs = FRESH_MS) {
    this.element = make('div', { class: `answer ${name}` });
    this.freshMs = freshMs;
    this.key = '';
    this.version = -1;
    /** When the last answer came, and how long it took. */
    this.came = 0;
    this.took = 0;
    /** @type {AbortController | null} */
    this.controller = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * Asks if the trace or the key is another than last time, or the trace has grown.
   * @template T
   * @param {App} app
   * @param {unknown[]} key what else the answer depends on
   * @param {(signal: AbortSignal) => Promise<T>} call
   * @param {(answer: T) => void} show
   */
  async ask(app, key, call, show) {
    const text = JSON.stringify([app.state.trace, ...key]);
    const { version } = app.meta;
    if (text === this.key && version === this.version) {
      return;
    }
    clearTimeout(this.timer);
    if (text === this.key) {
      const wait = this.controller
        ? this.freshMs
        : this.came + Math.max(this.freshMs, 4 * this.took) - performance.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.ask(app, key, call, show), wait);
        return;
      }
    }
    Object.assign(this, { key: text, version });
    this.controller?.abort();
    const controller = new AbortController();
    this.controller = controller;
    const began = performance.now();
    const patience = setTimeout(() => this.sayWaiting(), PATIENCE_MS);
    try {
      const answer = await call(controller.signal);
      if (this.controller === controller) {
        show(answer);
      }
    } catch (error) {
      if (this.controller === controller && !isAbort(error)) {
        this.key = '';
        fill(this.element, make('p', { class: 'failed', text: errorText(error), attributes: { role: 'alert' } }));
      }
    }
    clearTimeout(patience);
    if (this.controller === controller) {
      this.controller = null;
      this.came = performance.now();
      this.took = this.came - began;
      this.element.classList.remove('waits');
    }
  }

  sayWaiting() {
    this.element.classList.add('waits');
    if (!this.element.firstChild) {
      fill(this.element, make('p', { text: 'Going through the trace …', attributes: { role: 'status' } }));
    }
  }
}

/**
 * Shows a time of a row in the graph, with something around it.
 * @param {App} app
 * @param {number} fromNs
 * @param {number} toNs
 * @param {number | null} row
 */
export function showInGraph(app, fromNs, toNs, row) {
  const end = Math.max(1, app.meta.end_ns);
  const margin = Math.max((toNs - fromNs) * MARGIN_PART, 500);
  const [from, to] = [Math.max(0, Math.floor(fromNs - margin)), Math.min(end, Math.ceil(toNs + margin))];
  app.go(
    { view: 'graph', from, to: Math.max(to, from + 1), cursor: Math.round(fromNs), row: row ?? app.state.row },
    'push',
  );
}

/**
 * Puts the cursor at a time and shows it in the graph, which goes there if it is not in sight.
 * @param {App} app
 * @param {number} ns
 */
export function showTime(app, ns) {
  const { from, to } = app.state;
  const half = (to - from) / 2;
  const range = ns >= from && ns <= to ? {} : { from: ns - half, to: ns + half };
  app.go({ view: 'graph', cursor: Math.round(ns), ...range }, 'push');
}

/**
 * Shows the events that pass a filter; with a time, from there on.
 * @param {App} app
 * @param {string} filter
 * @param {number | null} [ns]
 */
export function showEvents(app, filter, ns = null) {
  const { 'raw.event': _, ...extra } = app.state.extra;
  app.go({ view: 'raw', filter, extra, ...(ns === null ? {} : { cursor: Math.round(ns) }) }, 'push');
}

/**
 * The row of a thread, or null; of several with one number the last that was alive at a time.
 * @param {App} app
 * @param {number} tid
 * @param {number} [ns]
 */
export function rowOfThread(app, tid, ns = Infinity) {
  const rows = app.rows.filter((row) => row.type === 'thread' && row.tid === tid && row.born_ns <= ns);
  return rows.length > 0 ? (rows[rows.length - 1] ?? null) : null;
}

/**
 * A bar of what time went to.
 * @param {App} app
 * @param {import('./types.d.ts').Sum[]} sums kinds and nanoseconds
 * @param {number} whole nanoseconds of the full width; 0 for their sum
 */
export function stateBar(app, sums, whole = 0) {
  const shown = sums.filter(([kind, ns]) => ns > 0 && app.meta.kinds[kind]?.name !== 'none');
  const sum = whole || shown.reduce((all, [, ns]) => all + ns, 0);
  const words = shown.map(([kind, ns]) => `${app.meta.kinds[kind]?.title ?? kind} ${lengthText(ns)}`).join('\n');
  const bar = make('span', {
    class: 'state-bar',
    title: words,
    attributes: { role: 'img', 'aria-label': words.replace(/\n/g, ', ') },
  });
  for (const [kind, ns] of shown) {
    const part = make('span');
    part.style.width = `${(100 * ns) / Math.max(1, sum)}%`;
    part.style.background = `var(--kind-${app.meta.kinds[kind]?.name})`;
    bar.append(part);
  }
  return bar;
}
