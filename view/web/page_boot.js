// A boot on one time line: phases, what the kernel and its modules set up, programs.

import { fill, fitCanvas, make, oncePerFrame, plain } from './dom.js';
import { lengthText, timeMarks, timeText } from './time.js';
import { AnswerPlace, quietPage, showInGraph } from './page_parts.js';
import { reportParts } from './page_reports.js';
import { namedRow } from './tables.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Report} Report */

/** @typedef {{ from: number, to: number, text: string, color: string, lane: number, left: number }} BootItem */

const BOOT_LANE = 22;
const BOOT_LANES_MAX = 14;
/** Rows of each table of the report. */
const BOOT_TOP = 200;
/** Width that a name takes so that the next in its lane is not written over it. */
const BOOT_NAME_WIDTH = 250;

/** Phases, initcalls and programs above each other, on one time axis. */
class BootPicture {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.canvas = make('canvas', {
      class: 'boot',
      attributes: { role: 'img', 'aria-label': 'phases of the boot; the tables below say the same' },
    });
    this.said = make('div', { class: 'chart-said faint' });
    this.element = make('figure', { class: 'chart' }, this.canvas, this.said);
    /** @type {BootItem[]} */
    this.items = [];
    this.lanes = 1;
    this.from = 0;
    this.to = 1;
    this.draw = oncePerFrame(() => this.drawNow());
    new ResizeObserver(() => {
      this.place();
      this.draw();
    }).observe(this.element);
    this.canvas.addEventListener('pointermove', (event) => {
      const item = this.itemAt(event.offsetX, event.offsetY);
      this.said.textContent = item
        ? `${item.text}: at ${timeText(item.from, 1000)} s, ${lengthText(item.to - item.from)}`
        : '\u00a0';
      this.canvas.style.cursor = item ? 'pointer' : 'default';
    });
    this.canvas.addEventListener('click', (event) => {
      const item = this.itemAt(event.offsetX, event.offsetY);
      if (item) {
        showInGraph(app, item.from, item.to, null);
      }
    });
  }

  /** @param {Report} report */
  set(report) {
    /** @param {string} name */
    const rows = (name) => {
      const table = report.tables.find((one) => one.name === name);
      return table ? table.rows.map((cells) => namedRow(table, cells)) : [];
    };
    const phases = rows('phases').map((row) => ({
      from: Number(row.at_ns),
      to: Number(row.at_ns) + Number(row.length_ns ?? 0),
      text: plain(String(row.phase), 100),
    }));
    const calls = rows('initcalls').map((row) => ({
      from: Number(row.first_ns),
      to: Number(row.first_ns) + Number(row.total_ns),
      text: plain(String(row.function), 80),
    }));
    const programs = rows('programs').map((row) => ({
      from: Number(row.first_ns),
      to: Number(row.first_ns),
      text: plain(String(row.program), 80),
    }));
    this.groups = [
      { items: phases, color: 'kernel' },
      { items: calls, color: 'syscall' },
      { items: programs, color: 'user' },
    ];
    this.from = 0;
    this.to = Math.max(
      1,
      ...phases.map((item) => item.to),
      ...calls.map((item) => item.to),
      ...programs.map((item) => item.to),
    );
    this.place();
    this.draw();
  }

  /** Puts what would be written over something else into a lane below it. */
  place() {
    const scale = Math.max(1, this.canvas.clientWidth) / (this.to - this.from);
    let first = 0;
    this.items = [];
    for (const group of this.groups ?? []) {
      /** @type {number[]} */
      const ends = [];
      for (const item of [...group.items].sort((a, b) => a.from - b.from)) {
        const x = (item.from - this.from) * scale;
        const name = Math.min(BOOT_NAME_WIDTH, 12 + item.text.length * 6.5);
        // A name that would leave the picture stands before its place.
        const left = x + name > this.canvas.clientWidth ? Math.max(0, x - name) : x;
        let lane = ends.findIndex((end) => end <= left);
        lane = lane < 0 ? Math.min(ends.length, BOOT_LANES_MAX - 1) : lane;
        ends[lane] = Math.max((item.to - this.from) * scale, left + name) + 2;
        this.items.push({ ...item, color: group.color, lane: first + lane, left });
      }
      first += ends.length + (ends.length > 0 ? 0.5 : 0);
    }
    this.lanes = Math.max(1, first);
    this.canvas.style.height = `${Math.round(this.lanes * BOOT_LANE + 24)}px`;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  itemAt(x, y) {
    const at = this.from + (x / Math.max(1, this.canvas.clientWidth)) * (this.to - this.from);
    const lane = y / BOOT_LANE;
    const lanes = this.items.filter((item) => item.lane <= lane && lane < item.lane + 1);
    return (
      lanes.find((item) => item.from <= at && at < item.to) ??
      lanes.filter((item) => item.left <= x && x < item.left + BOOT_NAME_WIDTH).pop()
    );
  }

  drawNow() {
    const fitted = fitCanvas(this.canvas);
    if (!fitted) {
      return;
    }
    const { context, width, height } = fitted;
    const { app } = this;
    const scale = width / (this.to - this.from);
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'middle';
    const { step, marks } = timeMarks(this.from, this.to, Math.max(2, Math.floor(width / 110)));
    for (const at of marks) {
      const x = Math.round((at - this.from) * scale) + 0.5;
      context.fillStyle = app.color('line');
      context.fillRect(x, 0, 0.5, height - 18);
      context.fillStyle = app.color('faint');
      context.fillText(`${timeText(at, step)} s`, Math.min(x + 3, width - 50), height - 9);
    }
    for (const item of this.items) {
      const [x, y] = [(item.from - this.from) * scale, item.lane * BOOT_LANE];
      const wide = Math.max(2, (item.to - item.from) * scale - 1);
      context.fillStyle = app.color(item.color);
      context.globalAlpha = 0.35;
      context.fillRect(x, y + 1, wide, BOOT_LANE - 3);
      context.globalAlpha = 1;
      context.fillRect(x, y + 1, 2, BOOT_LANE - 3);
      context.fillStyle = app.color('text');
      context.save();
      context.beginPath();
      context.rect(item.left, y, Math.max(wide, BOOT_NAME_WIDTH) - 2, BOOT_LANE);
      context.clip();
      context.fillText(item.text, item.left + 5, y + BOOT_LANE / 2);
      context.restore();
    }
  }
}

/**
 * Makes the page of the boot.
 * @param {App} app
 * @returns {Page}
 */
export function bootPage(app) {
  const picture = new BootPicture(app);
  const place = new AnswerPlace();
  const element = make('div', { class: 'page boot' }, make('div', { class: 'scrolls' }, place.element));
  const update = () => {
    picture.draw();
    place.ask(
      app,
      [],
      (signal) => app.source.report('boot', { top: BOOT_TOP }, signal),
      (report) => {
        fill(
          place.element,
          make('h2', { text: 'The boot, from the first event' }),
          picture.element,
          ...reportParts(app, report),
        );
        picture.set(report);
      },
    );
  };
  return quietPage(app, { name: 'boot', title: 'Boot', key: '7', element, update });
}
