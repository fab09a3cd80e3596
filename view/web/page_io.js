// What processes moved, through files, disks and sockets.

import { fill, make } from './dom.js';
import { LatencyPicture } from './page_latency.js';
import { AnswerPlace, TimesBox, chosenTimes, quietPage } from './page_parts.js';
import { reportParts } from './page_reports.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */

/** Reports of this page, with headings. */
/** @type {[string, string][]} */
const IO_REPORTS = [
  ['io', 'Processes and disks'],
  ['files', 'Files'],
  ['net', 'Network'],
];

/**
 * Makes the page of input and output.
 * @param {App} app
 * @returns {Page}
 */
export function ioPage(app) {
  const times = new TimesBox(app);
  const requests = new LatencyPicture(app);
  const places = IO_REPORTS.map(() => new AnswerPlace());
  const sections = IO_REPORTS.map(([, title], index) =>
    make('section', {}, make('h2', { text: title }), places[index]?.element),
  );
  const element = make(
    'div',
    { class: 'page io' },
    make('div', { class: 'toolbar' }, times.element),
    make(
      'div',
      { class: 'scrolls' },
      make('h2', { text: 'Disk requests, from issue to completion' }),
      requests.element,
      make('div', { class: 'beside-wide' }, ...sections),
    ),
  );
  const update = () => {
    times.update();
    const { from, to, all } = chosenTimes(app);
    requests.ask('request', {});
    IO_REPORTS.forEach(([name], index) => {
      const options = { top: 50, ...(all ? {} : { from, to }) };
      const place = places[index];
      place?.ask(
        app,
        [options],
        (signal) => app.source.report(name, options, signal),
        (report) => {
          fill(place.element, ...reportParts(app, report));
        },
      );
    });
  };
  return quietPage(app, { name: 'io', title: 'I/O', key: '5', element, update });
}
