// How times, lengths and numbers are written, and read.

/** Units of lengths, the largest first: nanoseconds and name. */
/** @type {[number, string][]} */
const LENGTH_UNITS = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
];

/**
 * A point of time in seconds, with as many digits as a step needs.
 * @param {number} ns
 * @param {number} [stepNs] digits that matter; one nanosecond if not given
 */
export function timeText(ns, stepNs = 1) {
  const digits = Math.min(9, Math.max(0, Math.ceil(9 - Math.log10(Math.max(1, stepNs)) - 1e-9)));
  const whole = Math.round(Math.abs(ns));
  const seconds = Math.floor(whole / 1e9);
  const part = String(whole % 1e9)
    .padStart(9, '0')
    .slice(0, digits);
  return `${ns < 0 ? '−' : ''}${seconds}${digits > 0 ? `.${part}` : ''}`;
}

/**
 * A length of time with four digits and its unit.
 * @param {number} ns
 */
export function lengthText(ns) {
  const size = Math.abs(ns);
  const [unit, name] = LENGTH_UNITS.find(([one]) => size >= one) ?? [1, 'ns'];
  const value = ns / unit;
  const digits = unit === 1 ? 0 : Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value) + 1e-12)));
  return `${value.toFixed(Math.min(3, digits))} ${name}`;
}

/**
 * A length of time for an axis: three digits, without zeros at the end.
 * @param {number} ns
 */
export function shortLength(ns) {
  const [unit, name] = LENGTH_UNITS.find(([one]) => Math.abs(ns) >= one) ?? [1, 'ns'];
  return `${Number((ns / unit).toPrecision(3))} ${name}`;
}

/**
 * A number of things, in groups of three digits.
 * @param {number} count
 */
export function countText(count) {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * A part of a whole.
 * @param {number} percent
 */
export function percentText(percent) {
  return `${percent.toFixed(percent !== 0 && Math.abs(percent) < 0.1 ? 3 : 1)} %`;
}

/**
 * A number of bytes.
 * @param {number} bytes
 */
export function bytesText(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let index = 0;
  while (Math.abs(value) >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[index]}`;
}

/**
 * A short number for an axis: 1200 is 1.2k.
 * @param {number} value
 */
export function shortText(value) {
  /** @type {[number, string][]} */
  const units = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  const [unit, name] = units.find(([one]) => Math.abs(value) >= one) ?? [1, ''];
  return `${Number((value / unit).toPrecision(3))}${name}`;
}

/**
 * Reads a time such as 1.5, 1.5s, 200ms, 15us or 7ns; without a unit it is in seconds. Null when it is none.
 * @param {string} text
 */
export function parseTime(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|)\s*$/.exec(text);
  if (!match) {
    return null;
  }
  const unit = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, '': 1e9 }[match[2] ?? ''] ?? 1e9;
  return Math.round(Number(match[1]) * unit);
}

/**
 * A round step (1, 2 or 5 times a power of ten) that divides a range into at most so many parts.
 * @param {number} range
 * @param {number} parts
 */
export function roundStep(range, parts) {
  const least = Math.max(range / Math.max(1, parts), 1e-9);
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 5, 10].find((one) => one * power >= least * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/**
 * Marks of an axis of times: positions in nanoseconds, and the step between them.
 * @param {number} from
 * @param {number} to
 * @param {number} parts at most so many
 */
export function timeMarks(from, to, parts) {
  const step = Math.max(1, roundStep(to - from, parts));
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to && marks.length < 200; at += step) {
    marks.push(at);
  }
  return { step, marks };
}
