// The raw trace: the list of all events with filter, search, columns, details and export.

import { keep, kept } from './app.js';
import { button, copyText, errorText, fill, make, menu } from './dom.js';
import { FilterBox, bothFilters } from './filter_box.js';
import { timesFilter } from './page_parts.js';
import { RawList } from './raw.js';
import { RAW_COLUMNS, eventKinds, fillDetails, rawText } from './raw_columns.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').TraceEvent} TraceEvent */

/** Name under which the browser keeps the chosen columns. */
const COLUMNS_NAME = 'guesttrace.raw.columns';
/** Most rows that are copied at once. */
const COPY_ROWS_MAX = 20_000;
/** How many events at the same time are looked through for a certain one. */
const SAME_TIME_MAX = 1000;
/** Width of a window that has place for the details beside the list. */
const DETAILS_WIDTH = 1200;
/** Part of the graph's range that the cursor keeps from its edges when it is shown there. */
const GRAPH_EDGE = 0.1;

/**
 * Makes the page of the list of events.
 * @param {App} app
 * @returns {Page}
 */
export function rawPage(app) {
  const page = new RawPage(app);
  return {
    name: 'raw',
    title: 'Raw trace',
    key: '3',
    element: page.element,
    keys: [
      ['↑ ↓ j k', 'row before, row after (with Shift: select several)'],
      ['Page ↑ ↓', 'a screen up, down'],
      ['Home End', 'first, last event'],
      ['f', 'filter'],
      ['/', 'search'],
      ['n N', 'next, previous event that the search finds'],
      ['m', 'measure from this row; again: from the row before'],
      ['Enter', 'all fields of the event'],
      ['g', 'show in the graph'],
      ['c', 'copy the selected rows'],
    ],
    show: () => page.show(),
    hide: () => page.hide(),
    keydown: (event) => page.keydown(event),
  };
}

class RawPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.shown = false;
    /** The time that the cursor was put to from here, which is not to be followed. */
    this.ownCursor = /** @type {number | null} */ (null);
    this.filter = /** @type {string | null} */ (null);
    this.source = app.source;
    this.kinds = eventKinds(app);
    this.list = new RawList({
      select: (event) => this.selected(event),
      open: () => this.toggleDetails(true),
      failed: (text) => this.failed(text),
      name: (event) => this.kinds.get(event)?.name ?? `event ${event}`,
      counted: () => this.counted(),
    });
    const leave = () => this.list.view.focus();
    this.filterBox = new FilterBox(app, {
      name: 'filter',
      hint: app.meta.features.filter
        ? 'Filter, such as event == sched_switch && prev_pid in (1, 2)'
        : 'Only events with this text',
      apply: (text) => {
        app.go({ filter: text }, 'push');
        leave();
      },
      leave,
    });
    this.searchBox = new FilterBox(app, {
      name: 'search',
      hint: app.meta.features.filter ? 'Search by the same language' : 'Search for text',
      apply: (text) => {
        app.go({ extra: { ...app.state.extra, 'raw.search': text } });
        leave();
        this.find('next');
      },
      leave,
    });
    this.onlySelection = button(
      'Only selected times',
      () => app.go({ filter: bothFilters(app.state.filter, timesFilter(app)) }, 'push'),
      'Add the times that are selected in the graph to the filter',
    );
    this.count = make('span', { class: 'faint count', attributes: { role: 'status' } });
    this.details = make('aside', { class: 'raw-details', attributes: { 'aria-label': 'the selected event' } });
    this.details.hidden = (kept('guesttrace.raw.details') ?? (innerWidth < DETAILS_WIDTH ? 'no' : 'yes')) === 'no';
    this.element = make(
      'div',
      { class: 'page raw' },
      this.toolbar(),
      make('div', { class: 'raw-main' }, this.list.element, this.details),
    );
    this.applyColumns((kept(COLUMNS_NAME) ?? '').split(',').filter(Boolean));
    app.on('state', () => this.update());
    app.on('data', () => this.grown());
    this.fillDetails(null);
  }

  toolbar() {
    this.columnBoxes = RAW_COLUMNS.map((column) =>
      make('input', {
        attributes: { type: 'checkbox', name: column.name },
        on: { change: () => this.chooseColumns() },
      }),
    );
    const boxes = this.columnBoxes.map((box, index) => make('label', {}, box, RAW_COLUMNS[index]?.title ?? ''));
    const save = menu(
      'Save',
      button('Events as CSV', () => this.save('csv')),
      button('Events as JSON', () => this.save('json')),
      this.app.meta.features.cut && button('A trace of it', () => this.save('cut')),
      make('p', {
        class: 'faint',
        text: 'Of the selected times, else of those that the graph shows; what passes the filter.',
      }),
    );
    return make(
      'div',
      { class: 'toolbar' },
      this.filterBox.element,
      button('×', () => this.app.go({ filter: '' }, 'push'), 'No filter'),
      this.searchBox.element,
      button('↑', () => this.find('previous'), 'Previous event that the search finds (N)'),
      button('↓', () => this.find('next'), 'Next event that the search finds (n)'),
      this.count,
      this.onlySelection,
      button('Show in graph', () => this.toGraph(), 'Show the time of this event in the graph (g)'),
      button('Copy', () => this.copy(), 'Copy the selected rows (c)'),
      menu('Columns', ...boxes),
      this.app.source.exportUrl('csv', 0, 1, '') !== null && save,
      button('Fields', () => this.toggleDetails(), 'All fields of the selected event (Enter)'),
    );
  }

  /** @param {string[]} names */
  applyColumns(names) {
    const chosen =
      names.length > 0 ? names : RAW_COLUMNS.filter((column) => column.shown).map((column) => column.name);
    for (const box of this.columnBoxes ?? []) {
      box.checked = chosen.includes(box.name);
    }
    this.list.setColumns(chosen);
  }

  chooseColumns() {
    const names = (this.columnBoxes ?? []).filter((box) => box.checked).map((box) => box.name);
    keep(COLUMNS_NAME, names.join(','));
    this.applyColumns(names);
  }

  show() {
    this.shown = true;
    this.ownCursor = null;
    this.update();
    this.list.draw();
    this.list.view.focus({ preventScroll: true });
  }

  hide() {
    this.shown = false;
  }

  /** Follows the filter and the cursor, wherever they were set. */
  update() {
    const { state, source } = this.app;
    if (!this.shown) {
      return;
    }
    this.onlySelection.hidden = timesFilter(this.app) === '' || !this.app.meta.features.filter;
    const search = state.extra['raw.search'] ?? '';
    if (document.activeElement !== this.searchBox.input) {
      this.searchBox.set(search);
    }
    const fresh = state.filter !== this.filter || source !== this.source;
    if (fresh) {
      Object.assign(this, { filter: state.filter, source, kinds: eventKinds(this.app) });
      this.filterBox.set(state.filter);
      this.filterBox.check(false);
      Object.assign(this.list, { top: 0, selected: -1, anchor: -1 });
      this.list.cache.reset(source, state.filter);
      this.list.redraw();
      this.fillDetails(null);
    }
    const time = state.cursor ?? (state.from > 0 ? state.from : null);
    if (time !== null && (fresh || state.cursor !== this.ownCursor)) {
      this.follow(time, Number(state.extra['raw.event'] ?? -1));
    }
    this.ownCursor = state.cursor;
  }

  grown() {
    this.kinds = eventKinds(this.app);
    if (this.shown && this.filter !== null && this.source === this.app.source) {
      this.list.cache.refresh();
    }
  }

  /**
   * Selects the first event from a time on, or that with a number among those at this time.
   * @param {number} time
   * @param {number} number
   */
  async follow(time, number) {
    const { source, filter } = this;
    try {
      const first = await source.position(Math.ceil(time), filter ?? '');
      const page = await source.events(first, number >= 0 ? SAME_TIME_MAX : 1, filter ?? '');
      if (source !== this.source || filter !== this.filter) {
        return;
      }
      this.list.cache.total = Math.max(this.list.cache.total, page.total);
      const offset = Math.max(
        0,
        page.events.findIndex((event) => event.n === number && event.at === Math.ceil(time)),
      );
      const index = Math.max(0, Math.min(first + offset, page.total - 1));
      Object.assign(this.list, { selected: index, anchor: index });
      this.list.reveal(index);
      this.list.redraw();
      this.fillDetails(page.events[offset] ?? null);
    } catch (error) {
      this.failed(errorText(error));
    }
  }

  /** @param {TraceEvent} event */
  selected(event) {
    this.ownCursor = event.at;
    this.fillDetails(event);
    this.app.go({ cursor: event.at, extra: { ...this.app.state.extra, 'raw.event': String(event.n) } });
    this.list.draw();
  }

  /** @param {TraceEvent | null} event */
  fillDetails(event) {
    this.event = event;
    if (event) {
      fillDetails(this.details, this.app, event, (condition) => {
        const { state, meta } = this.app;
        this.app.go({ filter: meta.features.filter ? bothFilters(state.filter, condition) : condition }, 'push');
      });
    } else {
      fill(this.details, make('p', { class: 'faint', text: 'Select an event to see all of it.' }));
    }
  }

  /** @param {boolean} [open] */
  toggleDetails(open = Boolean(this.details.hidden)) {
    this.details.hidden = !open;
    keep('guesttrace.raw.details', open ? 'yes' : 'no');
  }

  /** @param {'next' | 'previous'} direction */
  async find(direction) {
    const search = this.app.state.extra['raw.search'] ?? '';
    if (search === '') {
      this.searchBox.focus();
      return;
    }
    const { source } = this;
    const from = this.event?.n ?? (direction === 'next' ? -1 : this.app.meta.events);
    try {
      const found = await source.find(Math.max(0, from), direction, this.searched(search));
      if (found && source === this.source) {
        await this.follow(found.at, found.n);
        this.ownCursor = found.at;
        this.app.go({ cursor: found.at, extra: { ...this.app.state.extra, 'raw.event': String(found.n) } });
      } else {
        this.app.say(
          direction === 'next' ? 'Nothing is found after this event.' : 'Nothing is found before this event.',
        );
      }
    } catch (error) {
      this.failed(errorText(error));
    }
  }

  /**
   * What the search looks for: what passes the filter, too, where both can be said at once.
   * @param {string} search
   */
  searched(search) {
    return this.app.meta.features.filter ? bothFilters(this.filter ?? '', search) : search;
  }

  toGraph() {
    const { event, app } = this;
    if (!event) {
      app.say('Select an event first.');
      return;
    }
    const { from, to } = app.state;
    const edge = (to - from) * GRAPH_EDGE;
    const inSight = event.at >= from + edge && event.at <= to - edge;
    const half = (to - from) / 2;
    const range =
      inSight || (from === 0 && to >= app.meta.end_ns) ? {} : { from: event.at - half, to: event.at + half };
    const row = app.rows.find(
      (one) =>
        one.type === 'thread' &&
        one.tid === event.tid &&
        one.born_ns <= event.at &&
        event.at <= (one.died_ns ?? Infinity),
    );
    app.go({ view: 'graph', cursor: event.at, ...range, row: row?.row ?? app.state.row }, 'push');
  }

  async copy() {
    const range = this.list.range();
    if (!range) {
      this.app.say('Select rows first.');
      return;
    }
    const [first, last] = [range[0] ?? 0, Math.min(range[1] ?? 0, (range[0] ?? 0) + COPY_ROWS_MAX - 1)];
    try {
      const lines = [this.list.columns.map((column) => column.title).join('\t')];
      /** @type {number | null} */
      let since = null;
      for (let at = first; at <= last; at += 1000) {
        const page = await this.source.events(at, Math.min(1000, last - at + 1), this.filter ?? '');
        for (const event of page.events) {
          const name = this.kinds.get(event.event)?.name ?? String(event.event);
          lines.push(
            this.list.columns
              .map((column) => rawText(column.name, event, name, this.list.mark ?? since, true))
              .join('\t'),
          );
          since = event.at;
        }
      }
      const worked = await copyText(`${lines.join('\n')}\n`);
      this.app.say(worked ? `${lines.length - 1} rows are copied.` : 'The browser does not let the page copy.');
    } catch (error) {
      this.failed(errorText(error));
    }
  }

  /** @param {'csv' | 'json' | 'cut'} format */
  save(format) {
    const { state, source } = this.app;
    const [from, to] = state.selection ?? [state.from, state.to];
    const address = source.exportUrl(format, from, to, state.filter);
    if (address !== null) {
      make('a', { attributes: { href: address, download: '' } }).click();
    }
  }

  mark() {
    const { event, list } = this;
    const again = event?.n === list.marked || !event;
    list.mark = again ? null : event.at;
    list.marked = again ? -1 : event.n;
    list.redraw();
    this.app.say(again ? 'Deltas are to the row before.' : 'Deltas are to the marked row.');
  }

  /** @param {string} text */
  failed(text) {
    this.app.say(text, 'error');
    this.count.textContent = '';
  }

  counted() {
    this.count.textContent = this.list.countedText();
    if (!this.event && this.list.selected >= 0) {
      this.fillDetails(this.list.cache.get(this.list.selected) ?? null);
    }
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return false;
    }
    const { list } = this;
    const steps = { ArrowDown: 1, j: 1, J: 1, ArrowUp: -1, k: -1, K: -1, PageDown: list.fits, PageUp: -list.fits };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step) {
      list.select(list.selected < 0 ? Math.ceil(list.top) : list.selected + step, event.shiftKey);
      return true;
    }
    /** @type {Record<string, () => void>} */
    const calls = {
      Home: () => list.select(0, event.shiftKey),
      End: () => list.select(list.cache.total - 1, event.shiftKey),
      f: () => this.filterBox.focus(),
      '/': () => this.searchBox.focus(),
      n: () => this.find('next'),
      N: () => this.find('previous'),
      m: () => this.mark(),
      Enter: () => this.toggleDetails(),
      g: () => this.toGraph(),
      c: () => this.copy(),
    };
    const call = calls[event.key];
    call?.();
    return call !== undefined;
  }
}
