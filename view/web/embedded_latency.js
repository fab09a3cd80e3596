// How long things took, from the columns in the page.

import { EmbeddedNumbers, embeddedBound, embeddedColumns } from './embedded_blocks.js';

/** Parts of a power of two that percentiles tell apart. */
const LENGTH_PARTS = 16;
/** Longest that are named one by one. */
const LONGEST_MAX = 20;

/** @typedef {{ ends: Float64Array, lengths: Float64Array, rows: Float64Array, states: Uint16Array }} LatencyColumns */
/** @typedef {import('./types.d.ts').Latencies} Latencies */

/**
 * Unpacks all of a kind.
 * @param {string} kind
 * @param {number} count
 * @returns {Promise<LatencyColumns>}
 */
export async function readLatencies(kind, count) {
  const columns = await embeddedColumns(`latencies-${kind}`);
  const [ends, lengths, rows, states] = columns.map((bytes) => new EmbeddedNumbers(bytes));
  return {
    ends: ends?.sums(count) ?? new Float64Array(),
    lengths: lengths?.large(count) ?? new Float64Array(),
    rows: rows?.large(count) ?? new Float64Array(),
    states: states?.small(count) ?? new Uint16Array(),
  };
}

/** @param {number} length */
function lengthBucket(length) {
  const whole = Math.max(1, length);
  const power = Math.floor(Math.log2(whole));
  const part = Math.floor((whole / 2 ** power - 1) * LENGTH_PARTS);
  return power * LENGTH_PARTS + Math.min(LENGTH_PARTS - 1, Math.max(0, part));
}

/** @param {number} bucket */
function bucketMiddle(bucket) {
  const start = 2 ** Math.floor(bucket / LENGTH_PARTS);
  const part = bucket % LENGTH_PARTS;
  return Math.floor(start + (start * part) / LENGTH_PARTS) + Math.floor(start / (2 * LENGTH_PARTS));
}

/**
 * @param {Float64Array} fine
 * @param {number} count
 * @param {number} percent
 */
function lengthPercentile(fine, count, percent) {
  const rank = Math.floor((count * percent) / 100);
  let below = 0;
  for (let bucket = 0; bucket < fine.length; bucket += 1) {
    below += fine[bucket] ?? 0;
    if (below > rank) {
      return bucketMiddle(bucket);
    }
  }
  return Infinity;
}

/** @param {Float64Array} fine */
function lengthPowers(fine) {
  /** @type {[number, number][]} */
  const powers = [];
  for (let power = 0; power * LENGTH_PARTS < fine.length; power += 1) {
    const parts = fine.subarray(power * LENGTH_PARTS, (power + 1) * LENGTH_PARTS);
    powers.push([2 ** power, parts.reduce((sum, count) => sum + count, 0)]);
  }
  const first = powers.findIndex(([, count]) => count > 0);
  while (powers.at(-1)?.[1] === 0) {
    powers.pop();
  }
  return first < 0 ? [] : powers.slice(first);
}

/**
 * Positions of those that are asked for.
 * @param {LatencyColumns} all
 * @param {number} from
 * @param {number} to
 * @param {{ row?: number, state?: number }} only
 */
function chosenLatencies(all, from, to, only) {
  const chosen = [];
  const last = embeddedBound(all.ends, to);
  for (let index = embeddedBound(all.ends, from); index < last; index += 1) {
    const fits = only.row === undefined || only.row === all.rows[index];
    if (fits && (only.state === undefined || only.state === all.states[index])) {
      chosen.push(index);
    }
  }
  return chosen;
}

/**
 * Draws what is asked for.
 * @param {LatencyColumns} all
 * @param {[number, number]} times
 * @param {[number, number]} size width and height
 * @param {{ row?: number, state?: number }} only
 * @returns {Latencies}
 */
export function latencyPicture(all, [from, to], size, only) {
  const chosen = chosenLatencies(all, from, to, only);
  const fine = new Float64Array(64 * LENGTH_PARTS);
  /** @type {Map<number, [number, number, number]>} */
  const states = new Map();
  let [sum, min, max] = [0, Infinity, 0];
  for (const index of chosen) {
    const [length, state] = [Number(all.lengths[index]), Number(all.states[index])];
    sum += length;
    min = Math.min(min, length);
    max = Math.max(max, length);
    const bucket = lengthBucket(length);
    fine[bucket] = (fine[bucket] ?? 0) + 1;
    const known = states.get(state) ?? [state, 0, 0];
    states.set(state, [state, known[1] + 1, known[2] + length]);
  }
  const count = chosen.length;
  if (count === 0) {
    return emptyPicture();
  }
  const within = (/** @type {number} */ value) => Math.min(max, Math.max(min, value));
  const low = 2 ** Math.floor(Math.log2(Math.max(1, min)));
  const high = Math.max(low * 2, 2 ** Math.ceil(Math.log2(Math.max(1, max))));
  const [p50, p90, p99] = [50, 90, 99].map((percent) => within(lengthPercentile(fine, count, percent)));
  return {
    count,
    min_ns: min,
    mean_ns: sum / count,
    max_ns: max,
    p50_ns: p50 ?? 0,
    p90_ns: p90 ?? 0,
    p99_ns: p99 ?? 0,
    buckets: lengthPowers(fine),
    low_ns: low,
    high_ns: high,
    cells: latencyCells(all, chosen, [from, to], size, [low, high]),
    states: [...states.values()].sort((one, other) => other[2] - one[2]),
    slowest: longest(all, chosen),
  };
}

/** @returns {Latencies} */
function emptyPicture() {
  const numbers = { count: 0, min_ns: 0, mean_ns: 0, max_ns: 0, p50_ns: 0, p90_ns: 0, p99_ns: 0 };
  return { ...numbers, buckets: [], low_ns: 0, high_ns: 0, cells: [], states: [], slowest: [] };
}

/**
 * @param {LatencyColumns} all
 * @param {number[]} chosen
 * @returns {[number, number, number, number][]}
 */
function longest(all, chosen) {
  const [lengths, ends] = [all.lengths, all.ends];
  const later = (/** @type {number} */ one, /** @type {number} */ other) => Number(ends[other]) - Number(ends[one]);
  const sorted = chosen.sort((one, other) => Number(lengths[other]) - Number(lengths[one]) || later(one, other));
  return sorted
    .slice(0, LONGEST_MAX)
    .map((index) => [
      Number(all.lengths[index]),
      Number(all.ends[index]),
      Number(all.rows[index]),
      Number(all.states[index]),
    ]);
}

/**
 * @param {LatencyColumns} all
 * @param {number[]} chosen
 * @param {[number, number]} times
 * @param {[number, number]} size
 * @param {[number, number]} scale
 */
function latencyCells(all, chosen, [from, to], [width, height], [low, high]) {
  const end = Math.min(to, Number(all.ends[all.ends.length - 1]) + 1);
  const span = Math.max(1, end - from);
  const logs = Math.max(1, Math.log2(high) - Math.log2(low));
  /** @type {Map<number, Latencies['cells'][number]>} */
  const cells = new Map();
  for (const index of chosen) {
    const [length, at] = [Number(all.lengths[index]), Number(all.ends[index])];
    const x = Math.min(width - 1, Math.floor(((at - from) / span) * width));
    const share = (Math.log2(Math.max(1, length)) - Math.log2(low)) / logs;
    const y = Math.min(height - 1, Math.floor(share * height));
    const known = cells.get(y * width + x);
    const count = (known?.[2] ?? 0) + 1;
    if (known && length < known[3]) {
      known[2] = count;
    } else {
      cells.set(y * width + x, [x, y, count, length, at, Number(all.rows[index]), Number(all.states[index])]);
    }
  }
  return [...cells.values()];
}
