// Process analysis: figures of the system, of every process and thread, and a page for each process.

import { button, choice, fill, make, plain, setOptions, whenQuiet } from './dom.js';
import { lengthText } from './time.js';
import { findingItems } from './banner.js';
import { HistogramChart } from './charts.js';
import { bothFilters } from './filter_box.js';
import { reportLinks } from './links.js';
import { reportParts } from './page_reports.js';
import { AnswerPlace, TimesBox, chosenTimes, quietPage, stateBar, timesFilter } from './page_parts.js';
import { rowOfThread, showEvents, showInGraph } from './page_parts.js';
import { ReportTable, drawTable, namedRow } from './tables.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Report} Report */
/** @typedef {import('./types.d.ts').Row} Row */
/** @typedef {import('./types.d.ts').Sum} Sum */
/** @typedef {import('./tables.js').NamedRow} NamedRow */

/** Rows that reports of all processes may have; more than anybody reads, and a bound all the same. */
const PROCESS_ROWS_MAX = 5000;
/** Parts of a process's own page: the reports that they are from, and the tables of them. */
/** @type {[string, string[]][]} */
const PROCESS_PARTS = [
  ['wait', ['tree']],
  ['syscalls', ['calls', 'errors']],
  ['io', ['processes', 'requesters']],
  ['files', ['files']],
  ['net', ['sockets']],
  ['signals', ['senders', 'takers']],
];

/** The same where reports of one process cannot be asked for: tables that say of each row whose it is. */
/** @type {[string, string[]][]} */
const EMBEDDED_PARTS = [
  ['syscalls', ['processes']],
  ['io', ['processes']],
  ['net', ['sockets']],
];

/**
 * Adds up what rows spent in each kind.
 * @param {Sum[][]} all
 * @returns {Sum[]}
 */
function addSums(all) {
  /** @type {Map<number, number>} */
  const sums = new Map();
  for (const [kind, ns] of all.flat()) {
    sums.set(kind, (sums.get(kind) ?? 0) + ns);
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

/**
 * Makes the page of processes.
 * @param {App} app
 * @returns {Page}
 */
export function processesPage(app) {
  const page = new ProcessesPage(app);
  return quietPage(app, {
    name: 'processes',
    title: 'Processes',
    key: '2',
    element: page.element,
    keys: [
      ['f', 'filter by text'],
      ['Backspace', 'from a process back to all'],
    ],
    update: () => page.update(),
    keydown: (event) => page.keydown(event),
  });
}

class ProcessesPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.times = new TimesBox(app);
    this.text = make('input', {
      attributes: { type: 'search', placeholder: 'processes with …', 'aria-label': 'show only rows with this text' },
      on: { input: whenQuiet(150, () => this.filterTables()) },
    });
    this.all = new AnswerPlace();
    this.one = new AnswerPlace();
    /** @type {Map<string, import('./tables.js').TableOrder>} */
    this.orders = new Map();
    /** @type {ReportTable[]} */
    this.tables = [];
    /** Sums of the rows within the chosen times, where these are not all. */
    /** @type {Map<number, Sum[]>} */
    this.sums = new Map();
    /** Rows of threads by `tid NUMBER` and by `pid NUMBER`. */
    /** @type {Map<string, Row[]>} */
    this.rowsOf = new Map();
    this.scroll = make('div', { class: 'scrolls' });
    this.element = make(
      'div',
      { class: 'page processes' },
      make('div', { class: 'toolbar' }, this.times.element, this.text),
      this.scroll,
    );
  }

  get pid() {
    const pid = this.app.state.extra['processes.pid'] ?? '';
    return /^\d+$/.test(pid) ? Number(pid) : null;
  }

  /** @param {number | null} pid */
  open(pid) {
    this.app.go({ extra: { ...this.app.state.extra, 'processes.pid': pid === null ? '' : String(pid) } }, 'push');
  }

  update() {
    const { app, pid } = this;
    this.times.update();
    const { from, to, all } = chosenTimes(app);
    const times = all ? {} : { from, to };
    const place = pid === null ? this.all : this.one;
    this.text.hidden = pid !== null;
    if (this.scroll.firstChild !== place.element) {
      fill(this.scroll, place.element);
      this.scroll.scrollTop = 0;
    }
    place.ask(
      app,
      [times, pid],
      async (signal) => {
        const [report, system, statistics] = await Promise.all([
          app.source.report('processes', { ...times, top: PROCESS_ROWS_MAX }, signal),
          pid === null ? app.source.report('system', times, signal) : null,
          all ? null : app.source.statistics(from, to, signal),
        ]);
        return { report, system, statistics };
      },
      ({ report, system, statistics }) => {
        this.indexRows();
        this.sums = new Map((statistics?.rows ?? []).map(([row, sums]) => [row, sums]));
        if (pid === null) {
          this.showAll(report, system);
        } else {
          this.showOne(report, pid, times);
        }
      },
    );
  }

  indexRows() {
    this.rowsOf.clear();
    for (const row of this.app.rows.filter((one) => one.type === 'thread')) {
      for (const key of [`tid ${row.tid}`, `pid ${row.pid}`]) {
        const rows = this.rowsOf.get(key) ?? [];
        rows.push(row);
        this.rowsOf.set(key, rows);
      }
    }
  }

  /**
   * What a row spent within the chosen times.
   * @param {Row} row
   */
  sumsOf(row) {
    return chosenTimes(this.app).all ? row.sums : (this.sums.get(row.row) ?? []);
  }

  /**
   * What a process or a thread of the report spent.
   * @param {NamedRow} named
   */
  sumsOfNamed(named) {
    const isThread = typeof named.tid === 'number';
    const rows = this.rowsOf.get(isThread ? `tid ${named.tid}` : `pid ${named.pid}`) ?? [];
    return addSums((isThread ? rows.slice(-1) : rows).map((row) => this.sumsOf(row)));
  }

  /** A column with bars of states. */
  bars() {
    /** @param {NamedRow} named */
    const draw = (named) => stateBar(this.app, this.sumsOfNamed(named));
    return { title: 'States', draw, sort: (/** @type {NamedRow} */ named) => Number(named.running_ns ?? 0) };
  }

  /**
   * @param {Report} report
   * @param {Report | null} system
   */
  showAll(report, system) {
    const { app } = this;
    const link = reportLinks(app, 'processes');
    const table = (/** @type {string} */ name) => report.tables.find((one) => one.name === name);
    const counts = system?.tables.find((one) => one.name === 'counts');
    const [processes, threads, machine] = [table('processes'), table('threads'), table('system')];
    this.tables = [];
    if (processes) {
      const { orders } = this;
      const own = [{ ...this.bars(), before: 'pid' }];
      this.tables.push(
        new ReportTable(processes, {
          link,
          own,
          orders,
          hide: ['born_ns', 'died_ns'],
          title: 'Processes (times in seconds)',
        }),
      );
    }
    if (threads) {
      const own = [{ ...this.bars(), before: 'tid' }];
      this.tables.push(new ReportTable(threads, { link, own, orders: this.orders }));
    }
    fill(
      this.all.element,
      report.findings.length > 0 && make('ul', { class: 'findings' }, ...findingItems(report.findings)),
      make(
        'div',
        { class: 'side-by-side' },
        machine && drawTable(machine, { link, title: 'System: time of all CPUs (seconds)' }),
        counts && drawTable(counts, { link: reportLinks(app, 'system'), title: 'System: what happened' }),
        this.cpus(),
      ),
      ...this.tables.map((one) => one.element),
    );
    this.filterTables();
  }

  /** What CPUs did, as bars. */
  cpus() {
    // The first row of a CPU says what it did; another one only says for whom.
    const all = this.app.rows.filter((row) => row.type === 'cpu');
    const rows = all.filter((row, index) => all.findIndex((one) => one.cpu === row.cpu) === index);
    return make(
      'section',
      { class: 'report-table' },
      make('h3', { text: 'CPUs' }),
      make(
        'table',
        { class: 'record wide' },
        ...rows
          .slice(0, 256)
          .map((row) =>
            make(
              'tr',
              {},
              make('th', { text: plain(row.name, 30), attributes: { scope: 'row' } }),
              make('td', {}, stateBar(this.app, this.sumsOf(row))),
            ),
          ),
      ),
      legend(this.app, addSums(rows.map((row) => this.sumsOf(row)))),
    );
  }

  filterTables() {
    this.tables.forEach((table) => table.setFilter(this.text.value));
  }

  /**
   * The page of one process.
   * @param {Report} report
   * @param {number} pid
   * @param {import('./types.d.ts').ReportOptions} times
   */
  showOne(report, pid, times) {
    const { app } = this;
    const links = reportLinks(app, 'processes');
    /** @type {typeof links} */
    const link = (row, column, table) => (column === 'comm' || column === 'pid' ? null : links(row, column, table));
    const only = (/** @type {string} */ name) => {
      const table = report.tables.find((one) => one.name === name);
      return table && onlyProcess(table, pid);
    };
    const [process, threads] = [only('processes'), only('threads')];
    const first = process?.rows[0] ?? threads?.rows[0];
    const named = process && first && process.rows[0] ? namedRow(process, first) : null;
    const rows = app.rows.filter((row) => row.type === 'thread' && row.pid === pid);
    const name = plain(String(named?.comm ?? rows[rows.length - 1]?.name ?? 'process'), 80);
    const sums = addSums(rows.map((row) => this.sumsOf(row)));
    fill(
      this.one.element,
      make(
        'div',
        { class: 'heading' },
        button('← All processes', () => this.open(null)),
        make('h1', { text: `${name}:${pid}` }),
        button('Show in graph', () => this.toGraph(rows)),
        app.meta.features.filter &&
          button(
            'Events',
            () => showEvents(app, bothFilters(`pid == ${pid}`, timesFilter(app))),
            'All events while it ran',
          ),
        !app.embedded &&
          button('All reports of it', () =>
            app.go({ view: 'reports', extra: { ...app.state.extra, 'reports.pid': String(pid) } }, 'push'),
          ),
      ),
      rows.length === 0 && !named && make('p', { text: 'The trace has no such process in these times.' }),
      make('div', { class: 'wide-bar' }, stateBar(app, sums)),
      legend(app, sums),
      make(
        'div',
        { class: 'side-by-side' },
        process && named && drawTable({ ...process, shape: 'record' }, { link, title: 'Figures (seconds)' }),
        this.latencies(rows),
      ),
      threads &&
        threads.rows.length > 0 &&
        drawTable(threads, {
          link,
          own: [{ ...this.bars(), before: 'tid' }],
          hide: ['pid', 'ppid'],
          title: 'Threads (seconds)',
        }),
      ...(app.embedded ? EMBEDDED_PARTS : PROCESS_PARTS).map(([part, tables]) => this.part(part, tables, pid, times)),
    );
  }

  /**
   * A part of a process's page that another report tells.
   * @param {string} name
   * @param {string[]} tables
   * @param {number} pid
   * @param {import('./types.d.ts').ReportOptions} times
   */
  part(name, tables, pid, times) {
    const { app } = this;
    const place = new AnswerPlace(name);
    place.ask(
      app,
      [],
      (signal) => app.source.report(name, app.embedded ? times : { ...times, pid: [pid], top: 100 }, signal),
      (report) => {
        const wanted = report.tables.filter((table) => tables.includes(table.name));
        const own = app.embedded ? wanted.map((table) => onlyProcess(table, pid)) : wanted;
        const shown = own.filter((table) => table.rows.length > 0);
        fill(
          place.element,
          ...reportParts(app, { ...report, findings: [], tables: shown.map((table) => withPid(table, pid)) }),
        );
      },
    );
    return place.element;
  }

  /**
   * How long the calls of a process took.
   * @param {Row[]} rows
   */
  latencies(rows) {
    const { app } = this;
    const { from, to } = chosenTimes(app);
    if (rows.length === 0) {
      return null;
    }
    const place = new AnswerPlace();
    let row = rows[0]?.row ?? 0;
    const chart = new HistogramChart(app, 'lengths of system calls', null);
    const words = make('p', { class: 'faint' });
    const ask = () =>
      place.ask(
        app,
        [row],
        (signal) => app.source.latencies('syscall', from, to, 8, 8, { row }, signal),
        (answer) => {
          chart.set(answer.buckets);
          const [half, most, longest] = [answer.p50_ns, answer.p99_ns, answer.max_ns].map(lengthText);
          words.textContent = `${answer.count} calls; half up to ${half}, 99 % up to ${most}, longest ${longest}`;
          fill(place.element, answer.count === 0 ? 'No system calls.' : chart.element, answer.count > 0 && words);
        },
      );
    const threads = choice([], '', (value) => {
      row = Number(value);
      ask();
    });
    setOptions(
      threads,
      rows.map((one) => [String(one.row), `${plain(one.name, 40)}:${one.tid}`]),
      String(row),
    );
    ask();
    return make(
      'section',
      { class: 'report-table grow' },
      make(
        'h3',
        {},
        'How long its system calls took ',
        rows.length > 1 && threads,
        button('More', () =>
          app.go({ view: 'latency', row, extra: { ...app.state.extra, 'latency.row': 'yes' } }, 'push'),
        ),
      ),
      place.element,
    );
  }

  /** @param {Row[]} rows */
  toGraph(rows) {
    const row = rows[0];
    if (row) {
      showInGraph(
        this.app,
        row.born_ns,
        row.died_ns ?? this.app.meta.end_ns,
        rowOfThread(this.app, row.tid ?? -1)?.row ?? row.row,
      );
    }
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    if (event.key === 'f' && !event.ctrlKey && !event.metaKey && this.pid === null) {
      this.text.focus();
      return true;
    }
    if (event.key === 'Backspace' && this.pid !== null) {
      this.open(null);
      return true;
    }
    return false;
  }
}

/**
 * The rows of a table that are of one process.
 * @param {import('./types.d.ts').Table} table
 * @param {number} pid
 */
function onlyProcess(table, pid) {
  return { ...table, rows: table.rows.filter((cells) => namedRow(table, cells).pid === pid) };
}

/**
 * A table whose rows are all of one process but do not say so: links need to know.
 * @param {import('./types.d.ts').Table} table
 * @param {number} pid
 * @returns {import('./types.d.ts').Table}
 */
function withPid(table, pid) {
  if (table.columns.some((column) => column.name === 'pid')) {
    return table;
  }
  return {
    ...table,
    columns: [...table.columns, { name: 'pid', title: '' }],
    rows: table.rows.map((cells) => [...cells, { count: pid }]),
  };
}

/**
 * What the colours of a bar mean, with lengths.
 * @param {App} app
 * @param {Sum[]} sums
 */
export function legend(app, sums) {
  const shown = sums.filter(([kind, ns]) => ns > 0 && app.meta.kinds[kind]?.name !== 'none');
  return make(
    'ul',
    { class: 'legend' },
    ...shown.map(([kind, ns]) => {
      const swatch = make('span', { class: 'swatch' });
      swatch.style.background = `var(--kind-${app.meta.kinds[kind]?.name})`;
      return make('li', {}, swatch, `${app.meta.kinds[kind]?.title} ${lengthText(ns)}`);
    }),
  );
}
