// Spans that have been asked for: kept by row, range and scale, and shown until better ones come.

import { errorText, isAbort } from './dom.js';

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').Spans} Spans */

/** Most rows that one question may have. */
const ROWS_MAX = 400;
/** Most pixels that one question may have. */
const WIDTH_MAX = 4096;
/** Most spans that are kept, of all rows. */
const SPANS_MAX = 4_000_000;
/** Most answers that are kept for one row. */
const KEPT_MAX = 4;
/** How much coarser than the picture spans may be. */
const COARSE_MAX = 1.3;

/**
 * An answer for one row.
 * @typedef {object} Kept
 * @property {Spans} spans
 * @property {number} from
 * @property {number} to
 * @property {number} step nanoseconds for each pixel that was asked for
 * @property {boolean} exact whether no span is merged
 * @property {number} version of the trace
 * @property {number} end of the trace, then
 * @property {number} used order of the last use
 */

/** Part of a row for which one answer is the best. */
/** @typedef {{ kept: Kept, from: number, to: number }} Piece */

/**
 * What the picture shows.
 * @typedef {object} Wanted
 * @property {number} from
 * @property {number} to
 * @property {number} step nanoseconds for each pixel
 * @property {number[]} rows the most important first
 * @property {import('./types.d.ts').Meta} meta
 */

/** The spans of one trace. */
export class SpanStore {
  /**
   * @param {Source} source
   * @param {() => void} changed called when there are new spans
   * @param {(text: string) => void} failed called with a sentence
   */
  constructor(source, changed, failed) {
    this.source = source;
    this.changed = changed;
    this.failed = failed;
    /** @type {Map<number, Kept[]>} */
    this.rows = new Map();
    this.count = 0;
    this.clock = 0;
    /** Grows whenever something else is to be drawn. */
    this.version = 0;
    /** @type {{ from: number, to: number, step: number, abort: AbortController } | null} */
    this.asked = null;
    /** @type {Wanted | null} */
    this.wanted = null;
    this.waitsUntil = 0;
  }

  /** Whether an answer is awaited. */
  get busy() {
    return this.asked !== null;
  }

  /**
   * Asks for what a picture needs and is not there yet: one question at a time, given up where it has become useless.
   * @param {Wanted} wanted
   */
  want(wanted) {
    this.wanted = wanted;
    if (this.asked) {
      if (isUseful(this.asked, wanted)) {
        return;
      }
      this.asked.abort.abort();
      this.asked = null;
    }
    const outside = wanted.to <= 0 || wanted.from >= wanted.meta.end_ns;
    if (performance.now() < this.waitsUntil || outside) {
      return;
    }
    const rows = wanted.rows.filter((row) => !this.suffices(row, wanted)).slice(0, ROWS_MAX);
    if (rows.length > 0) {
      this.ask(wanted, rows);
    }
  }

  /**
   * @param {Wanted} wanted
   * @param {number[]} rows
   */
  async ask(wanted, rows) {
    const half = (wanted.to - wanted.from) / 2;
    const from = Math.max(0, Math.floor(wanted.from - half));
    const to = Math.max(from + 1, Math.min(wanted.meta.end_ns, Math.ceil(wanted.to + half)));
    const width = Math.max(1, Math.min(WIDTH_MAX, Math.ceil((to - from) / wanted.step)));
    const step = Math.min((to - from) / width, wanted.step);
    const asked = { from, to, step, abort: new AbortController() };
    this.asked = asked;
    try {
      const answers = await this.source.spans(from, to, width, rows, asked.abort.signal);
      if (this.asked === asked) {
        this.asked = null;
        const told = new Map(answers.map((spans) => [spans.row, spans]));
        for (const row of rows) {
          this.keep(told.get(row) ?? noSpans(row), asked, wanted.meta);
        }
        this.forget(new Set(wanted.rows));
        this.version += 1;
        this.changed();
      }
    } catch (error) {
      if (this.asked === asked) {
        this.asked = null;
        if (!isAbort(error)) {
          this.waitsUntil = performance.now() + 2000;
          setTimeout(this.changed, 2100);
          this.failed(errorText(error));
        }
      }
    }
  }

  /**
   * @param {Spans} spans
   * @param {{ from: number, to: number, step: number }} asked
   * @param {import('./types.d.ts').Meta} meta
   */
  keep(spans, asked, meta) {
    const { from, to, step } = asked;
    this.clock += 1;
    const { version, end_ns: end } = meta;
    const kept = { spans, from, to, step, exact: isExact(spans), version, end, used: this.clock };
    const others = (this.rows.get(spans.row) ?? []).filter((old) => {
      const replaced = from <= old.from && to >= Math.min(old.to, meta.end_ns) && (step <= old.step || kept.exact);
      this.count -= replaced ? old.spans.starts.length : 0;
      return !replaced && old.version <= meta.version;
    });
    others.push(kept);
    this.count += spans.starts.length;
    while (others.length > KEPT_MAX) {
      const widest = Math.max(...others.map((one) => one.to - one.from));
      const rest = others.filter((one) => one !== kept && one.to - one.from < widest);
      const oldest = rest.sort((a, b) => a.used - b.used)[0] ?? others[0];
      others.splice(others.indexOf(/** @type {Kept} */ (oldest)), 1);
      this.count -= oldest?.spans.starts.length ?? 0;
    }
    others.sort((a, b) => a.step - b.step);
    this.rows.set(spans.row, others);
  }

  /**
   * Forgets rows that are not shown when there is too much.
   * @param {Set<number>} shown
   */
  forget(shown) {
    if (this.count <= SPANS_MAX) {
      return;
    }
    const rows = [...this.rows].filter(([row]) => !shown.has(row)).sort((a, b) => lastUse(a[1]) - lastUse(b[1]));
    for (const [row, kept] of rows) {
      this.rows.delete(row);
      this.count -= kept.reduce((sum, one) => sum + one.spans.starts.length, 0);
      if (this.count <= SPANS_MAX / 2) {
        return;
      }
    }
  }

  /**
   * @param {number} row
   * @param {Wanted} wanted
   */
  suffices(row, wanted) {
    const margin = (wanted.to - wanted.from) / 8;
    const from = Math.max(0, wanted.from - margin);
    const to = Math.min(wanted.meta.end_ns, wanted.to + margin);
    for (const kept of this.rows.get(row) ?? []) {
      const fine = kept.step <= wanted.step * COARSE_MAX || (kept.exact && kept.from <= from);
      if (fine && kept.from <= from && kept.to >= to && !isStale(kept, wanted.meta, to)) {
        return true;
      }
    }
    return false;
  }

  /**
   * The best there is of a row, from left to right; nothing where nothing is known yet.
   * @param {number} row
   * @param {number} from
   * @param {number} to
   * @param {number} step
   * @returns {Piece[]}
   */
  pieces(row, from, to, step) {
    const all = this.rows.get(row);
    if (!all) {
      return [];
    }
    this.clock += 1;
    const last = all.length - 1;
    const fitting = all.length === 1 ? all : all.filter((kept, index) => kept.step * 16 >= step || index === last);
    /** @type {Piece[]} */
    const pieces = [];
    cover(freshFirst(fitting, step), 0, from, to, pieces);
    for (const piece of pieces) {
      piece.kept.used = this.clock;
    }
    return pieces;
  }

  /**
   * The span that is drawn at a time.
   * @param {number} row
   * @param {number} ns
   * @param {number} step
   */
  spanAt(row, ns, step) {
    const piece = this.pieces(row, ns, ns + 1e-3, step)[0];
    if (!piece) {
      return null;
    }
    const { spans } = piece.kept;
    const index = spanIndex(spans.starts, ns);
    const end = index + 1 < spans.starts.length ? spans.starts[index + 1] : spans.end;
    const start = spans.starts[index];
    if (index < 0 || end === undefined || start === undefined || ns >= end) {
      return null;
    }
    const part = spans.part[index] ?? 0;
    const busy = spans.busy[index] ?? 0;
    const rest = spans.rest[index] ?? 0;
    return { from: start, to: end, busy, rest, part: part / 65535, exact: busy === rest };
  }
}

/**
 * Number of the span that contains a time, or -1.
 * @param {Float64Array} starts
 * @param {number} ns
 */
export function spanIndex(starts, ns) {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (starts[middle]) <= ns) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

/**
 * Whether an answer that is awaited still shows something of what is wanted.
 * @param {{ from: number, to: number, step: number }} asked
 * @param {Wanted} wanted
 */
function isUseful(asked, wanted) {
  const ratio = asked.step / wanted.step;
  const common = Math.min(asked.to, wanted.to) - Math.max(asked.from, wanted.from);
  return ratio < 6 && ratio > 1 / 6 && common > (wanted.to - wanted.from) * 0.2;
}

/**
 * Whether a trace has grown since an answer was given, where it matters.
 * @param {Kept} kept
 * @param {import('./types.d.ts').Meta} meta
 * @param {number} to
 */
function isStale(kept, meta, to) {
  return kept.version !== meta.version && (to >= kept.end || meta.end_ns === kept.end);
}

/**
 * @param {number} row
 * @returns {Spans}
 */
function noSpans(row) {
  const none = new Uint16Array(0);
  return { row, starts: new Float64Array(0), end: 0, busy: none, rest: none, part: none };
}

/** @param {Spans} spans */
function isExact(spans) {
  for (let index = 0; index < spans.starts.length; index += 1) {
    const part = spans.part[index];
    if (spans.busy[index] !== spans.rest[index] || (part !== 0 && part !== 65535)) {
      return false;
    }
  }
  return true;
}

/** @param {Kept[]} all */
function lastUse(all) {
  return Math.max(...all.map((kept) => kept.used));
}

/**
 * Newer answers before older ones where they are fine enough, else finer ones before coarser ones.
 * @param {Kept[]} all by their step
 * @param {number} step
 */
function freshFirst(all, step) {
  if (all.length < 2 || all.every((kept) => kept.version === all[0]?.version)) {
    return all;
  }
  const good = (/** @type {Kept} */ kept) => kept.exact || kept.step <= step * COARSE_MAX;
  return [...all].sort((a, b) => Number(good(b)) - Number(good(a)) || b.version - a.version || a.step - b.step);
}

/**
 * @param {Kept[]} all
 * @param {number} index
 * @param {number} from
 * @param {number} to
 * @param {Piece[]} pieces
 */
function cover(all, index, from, to, pieces) {
  const kept = all[index];
  if (!kept || from >= to) {
    return;
  }
  const start = Math.max(from, kept.from);
  const end = Math.min(to, kept.to);
  if (start >= end) {
    cover(all, index + 1, from, to, pieces);
    return;
  }
  cover(all, index + 1, from, start, pieces);
  pieces.push({ kept, from: start, to: end });
  cover(all, index + 1, end, to, pieces);
}
