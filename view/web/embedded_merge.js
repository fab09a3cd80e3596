// How stretches of a row that are too short to be seen become one: the same rule as the server's.

/** All of a stretch's time, as a part. */
const EMBEDDED_WHOLE = 65535;
/** How many states of a group are told apart on each side. */
const CANDIDATES = 4;

/** The states that most of some time goes to; one with more than a fourth of it is always among them. */
class Leaders {
  constructor() {
    this.states = new Uint16Array(CANDIDATES);
    this.times = new Float64Array(CANDIDATES);
    this.used = 0;
    this.sum = 0;
  }

  clear() {
    this.used = 0;
    this.sum = 0;
  }

  /**
   * @param {number} state
   * @param {number} nanos
   */
  add(state, nanos) {
    if (nanos <= 0) {
      return;
    }
    this.sum += nanos;
    let least = 0;
    for (let index = 0; index < this.used; index += 1) {
      if (this.states[index] === state) {
        this.times[index] = (this.times[index] ?? 0) + nanos;
        return;
      }
      if ((this.times[index] ?? 0) < (this.times[least] ?? 0)) {
        least = index;
      }
    }
    if (this.used < CANDIDATES) {
      least = this.used;
      this.times[least] = 0;
      this.used += 1;
    }
    this.states[least] = state;
    this.times[least] = (this.times[least] ?? 0) + nanos;
  }

  /** The first of them, or -1. */
  first() {
    let best = -1;
    for (let index = 0; index < this.used; index += 1) {
      if (best < 0 || (this.times[index] ?? 0) >= (this.times[best] ?? 0)) {
        best = index;
      }
    }
    return best < 0 ? -1 : (this.states[best] ?? -1);
  }
}

/** Puts short stretches together until one is as long as can be seen. */
export class EmbeddedMerger {
  /** @param {number} shortest length that can be seen, in nanoseconds */
  constructor(shortest) {
    this.shortest = shortest;
    /** @type {number[]} */
    this.starts = [];
    /** @type {number[]} */
    this.busy = [];
    /** @type {number[]} */
    this.rest = [];
    /** @type {number[]} */
    this.part = [];
    this.end = 0;
    this.count = 0;
    this.first = [0, 0, 0, 0];
    this.groupEnd = 0;
    this.busyLeaders = new Leaders();
    this.restLeaders = new Leaders();
  }

  /**
   * @param {number} start
   * @param {number} end
   * @param {number} busy
   * @param {number} rest
   * @param {number} part
   */
  push(start, end, busy, rest, part) {
    const length = end - start;
    if (length >= this.shortest) {
      this.finish();
      this.out(start, end, busy, rest, part);
      return;
    }
    if (this.count === 0) {
      this.first = [start, busy, rest, part];
      this.groupEnd = start;
    }
    const busyNanos = Math.floor((length * part) / EMBEDDED_WHOLE);
    this.busyLeaders.add(busy, busyNanos);
    this.restLeaders.add(rest, length - busyNanos);
    this.groupEnd = Math.max(this.groupEnd, end);
    this.count += 1;
    if (this.groupEnd - (this.first[0] ?? 0) >= this.shortest) {
      this.finish();
    }
  }

  /**
   * @param {number} start
   * @param {number} end
   * @param {number} busy
   * @param {number} rest
   * @param {number} part
   */
  out(start, end, busy, rest, part) {
    this.starts.push(start);
    this.busy.push(busy);
    this.rest.push(rest);
    this.part.push(part);
    this.end = end;
  }

  /** Gives what is left. */
  finish() {
    if (this.count === 0) {
      return;
    }
    const [start = 0, firstBusy = 0, firstRest = 0, firstPart = 0] = this.first;
    if (this.count === 1) {
      this.out(start, this.groupEnd, firstBusy, firstRest, firstPart);
    } else {
      const [busy, rest] = [this.busyLeaders.first(), this.restLeaders.first()];
      const one = busy >= 0 ? busy : rest;
      const other = rest >= 0 ? rest : busy;
      this.out(start, this.groupEnd, one >= 0 ? one : firstBusy, other >= 0 ? other : firstRest, this.groupPart());
    }
    this.count = 0;
    this.busyLeaders.clear();
    this.restLeaders.clear();
  }

  /** What part of the group was busy: something that was busy is never drawn as nothing, nor the other way round. */
  groupPart() {
    const [busy, rest] = [this.busyLeaders.sum, this.restLeaders.sum];
    if (busy === 0) {
      return 0;
    }
    if (rest === 0) {
      return EMBEDDED_WHOLE;
    }
    const part = Math.floor((busy / (busy + rest)) * EMBEDDED_WHOLE);
    return Math.min(EMBEDDED_WHOLE - 1, Math.max(1, part));
  }

  /**
   * What came of it.
   * @param {number} row
   * @returns {import('./types.d.ts').Spans}
   */
  spans(row) {
    this.finish();
    return {
      row,
      starts: Float64Array.from(this.starts),
      end: this.end,
      busy: Uint16Array.from(this.busy),
      rest: Uint16Array.from(this.rest),
      part: Uint16Array.from(this.part),
    };
  }
}
