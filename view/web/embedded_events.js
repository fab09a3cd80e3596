// Events by number, text in them and the nearest that has it, from the columns in the page.

import { EmbeddedCache, EmbeddedNumbers, embeddedBound, embeddedColumns } from './embedded_blocks.js';

/** @typedef {import('./types.d.ts').Meta} Meta */
/** @typedef {import('./types.d.ts').TraceEvent} TraceEvent */
/** @typedef {import('./types.d.ts').EventPage} EventPage */

/**
 * @typedef {object} BlockPlace
 * @property {number} first number of its first event
 * @property {number} count
 * @property {number} from_ns
 * @property {number} to_ns
 * @property {[number, number][]} kinds with how many of each
 */

/**
 * @typedef {object} EventPlaces
 * @property {number} events
 * @property {[number, number, number, string][]} contexts CPU, thread, process, name
 * @property {BlockPlace[]} blocks
 */

/**
 * @typedef {object} EventBlock
 * @property {Float64Array} times
 * @property {Uint16Array} kinds
 * @property {Float64Array} contexts
 * @property {Uint16Array} ranks position of each event among those of its kind
 * @property {Map<number, number>} bases of each kind, where its texts begin
 * @property {Map<number, number>} counts
 * @property {string[]} texts
 */

/** Blocks that are kept unpacked. */
const BLOCKS_KEPT = 24;
/** Searches that are remembered. */
const SEARCHES_KEPT = 4;
/** How long a page waits for a search that is on its way. */
const SEARCH_PATIENCE_MS = 120;
/** How often it looks whether that knows enough. */
const SEARCH_LOOK_MS = 8;
/** One that nobody has asked for so long pauses. */
const SEARCH_ASKED_MS = 5000;

/** A text on its way through the events. */
class EmbeddedSearch {
  /**
   * @param {EmbeddedEvents} events
   * @param {string} text
   */
  constructor(events, text) {
    this.events = events;
    this.matches = textTest(events, text);
    /** @type {number[]} */
    this.found = [];
    this.seen = 0;
    this.block = 0;
    this.asked = 0;
    this.running = false;
    /** @type {unknown} */
    this.error = null;
  }

  get complete() {
    return this.block >= this.events.places.blocks.length;
  }

  /** Looks at one more block. */
  async go() {
    const place = this.events.places.blocks[this.block];
    if (!place) {
      return;
    }
    const block = await this.events.block(this.block);
    for (let index = 0; index < place.count; index += 1) {
      if (this.matches(block, index)) {
        this.found.push(place.first + index);
      }
    }
    this.seen = place.first + place.count;
    this.block += 1;
  }

  /** Goes on as long as somebody asks. */
  async run() {
    this.running = true;
    try {
      while (!this.complete && performance.now() - this.asked < SEARCH_ASKED_MS) {
        await this.go();
        // What the page has to do comes between.
        await new Promise((resolve) => setTimeout(resolve));
      }
    } catch (error) {
      this.error = error;
    }
    this.running = false;
  }

  /**
   * Waits until something is known, or for so long; it goes on meanwhile and afterwards.
   * @param {() => boolean} enough
   * @param {number} patience in milliseconds
   */
  async wait(enough, patience) {
    this.asked = performance.now();
    if (!this.running) {
      this.run();
    }
    const deadline = this.asked + patience;
    while (this.running && !enough() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, SEARCH_LOOK_MS));
    }
    if (this.error) {
      throw this.error;
    }
  }
}

/**
 * Whether an event has all the words of a text.
 * @param {EmbeddedEvents} events
 * @param {string} text
 */
function textTest(events, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  /** Which words are in what many events have in common, so that it is looked at once. */
  /** @type {Map<string, Set<string>>} */
  const common = new Map();
  const commonWords = (/** @type {number} */ kind, /** @type {number} */ context) => {
    const key = `${kind} ${context}`;
    let known = common.get(key);
    if (!known) {
      const [, tid, , comm] = events.places.contexts[context] ?? [0, 0, 0, ''];
      const names = `${events.nameOf(kind)} ${comm}:${tid}`.toLowerCase();
      known = new Set(words.filter((word) => names.includes(word)));
      common.set(key, known);
    }
    return known;
  };
  const fieldNames = [...events.kinds.values()].flatMap((kind) => kind.fields.map((field) => field.name.toLowerCase()));
  /** Those that can only be in values, so that a block without them need not be looked at event by event. */
  const ofValues = words.filter((word) => !word.includes('=') && !fieldNames.some((name) => name.includes(word)));
  /** @type {{ block: EventBlock | null, lacking: string[] }} */
  const last = { block: null, lacking: [] };
  const lacks = (/** @type {EventBlock} */ block) => {
    if (last.block !== block) {
      const text = block.texts.join('\n').toLowerCase();
      Object.assign(last, { block, lacking: ofValues.filter((word) => !text.includes(word)) });
    }
    return last.lacking;
  };
  return (/** @type {EventBlock} */ block, /** @type {number} */ index) => {
    const known = commonWords(Number(block.kinds[index]), Number(block.contexts[index]));
    const left = words.filter((word) => !known.has(word));
    if (left.length === 0) {
      return true;
    }
    const lacking = lacks(block);
    if (left.some((word) => lacking.includes(word))) {
      return false;
    }
    const fields = events.fieldsOf(block, index);
    const said = fields.map(([name, value]) => `${name} = ${value}\n${name}=${value}`).join('\n').toLowerCase();
    return left.every((word) => said.includes(word));
  };
}

export class EmbeddedEvents {
  /**
   * @param {EventPlaces} places
   * @param {Meta} meta
   */
  constructor(places, meta) {
    this.places = places;
    this.kinds = new Map(meta.event_kinds.map((kind) => [kind.id, kind]));
    this.blocks = new EmbeddedCache(BLOCKS_KEPT, (number) => this.read(Number(number)));
    /** @type {Map<string, EmbeddedSearch>} */
    this.searches = new Map();
  }

  /** @param {number} kind */
  nameOf(kind) {
    return this.kinds.get(kind)?.name ?? `event ${kind}`;
  }

  /** @param {number} number */
  block(number) {
    return this.blocks.get(String(number));
  }

  /**
   * @param {number} number
   * @returns {Promise<EventBlock>}
   */
  async read(number) {
    const place = /** @type {BlockPlace} */ (this.places.blocks[number]);
    const [times, kinds, contexts, texts] = await embeddedColumns(`events-${number}`);
    const empty = new Uint8Array();
    const block = {
      times: new EmbeddedNumbers(times ?? empty).sums(place.count),
      kinds: new EmbeddedNumbers(kinds ?? empty).small(place.count),
      contexts: new EmbeddedNumbers(contexts ?? empty).large(place.count),
      ranks: new Uint16Array(place.count),
      bases: new Map(),
      counts: new Map(place.kinds),
      texts: new TextDecoder().decode(texts).split('\n'),
    };
    let base = 0;
    for (const [kind, count] of place.kinds) {
      block.bases.set(kind, base);
      base += count * (this.kinds.get(kind)?.fields.length ?? 0);
    }
    /** @type {Map<number, number>} */
    const ranks = new Map();
    for (let index = 0; index < place.count; index += 1) {
      block.times[index] = Number(block.times[index]) + place.from_ns;
      const kind = Number(block.kinds[index]);
      const rank = ranks.get(kind) ?? 0;
      block.ranks[index] = rank;
      ranks.set(kind, rank + 1);
    }
    return block;
  }

  /**
   * @param {EventBlock} block
   * @param {number} index
   * @returns {[string, string][]}
   */
  fieldsOf(block, index) {
    const kind = Number(block.kinds[index]);
    const [base, count] = [block.bases.get(kind) ?? 0, block.counts.get(kind) ?? 0];
    const fields = this.kinds.get(kind)?.fields ?? [];
    const at = (/** @type {number} */ field) => base + field * count + Number(block.ranks[index]);
    return fields.map((field, number) => [field.name, block.texts[at(number)] ?? '']);
  }

  /**
   * The block that holds an event.
   * @param {number} n
   */
  blockWith(n) {
    const firsts = this.places.blocks.map((place) => place.first);
    return embeddedBound(firsts, n + 1) - 1;
  }

  /**
   * @param {number} n
   * @returns {Promise<TraceEvent | null>}
   */
  async event(n) {
    const number = this.blockWith(n);
    const place = this.places.blocks[number];
    const index = n - (place?.first ?? 0);
    if (!place || index >= place.count) {
      return null;
    }
    const block = await this.block(number);
    const [cpu, tid, pid, comm] = this.places.contexts[Number(block.contexts[index])] ?? [0, 0, 0, ''];
    const [at, event] = [Number(block.times[index]), Number(block.kinds[index])];
    return { n, at, cpu, tid, pid, comm, event, fields: this.fieldsOf(block, index) };
  }

  /** @param {string} text */
  search(text) {
    const search = this.searches.get(text) ?? new EmbeddedSearch(this, text);
    this.searches.delete(text);
    this.searches.set(text, search);
    if (this.searches.size > SEARCHES_KEPT) {
      this.searches.delete(String(this.searches.keys().next().value));
    }
    return search;
  }

  /**
   * @param {number} first
   * @param {number} count
   * @param {string} filter words that an event has to have
   * @returns {Promise<EventPage>}
   */
  async page(first, count, filter) {
    const all = this.places.events;
    if (filter.trim() === '') {
      const numbers = Array.from({ length: Math.max(0, Math.min(count, all - first)) }, (_, index) => first + index);
      return { total: all, complete: true, seen: all, events: await this.all(numbers) };
    }
    const search = this.search(filter);
    await search.wait(() => search.found.length >= first + count, SEARCH_PATIENCE_MS);
    // What is found meanwhile is told by the next page.
    const { seen, complete } = search;
    const total = search.found.length;
    return { total, complete, seen, events: await this.all(search.found.slice(first, first + count)) };
  }

  /** @param {number[]} numbers */
  async all(numbers) {
    const events = [];
    for (const number of numbers) {
      const event = await this.event(number);
      if (event) {
        events.push(event);
      }
    }
    return events;
  }

  /**
   * How many events are before a time.
   * @param {number} ns
   */
  async before(ns) {
    const ends = this.places.blocks.map((place) => place.to_ns);
    const number = embeddedBound(ends, ns);
    const place = this.places.blocks[number];
    if (!place) {
      return this.places.events;
    }
    return place.first + embeddedBound((await this.block(number)).times, ns);
  }

  /**
   * How many events that have the words are before a time.
   * @param {number} ns
   * @param {string} filter
   */
  async position(ns, filter) {
    const number = await this.before(ns);
    if (filter.trim() === '') {
      return number;
    }
    const search = this.search(filter);
    await search.wait(() => search.seen >= number, SEARCH_PATIENCE_MS);
    return embeddedBound(search.found, number);
  }

  /**
   * The nearest event that has the words.
   * @param {number} n
   * @param {'next' | 'previous'} direction
   * @param {string} filter
   * @param {AbortSignal} [signal]
   */
  async find(n, direction, filter, signal) {
    const matches = textTest(this, filter);
    const step = direction === 'next' ? 1 : -1;
    let number = this.blockWith(n);
    let from = n + step;
    for (; number >= 0 && number < this.places.blocks.length; number += step) {
      signal?.throwIfAborted();
      const block = await this.block(number);
      const place = /** @type {BlockPlace} */ (this.places.blocks[number]);
      const first = step > 0 ? Math.max(0, from - place.first) : Math.min(place.count - 1, from - place.first);
      for (let index = first; index >= 0 && index < place.count; index += step) {
        if (matches(block, index)) {
          return { n: place.first + index, at: Number(block.times[index]) };
        }
      }
      from = step > 0 ? 0 : Infinity;
    }
    return null;
  }

  /**
   * How many events of each kind there are in a time.
   * @param {number} from
   * @param {number} to
   * @returns {Promise<[number, number][]>}
   */
  async counts(from, to) {
    /** @type {Map<number, number>} */
    const counts = new Map();
    const add = (/** @type {number} */ kind, /** @type {number} */ count) =>
      counts.set(kind, (counts.get(kind) ?? 0) + count);
    for (const [number, place] of this.places.blocks.entries()) {
      if (place.from_ns >= from && place.to_ns < to) {
        place.kinds.forEach(([kind, count]) => add(kind, count));
      } else if (place.to_ns >= from && place.from_ns < to) {
        const { times, kinds } = await this.block(number);
        const last = embeddedBound(times, to);
        for (let index = embeddedBound(times, from); index < last; index += 1) {
          add(Number(kinds[index]), 1);
        }
      }
    }
    return [...counts].sort((one, other) => one[0] - other[0]);
  }
}
