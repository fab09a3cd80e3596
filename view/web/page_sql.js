// Questions to the trace in SQL.

import { button, fill, make } from './dom.js';
import { countText } from './time.js';
import { AnswerPlace, quietPage } from './page_parts.js';
import { ReportTable } from './tables.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').QueryResult} QueryResult */

/** Queries to begin with: what they ask, and how. */
/** @type {[string, string][]} */
const QUERY_EXAMPLES = [
  ['Tables', 'SELECT table_name, count(*) AS columns FROM about_columns GROUP BY table_name ORDER BY table_name'],
  ['Kinds of events', 'SELECT event, count(*) AS events FROM events\nGROUP BY event ORDER BY events DESC, event'],
  [
    'System calls',
    `SELECT name, count(*) AS calls, sum(duration_ns) / 1000 AS us, sum(blocked_ns) / 1000 AS waiting_us,
  count(error) AS errors
FROM syscalls GROUP BY name ORDER BY us DESC`,
  ],
  [
    'Errors',
    `SELECT comm, name, error, count(*) AS times FROM syscalls
WHERE error IS NOT NULL GROUP BY comm, name, error ORDER BY times DESC`,
  ],
  [
    'Wake-ups',
    `SELECT comm, count(*) AS wakeups, approx_percentile_cont(delay_ns, 0.5) AS median_ns,
  max(delay_ns) AS longest_ns
FROM wakeups GROUP BY comm ORDER BY longest_ns DESC`,
  ],
  [
    'Who follows whom',
    `SELECT prev_comm, prev_state, next_comm, count(*) AS times FROM sched_switch
GROUP BY prev_comm, prev_state, next_comm ORDER BY times DESC LIMIT 50`,
  ],
];

/**
 * Makes the page of SQL, where there is something that answers it.
 * @param {App} app
 * @returns {Page | null}
 */
export function sqlPage(app) {
  if (!app.meta.features.sql) {
    return null;
  }
  const page = new SqlPage(app);
  return quietPage(app, {
    name: 'sql',
    title: 'SQL',
    key: 'q',
    element: page.element,
    keys: [
      ['f', 'to the query'],
      ['Ctrl Enter', 'run the query'],
      ['Esc', 'leave the query'],
    ],
    update: () => page.update(),
    keydown: (event) => {
      const focus = event.key === 'f' && !event.ctrlKey && !event.metaKey;
      if (focus) {
        page.query.focus();
      }
      return focus;
    },
  });
}

class SqlPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.place = new AnswerPlace();
    this.status = make('span', { class: 'faint', attributes: { role: 'status' } });
    this.query = make('textarea', {
      class: 'mono query',
      attributes: { rows: 6, spellcheck: 'false', 'aria-label': 'query', placeholder: 'SELECT …' },
      on: { keydown: (event) => this.typed(event) },
    });
    const examples = QUERY_EXAMPLES.map(([name, text]) =>
      button(name, () => {
        this.query.value = text;
        this.run();
      }),
    );
    this.element = make(
      'div',
      { class: 'page sql' },
      make(
        'div',
        { class: 'scrolls' },
        this.query,
        make(
          'p',
          { class: 'buttons' },
          button('Run', () => this.run(), 'Ctrl+Enter'),
          this.status,
        ),
        make('p', { class: 'buttons' }, make('span', { class: 'faint', text: 'Examples:' }), ...examples),
        this.place.element,
      ),
    );
  }

  /** A query of the address is shown, but runs only when somebody wants it. */
  update() {
    if (document.activeElement !== this.query) {
      this.query.value = this.app.state.extra['sql.query'] ?? this.query.value;
    }
  }

  /** @param {KeyboardEvent} event */
  typed(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      this.run();
      event.preventDefault();
    } else if (event.key === 'Escape') {
      this.query.blur();
    }
  }

  async run() {
    const { app, place, status } = this;
    const text = this.query.value.trim();
    if (text === '') {
      return;
    }
    app.go({ extra: { ...app.state.extra, 'sql.query': text } }, 'push');
    const began = performance.now();
    status.textContent = 'asking …';
    // The same question may have another answer by now.
    place.key = '';
    await place.ask(
      app,
      [text],
      (signal) => app.source.sql(text, signal),
      (answer) => {
        const more = answer.truncated ? ', and more that are not shown' : '';
        const took = Math.round(performance.now() - began);
        status.textContent = `${countText(answer.rows.length)} rows${more} in ${took} ms`;
        fill(place.element, resultTable(answer));
      },
    );
    if (status.textContent === 'asking …') {
      status.textContent = '';
    }
  }
}

/**
 * Rows of a query; a column of numbers only is one of numbers.
 * @param {QueryResult} answer
 */
function resultTable(answer) {
  const numbers = answer.columns.map(
    (_, index) =>
      answer.rows.length > 0 &&
      answer.rows.every((row) => /^-?\d{1,15}(\.\d+)?$/.test(row[index] ?? '') || (row[index] ?? '') === ''),
  );
  const cell = (/** @type {string | null | undefined} */ text, /** @type {boolean | undefined} */ isNumber) => {
    if (text === null || text === undefined) {
      return null;
    }
    return isNumber && /^\d{1,15}$/.test(text) ? { count: Number(text) } : { text };
  };
  return new ReportTable({
    name: 'result',
    title: 'Result',
    shape: 'rows',
    columns: answer.columns.map((name, index) => ({
      name: name || `column ${index + 1}`,
      title: name || `column ${index + 1}`,
    })),
    rows: answer.rows.map((row) => answer.columns.map((_, index) => cell(row[index], numbers[index]))),
  }).element;
}
