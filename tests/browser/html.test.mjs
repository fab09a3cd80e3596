// A trace as one file: it opens without a server, says what the command line does, and fetches nothing.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { closeBrowser, goldenTrace, guestTrace, openPage, picture, run, say, workDir } from './frame.mjs';

after(closeBrowser);

/** Writes a trace as a page and opens that; the page may ask for nothing. */
async function open(it, trace, ...words) {
  const file = join(workDir(it), 'report.html');
  run('html', trace, '-o', file, ...words);
  const page = await openPage(it, pathToFileURL(file).href, { offline: true });
  page.on('request', (request) => assert.fail(`the page asks for ${request.url()}`));
  return { page, file };
}

/** What the source in the page answers. */
function ask(page, question, ...words) {
  return page.evaluate(
    // eslint-disable-next-line no-undef
    async ([name, parts]) => (await openEmbedded())[name](...parts),
    [question, words],
  );
}

test('the file says what the command line says', async (it) => {
  const trace = goldenTrace;
  const { page } = await open(it, trace);
  const lines = run('events', trace, '--format', 'json').trim().split('\n').map((line) => JSON.parse(line));
  const events = lines.filter((line) => line.event);
  const told = await ask(page, 'events', 0, 1000, '');
  assert.equal(told.total, events.length);
  const meta = await ask(page, 'meta');
  const names = new Map(meta.event_kinds.map((kind) => [kind.id, kind.name]));
  for (const [index, event] of events.entries()) {
    const own = told.events[index];
    assert.deepEqual(
      [own.at, own.cpu, own.tid, own.pid, names.get(own.event)],
      [event.time_ns, event.cpu, event.tid, event.pid, event.event],
    );
    assert.deepEqual(own.fields.map(([name]) => name), Object.keys(event.fields));
  }
  const execs = events.filter((event) => event.event === 'sched_process_exec');
  const found = await ask(page, 'events', 0, 100, 'sched_process_exec');
  assert.equal(found.total, execs.length);
  const next = await ask(page, 'find', 0, 'next', 'sched_process_exec');
  assert.equal(next.at, execs[0].time_ns);
  const sums = await ask(page, 'statistics', 0, meta.end_ns + 1);
  assert.equal(sums.events.reduce((sum, [, count]) => sum + count, 0), events.length);
  const summary = await ask(page, 'report', 'summary', {});
  const counted = summary.tables.find((table) => table.name === 'trace');
  const column = counted.columns.findIndex((own) => own.name === 'events');
  assert.equal(counted.rows[0][column].count, say('report', 'summary', trace).trace.events);
});

test('a boot opens quickly, and is drawn as the server draws it', async (it) => {
  const { page, file } = await open(it, guestTrace());
  await page.waitForSelector('canvas');
  await picture(page, 'html_graph');
  const [rows, meta] = [await ask(page, 'rows'), await ask(page, 'meta')];
  const all = rows.map((row) => row.row);
  const spans = await ask(page, 'spans', 0, meta.end_ns, 1000, all);
  for (const row of spans) {
    const starts = Object.values(row.starts);
    assert.ok(starts.length <= 2002, `${starts.length} spans for 1000 pixels`);
    assert.ok(starts.every((start, index) => index === 0 || start >= starts[index - 1]));
  }
  const sums = await ask(page, 'statistics', 0, meta.end_ns + 1);
  for (const [row, own] of sums.rows) {
    const expected = new Map(rows[row].sums);
    for (const [kind, nanos] of own) {
      assert.equal(nanos, expected.get(kind), `kind ${kind} of row ${row}`);
    }
  }
  assert.ok(statSync(file).size < 20 * meta.events + (2 << 20));
});

test('a part of a trace is seen first', async (it) => {
  const { page } = await open(it, goldenTrace, '--from', '8us', '--to', '12us');
  const meta = await ask(page, 'meta');
  assert.equal(meta.end_ns, 12000);
  assert.match(await page.evaluate(() => location.hash), /from=8000/);
});
