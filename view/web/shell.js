// What is around every page: tabs, the name of the trace, what was lost, help, theme, and where keys go.

import { button, choice, copyText, fill, make, plain } from './dom.js';
import { countText, timeText } from './time.js';
import { Banner } from './banner.js';
import { HelpBox } from './help.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./app.js').ViewApp} ViewApp */

/** How long a message stays. */
const MESSAGE_MS = 5000;

export class Shell {
  /**
   * @param {ViewApp} app
   * @param {HTMLElement} place
   * @param {((app: App) => Page | null)[]} makers
   */
  constructor(app, place, makers) {
    this.app = app;
    /** @type {Page[]} */
    this.pages = makers.map((maker) => maker(app)).filter((page) => page !== null);
    /** @type {Page | null} */
    this.shown = null;
    this.tabs = this.pages.map((page) => this.tab(page));
    this.name = make('span', { class: 'trace-name' });
    this.progress = make('progress', { attributes: { max: 1, 'aria-label': 'indexed part of the trace' } });
    this.growth = make('span', { class: 'growth', attributes: { role: 'status' } }, this.progress, make('span'));
    this.banner = new Banner(app);
    this.help = new HelpBox(() => ({ page: this.shown, pages: this.pages }));
    this.messages = make('div', { class: 'messages', attributes: { role: 'status', 'aria-live': 'polite' } });
    this.main = make('main', { attributes: { tabindex: -1 } });
    app.sayAt = (text, tone) => this.say(text, tone);
    place.className = 'shell';
    fill(place, this.header(), this.banner.element, this.main, this.messages, this.help.element);
    app.on('state', () => this.update());
    app.on('data', () => this.updateData());
    document.addEventListener('keydown', (event) => this.keydown(event));
  }

  header() {
    const themes = /** @type {[string, string][]} */ ([
      ['system', 'system'],
      ['dark', 'dark'],
      ['light', 'light'],
    ]);
    const theme = choice(themes, this.app.theme(), (value) => this.app.setTheme(value));
    theme.setAttribute('aria-label', 'theme');
    theme.title = 'Theme';
    return make(
      'header',
      { class: 'top' },
      make('span', { class: 'brand', text: 'guesttrace' }),
      this.traceChoice(),
      make('nav', { class: 'tabs', attributes: { role: 'tablist', 'aria-label': 'views' } }, ...this.tabs),
      this.growth,
      make(
        'span',
        { class: 'tools' },
        button('Copy link', () => this.copyLink(), 'Copy the address that shows exactly this'),
        theme,
        button('?', () => this.help.toggle(), 'Keys and help (?)'),
      ),
    );
  }

  /** The name of the trace; of several, a list. */
  traceChoice() {
    if (this.app.names.length < 2) {
      return this.name;
    }
    const names = this.app.names.map(
      (name, index) => /** @type {[string, string]} */ ([String(index), plain(name, 80)]),
    );
    const list = choice(names, String(this.app.state.trace), (value) =>
      this.app.go({ trace: Number(value) }, 'push'),
    );
    list.setAttribute('aria-label', 'trace');
    this.app.on('state', () => {
      list.value = String(this.app.state.trace);
    });
    return list;
  }

  /** @param {Page} page */
  tab(page) {
    const tab = button(page.title, () => this.app.go({ view: page.name }, 'push'));
    tab.id = `tab-${page.name}`;
    tab.setAttribute('role', 'tab');
    if (page.key) {
      tab.append(make('kbd', { text: page.key, attributes: { 'aria-hidden': 'true' } }));
      tab.setAttribute('aria-keyshortcuts', page.key);
    }
    tab.addEventListener('keydown', (event) => this.moveTab(event, page));
    return tab;
  }

  /**
   * The arrow keys go from tab to tab, as everywhere.
   * @param {KeyboardEvent} event
   * @param {Page} page
   */
  moveTab(event, page) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const index = (this.pages.indexOf(page) + step + this.pages.length) % this.pages.length;
      this.app.go({ view: this.pages[index]?.name ?? page.name }, 'push');
      this.tabs[index]?.focus();
      event.preventDefault();
    }
  }

  /** Shows the page that the state names. */
  show() {
    this.updateData();
    this.update();
  }

  update() {
    const page = this.pages.find((one) => one.name === this.app.state.view) ?? this.pages[0];
    if (!page || page === this.shown) {
      return;
    }
    this.shown?.hide();
    this.shown = page;
    if (page.name !== this.app.state.view) {
      this.app.go({ view: page.name });
    }
    page.element.setAttribute('role', 'tabpanel');
    page.element.setAttribute('aria-labelledby', `tab-${page.name}`);
    fill(this.main, page.element);
    this.tabs.forEach((tab, index) => {
      const chosen = this.pages[index] === page;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    });
    page.show();
    this.updateTitle();
    // What had the focus is gone with its page: keys that scroll shall scroll this one.
    if (!document.activeElement || document.activeElement === document.body) {
      const scroller = page.element.querySelector('.scrolls') ?? this.main;
      scroller.setAttribute('tabindex', '-1');
      /** @type {HTMLElement} */ (scroller).focus({ preventScroll: true });
    }
  }

  updateTitle() {
    document.title = `${this.shown?.title ?? ''} – ${plain(this.app.meta.name, 60)} – guesttrace`;
  }

  updateData() {
    const { meta } = this.app;
    const name = plain(meta.name, 60);
    this.name.textContent = name;
    const facts = [
      `${countText(meta.events)} events`,
      `${timeText(meta.end_ns, 1000)} s`,
      `${meta.cpus} CPUs`,
      meta.format,
    ];
    this.name.title = `${plain(meta.name)}\n${facts.join('\n')}`;
    this.updateTitle();
    this.growth.hidden = meta.done;
    this.growth.title = meta.live ? 'The trace is being recorded' : 'How much of the trace has been gone through';
    this.growth.classList.toggle('recording', meta.live);
    this.progress.hidden = meta.live;
    this.progress.value = meta.progress;
    const words = meta.live ? '● recording' : `${Math.floor(100 * meta.progress)} %`;
    /** @type {HTMLElement} */ (this.growth.lastChild).textContent = words;
    this.banner.update();
  }

  async copyLink() {
    const worked = await copyText(this.app.link());
    this.app.say(
      worked ? 'The link is copied.' : 'The browser does not let the page copy; the link is in the address bar.',
    );
  }

  /**
   * @param {string} text
   * @param {'info' | 'error'} tone
   */
  say(text, tone) {
    const last = this.messages.lastElementChild;
    if (last?.firstChild?.textContent === text) {
      last.remove();
    }
    const message = make(
      'div',
      { class: `message ${tone}`, attributes: { role: tone === 'error' ? 'alert' : null } },
      make('span', { text: plain(text, 500) }),
      button('×', () => message.remove(), 'Close'),
    );
    this.messages.append(message);
    while (this.messages.childElementCount > 3) {
      this.messages.firstElementChild?.remove();
    }
    setTimeout(() => message.remove(), tone === 'error' ? 3 * MESSAGE_MS : MESSAGE_MS);
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    if (event.defaultPrevented || event.isComposing || this.help.isOpen() || takesKey(event)) {
      return;
    }
    if (this.shown?.keydown?.(event)) {
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const page = this.pages.find((one) => one.key === event.key);
    if (page) {
      this.app.go({ view: page.name }, 'push');
      event.preventDefault();
    } else if (event.key === '?') {
      this.help.toggle();
      event.preventDefault();
    }
  }
}

/**
 * Whether what has the focus wants this key for itself.
 * @param {KeyboardEvent} event
 */
function takesKey(event) {
  const target = event.target;
  if (!(target instanceof HTMLElement)) {
    return false;
  }
  if (target instanceof HTMLInputElement && (target.type === 'checkbox' || target.type === 'radio')) {
    return event.key === ' ';
  }
  if (target.matches('input, textarea, select, [contenteditable]')) {
    return true;
  }
  return target.matches('button, a, summary') && (event.key === 'Enter' || event.key === ' ');
}
