// Where time goes, by stacks: a flame graph that grows downwards.

import { button, choice, fill, fitCanvas, make, oncePerFrame, plain, setOptions, whenQuiet } from './dom.js';
import { lengthText, percentText, shortText } from './time.js';
import { flamePath, flameSums, flameTree, walkFlame } from './flame_tree.js';
import { AnswerPlace, TimesBox, chosenTimes, quietPage } from './page_parts.js';
import { ReportTable } from './tables.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Page} Page */
/** @typedef {import('./types.d.ts').Flame} Flame */
/** @typedef {import('./flame_tree.js').FlameNode} FlameNode */

const FLAME_LINE = 19;
/** Rows of the table below the picture. */
const FLAME_ROWS = 200;

/**
 * Makes the page of the flame graph.
 * @param {App} app
 * @returns {Page}
 */
export function flamePage(app) {
  const page = new FlamePage(app);
  return quietPage(app, {
    name: 'flame',
    title: 'Flame graph',
    key: '6',
    element: page.element,
    update: () => page.update(),
    keys: [
      ['click', 'zoom in; on what is above: zoom out'],
      ['arrows', 'go to what is beside, below, above'],
      ['Enter', 'zoom to where the frame is'],
      ['Esc', 'all of it'],
      ['f', 'search'],
    ],
    keydown: (event) => page.keydown(event),
  });
}

class FlamePage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.times = new TimesBox(app);
    this.what = choice(
      [
        ['', 'running time'],
        ['yes', 'running and waiting time'],
      ],
      '',
      (value) => this.set('waiting', value),
    );
    this.process = choice([['', 'all processes']], '', (value) => this.set('pid', value));
    this.process.hidden = app.embedded;
    this.search = make('input', {
      attributes: { type: 'search', placeholder: 'mark …', 'aria-label': 'mark what has this text' },
      on: { input: whenQuiet(120, () => this.marked()) },
    });
    this.found = make('span', { class: 'faint count' });
    this.path = make('div', { class: 'flame-path' });
    this.canvas = make('canvas', {
      class: 'flame',
      attributes: { role: 'img', 'aria-label': 'flame graph; the table below says the same' },
    });
    this.said = make('div', { class: 'faint flame-said', attributes: { 'aria-live': 'polite' } });
    this.place = new AnswerPlace();
    this.table = make('div');
    this.content = make('div', {}, this.path, this.canvas, this.said, this.table);
    this.scroll = make('div', { class: 'scrolls' }, this.place.element);
    this.element = make(
      'div',
      { class: 'page' },
      make(
        'div',
        { class: 'toolbar' },
        this.times.element,
        this.what,
        this.process,
        this.search,
        this.found,
        button('All', () => this.zoom(null), 'Show all of it'),
      ),
      this.scroll,
    );
    this.unit = 'ns';
    /** @type {FlameNode | null} */
    this.root = null;
    /** @type {FlameNode | null} */
    this.top = null;
    /** @type {FlameNode | null} */
    this.under = null;
    this.text = '';
    this.draw = oncePerFrame(() => this.drawNow());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener('pointermove', (event) => this.over(this.nodeAt(event.offsetX, event.offsetY)));
    this.canvas.addEventListener('pointerleave', () => this.over(null));
    this.canvas.addEventListener('click', (event) => {
      const node = this.nodeAt(event.offsetX, event.offsetY);
      if (node) {
        this.zoom(node);
      }
    });
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    this.app.go({ extra: { ...this.app.state.extra, [`flame.${name}`]: value } }, 'push');
  }

  update() {
    const { app } = this;
    const { extra } = app.state;
    this.times.update();
    const waiting = extra['flame.waiting'] === 'yes';
    const pid = /^\d+$/.test(extra['flame.pid'] ?? '') ? Number(extra['flame.pid']) : null;
    this.what.value = waiting ? 'yes' : '';
    const leaders = app.rows.filter((row) => row.type === 'thread' && row.pid === row.tid && row.pid !== null);
    const processes = leaders.map(
      (row) => /** @type {[string, string]} */ ([String(row.pid), `${plain(row.name, 30)}:${row.pid}`]),
    );
    setOptions(this.process, [['', 'all processes'], ...new Map(processes)], pid === null ? '' : String(pid));
    const { from, to, key } = chosenTimes(app);
    this.place.ask(
      app,
      [key, pid, waiting],
      (signal) => app.source.flame(from, to, pid, waiting, signal),
      (flame) => this.show(flame),
    );
    this.draw();
  }

  /** @param {Flame} flame */
  show(flame) {
    this.unit = flame.unit;
    this.root = flameTree(flame);
    if (this.root.value === 0) {
      fill(this.place.element, make('p', { text: 'Nothing to show in these times.' }));
      return;
    }
    fill(this.place.element, this.content);
    this.zoom(null);
    this.marked();
    const { root } = this;
    const sums = [...flameSums(root)].sort((a, b) => b[1].own - a[1].own || b[1].all - a[1].all);
    const cell = (/** @type {number} */ value) => (flame.unit === 'ns' ? { length: value } : { count: value });
    fill(
      this.table,
      new ReportTable(
        {
          name: 'frames',
          title: 'By name, however deep',
          shape: 'rows',
          columns: [
            { name: 'name', title: 'Name' },
            { name: 'own', title: 'Alone' },
            { name: 'own_percent', title: '%' },
            { name: 'all', title: 'With what is in it' },
            { name: 'all_percent', title: '%' },
          ],
          rows: sums
            .slice(0, FLAME_ROWS)
            .map(([name, sum]) => [
              { text: name },
              cell(sum.own),
              { percent: (100 * sum.own) / root.value },
              cell(sum.all),
              { percent: (100 * sum.all) / root.value },
            ]),
        },
        { link: (named, column) => (column === 'name' ? () => this.mark(String(named.name)) : null) },
      ).element,
    );
  }

  /** @param {number} value */
  valueText(value) {
    return this.unit === 'ns' ? lengthText(value) : `${shortText(value)} ${this.unit}`;
  }

  /** @param {FlameNode | null} node */
  zoom(node) {
    this.top = node ?? this.root;
    this.under = null;
    if (!this.top) {
      return;
    }
    let deepest = 0;
    walkFlame(this.top, this.top.value / 4000, (one) => {
      deepest = Math.max(deepest, one.depth);
    });
    this.canvas.style.height = `${(deepest + 1) * FLAME_LINE + 2}px`;
    this.path.hidden = this.top === this.root;
    fill(
      this.path,
      ...flamePath(this.top).flatMap((one) => [
        make('button', { class: 'link', text: plain(one.name, 60), on: { click: () => this.zoom(one) } }),
        ' › ',
      ]),
      this.valueText(this.top.value),
    );
    this.draw();
  }

  /** @param {string} text */
  mark(text) {
    this.search.value = text;
    this.marked();
    this.scroll.scrollTop = 0;
  }

  marked() {
    this.text = this.search.value.trim().toLowerCase();
    let sum = 0;
    if (this.text !== '' && this.root) {
      const waiting = [this.root];
      for (let node = waiting.pop(); node; node = waiting.pop()) {
        if (node.name.toLowerCase().includes(this.text)) {
          sum += node.value;
        } else {
          waiting.push(...node.children.values());
        }
      }
    }
    this.found.textContent =
      this.text === ''
        ? ''
        : `${this.valueText(sum)}, ${percentText((100 * sum) / Math.max(1, this.root?.value ?? 1))}`;
    this.draw();
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  nodeAt(x, y) {
    const { top } = this;
    if (!top) {
      return null;
    }
    const depth = Math.floor(y / FLAME_LINE);
    if (depth <= top.depth) {
      return flamePath(top)[depth] ?? null;
    }
    const at = top.start + (x / Math.max(1, this.canvas.clientWidth)) * top.value;
    let node = top;
    while (node.depth < depth) {
      const child = [...node.children.values()].find((one) => one.start <= at && at < one.start + one.value);
      if (!child) {
        return null;
      }
      node = child;
    }
    return node;
  }

  /** @param {FlameNode | null} node */
  over(node) {
    this.under = node;
    this.canvas.style.cursor = node ? 'pointer' : 'default';
    this.said.textContent = node ? this.words(node) : '\u00a0';
    this.draw();
  }

  /** @param {FlameNode} node */
  words(node) {
    const part = percentText((100 * node.value) / Math.max(1, this.root?.value ?? 1));
    return `${plain(node.name, 200)}: ${this.valueText(node.value)}, ${part} of all; alone ${this.valueText(node.own)}`;
  }

  drawNow() {
    const { top } = this;
    const fitted = fitCanvas(this.canvas);
    if (!top || !fitted) {
      return;
    }
    const { context, width } = fitted;
    context.font = '11.5px system-ui, sans-serif';
    context.textBaseline = 'middle';
    for (const node of flamePath(top)) {
      this.drawNode(context, node, 0, width, node !== top);
    }
    walkFlame(top, top.value / width, (node) => {
      if (node !== top) {
        this.drawNode(
          context,
          node,
          ((node.start - top.start) / top.value) * width,
          (node.value / top.value) * width,
          false,
        );
      }
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {FlameNode} node
   * @param {number} x
   * @param {number} width
   * @param {boolean} outer whether it is above what is zoomed to
   */
  drawNode(context, node, x, width, outer) {
    const y = node.depth * FLAME_LINE;
    const isMarked = this.text !== '' && node.name.toLowerCase().includes(this.text);
    context.globalAlpha = outer ? 0.5 : 1;
    context.fillStyle = isMarked ? this.app.color('lost') : flameColor(node, this.app);
    context.fillRect(x, y, Math.max(0.5, width - 1), FLAME_LINE - 1);
    context.globalAlpha = 1;
    if (node === this.under) {
      context.strokeStyle = this.app.color('text');
      context.lineWidth = 1.5;
      context.strokeRect(x + 0.75, y + 0.75, Math.max(1, width - 2.5), FLAME_LINE - 2.5);
    }
    if (width > 28) {
      context.save();
      context.beginPath();
      context.rect(x, y, width - 4, FLAME_LINE);
      context.clip();
      context.fillStyle = this.app.color(isMarked ? 'back' : 'flame-text');
      context.fillText(plain(node.name, Math.ceil(width / 4)), x + 4, y + FLAME_LINE / 2);
      context.restore();
    }
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return false;
    }
    const node = this.under ?? this.top;
    const children = node ? [...node.children.values()].sort((a, b) => a.start - b.start) : [];
    const beside = node?.parent ? [...node.parent.children.values()].sort((a, b) => a.start - b.start) : [];
    const index = node ? beside.indexOf(node) : 0;
    /** @type {Record<string, () => void>} */
    const calls = {
      f: () => this.search.focus(),
      Escape: () => this.zoom(null),
      Enter: () => this.zoom(this.under),
      ArrowDown: () => this.over(children[0] ?? node),
      ArrowUp: () => this.over(node?.parent ?? node),
      ArrowRight: () => this.over(beside[index + 1] ?? node),
      ArrowLeft: () => this.over(beside[index - 1] ?? node),
    };
    const call = calls[event.key];
    call?.();
    return call !== undefined;
  }
}

/**
 * A calm colour that is always the same for a name.
 * @param {FlameNode} node
 * @param {App} app
 */
function flameColor(node, app) {
  if (!node.parent) {
    return app.color('line');
  }
  let hash = 0;
  for (let index = 0; index < Math.min(40, node.name.length); index += 1) {
    hash = (hash * 31 + node.name.charCodeAt(index)) % 65_521;
  }
  return app.color(`flame-${hash % 8}`);
}
