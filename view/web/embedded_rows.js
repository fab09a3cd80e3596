// What rows do, wake-ups and rates, from the columns in the page.

import { EmbeddedNumbers, embeddedBound, embeddedColumns, embeddedJson } from './embedded_blocks.js';
import { EmbeddedMerger } from './embedded_merge.js';

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').Spans} Spans */
/** @typedef {import('./types.d.ts').Sum} Sum */
/** @typedef {[number, number, number]} RowPlace row, number of spans, end of the last one */
/** @typedef {{ starts: Float64Array, states: Uint16Array, end: number }} ExactRow */

/** All of a stretch's time, as a part. */
const PART_WHOLE = 65535;

/**
 * Where in the page columns are.
 * @typedef {object} ColumnPlaces
 * @property {{ nanos: number, rows: RowPlace[] }} overview
 * @property {RowPlace[][]} spans
 * @property {number} arrows
 * @property {number[]} runs
 * @property {Record<string, number>} latencies
 * @property {string[]} histogram
 */

export class EmbeddedRows {
  /**
   * @param {ColumnPlaces} places
   * @param {import('./types.d.ts').Meta} meta
   */
  constructor(places, meta) {
    this.places = places;
    this.meta = meta;
    /** By row, in which block it is. */
    this.blockOf = new Map(places.spans.flatMap((rows, block) => rows.map(([row]) => [row, block])));
    /** @type {Map<number, Promise<Map<number, ExactRow>>>} */
    this.blocks = new Map();
    /** @type {Promise<Map<number, Spans>> | undefined} */
    this.seenFromFar = undefined;
    /** @type {ReturnType<EmbeddedRows['readArrows']> | undefined} */
    this.allArrows = undefined;
    /** @type {ReturnType<EmbeddedRows['readRuns']> | undefined} */
    this.allRuns = undefined;
    /** @type {Promise<{ step: number, counts: number[][], busy: number[][] }> | undefined} */
    this.allRates = undefined;
  }

  async readOverview() {
    const [starts, busy, rest, part] = (await embeddedColumns('overview')).map((bytes) => new EmbeddedNumbers(bytes));
    /** @type {Map<number, Spans>} */
    const rows = new Map();
    for (const [row, count, end] of this.places.overview.rows) {
      if (starts && busy && rest && part) {
        rows.set(row, {
          row,
          starts: starts.sums(count),
          end,
          busy: busy.small(count),
          rest: rest.small(count),
          part: part.small(count),
        });
      }
    }
    return rows;
  }

  /** @param {number} block */
  async readBlock(block) {
    const [starts, states] = (await embeddedColumns(`spans-${block}`)).map((bytes) => new EmbeddedNumbers(bytes));
    /** @type {Map<number, ExactRow>} */
    const rows = new Map();
    for (const [row, count, end] of this.places.spans[block] ?? []) {
      if (starts && states) {
        rows.set(row, { starts: starts.sums(count), states: states.small(count), end });
      }
    }
    return rows;
  }

  /**
   * Exactly what a row does, or null for one that never did anything.
   * @param {number} row
   * @returns {Promise<ExactRow | null>}
   */
  async exact(row) {
    const block = this.blockOf.get(row);
    if (block === undefined) {
      return null;
    }
    const read = this.blocks.get(block) ?? this.readBlock(block);
    this.blocks.set(block, read);
    return (await read).get(row) ?? null;
  }

  /** @param {number} state */
  runs(state) {
    return this.meta.kinds[this.meta.states[state]?.[0] ?? 0]?.runs ?? false;
  }

  /** @type {Source['spans']} */
  async spans(from, to, width, rows) {
    const nanos = Math.max(0, Math.floor((to - from) / Math.max(1, width)));
    if (nanos >= this.places.overview.nanos) {
      this.seenFromFar ??= this.readOverview();
      const overview = await this.seenFromFar;
      return rows.map((row) => mergeFar(row, overview.get(row), from, to, nanos));
    }
    const exact = await Promise.all(rows.map((row) => this.exact(row)));
    return rows.map((row, index) => this.mergeNear(row, exact[index] ?? null, from, to, nanos));
  }

  /**
   * @param {number} row
   * @param {ExactRow | null} exact
   * @param {number} from
   * @param {number} to
   * @param {number} nanos
   */
  mergeNear(row, exact, from, to, nanos) {
    const merger = new EmbeddedMerger(nanos);
    if (exact) {
      const { starts, states, end } = exact;
      for (let index = indexAt(starts, from); index < starts.length && Number(starts[index]) < to; index += 1) {
        const stop = index + 1 < starts.length ? Number(starts[index + 1]) : end;
        const state = Number(states[index]);
        if (stop > from) {
          merger.push(Number(starts[index]), stop, state, state, this.runs(state) ? PART_WHOLE : 0);
        }
      }
    }
    return merger.spans(row);
  }

  /** @type {Source['at']} */
  async at(row, ns) {
    const exact = await this.exact(row);
    const index = exact ? embeddedBound(exact.starts, ns + 1) - 1 : -1;
    if (!exact || index < 0) {
      return null;
    }
    const from = Number(exact.starts[index]);
    const to = index + 1 < exact.starts.length ? Number(exact.starts[index + 1]) : exact.end;
    if (ns >= to) {
      return null;
    }
    const state = Number(exact.states[index]);
    const [kind, label] = this.meta.states[state] ?? [0, ''];
    const { name = '', title = '', runs = false } = this.meta.kinds[kind] ?? {};
    const what = label === '' ? title : `${title}: ${label}`;
    const onCpu = runs || name === 'idle' ? await this.cpuOf(row, from) : null;
    const thread = await this.threadOn(row, from, name);
    return {
      row,
      state,
      from_ns: from,
      to_ns: to,
      cpu: onCpu,
      ended_by: runs ? null : await this.wakerOf(row, to),
      text: thread === null ? what : `${thread}, ${what}`,
    };
  }

  /** @type {Source['next']} */
  async next(row, ns, direction) {
    const exact = await this.exact(row);
    if (!exact) {
      return null;
    }
    const at = direction === 'next' ? embeddedBound(exact.starts, ns + 1) : embeddedBound(exact.starts, ns) - 1;
    return exact.starts[at] ?? null;
  }

  async readRuns() {
    const [starts, rows] = (await embeddedColumns('runs')).map((bytes) => new EmbeddedNumbers(bytes));
    return this.places.runs.map((count) => ({
      starts: starts?.sums(count) ?? new Float64Array(),
      rows: rows?.large(count) ?? new Float64Array(),
    }));
  }

  /**
   * The row of the thread that a CPU ran.
   * @param {number} cpu
   * @param {number} ns
   */
  async runAt(cpu, ns) {
    this.allRuns ??= this.readRuns();
    const runs = (await this.allRuns)[cpu];
    return runs?.rows[embeddedBound(runs.starts, ns + 1) - 1] ?? null;
  }

  /**
   * @param {number} row
   * @param {number} ns
   */
  async cpuOf(row, ns) {
    for (let cpu = 0; cpu < this.places.runs.length; cpu += 1) {
      if ((await this.runAt(cpu, ns)) === row) {
        return cpu;
      }
    }
    return null;
  }

  /**
   * Of a CPU's row, which thread it ran, or null.
   * @param {number} row
   * @param {number} ns
   * @param {string} kind
   */
  async threadOn(row, ns, kind) {
    const info = this.rows?.[row];
    if (info?.type !== 'cpu' || info.cpu === null || kind === 'unknown' || kind === 'none') {
      return null;
    }
    const thread = await this.runAt(info.cpu, ns);
    return thread === null ? null : this.nameOf(thread);
  }

  /**
   * Takes the rows, by which names are known.
   * @param {import('./types.d.ts').Row[]} rows
   * @param {string[]} ways
   */
  know(rows, ways) {
    this.rows = rows;
    this.ways = ways;
  }

  /** @param {number} row */
  nameOf(row) {
    const info = this.rows?.[row];
    if (!info) {
      return '';
    }
    return info.tid === null ? info.name : `${info.name}:${info.tid}`;
  }

  async readArrows() {
    const count = this.places.arrows;
    const [times, from, to, via] = (await embeddedColumns('arrows')).map((bytes) => new EmbeddedNumbers(bytes));
    return {
      times: times?.sums(count) ?? new Float64Array(),
      from: from?.large(count) ?? new Float64Array(),
      to: to?.large(count) ?? new Float64Array(),
      via: via?.small(count) ?? new Uint16Array(),
    };
  }

  /**
   * @param {number} row
   * @param {number} ns
   */
  async wakerOf(row, ns) {
    this.allArrows ??= this.readArrows();
    const { times, from, to, via } = await this.allArrows;
    for (let index = embeddedBound(times, ns); times[index] === ns; index += 1) {
      if (to[index] === row) {
        const waker = Number(from[index]);
        const way = this.ways?.[Number(via[index])] ?? '';
        return { row: waker, at_ns: ns, via: way, thread: this.nameOf(waker) };
      }
    }
    return null;
  }

  /** @type {Source['arrows']} */
  async arrows(from, to, rows, max) {
    this.allArrows ??= this.readArrows();
    const all = await this.allArrows;
    const shown = new Set(rows);
    /** @type {import('./types.d.ts').Arrow[]} */
    const arrows = [];
    let count = 0;
    const last = embeddedBound(all.times, to);
    for (let index = embeddedBound(all.times, from); index < last; index += 1) {
      const [waker, woken] = [Number(all.from[index]), Number(all.to[index])];
      if (shown.has(waker) && shown.has(woken)) {
        count += 1;
        if (count <= max) {
          const way = this.ways?.[Number(all.via[index])] ?? '';
          arrows.push([Number(all.times[index]), waker, woken, way]);
        }
      }
    }
    return { count, arrows: count > max ? [] : arrows };
  }

  /** @type {Source['histogram']} */
  async histogram(from, to, width) {
    this.allRates ??= embeddedJson('histogram');
    const { step, counts, busy } = await this.allRates;
    const end = Math.min(to, this.meta.end_ns + 1);
    const own = Math.floor(Math.min(from, end) / step);
    const last = Math.floor(Math.max(end - 1, from) / step);
    const per = Math.max(1, Math.ceil((last - own + 1) / Math.max(1, Math.round(width))));
    const first = Math.floor(own / per) * per;
    const buckets = Math.ceil((last - first + 1) / per);
    /** @param {number[]} all */
    const sums = (all) => {
      const out = [];
      for (let bucket = 0; bucket < buckets; bucket += 1) {
        const part = all.slice(first + bucket * per, first + (bucket + 1) * per);
        out.push(part.reduce((sum, one) => sum + one, 0));
      }
      return out;
    };
    const [events = [], ...others] = counts.map(sums);
    const names = this.places.histogram.slice(1);
    return {
      from_ns: first * step,
      step_ns: step * per,
      events,
      busy: busy.map((all) => sums(all).map((nanos) => nanos / (step * per))),
      rates: Object.fromEntries(names.map((name, index) => [name, others[index] ?? []])),
    };
  }

  /**
   * What rows did in a time: row, times of kinds, number of states begun.
   * @param {number} from
   * @param {number} to
   */
  async sums(from, to) {
    /** @type {[number, Sum[], number][]} */
    const all = [];
    for (const row of this.blockOf.keys()) {
      const exact = await this.exact(row);
      const { sums, begun } = exact ? this.sumsOf(exact, from, to) : { sums: [], begun: 0 };
      const names = sums.map(([kind]) => this.meta.kinds[kind]);
      if (names.some((kind) => kind?.runs || kind?.name === 'runnable')) {
        all.push([row, sums, begun]);
      }
    }
    return all;
  }

  /**
   * @param {ExactRow} exact
   * @param {number} from
   * @param {number} to
   */
  sumsOf({ starts, states, end }, from, to) {
    const times = new Float64Array(this.meta.kinds.length);
    for (let index = indexAt(starts, from); index < starts.length && Number(starts[index]) < to; index += 1) {
      const stop = index + 1 < starts.length ? Number(starts[index + 1]) : end;
      const length = Math.min(stop, to) - Math.max(Number(starts[index]), from);
      const kind = this.meta.states[Number(states[index])]?.[0] ?? 0;
      times[kind] = (times[kind] ?? 0) + Math.max(0, length);
    }
    /** @type {Sum[]} */
    const sums = [];
    times.forEach((nanos, kind) => {
      if (nanos > 0 && this.meta.kinds[kind]?.name !== 'none') {
        sums.push([kind, nanos]);
      }
    });
    return { sums, begun: embeddedBound(starts, to) - embeddedBound(starts, from) };
  }
}

/**
 * The position of what holds a time, or of the first.
 * @param {Float64Array} starts
 * @param {number} ns
 */
function indexAt(starts, ns) {
  return Math.max(0, embeddedBound(starts, ns + 1) - 1);
}

/**
 * @param {number} row
 * @param {Spans | undefined} far
 * @param {number} from
 * @param {number} to
 * @param {number} nanos
 */
function mergeFar(row, far, from, to, nanos) {
  const merger = new EmbeddedMerger(nanos);
  if (far) {
    const { starts, end, busy, rest, part } = far;
    for (let index = indexAt(starts, from); index < starts.length && Number(starts[index]) < to; index += 1) {
      const stop = index + 1 < starts.length ? Number(starts[index + 1]) : end;
      if (stop > from) {
        merger.push(Number(starts[index]), stop, Number(busy[index]), Number(rest[index]), Number(part[index]));
      }
    }
  }
  return merger.spans(row);
}
