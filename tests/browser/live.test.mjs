// A recording that goes on, on a page that grows with it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { closeBrowser, openPage, picture, projectDir, say, serve, workDir } from './frame.mjs';

after(closeBrowser);

/** Records a guest; gives a promise of its end. */
function record(trace) {
  const words = ['--trace', trace, '--serial', `${trace}.console`, '--quiet'];
  const child = spawn(join(projectDir, 'scripts/run-qemu.sh'), words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let talk = '';
  child.stderr.on('data', (text) => { talk += text; });
  return new Promise((resolve) => { child.once('exit', (status) => resolve({ status, talk })); });
}

async function until(condition, what) {
  for (let turn = 0; turn < 1200; turn += 1) {
    if (condition()) {
      return;
    }
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  assert.fail(`${what} did not happen within a minute`);
}

test('a recording grows on the page, and in the end it is all there', async (t) => {
  const trace = join(workDir(t), 'live.bin');
  const recorded = record(trace);
  await until(() => existsSync(`${trace}.partial`), 'a recording');
  const page = await openPage(t, await serve(t, trace));
  const seen = await page.evaluate(async () => {
    const all = [];
    for (;;) {
      const meta = await (await fetch('api/0/meta')).json();
      if (all.at(-1)?.version !== meta.version) {
        all.push({ version: meta.version, live: meta.live, done: meta.done, events: meta.events, end: meta.end_ns });
      }
      if (meta.done) {
        return all;
      }
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  });
  const growing = seen.filter(({ live }) => live);
  assert.ok(growing.length >= 3, `it was seen to grow: ${JSON.stringify(seen)}`);
  for (const [index, one] of seen.slice(1).entries()) {
    assert.ok(one.end >= seen[index].end && one.events >= seen[index].events, 'nothing is taken back');
  }
  const { status, talk } = await recorded;
  assert.equal(status, 0, talk);
  const summary = say('report', 'summary', trace).trace;
  assert.deepEqual([seen.at(-1).events, seen.at(-1).end], [summary.events, summary.end_ns]);
  // The page follows without being told.
  await page.waitForFunction(() => document.querySelectorAll('.graph-row').length > 10);
  const events = await page.evaluate(async () => (await (await fetch('api/0/events?first=0&count=1000')).json()).total);
  assert.equal(events, summary.events);
  await picture(page, 'live');
});
