// What is to be said about a state and about an interval, below a graph.

import { button, copyText, errorText, fill, make, plain } from './dom.js';
import { LatestAnswer } from './graph_ask.js';
import { rowName } from './graph_axis.js';
import { countText, lengthText, percentText, timeText } from './time.js';

/** @typedef {import('./graph_model.js').GraphModel} GraphModel */
/** @typedef {import('./graph_colors.js').GraphColors} GraphColors */
/** @typedef {import('./types.d.ts').Span} Span */
/** @typedef {import('./types.d.ts').Statistics} Statistics */

/** Lines of the critical path that are listed. */
const PATH_LINES_MAX = 12;

/**
 * What the panel tells the pane it is in.
 * @typedef {object} DetailsPane
 * @property {GraphModel} model
 * @property {() => GraphColors} colors
 * @property {() => void} redraw
 * @property {(text: string, tone?: 'info' | 'error') => void} say
 * @property {(row: number, ns: number) => void} goTo
 * @property {(row: number) => void} reveal scrolls to a row
 * @property {(from: number, to: number) => Promise<Statistics>} statistics
 * @property {((ns: number) => void) | null} events shows the list of events
 * @property {((pid: number) => void) | null} report shows the report of a process
 */

/** The panel below a graph. */
export class GraphDetails {
  /** @param {DetailsPane} pane */
  constructor(pane) {
    this.pane = pane;
    /** @type {LatestAnswer<Span | null>} */
    this.span = new LatestAnswer(20, pane.redraw, (text) => pane.say(text, 'error'));
    /** @type {LatestAnswer<Statistics>} */
    this.statistics = new LatestAnswer(150, pane.redraw, (text) => pane.say(text, 'error'));
    const spoken = { 'aria-label': 'state', 'aria-live': 'polite' };
    this.state = make('section', { class: 'graph-state', attributes: spoken });
    this.sums = make('section', { class: 'graph-sums', attributes: { 'aria-label': 'interval' } });
    this.element = make('div', { class: 'graph-details' }, this.state, this.sums);
    /** Grows with each change of colours or of the trace. */
    this.themed = 0;
    this.shownState = '';
    this.shownSums = '';
  }

  /** Asks for what is selected, and shows what is known of it. */
  draw() {
    const { model } = this.pane;
    const { row, cursor, meta, source } = model;
    const known = row !== null && cursor !== null && model.rows[row] !== undefined;
    this.span.want(known ? `${row} ${cursor} ${meta.version}` : '', () => source.at(row ?? 0, Math.round(cursor ?? 0)));
    const [from, to] = this.interval();
    this.statistics.want(`${from} ${to} ${meta.version}`, () => this.pane.statistics(from, to));
    const state = [this.span.answered, row, model.path?.row, model.path?.segments.length, this.themed].join(' ');
    if (state !== this.shownState) {
      this.shownState = state;
      this.showState();
    }
    const sums = [this.statistics.answered, row, model.selection, this.themed].join(' ');
    if (sums !== this.shownSums) {
      this.shownSums = sums;
      this.showSums();
    }
  }

  /** The selected times, or else the visible ones. */
  interval() {
    const { selection, from, to, meta } = this.pane.model;
    return selection ?? [Math.max(0, Math.floor(from)), Math.min(meta.end_ns, Math.ceil(to))];
  }

  showState() {
    const { model } = this.pane;
    const row = model.row === null ? undefined : model.rows[model.row];
    if (!row) {
      fill(this.state, make('p', { class: 'faint', text: 'Click on a state to see what it was and who ended it.' }),
        this.legend());
      return;
    }
    const span = this.span.value;
    const without = model.cursor === null ? 'Click on one of its states to see more.' : 'Nothing is known here.';
    fill(this.state,
      make('h3', {}, make('span', { text: rowName(row), title: plain(row.name) }),
        make('span', { class: 'faint', text: rowFacts(row) })),
      span ? this.spanFacts(span) : make('p', { class: 'faint', text: without }),
      this.stateButtons(span),
      model.path ? this.pathFacts(model.path.segments) : null);
  }

  /** What the colours mean. */
  legend() {
    const colors = this.pane.colors();
    return make('ul', { class: 'graph-legend', attributes: { 'aria-label': 'colours' } },
      ...this.pane.model.meta.kinds.map((kind, index) => (kind.name === 'none'
        ? null : make('li', {}, graphSwatch(colors.kinds[index] ?? ''), kind.title))));
  }

  /** @param {Span} span */
  spanFacts(span) {
    const { model } = this.pane;
    const colors = this.pane.colors();
    const swatch = graphSwatch(colors.stateColor(span.state));
    const text = plain(span.text, 300);
    const title = colors.titles[span.state] ?? '';
    const length = lengthText(span.to_ns - span.from_ns);
    const facts = [`${length} from ${timeText(span.from_ns)} s to ${timeText(span.to_ns)} s`];
    if (span.cpu !== null) {
      facts.push(`on CPU ${span.cpu}`);
    }
    const cause = span.ended_by;
    const causeRow = cause ? model.rows[cause.row] : undefined;
    const who = cause ? plain(cause.thread, 80) || (causeRow ? rowName(causeRow) : '') : '';
    return make('div', { class: 'graph-facts' },
      make('p', {}, swatch, make('b', { text: title }), text !== '' && text !== title ? ` – ${text}` : null),
      make('p', { text: facts.join(', ') }),
      cause ? make('p', {}, 'ended by ', button(who, () => this.pane.goTo(cause.row, cause.at_ns), 'Go there (g)'),
        ` ${plain(cause.via, 120)} at ${timeText(cause.at_ns)} s`) : null);
  }

  /** @param {Span | null} span */
  stateButtons(span) {
    const { model } = this.pane;
    const row = model.row === null ? undefined : model.rows[model.row];
    const pid = row?.pid;
    const path = model.meta.features.path && row?.type === 'thread';
    return make('div', { class: 'graph-buttons' },
      button('‹ previous', () => this.step('previous'), 'State before this one (,)'),
      button('next ›', () => this.step('next'), 'State after this one (.)'),
      span?.ended_by ? button('go to waker', () => this.goToWaker(), 'Where the wait was ended (g)') : null,
      path ? button('critical path from here', () => this.askPath(),
        'What kept this thread from getting here sooner (c)') : null,
      this.pane.events ? button('events here', () => this.openEvents(), 'The list of events at the cursor (e)') : null,
      pid !== null && pid !== undefined && this.pane.report
        ? button('report of this process', () => this.pane.report?.(pid)) : null);
  }

  openEvents() {
    this.pane.events?.(Math.round(this.pane.model.cursor ?? this.pane.model.from));
  }

  /** Goes to where the wait was ended. */
  goToWaker() {
    const cause = this.span.value?.ended_by;
    if (cause) {
      this.pane.goTo(cause.row, cause.at_ns);
    }
  }

  /**
   * Goes to the state before or after the one at the cursor.
   * @param {'next' | 'previous'} direction
   */
  async step(direction) {
    const { model } = this.pane;
    const { row, cursor } = model;
    if (row === null) {
      return;
    }
    const start = this.span.current ? this.span.value?.from_ns : undefined;
    const ns = Math.round(direction === 'previous' ? start ?? cursor ?? model.to : cursor ?? model.from);
    try {
      const found = await model.source.next(row, ns, direction);
      if (found === null) {
        this.pane.say(`This is the ${direction === 'next' ? 'last' : 'first'} state of the row.`);
      } else if (model.row === row) {
        this.pane.goTo(row, found);
      }
    } catch (error) {
      this.pane.say(errorText(error), 'error');
    }
  }

  /** Asks what kept the thread from getting to the end of this state sooner, and draws it. */
  async askPath() {
    const { model } = this.pane;
    const { row } = model;
    if (row === null || !model.meta.features.path || model.rows[row]?.type !== 'thread') {
      return;
    }
    const span = this.span.value;
    const start = Math.max(0, Math.floor(Math.min(model.from, span?.from_ns ?? model.from)));
    const [from, to] = model.selection ?? [start, span?.to_ns ?? Math.round(model.cursor ?? model.to)];
    try {
      const segments = await model.source.path(row, from, to);
      model.change({ path: { segments, row } });
      this.pane.reveal(row);
      if (segments.length === 0) {
        this.pane.say('There is no critical path in this time.');
      }
    } catch (error) {
      this.pane.say(errorText(error), 'error');
    }
  }

  /** @param {import('./types.d.ts').Segment[]} segments */
  pathFacts(segments) {
    const { model } = this.pane;
    const longest = segments.map((segment) => ({ segment, length: segment.to_ns - segment.from_ns }))
      .sort((a, b) => b.length - a.length).slice(0, PATH_LINES_MAX);
    const whole = segments.reduce((sum, segment) => sum + segment.to_ns - segment.from_ns, 0);
    return make('div', { class: 'graph-path' },
      make('h3', {}, `Critical path: ${countText(segments.length)} parts, ${lengthText(whole)} `,
        button('remove', () => model.change({ path: null }), 'Remove the path (Esc)')),
      make('table', {}, make('tbody', {}, ...longest.map(({ segment, length }) => {
        const found = model.rows[segment.row];
        const name = found ? rowName(found) : '';
        return make('tr', {},
          make('td', { class: 'number', text: lengthText(length) }),
          make('td', { class: 'number', text: percentText((length / Math.max(1, whole)) * 100) }),
          make('td', {},
            button(name, () => this.pane.goTo(segment.row, segment.from_ns), `at ${timeText(segment.from_ns)} s`)),
          make('td', { text: plain(segment.text, 120) }));
      }))));
  }

  /** Sums by kind: of all CPUs, and of the selected row. */
  kindSums() {
    const statistics = this.statistics.value;
    const { model } = this.pane;
    const all = new Float64Array(model.meta.kinds.length);
    const own = new Float64Array(model.meta.kinds.length);
    // A CPU may have several rows, of which the first says what it did.
    const cpus = model.rows.filter((row) => row.type === 'cpu').reverse();
    const firsts = new Set(new Map(cpus.map((row) => [row.cpu, row.row])).values());
    const idle = model.meta.kinds.findIndex((kind) => kind.name === 'idle');
    const told = new Set(statistics?.rows.map(([number]) => number));
    const silent = statistics ? [...firsts].filter((number) => !told.has(number)).length : 0;
    all[idle] = silent * ((statistics?.to_ns ?? 0) - (statistics?.from_ns ?? 0));
    for (const [number, sums] of statistics?.rows ?? []) {
      for (const [kind, ns] of sums) {
        if (firsts.has(number)) {
          all[kind] = (all[kind] ?? 0) + ns;
        }
        if (number === model.row) {
          own[kind] = (own[kind] ?? 0) + ns;
        }
      }
    }
    return { all, own };
  }

  showSums() {
    const statistics = this.statistics.value;
    const { model } = this.pane;
    if (!statistics) {
      fill(this.sums, make('p', { class: 'faint', text: '…' }));
      return;
    }
    const { from_ns: from, to_ns: to } = statistics;
    const { all, own } = this.kindSums();
    const row = model.row === null ? undefined : model.rows[model.row];
    const lines = model.meta.kinds.map((kind, index) => ({ kind, index, all: all[index] ?? 0, own: own[index] ?? 0 }))
      .filter((line) => line.kind.name !== 'none' && (line.all > 0 || line.own > 0));
    const allTime = lines.reduce((sum, line) => sum + line.all, 0);
    const events = [...statistics.events].sort((a, b) => b[1] - a[1]);
    fill(this.sums,
      make('header', {},
        make('h3', { text: `${model.selection ? 'Selection' : 'Visible'}: ${lengthText(to - from)}` }),
        make('span', { class: 'faint', text: `${timeText(from)} s to ${timeText(to)} s` }),
        model.selection ? button('zoom in', () => model.fit(), 'Fit to the selection (f)') : null,
        model.selection ? button('clear', () => model.change({ selection: null }), 'Remove the selection (Esc)') : null,
        button('copy', () => this.copy(), 'Copy as a table')),
      make('div', { class: 'graph-columns' },
        make('table', { class: 'graph-kinds' },
          graphHeadLine(['time went to', 'all CPUs', row ? rowName(row) : 'no row selected']),
          make('tbody', {}, ...lines.map((line) => this.kindLine(line, allTime, to - from, row !== undefined)))),
        make('table', { class: 'graph-counts' },
          graphHeadLine(['events', countText(events.reduce((sum, [, count]) => sum + count, 0))]),
          make('tbody', {}, ...events.map(([id, count]) => this.countLine(id, count))))));
  }

  /**
   * @param {{ kind: import('./types.d.ts').Kind, index: number, all: number, own: number }} line
   * @param {number} allTime
   * @param {number} length
   * @param {boolean} selected
   */
  kindLine(line, allTime, length, selected) {
    const color = this.pane.colors().kinds[line.index] ?? '';
    return make('tr', {},
      make('th', { attributes: { scope: 'row' } }, graphSwatch(color), line.kind.title),
      graphBarCell(line.all, allTime, color),
      selected ? graphBarCell(line.own, length, color) : make('td'));
  }

  /**
   * @param {number} id
   * @param {number} count
   */
  countLine(id, count) {
    const kind = this.pane.model.meta.event_kinds.find((one) => one.id === id);
    return make('tr', { title: kind ? plain(kind.doc) : '' },
      make('th', { text: kind ? plain(kind.name, 60) : String(id), attributes: { scope: 'row' } }),
      make('td', { class: 'number', text: countText(count) }));
  }

  async copy() {
    const statistics = this.statistics.value;
    if (!statistics) {
      return;
    }
    const { model } = this.pane;
    const { all, own } = this.kindSums();
    const lines = [['from_ns', statistics.from_ns], ['to_ns', statistics.to_ns], ['kind', 'cpus_ns', 'row_ns']];
    model.meta.kinds.forEach((kind, index) => {
      if ((all[index] ?? 0) > 0 || (own[index] ?? 0) > 0) {
        lines.push([kind.name, all[index] ?? 0, own[index] ?? 0]);
      }
    });
    lines.push(['event', 'count']);
    for (const [id, count] of statistics.events) {
      lines.push([model.meta.event_kinds.find((one) => one.id === id)?.name ?? id, count]);
    }
    const worked = await copyText(lines.map((line) => line.join('\t')).join('\n'));
    this.pane.say(worked ? 'The table is copied.' : 'The browser does not let the page copy.');
  }
}

/**
 * What is known of a thread as a whole.
 * @param {import('./types.d.ts').Row} row
 */
function rowFacts(row) {
  if (row.type !== 'thread') {
    return '';
  }
  const facts = [
    row.pid !== null && row.pid !== row.tid ? `process ${row.pid}` : '',
    row.born_ns > 0 ? `began at ${timeText(row.born_ns, 1000)} s` : '',
    row.died_ns !== null ? `ended at ${timeText(row.died_ns, 1000)} s` : '',
    row.wakes > 0 ? `woken ${countText(row.wakes)} times` : '',
  ];
  return facts.filter((fact) => fact !== '').join(', ');
}

/**
 * A small square of a colour.
 * @param {string} color
 */
function graphSwatch(color) {
  const swatch = make('span', { class: 'graph-swatch', attributes: { 'aria-hidden': 'true' } });
  swatch.style.backgroundColor = color;
  return swatch;
}

/** @param {string[]} names */
function graphHeadLine(names) {
  return make('thead', {}, make('tr', {}, ...names.map((text) => make('th', { text, attributes: { scope: 'col' } }))));
}

/**
 * @param {number} ns
 * @param {number} whole
 * @param {string} color
 */
function graphBarCell(ns, whole, color) {
  if (ns <= 0) {
    return make('td', { class: 'faint', text: '–' });
  }
  const part = whole > 0 ? ns / whole : 0;
  const bar = make('span', { class: 'graph-bar', attributes: { 'aria-hidden': 'true' } });
  bar.style.backgroundColor = color;
  bar.style.width = `${Math.min(100, part * 100)}%`;
  return make('td', {}, make('span', { class: 'graph-sum' }, make('span', { class: 'graph-bar-back' }, bar),
    make('span', { text: lengthText(ns) }), make('span', { class: 'faint', text: percentText(part * 100) })));
}
