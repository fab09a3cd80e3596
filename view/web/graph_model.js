// What a graph shows of one trace, whoever changes it: times, selection, cursor, row, and how rows are listed.

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').Meta} Meta */
/** @typedef {import('./types.d.ts').Row} Row */
/** @typedef {import('./types.d.ts').Segment} Segment */

/**
 * How rows are listed.
 * @typedef {object} Choices
 * @property {'start' | 'time' | 'name'} sort
 * @property {boolean} tree threads below those that made them
 * @property {boolean} ran only rows that did something in the visible time
 * @property {string} find text that a name must have
 * @property {'large' | 'normal' | 'small'} size
 * @property {boolean} arrows wake-ups are drawn
 * @property {boolean} follow the end of a trace that grows
 * @property {number[]} pinned
 * @property {string[]} closed rows and groups whose children are hidden
 */

/** Fields of a graph that can be changed together. */
/**
 * @typedef {object} Change
 * @property {number} [from]
 * @property {number} [to]
 * @property {[number, number] | null} [selection]
 * @property {number | null} [cursor]
 * @property {number | null} [row]
 * @property {number | null} [hover]
 * @property {number | null} [hoverRow]
 * @property {{ segments: Segment[], row: number } | null} [path]
 * @property {Partial<Choices>} [choices]
 */

/** Most rows and groups that an address remembers as closed or pinned. */
const REMEMBERED_MAX = 200;
/** Part of a path that a row must have for being listed because of it. */
const PATH_PART_MIN = 0.001;

/**
 * How rows are listed when nobody has said anything.
 * @returns {Choices}
 */
function usualChoices() {
  return {
    sort: 'start', tree: true, ran: false, find: '', size: 'normal', arrows: true, follow: false,
    pinned: [], closed: [],
  };
}

/** What a graph shows. */
export class GraphModel {
  /**
   * @param {Source} source
   * @param {Meta} meta
   * @param {Row[]} rows
   */
  constructor(source, meta, rows) {
    this.source = source;
    this.meta = meta;
    this.rows = rows;
    this.from = 0;
    this.to = Math.max(1, meta.end_ns);
    /** @type {[number, number] | null} */
    this.selection = null;
    /** @type {number | null} */
    this.cursor = null;
    /** @type {number | null} */
    this.row = null;
    /** @type {number | null} */
    this.hover = null;
    /** @type {number | null} */
    this.hoverRow = null;
    /** @type {{ segments: Segment[], row: number } | null} */
    this.path = null;
    /** Rows that the path goes through for long; they are listed whatever else is hidden. */
    /** @type {Set<number>} */
    this.pathRows = new Set();
    this.choices = usualChoices();
    /** Times that can be shown; the end of the trace where `high` is null. */
    this.low = 0;
    /** @type {number | null} */
    this.high = null;
    /** Grows whenever rows are listed in another way. */
    this.listing = 0;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /**
   * Calls back after any change.
   * @param {() => void} call
   */
  on(call) {
    this.listeners.add(call);
  }

  /** Tells everybody that something is different. */
  tell() {
    for (const call of this.listeners) {
      call();
    }
  }

  /**
   * Changes what is shown.
   * @param {Change} change
   */
  change(change) {
    if (change.from !== undefined || change.to !== undefined) {
      this.setRange(change.from ?? this.from, change.to ?? this.to);
    }
    if (change.choices) {
      this.choices = { ...this.choices, ...change.choices };
      this.listing += 1;
    }
    if (change.path !== undefined) {
      this.pathRows = rowsOfPath(change.path?.segments ?? []);
      this.listing += 1;
    }
    if (change.row !== undefined && change.row !== this.row) {
      this.listing += 1;
    }
    const { from, to, choices, ...rest } = change;
    Object.assign(this, rest);
    this.tell();
  }

  /** The last time that can be shown. */
  get end() {
    return Math.max(this.low + 1, this.high ?? this.meta.end_ns);
  }

  /**
   * Shows these times, as far as the trace has them; at least a nanosecond.
   * @param {number} from
   * @param {number} to
   */
  setRange(from, to) {
    const length = Math.min(this.end - this.low, Math.max(1, to - from));
    this.from = Math.min(Math.max(this.low, from), this.end - length);
    this.to = this.from + length;
  }

  /**
   * Shows so many times as much around a time, which stays where it is.
   * @param {number} factor
   * @param {number} at
   */
  zoom(factor, at) {
    const length = Math.min(Math.max((this.to - this.from) * factor, 1), this.end - this.low);
    const part = (at - this.from) / (this.to - this.from);
    this.change({ from: at - part * length, to: at + (1 - part) * length });
  }

  /**
   * Moves to other times of the same length.
   * @param {number} ns
   */
  pan(ns) {
    this.change({ from: this.from + ns, to: this.to + ns });
  }

  /** Shows the selected times, or else the whole trace. */
  fit() {
    const [from, to] = this.selection ?? [this.low, this.end];
    const margin = this.selection ? (to - from) * 0.05 : 0;
    this.change({ from: from - margin, to: to + margin });
  }

  /**
   * Moves only as far as is needed to see a time.
   * @param {number} ns
   */
  showTime(ns) {
    const length = this.to - this.from;
    if (ns < this.from + length * 0.02 || ns > this.to - length * 0.02) {
      this.change({ from: ns - length / 2, to: ns + length / 2 });
    }
  }

  /**
   * Takes a trace that has grown, without moving what is shown unless the end is followed.
   * @param {Meta} meta
   * @param {Row[]} rows
   */
  grow(meta, rows) {
    const whole = this.from <= 0 && this.to >= this.meta.end_ns;
    const length = this.to - this.from;
    this.meta = meta;
    this.rows = rows;
    this.listing += 1;
    if (whole) {
      this.setRange(0, meta.end_ns);
    } else if (this.choices.follow && meta.live) {
      this.setRange(meta.end_ns - length, meta.end_ns);
    }
    this.tell();
  }
}

/**
 * The rows that have a part in a path that is worth seeing.
 * @param {Segment[]} segments
 */
function rowsOfPath(segments) {
  /** @type {Map<number, number>} */
  const lengths = new Map();
  let whole = 0;
  for (const { row, from_ns: from, to_ns: to } of segments) {
    lengths.set(row, (lengths.get(row) ?? 0) + to - from);
    whole += to - from;
  }
  return new Set([...lengths].filter(([, length]) => length >= whole * PATH_PART_MIN).map(([row]) => row));
}

/**
 * Writes how rows are listed into what an address remembers; what is as usual is left out.
 * @param {Choices} choices
 * @returns {Record<string, string>}
 */
export function choicesText(choices) {
  /** @type {Record<string, string>} */
  const text = {};
  const usual = usualChoices();
  for (const name of /** @type {(keyof Choices)[]} */ (Object.keys(usual))) {
    const value = choices[name];
    const written = Array.isArray(value) ? value.slice(0, REMEMBERED_MAX).join('.') : String(value);
    const asUsual = Array.isArray(value) ? value.length === 0 : value === usual[name];
    if (!asUsual) {
      text[`graph.${name}`] = written;
    }
  }
  return text;
}

/**
 * Reads how rows are listed from what an address remembers; anything may stand there.
 * @param {Readonly<Record<string, string>>} extra
 * @returns {Choices}
 */
export function readChoices(extra) {
  const choices = usualChoices();
  const sort = extra['graph.sort'];
  const size = extra['graph.size'];
  choices.sort = sort === 'time' || sort === 'name' ? sort : 'start';
  choices.size = size === 'large' || size === 'small' ? size : 'normal';
  choices.tree = extra['graph.tree'] !== 'false';
  choices.arrows = extra['graph.arrows'] !== 'false';
  choices.ran = extra['graph.ran'] === 'true';
  choices.follow = extra['graph.follow'] === 'true';
  choices.find = (extra['graph.find'] ?? '').slice(0, 200);
  choices.pinned = (extra['graph.pinned'] ?? '').split('.').filter((part) => /^\d{1,9}$/.test(part)).map(Number);
  choices.closed = (extra['graph.closed'] ?? '').split('.').filter((part) => /^[a-z0-9]{1,12}$/.test(part));
  return choices;
}
