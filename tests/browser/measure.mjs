// How fast the page is on a trace: node measure.mjs LONG_TRACE [TRACE_FOR_HTML]
//
// Prints rows of Markdown: making the index, the first picture, questions of every kind, memory, the page in one file.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { closeBrowser, copyOf, emptyPage, run, serveChild, workDir } from './frame.mjs';

const [trace, forHtml] = process.argv.slice(2);
/** @type {(() => unknown)[]} */
const ends = [];
const measurement = { after: (call) => ends.push(call) };
const row = (what, result) => console.log(`| ${what} | ${result} |`);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Memory of a process that is its own, in MiB. */
function ownMemory(pid) {
  return Number(/RssAnon:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

/** Seconds of CPU time of a process so far. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function ask(url, question) {
  const start = performance.now();
  const bytes = await (await fetch(url + question)).arrayBuffer();
  return { ms: performance.now() - start, bytes: bytes.byteLength };
}

const copy = copyOf(measurement, trace);
const { url: first, child } = await serveChild(measurement, copy);
const start = performance.now();
let meta = { done: false, events: 0 };
let peak = 0;
while (!meta.done) {
  meta = await (await fetch(`${first}api/0/meta`)).json();
  peak = Math.max(peak, ownMemory(child.pid));
  await pause(50);
}
const seconds = (performance.now() - start) / 1000;
row('events', meta.events);
row('index: seconds, and million events/s', `${seconds.toFixed(2)}, ${(meta.events / seconds / 1e6).toFixed(2)}`);
row('CPU seconds of that', cpuSeconds(child.pid).toFixed(2));
row('MiB of memory at most meanwhile', peak.toFixed(0));
while (cpuSeconds(child.pid) !== await pause(300).then(() => cpuSeconds(child.pid)));
row('MiB of memory after it', ownMemory(child.pid).toFixed(0));
row('bytes of the index file per event', (statSync(`${copy}.view`).size / meta.events).toFixed(1));
child.kill();

const cold = performance.now();
const { url, child: again } = await serveChild(measurement, copy);
const answered = performance.now();
const page = await emptyPage(measurement);
const opened = performance.now();
const drawn = page.waitForResponse((response) => response.url().includes('/spans'));
await page.goto(url);
await (await drawn).finished();
await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
const picture = performance.now() - opened + answered - cold;
row('first picture from its file: seconds from the start of the server', (picture / 1000).toFixed(2));

const rows = await (await fetch(`${url}api/0/rows`)).json();
let seed = 1;
const chance = (end) => { seed = (seed * 48271) % 2147483647; return (seed / 2147483647) * end; };
const questions = {
  'spans of 60 rows at 1,400 pixels': (from, to) => `api/0/spans?from=${from}&to=${to}&width=1400&rows=1,2,${any()}`,
  'sums of an interval': (from, to) => `api/0/statistics?from=${from}&to=${to}`,
  'a page of 100 events': () => `api/0/events?first=${Math.floor(chance(meta.events))}&count=100`,
};
function any() {
  const at = Math.floor(chance(Math.max(1, rows.length - 60)));
  return `${at}-${at + 57}`;
}
for (const [what, question] of Object.entries(questions)) {
  const times = [];
  let bytes = 0;
  for (let turn = 0; turn < 500; turn += 1) {
    const length = Math.min(meta.end_ns, 10 ** (3 + chance(Math.log10(meta.end_ns) - 3)));
    const from = Math.floor(chance(meta.end_ns - length));
    const asked = await ask(url, question(from, Math.floor(from + length)));
    times.push(asked.ms);
    bytes = Math.max(bytes, asked.bytes);
  }
  times.sort((a, b) => a - b);
  const at = (part) => times[Math.floor(times.length * part)].toFixed(1);
  row(`${what}, anywhere at any scale: p50, p99, longest in ms; most KiB`, `${at(0.5)}, ${at(0.99)}, ${at(0.999)}; ${(bytes / 1024).toFixed(0)}`);
}
row('MiB of memory after these questions', ownMemory(again.pid).toFixed(0));

if (forHtml) {
  const file = join(workDir(measurement), 'report.html');
  const began = performance.now();
  run('html', forHtml, '-o', file);
  const events = JSON.parse(run('report', 'summary', forHtml, '--format', 'json')).trace.events;
  row(`\`html\` of ${events} events: MB, seconds to write`, `${(statSync(file).size / 1e6).toFixed(1)}, ${((performance.now() - began) / 1000).toFixed(1)}`);
  const opening = performance.now();
  await page.goto(`file://${file}`);
  await page.waitForFunction(() => document.querySelector('#app:not(.starting) .graph-row') !== null);
  row('seconds to open that', ((performance.now() - opening) / 1000).toFixed(2));
}
for (const end of ends.reverse()) {
  await end();
}
await closeBrowser();
