// Answers from the data in the page itself: the same questions as to a server, what they mean is in ../PROTOCOL.md.

import { EmbeddedCache, embeddedJson, hasEmbedded } from './embedded_blocks.js';
import { EmbeddedEvents } from './embedded_events.js';
import { EmbeddedRows } from './embedded_rows.js';
import { latencyPicture, readLatencies } from './embedded_latency.js';

/** @typedef {import('./types.d.ts').Source} Source */
/** @typedef {import('./types.d.ts').ReportOptions} ReportOptions */

/**
 * What there is in the page.
 * @typedef {object} EmbeddedContents
 * @property {import('./types.d.ts').Meta} meta
 * @property {number} start_ns
 * @property {import('./types.d.ts').Row[]} rows
 * @property {{ name: string, doc: string }[]} reports
 * @property {string[]} ways
 * @property {import('./embedded_events.js').EventPlaces} events
 * @property {import('./embedded_rows.js').ColumnPlaces} columns
 */

/** Analyses that are kept unpacked. */
const ANALYSES_KEPT = 8;
/** Kinds of latencies that are kept unpacked. */
const LATENCIES_KEPT = 8;

/** Whether the trace is in the page itself. */
export function isEmbedded() {
  return hasEmbedded('contents');
}

/**
 * Looks what there is.
 * @returns {Promise<EmbeddedSource>}
 */
export async function openEmbedded() {
  return new EmbeddedSource(await embeddedJson('contents'));
}

/** @implements {Source} */
export class EmbeddedSource {
  /** @param {EmbeddedContents} contents */
  constructor(contents) {
    this.contents = contents;
    this.all = new EmbeddedRows(contents.columns, contents.meta);
    this.all.know(contents.rows, contents.ways);
    this.list = new EmbeddedEvents(contents.events, contents.meta);
    this.analyses = new EmbeddedCache(ANALYSES_KEPT, embeddedJson);
    this.lengths = new EmbeddedCache(LATENCIES_KEPT, (kind) =>
      readLatencies(kind, contents.columns.latencies[kind] ?? 0),
    );
  }

  async meta() {
    return this.contents.meta;
  }

  async rows() {
    return this.contents.rows;
  }

  /** @type {Source['spans']} */
  spans(from, to, width, rows) {
    return this.all.spans(Math.floor(from), Math.ceil(to), width, rows);
  }

  /** @type {Source['at']} */
  at(row, ns) {
    return this.all.at(row, Math.floor(ns));
  }

  /** @type {Source['next']} */
  next(row, ns, direction) {
    return this.all.next(row, Math.floor(ns), direction);
  }

  /** @type {Source['arrows']} */
  arrows(from, to, rows, max) {
    return this.all.arrows(from, to, rows, max);
  }

  /** @type {Source['histogram']} */
  histogram(from, to, width) {
    return this.all.histogram(Math.floor(from), Math.ceil(to), width);
  }

  /** @type {Source['statistics']} */
  async statistics(from, to) {
    const [start, end] = [Math.floor(from), Math.min(Math.ceil(to), this.contents.meta.end_ns + 1)];
    const [events, rows] = await Promise.all([this.list.counts(start, end), this.all.sums(start, end)]);
    return { from_ns: start, to_ns: end, events, rows };
  }

  /** @type {Source['latencies']} */
  async latencies(kind, from, to, width, height, only = {}) {
    const all = await this.lengths.get(kind);
    return latencyPicture(all, [Math.floor(from), Math.ceil(to)], [Math.round(width), Math.round(height)], only);
  }

  /** @type {Source['events']} */
  events(first, count, filter) {
    return this.list.page(first, count, filter);
  }

  /** @type {Source['position']} */
  position(ns, filter) {
    return this.list.position(Math.floor(ns), filter);
  }

  /** @type {Source['find']} */
  find(n, direction, filter, signal) {
    return this.list.find(n, direction, filter, signal);
  }

  /** @type {Source['checkFilter']} */
  async checkFilter() {
    return { ok: true, completions: [] };
  }

  /**
   * Whether a time is all that this file has.
   * @param {number | undefined} from
   * @param {number | undefined} to
   */
  isWhole(from, to) {
    return (from ?? 0) <= this.contents.start_ns && (to ?? Infinity) >= this.contents.meta.end_ns;
  }

  /** @type {Source['report']} */
  async report(name, options) {
    const chosen = [options.pid, options.comm, options.cpu].some((list) => list && list.length > 0);
    if (chosen || !this.isWhole(options.from, options.to)) {
      throw new Error('This file has its reports of the whole time and of all processes only.');
    }
    return this.analyses.get(`report-${name}`);
  }

  /** @type {Source['flame']} */
  async flame(from, to, pid, waiting) {
    if (pid !== null || !this.isWhole(from, to)) {
      throw new Error('This file has the stacks of the whole time and of all processes only.');
    }
    return this.analyses.get(waiting ? 'flame-all' : 'flame-cpu');
  }

  /** @type {Source['path']} */
  async path() {
    throw new Error('Critical paths need `guesttrace serve`.');
  }

  /** @type {Source['sql']} */
  async sql() {
    throw new Error('Queries need `guesttrace serve`.');
  }

  /** @type {Source['exportUrl']} */
  exportUrl() {
    return null;
  }
}
