// How long things took: over time, how many of each length, and which were the longest.

import { choice, fill, make, plain, setOptions } from './dom.js';
import { countText, lengthText, timeText } from './time.js';
import { DensityChart, HistogramChart } from './charts.js';
import { AnswerPlace, TimesBox, chosenTimes, quietPage, showEvents, showInGraph } from './page_parts.js';
import { ReportTable } from './tables.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Latencies} Latencies */

/** Kinds of lengths: name, title, what they are. */
/** @type {[string, string, string][]} */
const LATENCY_KINDS = [
  ['syscall', 'System calls', 'from entry to exit, waiting included'],
  ['wakeup', 'Wake-ups', 'from being woken to running'],
  ['irq', 'Interrupts', 'from entry to exit'],
  ['handler', 'Interrupt handlers', 'of devices'],
  ['softirq', 'Softirqs', 'from entry to exit'],
  ['trap', 'Traps', 'exceptions and page faults'],
  ['request', 'Disk requests', 'from issue to completion'],
];

/**
 * What a state is called.
 * @param {App} app
 * @param {number} state
 */
export function stateTitle(app, state) {
  const [kind, label] = app.meta.states[state] ?? [-1, ''];
  return plain(label || (app.meta.kinds[kind]?.title ?? `state ${state}`), 60);
}

/**
 * What a row is called.
 * @param {App} app
 * @param {number} number
 */
export function rowTitle(app, number) {
  const row = app.rows.find((one) => one.row === number);
  if (!row) {
    return `row ${number}`;
  }
  return row.type === 'thread' ? `${plain(row.name, 40)}:${row.tid}` : plain(row.name, 60);
}

/**
 * Makes the page of latencies.
 * @param {App} app
 * @returns {Page}
 */
export function latencyPage(app) {
  const page = new LatencyPage(app);
  return quietPage(app, {
    name: 'latency',
    title: 'Latency',
    key: '4',
    element: page.element,
    update: () => page.update(),
    keys: [
      ['click', 'on a dot, a bar or a row: show it in the graph'],
      ['[ ]', 'kind before, kind after'],
    ],
    keydown: (event) => page.keydown(event),
  });
}

/** A picture of lengths over time with a histogram; of one kind. Other pages have it too. */
export class LatencyPicture {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.place = new AnswerPlace();
    this.density = new DensityChart(
      app,
      'lengths over time',
      (cell) => this.words(cell),
      (cell) => this.go(cell[3], cell[4], cell[5]),
    );
    this.histogram = new HistogramChart(app, 'how many of each length', (low, high) => this.goBucket(low, high), 280);
    this.figures = make('p', { class: 'figures' });
    this.pictures = make(
      'div',
      {},
      this.figures,
      make('div', { class: 'two-pictures' }, this.density.element, this.histogram.element),
    );
    /** @type {Latencies | null} */
    this.answer = null;
    this.element = this.place.element;
  }

  /**
   * @param {Latencies['cells'][0]} cell
   */
  words([, , count, length, end, row, state]) {
    const { app } = this;
    const what = `${stateTitle(app, state)}, ${rowTitle(app, row)}`;
    const longest = `${lengthText(length)} ${what}, ended at ${timeText(end)} s`;
    return `${countText(count)} here; longest ${longest}`;
  }

  /**
   * Shows what took so long.
   * @param {number} length
   * @param {number} end
   * @param {number} row
   */
  go(length, end, row) {
    showInGraph(this.app, end - length, end, row);
  }

  /**
   * Shows the longest that is in a bucket.
   * @param {number} low
   * @param {number} high
   */
  goBucket(low, high) {
    const cells = (this.answer?.cells ?? []).filter((cell) => cell[3] >= low && cell[3] < high);
    const cell = cells.reduce(
      (best, one) => (best && best[3] >= one[3] ? best : one),
      /** @type {typeof cells[0] | null} */ (null),
    );
    if (cell) {
      this.go(cell[3], cell[4], cell[5]);
    }
  }

  /**
   * @param {string} kind
   * @param {{ row?: number, state?: number }} only
   * @param {(answer: Latencies) => void} [shown]
   */
  ask(kind, only, shown) {
    const { app, place } = this;
    const { from, to, key } = chosenTimes(app);
    if (place.element.firstChild !== this.pictures) {
      fill(place.element, this.pictures);
    }
    const { width, height } = this.density.size();
    const asked = { from, to, width, height };
    place.ask(
      app,
      [kind, only, key, width, height],
      (signal) => app.source.latencies(kind, from, to, width, height, only, signal),
      (answer) => {
        this.answer = answer;
        fill(this.figures, ...latencyFigures(answer));
        for (const chart of [this.density.element, this.histogram.element]) {
          chart.hidden = answer.count === 0;
        }
        this.density.set(answer, asked);
        this.histogram.set(answer.buckets);
        shown?.(answer);
      },
    );
    this.density.draw();
    this.histogram.draw();
  }
}

/**
 * Sums of lengths in words.
 * @param {Latencies} answer
 * @returns {(Node | string)[]}
 */
function latencyFigures(answer) {
  if (answer.count === 0) {
    return ['There are none in these times, or they were not recorded.'];
  }
  /** @type {[string, string][]} */
  const figures = [
    ['count', countText(answer.count)],
    ['least', lengthText(answer.min_ns)],
    ['mean', lengthText(answer.mean_ns)],
    ['half up to', lengthText(answer.p50_ns)],
    ['90 % up to', lengthText(answer.p90_ns)],
    ['99 % up to', lengthText(answer.p99_ns)],
    ['longest', lengthText(answer.max_ns)],
  ];
  return figures.map(([name, value]) =>
    make('span', { class: 'figure' }, make('span', { class: 'faint', text: name }), make('b', { text: value })),
  );
}

class LatencyPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.times = new TimesBox(app);
    this.kind = choice(
      LATENCY_KINDS.map(([name, title]) => [name, title]),
      'syscall',
      (value) => this.set({ kind: value, state: '' }),
    );
    this.state = choice([['', 'all']], '', (value) => this.set({ state: value }));
    this.onlyRow = make('input', {
      attributes: { type: 'checkbox' },
      on: { change: () => this.set({ row: this.onlyRow.checked ? 'yes' : '' }) },
    });
    this.rowName = make('span');
    this.rowLabel = make('label', {}, this.onlyRow, this.rowName);
    this.doc = make('span', { class: 'faint' });
    this.picture = new LatencyPicture(app);
    this.slowest = make('div');
    this.states = make('div');
    this.element = make(
      'div',
      { class: 'page latency' },
      make('div', { class: 'toolbar' }, this.times.element, this.kind, this.state, this.rowLabel, this.doc),
      make(
        'div',
        { class: 'scrolls' },
        this.picture.element,
        make('div', { class: 'side-by-side' }, this.slowest, this.states),
      ),
    );
  }

  /** @param {Record<string, string>} values */
  set(values) {
    const named = Object.fromEntries(Object.entries(values).map(([name, value]) => [`latency.${name}`, value]));
    this.app.go({ extra: { ...this.app.state.extra, ...named } }, 'push');
  }

  update() {
    const { app } = this;
    const { extra, row } = app.state;
    this.times.update();
    const [kind, , doc] = LATENCY_KINDS.find(([name]) => name === extra['latency.kind']) ?? [
      'syscall',
      '',
      LATENCY_KINDS[0]?.[2] ?? '',
    ];
    this.kind.value = kind;
    this.doc.textContent = doc;
    this.rowLabel.hidden = row === null;
    this.rowName.textContent = row === null ? '' : `only ${rowTitle(app, row)}`;
    this.onlyRow.checked = extra['latency.row'] === 'yes';
    const state = /^\d+$/.test(extra['latency.state'] ?? '') ? Number(extra['latency.state']) : null;
    const only = {
      ...(this.onlyRow.checked && row !== null ? { row } : {}),
      ...(state === null ? {} : { state }),
    };
    this.picture.ask(kind, only, (answer) => this.show(answer, state));
  }

  /**
   * @param {Latencies} answer
   * @param {number | null} chosen
   */
  show(answer, chosen) {
    const { app } = this;
    const states = answer.states.map(
      ([state, count]) =>
        /** @type {[string, string]} */ ([String(state), `${stateTitle(app, state)} (${countText(count)})`]),
    );
    if (chosen !== null && !answer.states.some(([state]) => state === chosen)) {
      states.unshift([String(chosen), stateTitle(app, chosen)]);
    }
    setOptions(this.state, [['', 'all'], ...states], chosen === null ? '' : String(chosen));
    this.showSlowest(answer);
    const table = new ReportTable(
      {
        name: 'states',
        title: 'What took how long',
        shape: 'rows',
        columns: [
          { name: 'state', title: '' },
          { name: 'name', title: 'What' },
          { name: 'count', title: 'Count' },
          { name: 'total_ns', title: 'Sum (s)' },
          { name: 'mean_ns', title: 'Mean' },
        ],
        rows: answer.states.map(([state, count, sum]) => [
          { count: state },
          { text: stateTitle(app, state) },
          { count },
          { time: sum },
          { length: sum / Math.max(1, count) },
        ]),
      },
      { link: (named, column) => (column === 'name' ? () => this.set({ state: String(named.state) }) : null) },
    );
    fill(this.states, answer.states.length > 0 && table.element);
  }

  /** @param {Latencies} answer */
  showSlowest(answer) {
    const { app } = this;
    const table = new ReportTable(
      {
        name: 'slowest',
        title: 'The longest',
        shape: 'rows',
        columns: [
          { name: 'length_ns', title: 'Length' },
          { name: 'what', title: 'What' },
          { name: 'thread', title: 'Where' },
          { name: 'row', title: '' },
          { name: 'start_ns', title: 'Began (s)' },
          { name: 'end_ns', title: 'Ended (s)' },
        ],
        rows: answer.slowest.map(([length, end, row, state]) => [
          { length },
          { text: stateTitle(app, state) },
          { text: rowTitle(app, row) },
          { count: row },
          { time: end - length },
          { time: end },
        ]),
      },
      {
        link: (named, column) => {
          const [length, end, row] = [Number(named.length_ns), Number(named.end_ns), Number(named.row)];
          if (column === 'end_ns') {
            return () => showEvents(app, '', end);
          }
          return column === 'length_ns' || column === 'start_ns' ? () => this.picture.go(length, end, row) : null;
        },
      },
    );
    fill(this.slowest, answer.slowest.length > 0 && table.element);
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const step = { '[': -1, ']': 1 }[event.key];
    if (step) {
      const index = LATENCY_KINDS.findIndex(([name]) => name === this.kind.value) + step;
      this.set({
        kind: LATENCY_KINDS[(index + LATENCY_KINDS.length) % LATENCY_KINDS.length]?.[0] ?? 'syscall',
        state: '',
      });
    }
    return step !== undefined;
  }
}
