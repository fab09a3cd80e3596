// The overlay that says what keys do.

import { button, fill, make } from './dom.js';

/** @typedef {import('./types.d.ts').Page} Page */

export class HelpBox {
  /** @param {() => { page: Page | null, pages: Page[] }} ask what is shown now */
  constructor(ask) {
    this.ask = ask;
    this.element = make('dialog', { class: 'help', attributes: { 'aria-label': 'keys' } });
    this.element.addEventListener('click', (event) => {
      if (event.target === this.element) {
        this.element.close();
      }
    });
    this.element.addEventListener('keydown', (event) => {
      if (event.key === '?') {
        this.element.close();
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  isOpen() {
    return this.element.open;
  }

  toggle() {
    if (this.element.open) {
      this.element.close();
      return;
    }
    const { page, pages } = this.ask();
    const views = pages.filter((one) => one.key).map((one) => /** @type {[string, string]} */ ([one.key, one.title]));
    fill(
      this.element,
      make(
        'div',
        { class: 'columns' },
        make('section', {}, make('h2', { text: page?.title ?? '' }), keyTable(page?.keys ?? [])),
        make(
          'section',
          {},
          make('h2', { text: 'Everywhere' }),
          keyTable([...views, ['?', 'this help'], ['Esc', 'close what is open'], ['Alt ← →', 'back and forward']]),
        ),
      ),
      button('Close', () => this.element.close()),
    );
    this.element.showModal();
  }
}

/** @param {[string, string][]} keys */
function keyTable(keys) {
  return make(
    'table',
    { class: 'keys' },
    ...keys.map(([key, what]) =>
      make(
        'tr',
        {},
        make('th', { attributes: { scope: 'row' } }, make('kbd', { text: key })),
        make('td', { text: what }),
      ),
    ),
  );
}
