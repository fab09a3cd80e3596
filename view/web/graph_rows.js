// Which rows are listed, in which order and how deep.

import { countText } from './time.js';
import { rowName } from './graph_axis.js';

/** @typedef {import('./types.d.ts').Row} Row */
/** @typedef {import('./graph_model.js').GraphModel} GraphModel */

/**
 * One line of the list: a row, or the head of a group.
 * @typedef {object} Item
 * @property {number} row number of the row, or -1 for the head of a group
 * @property {string} key what the list of closed ones calls it
 * @property {string} name
 * @property {number} depth
 * @property {boolean} parent whether there is something below it
 * @property {boolean} open
 * @property {boolean} pinned
 * @property {number} time nanoseconds in which it ran, in the whole trace
 */

/** Groups in their order: key, title, types of rows. */
/** @type {[string, string, string[]][]} */
const GROUPS = [
  ['cpus', 'CPUs', ['cpu']],
  ['devices', 'Devices and interrupts', ['irq', 'softirq', 'disk']],
  ['threads', 'Threads', ['thread']],
];

/** Lists rows as somebody chose. */
export class RowList {
  /** @param {GraphModel} model */
  constructor(model) {
    this.model = model;
    /** Rows that did something in the visible time, where that has been asked for. */
    /** @type {Set<number> | null} */
    this.ran = null;
    /** @type {Row[] | null} */
    this.known = null;
    /** @type {number[]} */
    this.parents = [];
    /** @type {Float64Array} */
    this.times = new Float64Array(0);
    /** @type {Float64Array} */
    this.treeTimes = new Float64Array(0);
    this.listed = -1;
    /** Grows with each new list. */
    this.version = 0;
    /** @type {Item[]} */
    this.pinned = [];
    /** @type {Item[]} */
    this.items = [];
  }

  /**
   * Rows that did something in the visible time; null lists all.
   * @param {Set<number> | null} ran
   */
  setRan(ran) {
    this.ran = ran;
    this.listed = -1;
  }

  /** Lists anew where anything has changed; says whether it has. */
  update() {
    const { model } = this;
    if (this.listed === model.listing) {
      return false;
    }
    this.listed = model.listing;
    this.version += 1;
    if (this.known !== model.rows) {
      this.known = model.rows;
      this.relate(model.rows);
    }
    const closed = new Set(model.choices.closed);
    const pinned = new Set(model.choices.pinned);
    this.pinned = model.choices.pinned.flatMap((row) => {
      const found = model.rows[row];
      return found ? [this.item(found, 0, false, true)] : [];
    });
    this.items = [];
    for (const [key, title, types] of GROUPS) {
      this.addGroup(key, title, types, closed, pinned);
    }
    return true;
  }

  /**
   * @param {string} key
   * @param {string} title
   * @param {string[]} types
   * @param {Set<string>} closed
   * @param {Set<number>} pinned
   */
  addGroup(key, title, types, closed, pinned) {
    const { choices } = this.model;
    const find = choices.find.toLowerCase();
    const all = this.model.rows.filter((row) => types.includes(row.type));
    const shown = all.filter((row) => !pinned.has(row.row) && this.isShown(row, find));
    if (shown.length === 0) {
      return;
    }
    const open = !closed.has(key);
    // A CPU may have several rows; it is counted once.
    const [some, whole] = [shown, all].map((rows) => new Set(rows.map((row) => row.cpu ?? -1 - row.row)).size);
    const name = `${title} (${some === whole ? '' : `${countText(some ?? 0)} of `}${countText(whole ?? 0)})`;
    this.items.push({ row: -1, key, name, depth: 0, parent: true, open, pinned: false, time: 0 });
    if (!open) {
      return;
    }
    if (key === 'threads' && choices.tree && find === '') {
      this.addTree(shown, closed);
    } else {
      for (const row of this.sorted(shown, key === 'threads' ? choices.sort : 'start', this.times)) {
        this.items.push(this.item(row, 1, false, false));
      }
    }
  }

  /**
   * Lists threads below those that made them; those whose parents are not listed stand below the nearest that is.
   * @param {Row[]} shown
   * @param {Set<string>} closed
   */
  addTree(shown, closed) {
    const listed = new Set(shown.map((row) => row.row));
    /** @type {Map<number, Row[]>} */
    const below = new Map();
    for (const row of shown) {
      let parent = this.parents[row.row] ?? -1;
      while (parent >= 0 && !listed.has(parent)) {
        parent = this.parents[parent] ?? -1;
      }
      const others = below.get(parent);
      if (others) {
        others.push(row);
      } else {
        below.set(parent, [row]);
      }
    }
    const sort = this.model.choices.sort;
    /** @type {[Row, number][]} */
    const waiting = this.sorted(below.get(-1) ?? [], sort, this.treeTimes).reverse().map((row) => [row, 1]);
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [row, depth] = next;
      const children = below.get(row.row) ?? [];
      const open = !closed.has(String(row.row));
      this.items.push({ ...this.item(row, depth, children.length > 0, false), open });
      if (open) {
        for (const child of this.sorted(children, sort, this.treeTimes).reverse()) {
          waiting.push([child, depth + 1]);
        }
      }
    }
  }

  /**
   * @param {Row} row
   * @param {number} depth
   * @param {boolean} parent
   * @param {boolean} pinned
   * @returns {Item}
   */
  item(row, depth, parent, pinned) {
    const time = this.times[row.row] ?? 0;
    return { row: row.row, key: String(row.row), name: rowName(row), depth, parent, open: true, pinned, time };
  }

  /**
   * @param {Row} row
   * @param {string} find
   */
  isShown(row, find) {
    if (row.row === this.model.row || this.model.pathRows.has(row.row)) {
      return true;
    }
    if (this.ran && this.model.choices.ran && !this.ran.has(row.row)) {
      return false;
    }
    const numbers = [row.tid, row.pid].map(String);
    return find === '' || rowName(row).toLowerCase().includes(find) || numbers.includes(find);
  }

  /**
   * @param {Row[]} rows
   * @param {'start' | 'time' | 'name'} sort
   * @param {Float64Array} times
   */
  sorted(rows, sort, times) {
    /** @type {Record<string, (a: Row, b: Row) => number>} */
    const orders = {
      start: (a, b) => a.born_ns - b.born_ns || a.row - b.row,
      time: (a, b) => (times[b.row] ?? 0) - (times[a.row] ?? 0) || a.row - b.row,
      name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.row - b.row),
    };
    return [...rows].sort(orders[sort]);
  }

  /**
   * Finds out whose child everything is, and how long it ran.
   * @param {Row[]} rows
   */
  relate(rows) {
    const { kinds } = this.model.meta;
    this.times = Float64Array.from(rows, (row) =>
      row.sums.reduce((sum, [kind, ns]) => sum + (kinds[kind]?.runs || kinds[kind]?.name === 'busy' ? ns : 0), 0));
    const leaders = leadersOf(rows);
    this.parents = rows.map((row) => {
      const leader = leaders[row.row] ?? -1;
      const up = leader >= 0 && leader !== row.row ? leader : row.parent ?? -1;
      const head = up >= 0 ? leaders[up] ?? up : -1;
      return head >= 0 && head !== row.row && head < rows.length ? head : -1;
    });
    breakRings(this.parents);
    this.treeTimes = this.times.slice();
    for (const row of rows) {
      for (let up = this.parents[row.row] ?? -1; up >= 0; up = this.parents[up] ?? -1) {
        this.treeTimes[up] = (this.treeTimes[up] ?? 0) + (this.times[row.row] ?? 0);
      }
    }
  }

  /**
   * Rows and groups that must be open for a row to be seen.
   * @param {number} row
   */
  above(row) {
    const found = this.model.rows[row];
    const group = GROUPS.find(([, , types]) => found && types.includes(found.type));
    const keys = group ? [group[0]] : [];
    for (let up = this.parents[row] ?? -1; up >= 0; up = this.parents[up] ?? -1) {
      keys.push(String(up));
    }
    return keys;
  }
}

/**
 * For each thread the row of its process's first thread, that lived when it was made; -1 for what is no thread.
 * @param {Row[]} rows
 */
function leadersOf(rows) {
  /** @type {Map<number, Row[]>} */
  const byProcess = new Map();
  for (const row of rows) {
    if (row.type === 'thread' && row.pid !== null && row.tid === row.pid) {
      const others = byProcess.get(row.pid);
      if (others) {
        others.push(row);
      } else {
        byProcess.set(row.pid, [row]);
      }
    }
  }
  return rows.map((row) => {
    const leaders = row.type === 'thread' && row.pid !== null ? byProcess.get(row.pid) ?? [] : [];
    const before = leaders.filter((leader) => leader.born_ns <= row.born_ns);
    return (row.tid === row.pid ? row : before[before.length - 1] ?? leaders[0])?.row ?? -1;
  });
}

/**
 * Makes a root of whatever is its own ancestor, as no trace should say.
 * @param {number[]} parents
 */
function breakRings(parents) {
  const done = new Uint8Array(parents.length);
  for (let start = 0; start < parents.length; start += 1) {
    const seen = new Set();
    for (let row = start; row >= 0 && !done[row]; row = parents[row] ?? -1) {
      if (seen.has(row)) {
        parents[row] = -1;
        break;
      }
      seen.add(row);
    }
    for (const row of seen) {
      done[row] = 1;
    }
  }
}
