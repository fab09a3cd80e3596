// What every test of the page needs: a server on a trace, a page in Chromium, and the command line beside them.
//
// GUESTTRACE names the program (default target/release/guesttrace); GUESTTRACE_EXPORT_TRACE the trace of a guest.
// Whatever a page complains of in its console fails the test that opened it.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const projectDir = join(dirname(fileURLToPath(import.meta.url)), '../..');
const targetDir = process.env.CARGO_TARGET_DIR ?? join(projectDir, 'target');
export const program = process.env.GUESTTRACE ?? join(targetDir, 'release/guesttrace');

/** What is to be done when a test is over: the last that was begun is ended first. */
const ends = new WeakMap();
function whenOver(test, call) {
  const calls = ends.get(test) ?? [];
  if (calls.length === 0) {
    ends.set(test, calls);
    test.after(async () => {
      for (const end of calls.reverse()) {
        await end();
      }
    });
  }
  calls.push(call);
}

/** A trace that is small and always there. */
export const goldenTrace = join(projectDir, 'analyzer/tests/golden/first_program.trace');

/** A trace of a guest that booted, which the tests' first step records. */
export function guestTrace() {
  const trace = process.env.GUESTTRACE_EXPORT_TRACE;
  assert.ok(trace && existsSync(trace), 'GUESTTRACE_EXPORT_TRACE names no trace: record one with scripts/run-qemu.sh');
  return trace;
}

/** A directory for one test, gone after it. */
export function workDir(test) {
  const directory = mkdtempSync(join(tmpdir(), 'guesttrace-browser-'));
  whenOver(test, () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A copy of a trace, so that nothing is left beside the original. */
export function copyOf(test, trace, name = 'out.bin') {
  const copy = join(workDir(test), name);
  copyFileSync(trace, copy);
  return copy;
}

/** What the command line says, as JSON. */
export function say(...words) {
  const output = execFileSync(program, [...words, '--format', 'json'], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(output.toString());
}

/** Runs a command and gives its output. */
export function run(...words) {
  return execFileSync(program, words, { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

/** Starts `guesttrace serve WORDS`; gives the address of its page. It ends with the test. */
export async function serve(test, ...words) {
  return (await serveChild(test, ...words)).url;
}

/** The same, with the process. */
export async function serveChild(test, ...words) {
  const child = spawn(program, ['serve', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let talk = '';
  child.stderr.on('data', (text) => { talk += text; });
  whenOver(test, () => child.kill());
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([
    new Promise((resolve) => { lines.once('line', resolve); }),
    new Promise((_, reject) => { child.once('exit', () => reject(new Error(`serve ended: ${talk}`))); }),
  ]);
  return { url, child };
}

/** Waits until a server has indexed the first of its traces, and gives what it says of that. */
export async function indexed(url) {
  for (;;) {
    const meta = await (await fetch(`${url}api/0/meta`)).json();
    if (meta.done) {
      return meta;
    }
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** One browser for all tests of a file. */
let browser;
export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

/** Opens an address in a page of its own. Its complaints fail the test when it ends. */
export async function openPage(test, url, options = {}) {
  const page = await emptyPage(test, options);
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector('#app:not(.starting)') !== null);
  return page;
}

/** A page that shows nothing yet. */
export async function emptyPage(test, options = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      complaints.push(message.text());
    }
  });
  whenOver(test, async () => {
    await context.close();
    assert.deepEqual(complaints, [], 'the page complained');
  });
  return page;
}

/** Keeps a picture of a page for whoever looks at them, where GUESTTRACE_SCREENSHOTS names a directory. */
export async function picture(page, name) {
  const directory = process.env.GUESTTRACE_SCREENSHOTS;
  if (directory) {
    mkdirSync(directory, { recursive: true });
    await page.screenshot({ path: join(directory, `${name}.png`) });
  }
}
