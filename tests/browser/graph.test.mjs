// The event graph in Chromium: what it says is what the command line says, and hands and keys do what they should.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after } from 'node:test';
import { closeBrowser, copyOf, guestTrace, indexed, openPage, picture, say, serve } from './frame.mjs';

after(closeBrowser);

/** What the address of a page says, once it has come to rest. */
async function stateOf(page) {
  await page.waitForTimeout(500);
  const pairs = new URLSearchParams(new URL(page.url()).hash.slice(1));
  return Object.fromEntries([...pairs].map(([name, value]) => [name, /^\d+$/.test(value) ? Number(value) : value]));
}

/** Opens the graph of a guest's trace, and waits for its rows. */
async function openGraph(t, words = '', options = {}) {
  const trace = copyOf(t, guestTrace());
  const url = await serve(t, trace);
  const page = await openPage(t, `${url}#view=graph${words}`, options);
  await indexed(url);
  await page.waitForSelector('.graph-row:not(.group)');
  await page.waitForTimeout(700);
  return { page, trace, url };
}

/** The place of a row in the picture. */
async function rowPlace(page, name) {
  const row = page.locator('.graph-row:visible', { hasText: name }).first();
  const [place, plot] = [await row.boundingBox(), await page.locator('.graph-plot').boundingBox()];
  return { left: plot.x, width: plot.width, middle: place.y + place.height / 2 };
}

/** Shows one row alone, selects it and gives its place. */
async function selectRow(page, name) {
  await page.getByPlaceholder('filter names, tids').fill(name);
  await page.keyboard.press('Enter');
  await page.waitForTimeout(200);
  const row = page.locator('.graph-row:visible:not(.group)', { hasText: name }).first();
  await row.click();
  return rowPlace(page, name);
}

/** The first wait of a row, from a time on, that is long enough to be hit and that somebody ended. */
async function longWait(page, row, from, least) {
  return page.evaluate(async ([number, start, nanos]) => {
    const ask = async (question) => (await fetch(`api/0/${question}`)).json();
    for (let at = start, tries = 0; tries < 3000; tries += 1) {
      const next = await ask(`next?row=${number}&ns=${at}&direction=next`);
      if (typeof next?.from_ns !== 'number') {
        return null;
      }
      at = next.from_ns;
      const span = await ask(`at?row=${number}&ns=${at}`);
      if (span?.ended_by && span.to_ns - span.from_ns > nanos) {
        return span;
      }
    }
    return null;
  }, [row, Math.floor(from), least]);
}

/** What the graph's button copies, by names. */
async function copied(page) {
  await page.locator('.graph-sums').getByRole('button', { name: 'copy' }).click();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  const lines = text.split('\n').map((line) => line.split('\t'));
  return new Map(lines.map(([name, ...numbers]) => [name, numbers.map(Number)]));
}

test('the graph gives a thread the times that the command line gives it', async (t) => {
  const { page, trace } = await openGraph(t, '', { permissions: ['clipboard-read', 'clipboard-write'] });
  const { threads } = say('report', 'processes', trace);
  const group = await page.locator('.graph-row.group', { hasText: 'Threads' }).textContent();
  assert.equal(Number(/\((?<count>[\d,]+)\)/.exec(group).groups.count.replace(',', '')), threads.length);
  await picture(page, 'graph');

  const init = threads.find(({ tid }) => tid === 1);
  await selectRow(page, 'init 1');
  await page.waitForTimeout(600);
  const sums = await copied(page);
  for (const kind of ['user', 'syscall', 'trap', 'irq', 'softirq', 'kernel']) {
    assert.equal(sums.get(kind)?.[1] ?? 0, init[`${kind}_ns`], kind);
  }
});

test('the wheel zooms at the pointer to a nanosecond, 0 shows the whole', async (t) => {
  const { page } = await openGraph(t);
  const plot = await page.locator('.graph-plot').boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.75, plot.y + 100);
  for (let turn = 0; turn < 60; turn += 1) {
    await page.mouse.wheel(0, -400);
  }
  const deep = await stateOf(page);
  const { end_ns: end } = await page.evaluate(async () => (await fetch('api/0/meta')).json());
  assert.ok(deep.to - deep.from <= 2, `${deep.from} to ${deep.to}`);
  assert.ok(Math.abs(deep.from / end - 0.75) < 0.01);
  await page.keyboard.press('0');
  const whole = await stateOf(page);
  assert.deepEqual([whole.from, whole.to], [undefined, undefined]);
});

test('dragging moves, with shift it selects; the interval has the counts of the command line', async (t) => {
  const { page, trace } = await openGraph(t, '', { permissions: ['clipboard-read', 'clipboard-write'] });
  const plot = await page.locator('.graph-plot').boundingBox();
  const drag = async (from, to) => {
    await page.mouse.move(plot.x + from, plot.y + 120);
    await page.mouse.down();
    await page.mouse.move(plot.x + to, plot.y + 125, { steps: 6 });
    await page.mouse.up();
  };
  await page.keyboard.down('Shift');
  await drag(plot.width * 0.9, plot.width * 0.95);
  await page.keyboard.up('Shift');
  const { selection } = await stateOf(page);
  const [from, to] = selection.split('-').map(Number);
  await page.waitForTimeout(500);
  const counts = await copied(page);
  assert.deepEqual([counts.get('from_ns')[0], counts.get('to_ns')[0]], [from, to]);
  const { counts: told } = say('report', 'summary', trace, '--from', `${from}ns`, '--to', `${to}ns`);
  assert.equal(counts.get('sched_switch')?.[0] ?? 0, told.find(({ name }) => name === 'sched_switches').count);
  await picture(page, 'graph-selection');

  await page.keyboard.press('f');
  const fitted = await stateOf(page);
  assert.ok(fitted.from < from && fitted.to > to && fitted.to - fitted.from < (to - from) * 1.2);
  await drag(400, 300);
  const moved = await stateOf(page);
  const step = (fitted.to - fitted.from) / plot.width;
  assert.ok(Math.abs(moved.from - fitted.from - 100 * step) < 6 * step, 'a picture that is dragged follows');
  assert.equal(moved.selection, selection);
});

test('a wait says who ended it, and leads there', async (t) => {
  const { page } = await openGraph(t);
  const rows = await page.evaluate(async () => (await fetch('api/0/rows')).json());
  const init = rows.find(({ tid }) => tid === 1);
  const { left, width, middle } = await selectRow(page, 'init 1');
  const { end_ns: end } = await page.evaluate(async () => (await fetch('api/0/meta')).json());
  const span = await longWait(page, init.row, end * 0.5, end / 200);
  await page.mouse.click(left + ((span.from_ns + span.to_ns) / 2 / end) * width, middle);
  const { cursor, row } = await stateOf(page);
  assert.equal(row, init.row);
  assert.ok(cursor > span.from_ns && cursor < span.to_ns);
  await page.waitForTimeout(300);
  const text = await page.locator('.graph-state').textContent();
  assert.ok(text.includes(span.ended_by.via), text);
  await picture(page, 'graph-wait');
  await page.keyboard.press('g');
  const there = await stateOf(page);
  assert.deepEqual([there.row, there.cursor], [span.ended_by.row, span.ended_by.at_ns]);
});

test('the critical path is the one that the server knows', async (t) => {
  const { page } = await openGraph(t);
  const rows = await page.evaluate(async () => (await fetch('api/0/rows')).json());
  const { end_ns: end } = await page.evaluate(async () => (await fetch('api/0/meta')).json());
  const init = rows.find(({ tid }) => tid === 1);
  const { left, width, middle } = await selectRow(page, 'init 1');
  const span = await longWait(page, init.row, end * 0.5, end / 200);
  await page.mouse.click(left + ((span.from_ns + span.to_ns) / 2 / end) * width, middle);
  await page.waitForTimeout(500);
  await page.keyboard.press('c');
  await page.waitForSelector('.graph-path');
  const asked = `api/0/path?row=${init.row}&from=0&to=${span.to_ns}`;
  const { segments } = await page.evaluate(async (question) => (await fetch(question)).json(), asked);
  const text = (await page.locator('.graph-path h3').textContent()).replace(/,/g, '');
  assert.ok(segments.length > 1 && text.includes(`${segments.length} parts`), `${text}; ${segments.length}`);
  await picture(page, 'graph-path');
  await page.keyboard.press('Escape');
  await page.waitForTimeout(200);
  assert.equal(await page.locator('.graph-path').count(), 0);
});

test('rows are filtered, sorted, pinned and hidden, and the address remembers all of it', async (t) => {
  const { page, url } = await openGraph(t);
  const names = () => page.locator('.graph-row:visible:not(.group) .graph-name').allTextContents();
  await selectRow(page, 'init 1');
  await page.keyboard.press('p');
  await page.getByPlaceholder('filter names, tids').fill('insmod');
  await page.keyboard.press('Enter');
  await page.waitForTimeout(200);
  const found = await names();
  assert.equal(found[0], 'init 1');
  assert.ok(found.length > 2 && found.slice(1).every((name) => name.includes('insmod')), found.join());
  await page.getByLabel('order of rows').selectOption('time');
  await page.keyboard.press('h');
  const state = await stateOf(page);
  assert.equal(state['graph.find'], 'insmod');
  assert.equal(state['graph.sort'], 'time');
  assert.equal(state['graph.ran'], 'true');
  const before = await names();

  const again = await openPage(t, page.url());
  await again.waitForTimeout(1500);
  assert.deepEqual(await again.locator('.graph-row:visible:not(.group) .graph-name').allTextContents(), before);
  assert.ok(page.url().startsWith(url));
});

test('a saved picture is well-formed and holds what is seen', async (t) => {
  const { page } = await openGraph(t);
  const save = async (kind) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'), page.getByLabel('save the picture').selectOption(kind),
    ]);
    return readFileSync(await download.path());
  };
  const svg = (await save('svg')).toString();
  const texts = await page.evaluate((text) => {
    const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
    const names = [...parsed.querySelectorAll('text')].map((one) => one.textContent);
    return parsed.querySelector('parsererror') ? null : names;
  }, svg);
  assert.ok(texts?.includes('CPU 0') && texts.includes('init 1'), 'the names are in it');
  assert.equal((await save('png')).subarray(1, 4).toString(), 'PNG');
});

test('losses are marked, and hostile names are text', async (t) => {
  const hostile = [
    '<script>window.hacked = 1</script>', '\u202eevil', 'x'.repeat(4096), 'a\u0000\u001b[31mb', '"><img src=x onerror=hacked=1>',
  ];
  const trace = copyOf(t, guestTrace());
  const url = await serve(t, trace);
  const page = await openPage(t, url);
  await page.route('**/api/0/rows', async (route) => {
    const answer = await route.fetch();
    const rows = await answer.json();
    rows.filter(({ type }) => type === 'thread').slice(0, hostile.length).forEach((row, index) => {
      row.name = hostile[index];
    });
    await route.fulfill({ json: rows });
  });
  await page.route('**/api/0/meta', async (route) => {
    const answer = await route.fetch();
    const meta = await answer.json();
    meta.losses = [{ cpu: 0, at: Math.round(meta.end_ns / 2), count: 4711 }];
    meta.states.forEach((state, index) => {
      state[1] = state[1] === '' ? '' : hostile[index % hostile.length];
    });
    await route.fulfill({ json: meta });
  });
  await page.goto(`${url}#view=graph`);
  await page.reload();
  await page.waitForSelector('.graph-row:not(.group)');
  await page.waitForTimeout(1200);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator('script').count(), 1);
  assert.equal(await page.locator('main img').count(), 0);
  const names = await page.locator('.graph-row:visible .graph-name').allTextContents();
  assert.ok(names.some((name) => name.includes('<script>window.hacked')), 'it is shown as it is');
  assert.ok(names.some((name) => name.includes('\\u202eevil')), 'nothing turns text around');
  assert.ok(names.every((name) => name.length < 200));
  const plot = await page.locator('.graph-plot').boundingBox();
  await page.mouse.move(plot.x + plot.width / 2, plot.y + 60);
  await page.waitForTimeout(100);
  assert.match(await page.locator('.graph-tip').textContent(), /4,711 events lost on CPU 0/);
  await picture(page, 'graph-hostile');
});

test('behind the picture is a table that says the same', async (t) => {
  const { page } = await openGraph(t);
  await selectRow(page, 'init 1');
  await page.waitForTimeout(1200);
  const lines = await page.locator('.graph-table tbody tr').evaluateAll((all) => all.map((line) =>
    [...line.children].map((cell) => cell.textContent)));
  assert.ok(lines.length > 10 && lines.length <= 300);
  assert.equal(lines[0][0], 'init 1');
  const tree = page.getByRole('tree');
  assert.equal(await tree.getByRole('treeitem', { selected: true }).count(), 1);

  await page.getByPlaceholder('filter names, tids').fill('');
  await tree.focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowDown');
  await page.waitForTimeout(300);
  const active = await tree.getAttribute('aria-activedescendant');
  assert.equal(await page.locator(`#${active}`).getAttribute('aria-selected'), 'true');
  assert.match(await page.locator('.graph-row:visible', { hasText: 'init 1' }).getAttribute('aria-expanded'), /false/);
});

test('two traces move together, and stay as far apart as they were put', async (t) => {
  const trace = copyOf(t, guestTrace());
  const url = await serve(t, trace, '--beside', copyOf(t, guestTrace(), 'other.bin'));
  const page = await openPage(t, `${url}#view=compare`);
  await page.waitForSelector('.compare-graphs .graph-row:not(.group)');
  await page.waitForTimeout(1500);
  const plots = page.locator('.compare-graphs .graph-plot');
  const [upper, lower] = [await plots.nth(0).boundingBox(), await plots.nth(1).boundingBox()];
  await page.mouse.click(upper.x + 500, upper.y + 60);
  await page.mouse.click(lower.x + 600, lower.y + 60);
  await page.getByRole('button', { name: 'align here' }).click();
  await page.waitForTimeout(500);
  await page.mouse.move(upper.x + 500, upper.y + 60);
  for (let turn = 0; turn < 4; turn += 1) {
    await page.mouse.wheel(0, -400);
  }
  await page.waitForTimeout(800);
  const offset = Number((await stateOf(page))['compare.offset']);
  const ranges = await page.locator('.graph-range').allTextContents();
  const starts = ranges.map((text) => Number(/^[\d.]+/.exec(text)[0]) * 1e9);
  assert.ok(offset > 0);
  assert.ok(Math.abs(starts[1] - starts[0] - offset) < 1e7, `${starts} ${offset}`);
  await picture(page, 'compare');
});
