// A list of any number of events that scrolls by exact rows: only what is in sight exists.

import { fill, make, oncePerFrame } from './dom.js';
import { countText } from './time.js';
import { RAW_COLUMNS, eventColor, fillFields, rawText } from './raw_columns.js';
import { EventCache } from './raw_events.js';

/** @typedef {import('./types.d.ts').TraceEvent} TraceEvent */

/** Height of a row in pixels; the style sheet has the same. */
const ROW_PIXELS = 22;
/** Height of what the bar scrolls: browsers do not allow elements as high as all rows would be. */
const BAR_PIXELS_MAX = 5_000_000;

/**
 * @typedef {object} RawRow
 * @property {HTMLElement} element
 * @property {HTMLElement[]} cells
 * @property {string} key what it shows
 */

export class RawList {
  /**
   * @param {{ select: (event: TraceEvent, index: number) => void, open: () => void, failed: (text: string) => void,
   *   name: (event: number) => string, counted: () => void }} options
   */
  constructor(options) {
    this.options = options;
    this.cache = new EventCache(() => this.changed(), options.failed);
    this.columns = RAW_COLUMNS.filter((column) => column.shown);
    /** Place of the row at the top, with the part of it that is scrolled away. */
    this.top = 0;
    /** Place of the selected row, and the other end of the selected rows. */
    this.selected = -1;
    this.anchor = -1;
    /** Time that deltas are to, or null for the row before. */
    /** @type {number | null} */
    this.mark = null;
    this.marked = -1;
    /** @type {RawRow[]} */
    this.rows = [];
    this.barTop = 0;
    this.head = make('div', { class: 'raw-head', attributes: { role: 'row' } });
    this.body = make('div', { class: 'raw-body' });
    this.spacer = make('div', { class: 'raw-spacer' });
    this.bar = make('div', { class: 'raw-bar', attributes: { 'aria-hidden': 'true', tabindex: -1 } }, this.spacer);
    this.empty = make('div', { class: 'raw-empty faint' });
    this.view = make(
      'div',
      {
        class: 'raw-view',
        attributes: { role: 'grid', tabindex: 0, 'aria-label': 'events', 'aria-readonly': 'true' },
      },
      this.head,
      this.body,
      this.empty,
    );
    this.element = make('div', { class: 'raw-list' }, this.view, this.bar);
    this.draw = oncePerFrame(() => this.drawNow());
    this.view.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    this.bar.addEventListener('scroll', () => this.barScrolled());
    this.body.addEventListener('mousedown', (event) => this.pressed(event));
    this.body.addEventListener('dblclick', () => options.open());
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.setColumns(this.columns.map((column) => column.name));
  }

  /** @param {string[]} names */
  setColumns(names) {
    this.columns = RAW_COLUMNS.filter((column) => names.includes(column.name));
    this.element.style.setProperty('--raw-columns', this.columns.map((column) => column.width).join(' '));
    fill(
      this.head,
      ...this.columns.map((column) =>
        make('span', {
          class: column.right ? 'right' : '',
          text: column.title,
          attributes: { role: 'columnheader' },
        }),
      ),
    );
    this.rows = [];
    this.body.replaceChildren();
    this.draw();
  }

  changed() {
    this.options.counted();
    for (const row of this.rows) {
      if (row.key.endsWith(' ?')) {
        row.key = '';
      }
    }
    this.draw();
  }

  /** Shows all rows anew. */
  redraw() {
    for (const row of this.rows) {
      row.key = '';
    }
    this.draw();
  }

  /** How many whole rows fit. */
  get fits() {
    return Math.max(1, Math.floor(this.body.clientHeight / ROW_PIXELS));
  }

  get topMax() {
    return Math.max(0, this.cache.total - this.body.clientHeight / ROW_PIXELS);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (event.ctrlKey || event.shiftKey) {
      return;
    }
    const unit = event.deltaMode === 1 ? 1 : event.deltaMode === 2 ? this.fits : 1 / ROW_PIXELS;
    this.scrollTo(this.top + event.deltaY * unit);
    event.preventDefault();
  }

  /** @param {number} top */
  scrollTo(top) {
    this.top = Math.min(Math.max(0, top), this.topMax);
    // Who scrolls wants what has failed to be tried again.
    this.cache.error = '';
    this.draw();
  }

  /** The bar goes by proportion, unless it stands where it was put. */
  barScrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.bar;
    if (Math.abs(scrollTop - this.barTop) > 1) {
      this.barTop = scrollTop;
      this.top = (scrollTop / Math.max(1, scrollHeight - clientHeight)) * this.topMax;
      this.draw();
    }
  }

  placeBar() {
    const pixels = Math.min(BAR_PIXELS_MAX, this.cache.total * ROW_PIXELS);
    if (this.spacer.offsetHeight !== pixels) {
      this.spacer.style.height = `${pixels}px`;
    }
    const top = (this.top / Math.max(1e-9, this.topMax)) * Math.max(0, this.bar.scrollHeight - this.bar.clientHeight);
    if (Math.abs(top - this.barTop) > 1) {
      this.bar.scrollTop = top;
      this.barTop = this.bar.scrollTop;
    }
  }

  /** @param {MouseEvent} event */
  pressed(event) {
    if (event.button === 0) {
      const y = event.clientY - this.body.getBoundingClientRect().top;
      this.select(Math.floor(this.top + y / ROW_PIXELS), event.shiftKey);
    }
  }

  /**
   * Selects a row, or all from the one that was selected to it.
   * @param {number} index
   * @param {boolean} extend
   */
  select(index, extend) {
    if (this.cache.total === 0) {
      return;
    }
    this.selected = Math.min(Math.max(0, index), this.cache.total - 1);
    if (!extend || this.anchor < 0) {
      this.anchor = this.selected;
    }
    this.reveal(this.selected);
    const event = this.cache.get(this.selected);
    if (event) {
      this.options.select(event, this.selected);
    }
  }

  /** The selected rows: first and last, or null. */
  range() {
    return this.selected < 0 ? null : [Math.min(this.selected, this.anchor), Math.max(this.selected, this.anchor)];
  }

  /**
   * Scrolls so that a row is in sight; in the middle if it was not.
   * @param {number} index
   */
  reveal(index) {
    const rows = this.body.clientHeight / ROW_PIXELS;
    if (index < this.top - 1.01 || index > this.top + rows + 0.01) {
      this.scrollTo(index - rows / 2);
    } else if (index < this.top) {
      this.scrollTo(index);
    } else if (index + 1 > this.top + rows) {
      this.scrollTo(index + 1 - rows);
    }
    this.draw();
  }

  drawNow() {
    const height = this.body.clientHeight;
    if (height === 0) {
      return;
    }
    this.top = Math.min(this.top, this.topMax);
    const first = Math.floor(this.top);
    const count = Math.min(Math.ceil(height / ROW_PIXELS) + 1, this.cache.total - first);
    this.cache.want(first - 1, first + count);
    this.makeRows(Math.ceil(height / ROW_PIXELS) + 1);
    const shift = (this.top - first) * ROW_PIXELS;
    for (let offset = 0; offset < this.rows.length; offset += 1) {
      const index = first + offset;
      const row = /** @type {RawRow} */ (this.rows[index % this.rows.length]);
      row.element.hidden = offset >= count;
      if (offset < count) {
        row.element.style.transform = `translateY(${Math.round(offset * ROW_PIXELS - shift)}px)`;
        this.drawRow(row, index);
      }
    }
    this.view.setAttribute('aria-rowcount', String(this.cache.total));
    this.empty.hidden = this.cache.total > 0;
    const { complete, error } = this.cache;
    this.empty.textContent = error || (complete ? 'No event passes the filter.' : 'Looking for events …');
    this.placeBar();
  }

  /** @param {number} count */
  makeRows(count) {
    while (this.rows.length < count) {
      const cells = this.columns.map((column) =>
        make('span', {
          class: `${column.name}${column.right ? ' right' : ''}`,
          attributes: { role: 'gridcell' },
        }),
      );
      const element = make('div', { class: 'raw-row', attributes: { role: 'row' } }, ...cells);
      element.id = `raw-row-${this.rows.length}`;
      this.rows.push({ element, cells, key: '' });
      this.body.append(element);
      // Another number of rows puts each event into another row.
      this.rows.forEach((row) => {
        row.key = '';
      });
    }
  }

  /**
   * @param {RawRow} row
   * @param {number} index
   */
  drawRow(row, index) {
    const event = this.cache.get(index);
    const before = this.cache.get(index - 1);
    const since = this.mark ?? before?.at ?? null;
    const [first, last] = this.range() ?? [-1, -1];
    const chosen = index >= first && index <= last;
    const key = `${index} ${since} ${chosen} ${index === this.selected} ${this.marked} ${event ? '' : ' ?'}`;
    if (row.key === key) {
      return;
    }
    row.key = key;
    row.element.setAttribute('aria-rowindex', String(index + 1));
    row.element.setAttribute('aria-selected', String(chosen));
    row.element.classList.toggle('current', index === this.selected);
    row.element.classList.toggle('marked', event !== undefined && event.n === this.marked);
    if (index === this.selected) {
      this.view.setAttribute('aria-activedescendant', row.element.id);
    }
    this.columns.forEach((column, place) =>
      this.drawCell(/** @type {HTMLElement} */ (row.cells[place]), column.name, event, since),
    );
  }

  /**
   * @param {HTMLElement} cell
   * @param {string} column
   * @param {TraceEvent | undefined} event
   * @param {number | null} since
   */
  drawCell(cell, column, event, since) {
    if (!event) {
      cell.textContent = column === 'fields' ? '…' : '';
      return;
    }
    const name = this.options.name(event.event);
    if (column === 'fields') {
      fillFields(cell, event);
      return;
    }
    cell.textContent = rawText(column, event, name, since, false);
    if (column === 'event') {
      cell.style.setProperty('--event-color', `var(--kind-${eventColor(name)})`);
    }
  }

  /** How many events there are, in words. */
  countedText() {
    const { total, complete, seen, filter } = this.cache;
    if (filter === '') {
      return `${countText(total)} events`;
    }
    return complete
      ? `${countText(total)} events pass`
      : `${countText(total)} of the first ${countText(seen)} pass …`;
  }
}
