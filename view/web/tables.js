// Tables that sort by each column, of reports and of anything else.

import { button, copyText, fill, make, plain, saveFile } from './dom.js';
import { countText, lengthText, percentText, timeText } from './time.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Cell} Cell */
/** @typedef {import('./types.d.ts').Table} Table */

/** Rows that are shown before somebody asks for more. */
const ROWS_SHOWN = 300;
/** Most characters of a cell; all of them are in what is copied and saved. */
const CELL_LENGTH_MAX = 240;
/** The same where one thing is described. */
const RECORD_LENGTH_MAX = 4000;

/** A row by the names of its columns. */
/** @typedef {Record<string, string | number | boolean | null>} NamedRow */

/**
 * A column that is drawn in a way of its own.
 * @typedef {object} OwnColumn
 * @property {string} title
 * @property {string} before name of the column that it stands before
 * @property {(row: NamedRow) => Node | null} draw
 * @property {(row: NamedRow) => number} sort
 */

/** Which column a table is sorted by, and which way. */
/** @typedef {{ column: number, reverse: boolean } | null} TableOrder */

/**
 * How a table is shown.
 * @typedef {object} TableOptions
 * @property {(row: NamedRow, column: string, table: Table) => (() => void) | null} [link] what a click on a cell does
 * @property {OwnColumn[]} [own]
 * @property {string[]} [hide] names of columns that are left out
 * @property {string} [title] instead of its own
 * @property {Map<string, TableOrder>} [orders] where the order of tables is kept, by their names, over new answers
 * @property {boolean} [tools] whether it can be copied and saved; it can if not said
 */

/**
 * The value of a cell, without how it is shown.
 * @param {Cell} cell
 * @returns {string | number | boolean | null}
 */
export function cellValue(cell) {
  if (!cell) {
    return null;
  }
  if (cell.bar) {
    return cell.bar[0];
  }
  return cell.text ?? cell.count ?? cell.time ?? cell.length ?? cell.percent ?? cell.hex ?? cell.flag ?? null;
}

/**
 * A row of a report's table by names.
 * @param {Table} table
 * @param {Cell[]} cells
 * @returns {NamedRow}
 */
export function namedRow(table, cells) {
  return Object.fromEntries(
    table.columns.map((column, index) => [column.name || `column ${index}`, cellValue(cells[index] ?? null)]),
  );
}

/**
 * Text of a cell as people see it.
 * @param {Cell} cell
 * @param {number} [length] most characters
 */
export function cellText(cell, length = CELL_LENGTH_MAX) {
  if (!cell) {
    return '–';
  }
  if (cell.text !== undefined) {
    return plain(cell.text, length);
  }
  if (cell.count !== undefined) {
    return countText(cell.count);
  }
  if (cell.time !== undefined) {
    return timeText(cell.time, 1000);
  }
  if (cell.length !== undefined) {
    return lengthText(cell.length);
  }
  if (cell.percent !== undefined) {
    return percentText(cell.percent);
  }
  return cell.flag === undefined ? (cell.hex ?? '') : cell.flag ? 'yes' : 'no';
}

/**
 * Whether a cell is a number, which stands at the right.
 * @param {Cell | undefined} cell
 */
function isNumber(cell) {
  return Boolean(cell) && cell?.text === undefined && cell?.flag === undefined && cell?.bar === undefined;
}

/**
 * Which of two values comes first; what is absent comes last.
 * @param {string | number | boolean | null} a
 * @param {string | number | boolean | null} b
 */
function compareValues(a, b) {
  if (a === null || b === null) {
    return a === b ? 0 : a === null ? 1 : -1;
  }
  return typeof a === 'string' || typeof b === 'string'
    ? String(a).localeCompare(String(b), 'en', { numeric: true })
    : Number(b) - Number(a);
}

/**
 * The title of a table. Lengths are shown with their units, so that it need not say them.
 * @param {Table} table
 * @param {TableOptions} options
 */
function tableTitle(table, options) {
  return plain((options.title ?? table.title).replace(/ \(microseconds\)/g, ''), 300);
}

/** A row whose names are looked up only when somebody needs them: of thousands few are in sight. */
class TableRow {
  /**
   * @param {Table} table
   * @param {Cell[]} cells
   */
  constructor(table, cells) {
    this.table = table;
    this.cells = cells;
    /** @type {NamedRow | null} */
    this.names = null;
  }

  get named() {
    this.names ??= namedRow(this.table, this.cells);
    return this.names;
  }
}

export class ReportTable {
  /**
   * @param {Table} table
   * @param {TableOptions} [options]
   */
  constructor(table, options = {}) {
    this.table = table;
    this.options = options;
    this.limit = ROWS_SHOWN;
    this.filter = '';
    /** @type {TableOrder} */
    this.order = options.orders?.get(table.name) ?? null;
    this.rows = table.rows.map((cells) => new TableRow(table, cells));
    const hidden = new Set(options.hide ?? []);
    /** Columns that people see, each of them one of the report or one of our own. */
    this.shown = table.columns.flatMap((column, index) => {
      const own = (options.own ?? [])
        .filter((one) => one.before === column.name)
        .map((one) => ({ index: -1, own: one, title: one.title, right: false }));
      const seen = (column.title !== '' || column.name === '') && !hidden.has(column.name);
      const { title } = column;
      const right = this.rows.some((row) => isNumber(row.cells[index]));
      return [...own, ...(seen ? [{ index, own: /** @type {OwnColumn | null} */ (null), title, right }] : [])];
    });
    this.body = make('tbody');
    this.more = make('p', { class: 'faint' });
    this.heads = this.shown.map((_, position) => this.head(position));
    this.element = make(
      'section',
      { class: 'report-table' },
      this.title(),
      this.rows.length === 0
        ? make('p', { class: 'faint', text: 'none' })
        : make(
            'div',
            { class: 'table-scroll' },
            make(
              'table',
              { class: 'grid' },
              make('caption', { class: 'unseen', text: tableTitle(table, options) }),
              make('thead', {}, make('tr', {}, ...this.heads)),
              this.body,
            ),
          ),
      this.more,
    );
    this.markOrder();
    this.draw();
  }

  title() {
    const tools =
      this.options.tools !== false &&
      this.rows.length > 0 &&
      make(
        'span',
        { class: 'table-tools' },
        button('CSV', () => this.copy('csv'), 'Copy this table as CSV'),
        button('JSON', () => this.copy('json'), 'Copy this table as JSON'),
        button('Save', () => saveFile(`${this.table.name}.csv`, 'text/csv', this.csv()), 'Save this table as CSV'),
      );
    return make('h3', {}, tableTitle(this.table, this.options), tools);
  }

  /** @param {number} position */
  head(position) {
    const column = this.shown[position];
    return make(
      'th',
      { class: column?.right ? 'right' : '', attributes: { scope: 'col', 'aria-sort': 'none' } },
      button(plain(column?.title ?? '', 80) || '\u00a0', () => this.sortBy(position), 'Sort by this column'),
    );
  }

  /**
   * Sorts, the largest or first first; then the other way; then as the report had it.
   * @param {number} column
   */
  sortBy(column) {
    const again = this.order?.column === column;
    if (again && this.order?.reverse) {
      this.order = null;
    } else {
      this.order = { column, reverse: again };
    }
    this.options.orders?.set(this.table.name, this.order);
    this.markOrder();
    this.draw();
  }

  markOrder() {
    this.heads.forEach((head, index) => {
      const chosen = this.order?.column === index;
      head.setAttribute('aria-sort', !chosen ? 'none' : this.order?.reverse ? 'ascending' : 'descending');
    });
  }

  /**
   * Shows only rows in which a text occurs.
   * @param {string} text
   */
  setFilter(text) {
    this.filter = text.toLowerCase();
    this.draw();
  }

  ordered() {
    const { filter, order } = this;
    const rows =
      filter === ''
        ? [...this.rows]
        : this.rows.filter((row) =>
            row.cells.some((cell) => cell && String(cellValue(cell)).toLowerCase().includes(filter)),
          );
    const column = order && this.shown[order.column];
    if (order && column) {
      const value = (/** @type {typeof rows[0]} */ row) =>
        column.own ? column.own.sort(row.named) : cellValue(row.cells[column.index] ?? null);
      rows.sort((a, b) => (order.reverse ? -1 : 1) * compareValues(value(a), value(b)));
    }
    return rows;
  }

  draw() {
    const rows = this.ordered();
    fill(
      this.body,
      ...rows
        .slice(0, this.limit)
        .map((row) =>
          make(
            'tr',
            {},
            ...this.shown.map((column) =>
              column.own ? make('td', {}, column.own.draw(row.named)) : this.cell(row, column.index, column.right),
            ),
          ),
        ),
    );
    const hidden = rows.length - this.limit;
    fill(
      this.more,
      hidden > 0
        ? button(`Show ${countText(hidden)} more rows`, () => {
            this.limit = Infinity;
            this.draw();
          })
        : null,
      rows.length === 0 && this.rows.length > 0 ? 'No row has this text.' : null,
    );
  }

  /**
   * @param {TableRow} row
   * @param {number} index
   * @param {boolean} right whether the column is one of numbers
   */
  cell(row, index, right) {
    const cell = row.cells[index] ?? null;
    const td = make('td', { class: right && cell?.text === undefined ? 'right' : '' });
    if (cell?.bar) {
      td.append(partBar(cell.bar[0] / Math.max(1, cell.bar[1])));
      return td;
    }
    const text = cellText(cell);
    const name = this.table.columns[index]?.name ?? '';
    const link = cell && this.options.link?.(row.named, name, this.table);
    td.append(
      link ? make('button', { class: 'link', text, attributes: { type: 'button' }, on: { click: link } }) : text,
    );
    if (cell?.percent !== undefined) {
      td.className = 'right percent';
      td.style.setProperty('--part', `${Math.min(100, Math.max(0, cell.percent))}%`);
    }
    if (cell?.branch && !this.order) {
      td.style.paddingLeft = `${8 + 14 * cell.branch}px`;
    }
    if (text.length > 60) {
      td.classList.add('long');
      td.title = text;
    }
    return td;
  }

  /** What programs get: the columns with names. */
  named() {
    return this.ordered().map((row) =>
      Object.fromEntries(
        this.table.columns
          .map((column, index) => [column.name, cellValue(row.cells[index] ?? null)])
          .filter(([name]) => name !== ''),
      ),
    );
  }

  csv() {
    const names = this.table.columns.map((column) => column.name).filter((name) => name !== '');
    const lines = this.named().map((row) => names.map((name) => csvText(row[name])).join(','));
    return `${[names.join(','), ...lines].join('\n')}\n`;
  }

  /** @param {'csv' | 'json'} format */
  async copy(format) {
    const text = format === 'csv' ? this.csv() : `${JSON.stringify(this.named(), null, 2)}\n`;
    const worked = await copyText(text);
    this.more.textContent = worked
      ? `Copied ${countText(this.rows.length)} rows.`
      : 'The browser does not let the page copy.';
  }
}

/**
 * A value of a CSV file. What a spreadsheet would take for a formula gets an apostrophe before it.
 * @param {unknown} value
 */
export function csvText(value) {
  const text = value === null || value === undefined ? '' : String(value);
  const safe = typeof value === 'string' && /^[=+@\t\r]|^-\D/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/**
 * A bar that is a part of its place.
 * @param {number} part 0 to 1
 */
export function partBar(part) {
  const bar = make(
    'span',
    { class: 'part-bar', attributes: { role: 'img', 'aria-label': percentText(100 * part) } },
    make('span'),
  );
  /** @type {HTMLElement} */ (bar.firstChild).style.width = `${100 * Math.min(1, Math.max(0, part))}%`;
  return bar;
}

/**
 * A table that describes one thing: names and values, one below the other.
 * @param {Table} table
 * @param {TableOptions} [options]
 */
export function recordTable(table, options = {}) {
  const cells = table.rows[0] ?? [];
  const named = namedRow(table, cells);
  // Numbers stand below each other at the right, sentences begin at the left.
  const isWordy = cells.some((cell) => (cell?.text ?? '').length > 40);
  const lines = table.columns.flatMap((column, index) => {
    if (column.title === '' && column.name !== '') {
      return [];
    }
    const text = cellText(cells[index] ?? null, RECORD_LENGTH_MAX);
    const link = cells[index] && options.link?.(named, column.name, table);
    const value = link ? make('button', { class: 'link', text, on: { click: link } }) : text;
    return [
      make(
        'tr',
        {},
        make('th', { text: plain(column.title, 80), attributes: { scope: 'row' } }),
        make('td', {}, value),
      ),
    ];
  });
  return make(
    'section',
    { class: 'report-table' },
    make('h3', { text: tableTitle(table, options) }),
    make('table', { class: isWordy ? 'record wordy' : 'record' }, ...lines),
  );
}

/**
 * Draws any table of a report.
 * @param {Table} table
 * @param {TableOptions} [options]
 */
export function drawTable(table, options = {}) {
  return table.shape === 'record' ? recordTable(table, options) : new ReportTable(table, options).element;
}
