// Starts the page: from a server, or from the data in the page itself.

import { ViewApp } from './app.js';
import { errorText, fill, make } from './dom.js';
import { isEmbedded, openEmbedded } from './embedded.js';
import { ServerSource, askJson } from './source.js';
import { Shell } from './shell.js';
import { graphPage } from './page_graph.js';
import { processesPage } from './page_processes.js';
import { rawPage } from './page_raw.js';
import { latencyPage } from './page_latency.js';
import { ioPage } from './page_io.js';
import { flamePage } from './page_flame.js';
import { bootPage } from './page_boot.js';
import { reportsPage } from './page_reports.js';
import { comparePage } from './page_compare.js';
import { livePage } from './page_live.js';
import { sqlPage } from './page_sql.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */

/** All pages, in the order of their tabs; each is made once, where it has something to show. */
/** @type {((app: App) => Page | null)[]} */
const PAGES = [
  graphPage,
  processesPage,
  rawPage,
  latencyPage,
  ioPage,
  flamePage,
  bootPage,
  reportsPage,
  livePage,
  sqlPage,
  comparePage,
];

async function appFromServer() {
  const [traces, reports] = await Promise.all([askJson('api/traces'), askJson('api/reports')]);
  /** @type {string[]} */
  const names = traces.map((/** @type {{ name: string }} */ trace) => trace.name);
  return new ViewApp(
    names.map((_, trace) => new ServerSource(trace)),
    names,
    reports,
    false,
  );
}

async function appFromPage() {
  const source = await openEmbedded();
  const { meta, start_ns: start, reports } = source.contents;
  if (start > 0 && location.hash === '') {
    // Of a part of a trace, that part is seen first.
    history.replaceState(null, '', `#from=${start}&to=${meta.end_ns}`);
  }
  return new ViewApp([source], [meta.name], reports, true);
}

async function main() {
  const place = /** @type {HTMLElement} */ (document.getElementById('app'));
  try {
    const app = await (isEmbedded() ? appFromPage() : appFromServer());
    await app.start();
    new Shell(app, place, PAGES).show();
  } catch (error) {
    console.error(error);
    fill(place, make('h1', { text: 'The trace cannot be shown' }), make('p', { text: errorText(error) }));
  }
}

main();
