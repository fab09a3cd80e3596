// The list of events, the tables and the pictures, beside what the command line says; keys, addresses, names.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import {
  closeBrowser,
  copyOf,
  goldenTrace,
  guestTrace,
  openPage,
  picture,
  run,
  say,
  serve,
  workDir,
} from './frame.mjs';

after(closeBrowser);

const copying = { permissions: ['clipboard-read', 'clipboard-write'] };

/** Events as the command line shows them. */
function eventsOf(trace, ...words) {
  const lines = run('events', trace, '--format', 'json', ...words)
    .trim()
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

/** What the rows of the list of events show that are in sight, the first at the top first. */
function shownEvents(page) {
  return page.$$eval('.raw-row', (rows) =>
    rows
      .filter((row) => !row.hidden)
      .sort((a, b) => Number(a.getAttribute('aria-rowindex')) - Number(b.getAttribute('aria-rowindex')))
      .map((row) =>
        Object.fromEntries([...row.children].map((cell) => [cell.className.split(' ')[0], cell.textContent])),
      ),
  );
}

/** Waits until a row of the list is the current one and has a text; gives that. */
async function currentRow(page, pattern) {
  await page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('.raw-row.current')?.textContent ?? ''),
    pattern.source,
  );
  return page.textContent('.raw-row.current');
}

/** The text between the box of the filter and the buttons: how many events pass. */
async function passing(page, pattern = / (pass|events)$/) {
  await page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('.toolbar .count')?.textContent ?? ''),
    pattern.source,
  );
  return Number((await page.textContent('.toolbar .count')).replace(/[^0-9]/g, ''));
}

/** A time as the list writes it. */
const seconds = (ns) => `${Math.floor(ns / 1e9)}.${String(ns % 1e9).padStart(9, '0')}`;

test('the list of events is that of the command line, from the first to the last', async (t) => {
  const trace = copyOf(t, guestTrace());
  const events = eventsOf(trace);
  const page = await openPage(t, `${await serve(t, trace)}#view=raw`);
  assert.equal(await passing(page), events.length);
  const check = (shown) => {
    assert.ok(shown.length > 10);
    for (const row of shown) {
      const event = events[Number(row.n.replace(/,/g, ''))];
      assert.equal(row.at, seconds(event.time_ns));
      assert.equal(row.event, event.event);
      assert.equal(Number(row.tid), event.tid);
      assert.equal(Number(row.cpu), event.cpu);
    }
  };
  check(await shownEvents(page));
  await picture(page, 'raw');
  await page.keyboard.press('End');
  await currentRow(page, new RegExp(seconds(events.at(-1).time_ns).replace('.', '\\.')));
  check(await shownEvents(page));
  await page.mouse.move(400, 400);
  await page.mouse.wheel(0, -22 * 1000);
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.raw-row .n')].every((cell) => cell.textContent !== ''),
  );
  check(await shownEvents(page));
});

test('a filter is completed, applied, part of the address; a wrong one is said under its place', async (t) => {
  const trace = copyOf(t, guestTrace());
  const page = await openPage(t, `${await serve(t, trace)}#view=raw`, copying);
  await passing(page);
  await page.keyboard.press('f');
  await page.keyboard.type('event == sched_switc');
  await page.waitForSelector('.completions li');
  await page.keyboard.press('Tab');
  assert.equal(await page.inputValue('.filter-box input'), 'event == sched_switch');
  await page.keyboard.press('Enter');
  const expected = eventsOf(trace, '--filter', 'event == sched_switch');
  assert.equal(await passing(page, / pass$/), expected.length);
  assert.ok((await shownEvents(page)).every((row) => row.event === 'sched_switch'));
  await page.waitForFunction(
    () => new URLSearchParams(location.hash.slice(1)).get('filter') === 'event == sched_switch',
  );

  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('c');
  await page.waitForFunction(() => document.querySelector('.messages')?.textContent.includes('copied'));
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`\t${expected[1].time_ns}\t`));

  await page.keyboard.press('f');
  await page.keyboard.type('event == no_such_event');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.filter-error:not([hidden])');
  assert.match(await page.textContent('.filter-error'), /no_such_event/);
  await picture(page, 'raw-error');
});

test('the search goes to the next and the one before, and the cursor goes with it', async (t) => {
  const trace = copyOf(t, guestTrace());
  const page = await openPage(t, `${await serve(t, trace)}#view=raw`);
  await passing(page);
  const expected = eventsOf(trace, '--filter', 'event == sched_process_exec').map((event) => event.time_ns);
  await page.keyboard.press('/');
  await page.keyboard.type('event == sched_process_exec');
  await page.keyboard.press('Enter');
  const at = (index) => currentRow(page, new RegExp(seconds(expected[index]).replace('.', '\\.')));
  await at(0);
  await page.keyboard.press('n');
  await at(1);
  await page.keyboard.press('n');
  await at(2);
  await page.keyboard.press('Shift+N');
  await at(1);
  await page.waitForFunction((ns) => location.hash.includes(`cursor=${ns}`), expected[1]);

  const other = await openPage(t, page.url());
  await currentRow(other, new RegExp(seconds(expected[1]).replace('.', '\\.')));
  await page.keyboard.press('g');
  await page.waitForFunction(() => location.hash.includes('view=graph'));
  await page.goBack();
  await at(1);
});

test('every report shows what the command line shows', async (t) => {
  const trace = copyOf(t, guestTrace());
  const url = await serve(t, trace);
  const page = await openPage(t, `${url}#view=reports`);
  const names = await page.evaluate(async () =>
    (await (await fetch('api/reports')).json()).map((report) => report.name),
  );
  assert.ok(names.length >= 20);
  for (const name of names) {
    const report = say('report', name, trace, '--top', '50');
    await page.click(`.report-list button:text-is("${name}")`);
    const tables = Object.entries(report).filter(([key]) => key !== 'report' && key !== 'findings');
    const rows = tables.map(([, table]) => (Array.isArray(table) ? table.length : -1)).filter((count) => count >= 0);
    await page
      .waitForFunction(
        ([wanted, findings]) => {
          const shown = [...document.querySelectorAll('.reports .answer .report-table')].filter(
            (table) => !table.querySelector('.record'),
          );
          const counts = shown.map((table) => table.querySelectorAll('tbody tr').length);
          return (
            !document.querySelector('.answer.waits') &&
            counts.length === wanted.length &&
            counts.every((count, index) => count === Math.min(300, wanted[index])) &&
            document.querySelectorAll('.reports .answer .finding').length === findings
          );
        },
        [rows, report.findings.length],
        { timeout: 20_000 },
      )
      .catch(() => assert.fail(`${name}: not ${rows} rows`));
  }
  await picture(page, 'reports');
});

test('processes say what the report says, and their numbers lead to the events', async (t) => {
  const trace = copyOf(t, guestTrace());
  const page = await openPage(t, `${await serve(t, trace)}#view=processes`);
  const { processes } = say('report', 'processes', trace);
  const most = processes.reduce((best, one) => (one.syscalls > best.syscalls ? one : best));
  await page.waitForSelector('.grid .state-bar');
  await picture(page, 'processes');
  await page.goto(`${page.url().split('#')[0]}#view=processes&processes.pid=${most.pid}`);
  await page.waitForSelector(`h1:has-text("${most.comm}:${most.pid}")`);
  await page.waitForSelector('.chart canvas');
  await picture(page, 'process');
  const calls = eventsOf(trace, '--filter', `event == syscall_entry && pid == ${most.pid}`).length;
  await page.click('.record button.link:text-is("' + String(most.syscalls).replace(/\B(?=(\d{3})+$)/g, ',') + '")');
  assert.equal(await passing(page, / pass$/), calls);
});

test('lengths of calls are those of the report; the longest leads into the graph', async (t) => {
  const trace = copyOf(t, guestTrace());
  const page = await openPage(t, `${await serve(t, trace)}#view=latency`);
  await page.waitForSelector('.latency .report-table .grid tbody tr');
  const { calls } = say('report', 'syscalls', trace, '--top', '10000');
  const count = calls.reduce((sum, call) => sum + call.count, 0);
  const longest = Math.max(...calls.map((call) => call.max_ns));
  const shown = await page.evaluate(async () => {
    const meta = await (await fetch('api/0/meta')).json();
    return (await fetch(`api/0/latencies?kind=syscall&from=0&to=${meta.end_ns}&width=10&height=10`)).json();
  });
  // Calls that began before the trace or go on after it are in one of them only.
  assert.ok(Math.abs(shown.count - count) <= 0.01 * count, `${shown.count} and ${count}`);
  assert.equal(shown.max_ns, longest);
  await picture(page, 'latency');
  await page.click('.latency .grid td button.link');
  await page.waitForFunction(() => /view=graph.*cursor=\d+.*row=\d+/.test(location.hash));
});

test('the flame graph has the stacks of the command line, the boot its phases, and curves are drawn', async (t) => {
  const trace = copyOf(t, guestTrace());
  const page = await openPage(t, `${await serve(t, trace)}#view=flame`);
  const file = join(workDir(t), 'stacks');
  run('flame', trace, '--kind', 'cpu', '--format', 'folded', '-o', file);
  const stacks = readFileSync(file, 'utf8').trim().split('\n');
  const names = new Map();
  for (const line of stacks) {
    const [frames, ns] = [
      line.slice(0, line.lastIndexOf(' ')).split(';'),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ];
    names.set(frames.at(-1), (names.get(frames.at(-1)) ?? 0) + ns);
  }
  const [most] = [...names].sort((a, b) => b[1] - a[1]);
  await page.waitForSelector('.grid tbody tr');
  assert.equal(await page.textContent('.grid tbody tr td'), most[0]);
  await picture(page, 'flame');

  const { phases } = say('report', 'boot', trace);
  await page.keyboard.press('7');
  await page.waitForFunction(
    (count) => document.querySelector('.boot .grid')?.querySelectorAll('tbody tr').length === count,
    phases.length,
  );
  await picture(page, 'boot');

  await page.keyboard.press('9');
  await page.waitForSelector('.curve canvas');
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.curve canvas')].slice(0, 3).every((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value > 0);
    }),
  );
  await picture(page, 'rates');
});

test('keys go to all pages, help says so, and back goes back', async (t) => {
  const page = await openPage(t, await serve(t, copyOf(t, goldenTrace)));
  for (const [key, view] of [
    ['2', 'processes'],
    ['3', 'raw'],
    ['4', 'latency'],
    ['5', 'io'],
    ['6', 'flame'],
    ['7', 'boot'],
    ['8', 'reports'],
    ['9', 'live'],
    ['1', 'graph'],
  ]) {
    await page.keyboard.press(key);
    await page.waitForFunction((name) => location.hash.includes(`view=${name}`), view);
    await page.waitForSelector('[role=tabpanel]:not([hidden])');
    assert.equal(await page.getAttribute('[role=tab][aria-selected=true]', 'id'), `tab-${view}`);
  }
  await page.goBack();
  await page.waitForFunction(() => location.hash.includes('view=live'));
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog:not([open])', { state: 'attached' });
  await page.selectOption('select[aria-label=theme]', 'dark');
  await page.reload();
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
});

test('an address that makes no sense shows a page all the same', async (t) => {
  const url = await serve(t, copyOf(t, goldenTrace));
  for (const hash of [
    '#view=none&from=x&to=-3&selection=9-1&row=zz',
    '#%%%&&==',
    '#from=99999999999999999999&to=3&trace=77',
    '#view=flame&flame.pid=zz',
    '#view=latency&latency.kind=x&latency.state=-1',
    '#view=processes&processes.pid=424242',
    '#view=reports&reports.name=none&reports.top=-1&reports.pid=x',
    `#view=live&live.range=${'9'.repeat(500)}`,
  ]) {
    const page = await openPage(t, url + hash);
    await page.waitForSelector('[role=tabpanel]');
    assert.equal(await page.isVisible('.message.error'), false, hash);
  }
});

test('names that would do harm are text', async (t) => {
  const names = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '\u202eevil',
    'x'.repeat(4096),
    'a\u0000\u001b[31m\n',
    'שלום',
  ];
  const page = await openPage(t, await serve(t, copyOf(t, goldenTrace)));
  const dialogs = [];
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message());
    dialog.dismiss();
  });
  const evil = (index) => names[index % names.length];
  await page.route('**/api/0/**', async (route) => {
    const answer = await route.fetch();
    if (!answer.headers()['content-type']?.includes('json') || answer.status() !== 200) {
      await route.fulfill({ response: answer });
      return;
    }
    const json = JSON.parse(await answer.text(), function rename(key, value) {
      const named =
        ['comm', 'name', 'text', 'title', 'thread'].includes(key) &&
        typeof value === 'string' &&
        !Array.isArray(this);
      return named && !('fields' in this && 'doc' in this) && !('runs' in this) && !('columns' in this)
        ? evil(value.length)
        : value;
    });
    json.name = json.name ? evil(0) : json.name;
    await route.fulfill({ response: answer, json });
  });
  for (const view of ['graph', 'processes', 'raw', 'latency', 'io', 'flame', 'boot', 'reports', 'live']) {
    await page.goto(`${page.url().split('#')[0]}#view=${view}`);
    await page.reload();
    await page.waitForSelector('[role=tabpanel]');
    await page.waitForTimeout(400);
    const found = await page.evaluate(() => ({
      elements: document.querySelectorAll('script:not([src]), img, #app script').length,
      wide: document.documentElement.scrollWidth > innerWidth,
      turned: /.{0,40}[\u202a-\u202e].{0,20}/.exec(document.body.innerText)?.[0] ?? '',
    }));
    assert.deepEqual(found, { elements: 0, wide: false, turned: '' }, view);
  }
  assert.deepEqual(dialogs, []);
});
