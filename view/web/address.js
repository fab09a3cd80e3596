// What the page shows, as text behind the # of its address, and back.

/** @typedef {import('./types.d.ts').ViewState} ViewState */

/** Longest text that is taken from an address for one value. */
const VALUE_LENGTH_MAX = 4096;

/**
 * What an address says; whatever makes no sense in it is left out.
 * @typedef {object} AddressParts
 * @property {string} view
 * @property {number} trace
 * @property {number | null} from
 * @property {number | null} to
 * @property {[number, number] | null} selection
 * @property {number | null} cursor
 * @property {number | null} row
 * @property {string} filter
 * @property {Record<string, string>} extra
 */

/**
 * A whole number of nanoseconds or of a row, or null.
 * @param {string | null | undefined} text
 */
function wholeNumber(text) {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * Reads the text behind the #.
 * @param {string} text
 * @returns {AddressParts}
 */
export function readAddress(text) {
  const pairs = new URLSearchParams(text.replace(/^#/, ''));
  /** @type {Record<string, string>} */
  const extra = {};
  for (const [name, value] of pairs) {
    if (/^[a-z_]+\.[a-z_]+$/.test(name)) {
      extra[name] = value.slice(0, VALUE_LENGTH_MAX);
    }
  }
  const [from, to] = [wholeNumber(pairs.get('from')), wholeNumber(pairs.get('to'))];
  const ordered = from !== null && to !== null && from < to;
  const ends = (pairs.get('selection') ?? '').split('-').map(wholeNumber);
  const [begin, end] = [ends[0] ?? null, ends[1] ?? null];
  return {
    view: (pairs.get('view') ?? '').slice(0, 40),
    trace: wholeNumber(pairs.get('trace')) ?? 0,
    from: ordered ? from : null,
    to: ordered ? to : null,
    selection: begin !== null && end !== null && begin <= end ? [begin, end] : null,
    cursor: wholeNumber(pairs.get('cursor')),
    row: wholeNumber(pairs.get('row')),
    filter: (pairs.get('filter') ?? '').slice(0, VALUE_LENGTH_MAX),
    extra,
  };
}

/**
 * Writes the text behind the #; what is as it is at first is left out.
 * @param {Readonly<ViewState>} state
 * @param {number} endNs end of the trace
 */
export function writeAddress(state, endNs) {
  const pairs = new URLSearchParams();
  pairs.set('view', state.view);
  if (state.trace !== 0) {
    pairs.set('trace', String(state.trace));
  }
  if (state.from > 0 || state.to < endNs) {
    pairs.set('from', String(Math.floor(state.from)));
    pairs.set('to', String(Math.ceil(state.to)));
  }
  if (state.selection) {
    pairs.set('selection', state.selection.map(Math.round).join('-'));
  }
  if (state.cursor !== null) {
    pairs.set('cursor', String(Math.round(state.cursor)));
  }
  if (state.row !== null) {
    pairs.set('row', String(state.row));
  }
  if (state.filter !== '') {
    pairs.set('filter', state.filter);
  }
  for (const name of Object.keys(state.extra).sort()) {
    const value = state.extra[name];
    if (value) {
      pairs.set(name, value);
    }
  }
  return `#${pairs}`;
}
