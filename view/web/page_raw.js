// The list of all events.

import { make } from './dom.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */

/**
 * Makes the page of the list of events.
 * @param {App} _app
 * @returns {Page}
 */
export function rawPage(_app) {
  return {
    name: 'raw', title: 'Raw trace', key: '3', element: make('div', { class: 'page raw' }), keys: [],
    show() {}, hide() {},
  };
}
