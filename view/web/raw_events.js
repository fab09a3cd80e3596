// Events by their place in the list: a small number of pages of them, asked for when they come near.

import { errorText, isAbort } from './dom.js';

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').TraceEvent} TraceEvent */

/** Events of one page. */
const PAGE_EVENTS = 250;
/** Pages that are kept. */
const PAGES_KEPT = 60;
/** How long to wait before asking how far the filter is. */
const SEARCH_WAIT_MS = 300;

export class EventCache {
  /**
   * @param {() => void} changed called when there is more to show
   * @param {(text: string) => void} failed called with what went wrong
   */
  constructor(changed, failed) {
    this.changed = changed;
    this.failed = failed;
    /** @type {Source | null} */
    this.source = null;
    this.filter = '';
    /** What went wrong, or empty; nothing more is asked for then. */
    this.error = '';
    /** How many events there are, as far as is known. */
    this.total = 0;
    /** Whether all of the trace has been looked at, and how many events have. */
    this.complete = false;
    this.seen = 0;
    /** Pages by number, the one used last at the end. */
    /** @type {Map<number, TraceEvent[]>} */
    this.pages = new Map();
    /** @type {Map<number, AbortController>} */
    this.asked = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * Forgets everything and begins with other events.
   * @param {Source} source
   * @param {string} filter
   */
  reset(source, filter) {
    this.abort(() => true);
    clearTimeout(this.timer);
    Object.assign(this, { source, filter, total: 0, complete: false, seen: 0, error: '' });
    this.pages.clear();
    this.askPage(0);
  }

  /** Asks again how many there are, because the trace has grown. */
  refresh() {
    this.error = '';
    this.complete = false;
    this.countAgain();
  }

  /**
   * The event at a place, or undefined while it is not here.
   * @param {number} index
   */
  get(index) {
    const page = this.pages.get(Math.floor(index / PAGE_EVENTS));
    return page?.[index % PAGE_EVENTS];
  }

  /**
   * Says what is in sight: it is asked for, then what is next to it; what was asked for elsewhere is given up.
   * @param {number} first
   * @param {number} last
   */
  want(first, last) {
    const pageOf = (/** @type {number} */ index) =>
      Math.floor(Math.max(0, Math.min(index, this.total - 1)) / PAGE_EVENTS);
    const [low, high] = [pageOf(first), pageOf(last)];
    this.abort((page) => page < low - 1 || page > high + 1);
    for (let page = low; page <= high; page += 1) {
      this.askPage(page);
    }
    if (this.total > 0) {
      this.askPage(Math.min(high + 1, pageOf(this.total)));
      this.askPage(Math.max(low - 1, 0));
    }
  }

  /** @param {(page: number) => boolean} unwanted */
  abort(unwanted) {
    for (const [page, controller] of this.asked) {
      if (unwanted(page)) {
        controller.abort();
        this.asked.delete(page);
      }
    }
  }

  /** @param {number} page */
  isWhole(page) {
    const events = this.pages.get(page);
    if (!events) {
      return false;
    }
    // Used just now, so it is the last one to go.
    this.pages.delete(page);
    this.pages.set(page, events);
    return events.length === PAGE_EVENTS || (this.complete && page * PAGE_EVENTS + events.length >= this.total);
  }

  /** @param {number} page */
  async askPage(page) {
    const { source, filter } = this;
    if (!source || this.error !== '' || this.asked.has(page) || this.isWhole(page)) {
      return;
    }
    const controller = new AbortController();
    this.asked.set(page, controller);
    try {
      const answer = await source.events(page * PAGE_EVENTS, PAGE_EVENTS, filter, controller.signal);
      if (this.asked.get(page) !== controller) {
        return;
      }
      this.asked.delete(page);
      this.pages.set(page, answer.events);
      Object.assign(this, { total: answer.total, complete: answer.complete, seen: answer.seen });
      this.dropOld();
      this.countLater();
      this.changed();
    } catch (error) {
      if (this.asked.get(page) === controller) {
        this.asked.delete(page);
        if (!isAbort(error)) {
          this.error = errorText(error);
          this.failed(this.error);
          this.changed();
        }
      }
    }
  }

  dropOld() {
    for (const page of this.pages.keys()) {
      if (this.pages.size <= PAGES_KEPT) {
        return;
      }
      this.pages.delete(page);
    }
  }

  /** While the filter still looks at the rest, the number of events grows. */
  countLater() {
    clearTimeout(this.timer);
    if (!this.complete) {
      this.timer = setTimeout(() => this.countAgain(), SEARCH_WAIT_MS);
    }
  }

  async countAgain() {
    const { source, filter } = this;
    try {
      const answer = await source?.events(0, 0, filter);
      if (answer && source === this.source && filter === this.filter) {
        Object.assign(this, { total: answer.total, complete: answer.complete, seen: answer.seen });
        this.changed();
        this.countLater();
      }
    } catch (error) {
      this.failed(errorText(error));
    }
  }
}
