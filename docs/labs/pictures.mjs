// The pictures of the labs: node docs/labs/pictures.mjs DIRECTORY [LAB...]
//
// DIRECTORY holds the recordings lab01.bin to lab10.bin, made as the labs say. Each picture is the page at an address, in
// light colours, without what is above the graph. GUESTTRACE names the program, as for tests/browser, whose set-up
// (`npm ci --prefix tests/browser`) is needed once.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeBrowser, copyOf, openPage, projectDir, run, serve } from '../../tests/browser/frame.mjs';

const MS = 1_000_000;
const US = 1000;
const WIDTH = 1100;
const LEGEND_HEIGHT = 96;
/** Below the graph, what the colours mean is enough. */
const LEGEND_ONLY = `.graph-sums, .graph-state > :not(.graph-legend) { display: none !important; }
  .graph-state { flex: 1 !important; }
  .graph-legend { grid-template-columns: repeat(6, 1fr) !important; font-size: 11px !important; }
  .graph-details { height: ${LEGEND_HEIGHT}px !important; }`;

/**
 * What to show of which lab: times are an event and how long before or after it, in nanoseconds; rows are those whose name
 * has `find`, or all that ran.
 */
const PICTURES = [
  { lab: '01', name: 'ls', find: 'ls 1', from: ['comm == "ls"', -MS], to: ['event == sched_process_exit && comm == "ls"', MS] },
  { lab: '01', name: 'key', from: ['event == sched_process_fork && parent_comm == "sh" && parent_pid == 109', -2 * MS],
    to: ['event == sched_process_exit && comm == "ls"', MS] },
  { lab: '02', name: 'tree', find: 'tree-', from: ['event == sched_process_fork && parent_comm == "tree-0"', -3 * MS],
    to: ['event == sched_process_exit && comm == "tree-0"', 2 * MS] },
  { lab: '02', name: 'wait', find: 'tree-', from: ['event == sched_process_exit && comm == "tree-3"', -3 * MS],
    to: ['event == sched_process_exit && comm == "tree-3"', 2 * MS] },
  { lab: '03', name: 'turns', from: ['event == sched_switch && next_comm == "kind"', 100 * MS],
    to: ['event == sched_switch && next_comm == "kind"', 250 * MS] },
  { lab: '03', name: 'tick', from: ['event == sched_switch && prev_comm == "plain" && next_comm == "kind"', -200 * US],
    to: ['event == sched_switch && prev_comm == "plain" && next_comm == "kind"', 200 * US] },
  { lab: '04', name: 'both', find: 'by-', from: ['comm == "by-calls"', -2 * MS],
    to: ['event == sched_process_exit && comm == "by-library"', 2 * MS] },
  { lab: '04', name: 'write', find: 'by-calls', from: ['event == syscall_entry && name == write && comm == "by-calls"', 400 * US],
    to: ['event == syscall_entry && name == write && comm == "by-calls"', 600 * US] },
  { lab: '05', name: 'kinds', find: 'fault-', from: ['comm == "fault-written"', -5 * MS],
    to: ['event == sched_process_exit && comm == "fault-forbidden"', 3 * MS] },
  { lab: '05', name: 'one', find: 'fault-written', from: ['event == trap_entry && comm == "fault-written"', 2 * MS],
    to: ['event == trap_entry && comm == "fault-written"', 2 * MS + 150 * US] },
  { lab: '06', name: 'inversion', from: ['comm == "high"', -2 * MS],
    to: ['event == sched_process_exit && comm == "high"', 4 * MS] },
  { lab: '06', name: 'inherit', find: '-pi', from: ['comm == "high-pi"', -2 * MS],
    to: ['event == sched_process_exit && comm == "mid-pi"', 6 * MS] },
  { lab: '07', name: 'ways', from: ['comm == "write-in-order"', -2 * MS],
    to: ['event == sched_process_exit && comm == "read-scattered"', 2 * MS] },
  { lab: '07', name: 'request', from: ['event == block_rq_insert && comm == "read-scattered"', -60 * US],
    to: ['event == block_rq_insert && comm == "read-scattered"', 340 * US] },
  { lab: '08', name: 'ways', from: ['comm == "nanosleep"', -5 * MS],
    to: ['event == sched_process_exit && comm == "slack-much"', 5 * MS] },
  { lab: '08', name: 'chain', from: ['event == syscall_exit && name == clock_nanosleep && comm == "nanosleep"', -150 * US],
    to: ['event == syscall_exit && name == clock_nanosleep && comm == "nanosleep"', 50 * US] },
  { lab: '09', name: 'request', from: ['event == syscall_entry && name == write && comm == "wget"', -MS],
    to: ['event == sched_process_exit && comm == "wget"', MS] },
  { lab: '09', name: 'packet', from: ['event == syscall_entry && name == write && comm == "wget"', -50 * US],
    to: ['event == syscall_entry && name == write && comm == "wget"', 350 * US] },
  { lab: '10', name: 'boot', view: 'boot', height: 560 },
  { lab: '10', name: 'first', from: ['event == sched_process_fork && child_pid == 1', -30 * MS],
    to: ['event == sched_process_fork && child_pid == 1', 200 * MS] },
];

const [directory, ...labs] = process.argv.slice(2);

/** When the first event was for which a condition holds, and so much later. */
function timeOf(trace, [filter, later]) {
  const line = run('events', trace, '--filter', filter, '--limit', '1', '--format', 'json').split('\n')[0];
  if (!line) {
    throw new Error(`${trace} has no event with ${filter}`);
  }
  return Math.max(0, JSON.parse(line).time_ns + later);
}

async function take(picture) {
  const ends = [];
  const work = { after: (call) => ends.push(call) };
  const trace = copyOf(work, join(directory, `lab${picture.lab}.bin`));
  const pairs = new URLSearchParams({ view: picture.view ?? 'graph' });
  if (picture.from) {
    pairs.set('from', timeOf(trace, picture.from));
    pairs.set('to', timeOf(trace, picture.to));
    pairs.set('graph.size', 'normal');
    pairs.set(picture.find ? 'graph.find' : 'graph.ran', picture.find ?? 'true');
  }
  const url = await serve(work, trace);
  const options = { viewport: { width: WIDTH, height: 1400 }, colorScheme: 'light', bypassCSP: true };
  const page = await openPage(work, `${url}#${pairs}`, options);
  await page.addStyleTag({ content: LEGEND_ONLY });
  await page.waitForFunction(async () => (await (await fetch('api/0/meta')).json()).done, undefined, { polling: 200 });
  await page.waitForTimeout(1500);
  const [top, bottom] = await page.evaluate((isGraph) => {
    const boxes = [...document.querySelectorAll('.graph-row')].map((row) => row.getBoundingClientRect());
    const first = document.querySelector(isGraph ? '.graph-body' : '.shell').getBoundingClientRect();
    return [Math.floor(first.top), Math.ceil(Math.max(...boxes.map((box) => box.bottom)))];
  }, !picture.view);
  const height = picture.height ?? Math.max(bottom + 8, top + 88) + LEGEND_HEIGHT;
  await page.setViewportSize({ width: WIDTH, height });
  await page.waitForTimeout(700);
  const lab = readdirSync(join(projectDir, 'docs/labs')).find((name) => name.startsWith(`${picture.lab}-`));
  const clip = { x: 0, y: top, width: WIDTH, height: height - top };
  await page.screenshot({ path: join(projectDir, 'docs/labs', lab, `${picture.name}.png`), clip });
  for (const end of ends.reverse()) {
    await end();
  }
  console.log(`${lab}/${picture.name}.png`);
}

for (const picture of PICTURES) {
  if (labs.length === 0 || labs.includes(picture.lab)) {
    await take(picture);
  }
}
await closeBrowser();
