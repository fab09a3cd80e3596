// Frames per second of the event graph in Chromium: node frames.mjs TRACE [ROWS]
//
// Opens the trace in a window that is high enough for so many rows (default 200), and drags, zooms and points for five
// seconds each. Prints frames per second and the 99th percentile of the time between two frames.

import { closeBrowser, copyOf, openPage, serve } from './frame.mjs';

const [trace, rows = '200'] = process.argv.slice(2);
/** @type {(() => unknown)[]} */
const ends = [];
const measurement = { after: (call) => ends.push(call) };

/** Moves, in the page, for so many frames, and gives the times between them in milliseconds. */
async function frames(page, kind) {
  return page.evaluate(async (how) => {
    const plot = document.querySelector('.graph-plot');
    const box = plot.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const common = { bubbles: true, cancelable: true, clientY: y };
    const fire = (type, clientX) => plot.dispatchEvent(new PointerEvent(type, { ...common, clientX, button: 0 }));
    const turn = (deltaY) => plot.dispatchEvent(new WheelEvent('wheel', { ...common, clientX: x, deltaY }));
    plot.setPointerCapture = () => {};
    const times = [];
    let last = 0;
    if (how === 'dragging') {
      fire('pointerdown', x);
    }
    for (let frame = 0; frame < 300; frame += 1) {
      const now = await new Promise((resolve) => { requestAnimationFrame(resolve); });
      times.push(now - last);
      last = now;
      const swing = Math.abs((frame % 200) - 100);
      if (how === 'zooming') {
        turn(frame % 100 < 50 ? -30 : 30);
      } else {
        fire('pointermove', x - 600 + swing * 7);
      }
    }
    fire('pointerup', x);
    return times.slice(1);
  }, kind);
}

const url = await serve(measurement, copyOf(measurement, trace));
const viewport = { width: 1600, height: 340 + 6 * Number(rows) };
const page = await openPage(measurement, `${url}#view=graph&graph.size=small`, { viewport });
await page.waitForFunction(async () => (await (await fetch('api/0/meta')).json()).done, undefined, { polling: 200 });
await page.waitForTimeout(2000);
const seen = await page.locator('.graph-row:visible').count();
for (let turn = 0; turn < 3; turn += 1) {
  await page.mouse.move(900, 400);
  await page.mouse.wheel(0, -300);
  await page.waitForTimeout(300);
}
for (const kind of ['pointing', 'dragging', 'zooming']) {
  const times = (await frames(page, kind)).sort((a, b) => a - b);
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  const late = times[Math.floor(times.length * 0.99)];
  console.log(`${kind}\t${seen} rows\t${(1000 / mean).toFixed(1)} frames/s\tp99 ${late.toFixed(1)} ms`);
}
for (const end of ends.reverse()) {
  await end();
}
await closeBrowser();
