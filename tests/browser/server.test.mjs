// Who gets answers, and that no question upsets the server.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import test, { after } from 'node:test';
import { closeBrowser, copyOf, goldenTrace, indexed, openPage, say, serve } from './frame.mjs';

after(closeBrowser);

/** Asks as no browser would: any path, any headers. */
function ask(url, path, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, method, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

test('only who knows the whole address gets data', async (t) => {
  const url = await serve(t, copyOf(t, goldenTrace));
  const { pathname, host, port } = new URL(url);
  assert.match(pathname, /^\/[0-9a-f]{32}\/$/);
  const status = async (path, options) => (await ask(url, path, options)).status;

  assert.equal(await status(`${pathname}api/0/meta`), 200);
  assert.equal(await status('/'), 403);
  assert.equal(await status('/api/0/meta'), 403);
  assert.equal(await status(`/${'0'.repeat(32)}/api/0/meta`), 403);
  assert.equal(await status(`${pathname.slice(0, -2)}/api/0/meta`), 403);
  const meta = `${pathname}api/0/meta`;
  assert.equal(await status(meta, { headers: { host: 'evil.example' } }), 403);
  assert.equal(await status(meta, { headers: { host, origin: 'http://evil.example' } }), 403);
  assert.equal(await status(meta, { headers: { host, origin: 'null' } }), 403);
  assert.equal(await status(meta, { headers: { host, origin: `http://127.0.0.1:${Number(port) + 1}` } }), 403);
  assert.equal(await status(meta, { headers: { host, 'sec-fetch-site': 'cross-site' } }), 403);
  assert.equal(await status(meta, { headers: { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' } }), 200);
});

test('every answer says what a browser may do with it', async (t) => {
  const url = await serve(t, copyOf(t, goldenTrace));
  const { pathname } = new URL(url);
  for (const path of [pathname, `${pathname}app.js`, `${pathname}api/0/rows`, '/elsewhere']) {
    const { headers } = await ask(url, path);
    assert.match(headers['content-security-policy'], /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/, path);
    assert.doesNotMatch(headers['content-security-policy'], /unsafe/, path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['referrer-policy'], 'no-referrer', path);
    assert.equal(headers['access-control-allow-origin'], undefined, path);
  }
});

test('what makes no sense gets an error and changes nothing', async (t) => {
  const url = await serve(t, copyOf(t, goldenTrace));
  const base = new URL(url).pathname;
  await indexed(url);
  const before = await ask(url, `${base}api/0/rows`);
  const malformed = [
    'api/0/spans', 'api/0/spans?width=0&rows=0', 'api/0/spans?width=100&rows=0-4000000000', 'api/0/spans?width=100&rows=x',
    'api/0/spans?width=99999999&rows=0', 'api/0/spans?from=9&to=1&width=1&rows=0', 'api/0/spans?from=-1&width=1&rows=0',
    'api/0/at?row=0', 'api/0/latencies?kind=none&width=1&height=1', 'api/0/latencies?kind=irq&width=16000&height=16000',
    'api/0/latencies?kind=irq&width=1&height=1&row=99999999999', 'api/0/next?row=0&ns=0&direction=up',
    'api/0/events?first=0&count=1&filter=%28%28', 'api/0/events?first=x&count=1',
    'api/0/histogram?width=18446744073709551616',
  ];
  for (const path of malformed) {
    const { status, text } = await ask(url, base + path);
    assert.equal(status, 400, path);
    assert.ok(JSON.parse(text).error.length > 5, path);
  }
  for (const path of ['api/1/meta', 'api/x/meta', 'api/0/none', 'api/0/at?row=4000&ns=0', '../../etc/passwd', 'api/0/report/none']) {
    assert.equal((await ask(url, base + path)).status, 404, path);
  }
  assert.equal((await ask(url, `${base}api/0/meta`, { method: 'DELETE' })).status, 405);
  assert.equal((await ask(url, `${base}api/0/meta`, { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await ask(url, `${base}api/0/sql`)).status, 405);
  assert.equal((await ask(url, `${base}api/0/sql`, { method: 'POST', body: 'x'.repeat(1 << 17) })).status, 413);
  assert.equal((await ask(url, `${base}api/0/meta?${'x'.repeat(20000)}`)).status, 414);
  assert.deepEqual((await ask(url, `${base}api/0/rows`)).text, before.text);
});

test('a thousand questions at once are answered', async (t) => {
  const url = await serve(t, copyOf(t, goldenTrace));
  const base = new URL(url).pathname;
  const paths = ['api/0/meta', 'api/0/spans?width=1000&rows=0-9', 'api/0/events?first=0&count=100', 'nothing'];
  const asked = Array.from({ length: 1000 }, (_, n) => ask(url, base + paths[n % paths.length]));
  const answers = await Promise.all(asked);
  assert.equal(answers.filter(({ status }) => status === 200).length, 750);
  assert.equal(answers.filter(({ status }) => status === 404).length, 250);
});

test('the page opens, and says what the command line says', async (t) => {
  const trace = copyOf(t, goldenTrace);
  const url = await serve(t, trace);
  const page = await openPage(t, url);
  const summary = say('report', 'summary', trace);
  const meta = await indexed(url);
  assert.equal(meta.events, summary.trace.events);
  assert.match(await page.title(), /out\.bin – guesttrace$/);
});
