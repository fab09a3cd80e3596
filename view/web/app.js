// What all pages share: the trace, what is shown of it, and who wants to know when that changes.

import { errorText } from './dom.js';
import { readAddress, writeAddress } from './address.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').ViewState} ViewState */
/** @typedef {import('./types.d.ts').Meta} Meta */
/** @typedef {import('./types.d.ts').Row} Row */

/** How long the address waits for a movement to end; browsers allow only so many changes of it. */
const ADDRESS_WAIT_MS = 250;
/** How long to wait before asking again what a growing trace holds. */
const GROWTH_WAIT_MS = 500;
/** Name under which the browser keeps which theme was chosen. */
const THEME_NAME = 'guesttrace.theme';

/** @implements {App} */
export class ViewApp {
  /**
   * @param {Source[]} sources
   * @param {string[]} names
   * @param {{ name: string, doc: string }[]} reports
   * @param {boolean} embedded
   */
  constructor(sources, names, reports, embedded) {
    this.sources = sources;
    this.names = names;
    this.reports = reports;
    this.embedded = embedded;
    this.source = /** @type {Source} */ (sources[0]);
    this.meta = /** @type {Meta} */ (/** @type {unknown} */ (null));
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Readonly<ViewState>} */
    this.state = {
      view: '',
      trace: 0,
      from: 0,
      to: 1,
      selection: null,
      cursor: null,
      row: null,
      filter: '',
      extra: {},
    };
    /** What says something at the edge of the page; the shell puts it here. */
    this.sayAt = (/** @type {string} */ text, /** @type {'info' | 'error'} */ _tone) => console.info(text);
    /** @type {Record<'state' | 'data' | 'theme', Set<() => void>>} */
    this.calls = { state: new Set(), data: new Set(), theme: new Set() };
    /** @type {Map<string, string>} */
    this.colors = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.addressTimer = undefined;
    this.probe = document.createElement('span');
    this.probe.hidden = true;
    document.body.append(this.probe);
  }

  /** Loads the trace that the address names, and follows the address and the trace from then on. */
  async start() {
    this.applyTheme(this.theme());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.themeChanged());
    const parts = readAddress(location.hash);
    await this.load(parts.trace < this.sources.length ? parts.trace : 0);
    this.state = this.stateOf(parts);
    addEventListener('popstate', () => this.followAddress());
    this.follow();
  }

  /**
   * Asks a trace what it holds.
   * @param {number} trace
   */
  async load(trace) {
    const source = /** @type {Source} */ (this.sources[trace]);
    const [meta, rows] = await Promise.all([source.meta(), source.rows()]);
    Object.assign(this, { source, meta, rows });
  }

  /**
   * What an address means for this trace.
   * @param {ReturnType<typeof readAddress>} parts
   * @returns {ViewState}
   */
  stateOf(parts) {
    const end = Math.max(1, this.meta.end_ns);
    // Of a trace that grows, an address may name times that have not come yet.
    const last = this.meta.done ? end : Infinity;
    const [from, to] = [parts.from ?? 0, Math.min(last, parts.to ?? end)];
    const within = from < to;
    const trace = parts.trace < this.sources.length ? parts.trace : 0;
    return { ...parts, trace, from: within ? from : 0, to: within ? to : end };
  }

  /** Shows what the address says, after back and forward or when somebody has changed it. */
  async followAddress() {
    clearTimeout(this.addressTimer);
    const parts = readAddress(location.hash);
    if (parts.trace !== this.state.trace && parts.trace < this.sources.length) {
      await this.change(parts.trace, 'replace', () => this.stateOf(parts));
    } else {
      this.state = this.stateOf(parts);
      this.fire('state');
    }
  }

  /** @type {App['go']} */
  go(change, history = 'replace') {
    const before = this.state;
    if (history === 'push') {
      this.writeAddressNow();
    }
    const next = { ...before, ...change };
    if (change.from !== undefined || change.to !== undefined) {
      const end = Math.max(1, this.meta.end_ns);
      next.from = Math.min(Math.max(0, next.from), end - 1);
      next.to = Math.min(Math.max(next.from + 1, next.to), Math.max(end, next.from + 1));
    }
    if (next.trace !== before.trace) {
      this.change(next.trace, history, () => {
        const to = Math.max(1, this.meta.end_ns);
        return { ...next, from: 0, to, selection: null, cursor: null, row: null };
      });
      return;
    }
    this.state = next;
    this.remember(history);
    this.fire('state');
  }

  /**
   * Shows another trace.
   * @param {number} trace
   * @param {'push' | 'replace'} history
   * @param {() => ViewState} state what is shown of it, asked for when it has been loaded
   */
  async change(trace, history, state) {
    try {
      await this.load(trace);
    } catch (error) {
      this.say(errorText(error), 'error');
      return;
    }
    this.state = state();
    this.remember(history);
    this.fire('data');
    this.fire('state');
    this.follow();
  }

  /**
   * Puts what is shown into the address; what the address says already makes no entry of the history.
   * @param {'push' | 'replace'} history
   */
  remember(history) {
    const address = writeAddress(this.state, this.meta.end_ns);
    if (history === 'push' && address !== location.hash) {
      clearTimeout(this.addressTimer);
      window.history.pushState(null, '', address);
    } else {
      this.writeAddressSoon();
    }
  }

  writeAddressSoon() {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => this.writeAddressNow(), ADDRESS_WAIT_MS);
  }

  writeAddressNow() {
    clearTimeout(this.addressTimer);
    const address = writeAddress(this.state, this.meta.end_ns);
    if (address !== location.hash) {
      window.history.replaceState(null, '', address);
    }
  }

  /** The address that shows the same to somebody else. */
  link() {
    this.writeAddressNow();
    return location.href;
  }

  /** Asks again and again while the trace grows. */
  follow() {
    clearTimeout(this.growthTimer);
    if (this.meta.done) {
      return;
    }
    this.growthTimer = setTimeout(
      async () => {
        try {
          await this.grow();
        } catch (error) {
          this.say(errorText(error), 'error');
        }
        this.follow();
      },
      document.hidden ? 4 * GROWTH_WAIT_MS : GROWTH_WAIT_MS,
    );
  }

  async grow() {
    const source = this.source;
    const meta = await source.meta();
    const changed = meta.version !== this.meta.version || meta.done !== this.meta.done;
    const rows = changed ? await source.rows() : this.rows;
    if (source !== this.source) {
      return;
    }
    const sawAll = this.state.from === 0 && this.state.to === Math.max(1, this.meta.end_ns);
    const grew = meta.end_ns !== this.meta.end_ns;
    this.meta = meta;
    this.rows = rows;
    this.fire('data');
    // Who sees everything goes on seeing everything; nothing else moves unless the graph is told to follow the end.
    if (sawAll && grew) {
      this.go({ from: 0, to: meta.end_ns });
    }
  }

  /** @type {App['on']} */
  on(what, call) {
    this.calls[what].add(call);
    return () => this.calls[what].delete(call);
  }

  /**
   * Tells everybody; who fails does not keep it from the others.
   * @param {'state' | 'data' | 'theme'} what
   */
  fire(what) {
    for (const call of [...this.calls[what]]) {
      try {
        call();
      } catch (error) {
        console.error(error);
        this.say(errorText(error), 'error');
      }
    }
  }

  /** @type {App['say']} */
  say(text, tone = 'info') {
    this.sayAt(text, tone);
  }

  /** @type {App['color']} */
  color(name) {
    let color = this.colors.get(name);
    if (color === undefined) {
      this.probe.style.color = '';
      this.probe.style.color = `var(--kind-${name}, var(--${name}, currentcolor))`;
      color = getComputedStyle(this.probe).color;
      this.colors.set(name, color);
    }
    return color;
  }

  /** The chosen theme: `system`, `dark` or `light`. */
  theme() {
    try {
      const kept = localStorage.getItem(THEME_NAME);
      return kept === 'dark' || kept === 'light' ? kept : 'system';
    } catch {
      return 'system';
    }
  }

  /**
   * Chooses a theme and keeps the choice.
   * @param {string} theme
   */
  setTheme(theme) {
    keep(THEME_NAME, theme);
    this.applyTheme(theme);
  }

  /** @param {string} theme */
  applyTheme(theme) {
    if (theme === 'dark' || theme === 'light') {
      document.documentElement.dataset.theme = theme;
    } else {
      delete document.documentElement.dataset.theme;
    }
    this.themeChanged();
  }

  themeChanged() {
    this.colors.clear();
    this.fire('theme');
  }
}

/**
 * Keeps something small in the browser, where that is allowed.
 * @param {string} name
 * @param {string} value
 */
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A page from a file, or one in a private window, forgets.
  }
}

/**
 * What was kept, or null.
 * @param {string} name
 */
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
