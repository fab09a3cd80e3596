// Counters and rates over time; of a trace that is being recorded they grow on screen.

import { choice, fill, make } from './dom.js';
import { countText, percentText, shortText } from './time.js';
import { CurveChart } from './charts.js';
import { AnswerPlace, quietPage } from './page_parts.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Histogram} Histogram */

/** What can be shown: value and title. */
/** @type {[string, string][]} */
const LIVE_RANGES = [
  ['', 'whole trace'],
  ['graph', 'as in the graph'],
  ['1', 'last second'],
  ['10', 'last 10 s'],
  ['60', 'last minute'],
];
/** Pixels of each bucket. */
const LIVE_BUCKET = 3;
/** Colours of rates by their names; others get that of bars. */
/** @type {Record<string, string>} */
const LIVE_COLORS = {
  syscalls: 'syscall',
  interrupts: 'irq',
  switches: 'kernel',
  faults: 'trap',
  'disk requests': 'busy',
  packets: 'accent',
  wakeups: 'softirq',
};

/**
 * Makes the page of rates.
 * @param {App} app
 * @returns {Page}
 */
export function livePage(app) {
  const page = new LivePage(app);
  return quietPage(app, {
    name: 'live',
    title: 'Rates',
    key: '9',
    element: page.element,
    update: () => page.update(),
  });
}

class LivePage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.range = choice(LIVE_RANGES, '', (value) =>
      app.go({ extra: { ...app.state.extra, 'live.range': value } }, 'push'),
    );
    this.range.setAttribute('aria-label', 'times');
    this.counters = make('p', { class: 'figures' });
    this.place = new AnswerPlace('curves', 0);
    /** @type {Map<string, { chart: CurveChart, section: HTMLElement }>} */
    this.charts = new Map();
    this.scroll = make('div', { class: 'scrolls' }, this.counters, this.place.element);
    this.element = make('div', { class: 'page live' }, make('div', { class: 'toolbar' }, this.range), this.scroll);
  }

  /** The times that are shown. */
  times() {
    const { state, meta } = this.app;
    const range = state.extra['live.range'] ?? '';
    if (range === 'graph') {
      return [Math.floor(state.from), Math.ceil(state.to)];
    }
    const seconds = Number(range);
    return [seconds > 0 ? Math.max(0, meta.end_ns - seconds * 1e9) : 0, Math.max(1, meta.end_ns)];
  }

  update() {
    const { app } = this;
    const { meta } = app;
    this.range.value = app.state.extra['live.range'] ?? '';
    const [from, to] = this.times();
    const width = Math.max(50, Math.min(2000, Math.floor((this.scroll.clientWidth - 110) / LIVE_BUCKET)));
    fill(this.counters, ...this.figures());
    this.place.ask(
      app,
      [this.range.value === 'graph' ? [from, to] : this.range.value, width],
      (signal) => app.source.histogram(from ?? 0, to ?? 1, width, signal),
      (answer) => this.show(answer),
    );
    for (const { chart } of this.charts.values()) {
      chart.draw();
    }
  }

  figures() {
    const { meta } = this.app;
    const most = [...meta.event_kinds].sort((a, b) => b.count - a.count).slice(0, 8);
    /** @type {[string, number][]} */
    const figures = [
      ['events', meta.events],
      ...most.map((kind) => /** @type {[string, number]} */ ([kind.name, kind.count])),
    ];
    return figures.map(([name, count]) =>
      make(
        'span',
        { class: 'figure' },
        make('span', { class: 'faint', text: name }),
        make('b', { text: countText(count) }),
      ),
    );
  }

  /** @param {Histogram} answer */
  show(answer) {
    const { from_ns: from, step_ns: step } = answer;
    const perSecond = (/** @type {number[]} */ counts) => counts.map((count) => (count * 1e9) / step);
    const rateText = (/** @type {number} */ value) => `${shortText(value)}/s`;
    const part = (/** @type {number} */ value) => percentText(100 * value);
    /** @type {[string, string, number[], (value: number) => string, number][]} */
    const curves = [];
    const cpus = answer.busy.length;
    if (cpus > 0) {
      const mean = answer.events.map(
        (_, index) => answer.busy.reduce((sum, one) => sum + (one[index] ?? 0), 0) / cpus,
      );
      curves.push([cpus > 1 ? 'load of all CPUs' : 'CPU load', 'user', mean, part, 1]);
    }
    curves.push(['events', 'bar', perSecond(answer.events), rateText, 0]);
    for (const [name, counts] of Object.entries(answer.rates)) {
      if (counts.some((count) => count > 0) || this.charts.has(name)) {
        curves.push([name, LIVE_COLORS[name] ?? 'bar', perSecond(counts), rateText, 0]);
      }
    }
    if (cpus > 1) {
      answer.busy.slice(0, 64).forEach((values, cpu) => curves.push([`load of CPU ${cpu}`, 'user', values, part, 1]));
    }
    const sections = curves.map(([name, color, values, text, full]) => {
      const { chart, section } = this.chartOf(name, color, text);
      chart.full = full;
      chart.set(from, step, values);
      return section;
    });
    if (this.place.element.childElementCount !== sections.length) {
      fill(this.place.element, ...sections);
    }
  }

  /**
   * The chart of a name, made when it is first needed.
   * @param {string} name
   * @param {string} color
   * @param {(value: number) => string} text
   */
  chartOf(name, color, text) {
    let found = this.charts.get(name);
    if (!found) {
      const chart = new CurveChart(this.app, name, color, text);
      found = { chart, section: make('section', { class: 'curve' }, make('h3', { text: name }), chart.element) };
      this.charts.set(name, found);
    }
    return found;
  }
}
