// Every report of the command line, by its own data.

import { button, copyText, fill, make, whenQuiet } from './dom.js';
import { findingItems } from './banner.js';
import { AnswerPlace, TimesBox, chosenTimes, quietPage } from './page_parts.js';
import { ReportTable, drawTable } from './tables.js';
import { reportLinks } from './links.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Report} Report */
/** @typedef {import('./types.d.ts').ReportOptions} ReportOptions */

/** Reports that the command line has as commands of their own. */
const MORE_REPORTS = [
  {
    name: 'info',
    doc: 'What the trace says of itself: how it was recorded, of which kernel and machine, what it lacks.',
  },
  { name: 'wait', doc: 'Where the time of processes went: running, ready to run, waiting for what and for whom.' },
];

/** Rows of the largest that a report has if nobody says how many. */
const TOP_USUAL = 50;

/**
 * Shows a report: what is doubtful about it, then its tables.
 * @param {App} app
 * @param {Report} report
 * @param {{ filter?: string, orders?: Map<string, import('./tables.js').TableOrder> }} [options]
 * @returns {HTMLElement[]}
 */
export function reportParts(app, report, options = {}) {
  const link = reportLinks(app, report.report);
  const parts = [];
  if (report.findings.length > 0) {
    parts.push(make('ul', { class: 'findings' }, ...findingItems(report.findings)));
  }
  if (report.truncated) {
    parts.push(
      make('p', {
        class: 'failed',
        text: 'Only the beginning of this report is here: it is too long. Choose a shorter time or fewer rows.',
      }),
    );
  }
  for (const table of report.tables) {
    if (table.shape === 'record') {
      parts.push(drawTable(table, { link }));
    } else {
      const shown = new ReportTable(table, { link, orders: options.orders });
      shown.setFilter(options.filter ?? '');
      parts.push(shown.element);
    }
  }
  return parts;
}

/**
 * Makes the page of all reports.
 * @param {App} app
 * @returns {Page}
 */
export function reportsPage(app) {
  const page = new ReportsPage(app);
  return quietPage(app, {
    name: 'reports',
    title: 'Reports',
    key: '8',
    element: page.element,
    keys: [['[ ]', 'report before, report after']],
    update: () => page.update(),
    keydown: (event) => page.keydown(event),
  });
}

class ReportsPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.reports = app.embedded ? app.reports : [...app.reports, ...MORE_REPORTS];
    this.times = new TimesBox(app);
    const typed = (/** @type {string} */ name, /** @type {string} */ label) =>
      make('input', {
        class: 'short',
        attributes: { type: 'text', 'aria-label': label, placeholder: label, spellcheck: 'false' },
        on: { change: (event) => this.set(name, event.target.value.trim()) },
      });
    this.inputs = { top: typed('top', 'rows'), pid: typed('pid', 'process'), comm: typed('comm', 'thread name') };
    for (const input of Object.values(this.inputs)) {
      input.hidden = app.embedded;
    }
    this.text = make('input', {
      class: 'short',
      attributes: { type: 'search', placeholder: 'rows with …', 'aria-label': 'show only rows with this text' },
      on: { input: whenQuiet(150, () => this.show()) },
    });
    this.doc = make('p', { class: 'faint' });
    this.place = new AnswerPlace();
    this.list = make('nav', { class: 'report-list', attributes: { 'aria-label': 'reports' } });
    /** @type {Report | null} */
    this.report = null;
    /** @type {Map<string, import('./tables.js').TableOrder>} */
    this.orders = new Map();
    this.element = make(
      'div',
      { class: 'page reports' },
      make(
        'div',
        { class: 'toolbar' },
        this.times.element,
        this.inputs.top,
        this.inputs.pid,
        this.inputs.comm,
        this.text,
        button('Copy JSON', () => this.copy(), 'Copy the whole report as JSON'),
      ),
      make('div', { class: 'beside' }, this.list, make('div', { class: 'scrolls' }, this.doc, this.place.element)),
    );
  }

  /** The name of the report that is shown. */
  get chosen() {
    const name = this.app.state.extra['reports.name'];
    return this.reports.find((report) => report.name === name) ?? this.reports[0];
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    this.app.go({ extra: { ...this.app.state.extra, [`reports.${name}`]: value } }, 'push');
  }

  update() {
    const { app, chosen } = this;
    this.times.update();
    if (!chosen) {
      fill(this.place.element, make('p', { text: 'There are no reports of this trace.' }));
      return;
    }
    const extra = (/** @type {string} */ name) => app.state.extra[`reports.${name}`] ?? '';
    for (const [name, input] of Object.entries(this.inputs)) {
      if (document.activeElement !== input) {
        input.value = extra(name);
      }
    }
    fill(
      this.list,
      ...this.reports.map((report) => {
        const item = button(report.name, () => this.set('name', report.name), report.doc);
        item.setAttribute('aria-pressed', String(report === chosen));
        return item;
      }),
    );
    this.doc.textContent = chosen.doc;
    const { from, to, all } = chosenTimes(app);
    /** @type {ReportOptions} */
    const options = {
      top: /^[1-9]\d{0,5}$/.test(extra('top')) ? Number(extra('top')) : TOP_USUAL,
      ...(all ? {} : { from, to }),
    };
    const pids = extra('pid')
      .split(/[ ,]+/)
      .filter((pid) => /^\d+$/.test(pid))
      .map(Number);
    if (pids.length > 0) {
      options.pid = pids;
    }
    if (extra('comm') !== '') {
      options.comm = [extra('comm')];
    }
    this.place.ask(
      app,
      [chosen.name, options],
      (signal) => app.source.report(chosen.name, options, signal),
      (report) => {
        if (report.report !== this.report?.report) {
          this.orders.clear();
        }
        this.report = report;
        this.show();
      },
    );
  }

  show() {
    if (this.report) {
      fill(
        this.place.element,
        ...reportParts(this.app, this.report, { filter: this.text.value, orders: this.orders }),
      );
    }
  }

  async copy() {
    if (this.report) {
      const { report, findings, tables } = this.report;
      const named = tables.map((table) => [table.name, new ReportTable(table).named()]);
      const text = JSON.stringify({ report, findings, ...Object.fromEntries(named) }, null, 2);
      this.app.say((await copyText(text)) ? 'The report is copied.' : 'The browser does not let the page copy.');
    }
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const step = { '[': -1, ']': 1 }[event.key];
    const { reports } = this;
    if (!step || reports.length === 0 || !this.chosen) {
      return false;
    }
    const index = (reports.indexOf(this.chosen) + step + reports.length) % reports.length;
    this.set('name', reports[index]?.name ?? '');
    return true;
  }
}
