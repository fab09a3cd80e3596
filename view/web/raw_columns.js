// The columns of the list of events, and how events are written.

import { append, fill, make, plain } from './dom.js';
import { eventCondition, filterValue } from './filter_box.js';
import { countText, lengthText, timeText } from './time.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').TraceEvent} TraceEvent */

/** Most fields that are shown in a line. */
const LINE_FIELDS_MAX = 16;

/**
 * @typedef {object} RawColumn
 * @property {string} name
 * @property {string} title
 * @property {string} width
 * @property {boolean} right whether it is a number
 * @property {boolean} shown whether it is shown when nothing else was chosen
 */

/** @type {RawColumn[]} */
export const RAW_COLUMNS = [
  { name: 'n', title: 'Number', width: '11ch', right: true, shown: true },
  { name: 'at', title: 'Time (s)', width: '14ch', right: true, shown: true },
  { name: 'delta', title: 'Delta', width: '10ch', right: true, shown: true },
  { name: 'cpu', title: 'CPU', width: '5.5ch', right: true, shown: true },
  { name: 'comm', title: 'Thread', width: '16ch', right: false, shown: true },
  { name: 'tid', title: 'TID', width: '7ch', right: true, shown: true },
  { name: 'pid', title: 'Process', width: '9ch', right: true, shown: false },
  { name: 'event', title: 'Event', width: '21ch', right: false, shown: true },
  { name: 'fields', title: 'Fields', width: 'minmax(20ch, 1fr)', right: false, shown: true },
];

/** What names of events tell of what they are about: a pattern, and the kind whose colour they get. */
/** @type {[RegExp, string][]} */
const EVENT_COLORS = [
  [/softirq|tasklet/, 'softirq'],
  [/^(irq|ipi)|(^|_)irq_(handler|entry|exit)|vector/, 'irq'],
  [/syscall|sys_(enter|exit)/, 'syscall'],
  [/fault|trap|exception/, 'trap'],
  [/^(sched_process|thread_|process_|task_)/, 'user'],
  [/^sched|wak|switch/, 'runnable'],
  [/^(block|writeback|jbd2|ext4|filemap|file|vfs|mount)/, 'wait_disk'],
  [/^(net|sock|skb|tcp|udp|napi|inet)/, 'wait_socket'],
  [/timer|clock|itimer|jiffies/, 'wait_time'],
  [/^(mm_|kmem|page|oom|swap|vmscan)/, 'wait_page'],
  [/signal/, 'wait_signal'],
  [/futex|lock|ipc|sem|msg|shm/, 'wait_lock'],
  [/^(module|initcall|printk|console|marker|workqueue)/, 'kernel'],
  [/power|cpu_(idle|freq)|idle/, 'idle'],
];

/**
 * The kind whose colour an event's name gets.
 * @param {string} name
 */
export function eventColor(name) {
  return EVENT_COLORS.find(([pattern]) => pattern.test(name))?.[1] ?? 'wait_other';
}

/**
 * Names and docs of kinds of events by their id.
 * @param {App} app
 */
export function eventKinds(app) {
  return new Map(app.meta.event_kinds.map((kind) => [kind.id, kind]));
}

/**
 * A cell's text, for copying as well as for showing.
 * @param {string} column
 * @param {TraceEvent} event
 * @param {string} name of the event
 * @param {number | null} since time that the delta is to
 * @param {boolean} exact whether for a program
 */
export function rawText(column, event, name, since, exact) {
  switch (column) {
    case 'n':
      return exact ? String(event.n) : countText(event.n);
    case 'at':
      return exact ? String(event.at) : timeText(event.at);
    case 'delta':
      if (since === null) {
        return '';
      }
      return exact ? String(event.at - since) : lengthText(event.at - since).replace(/^-/, '−');
    case 'cpu':
      return String(event.cpu);
    case 'comm':
      return plain(event.comm, 60);
    case 'tid':
      return String(event.tid);
    case 'pid':
      return String(event.pid);
    case 'event':
      return plain(name, 80);
    default:
      return event.fields.map(([field, value]) => `${field}=${plain(value, exact ? 10_000 : 200)}`).join(' ');
  }
}

/**
 * Writes an event's fields into a cell, the names fainter than what they are.
 * @param {HTMLElement} cell
 * @param {TraceEvent} event
 */
export function fillFields(cell, event) {
  cell.replaceChildren();
  for (const [field, value] of event.fields.slice(0, LINE_FIELDS_MAX)) {
    append(cell, [make('i', { text: `${plain(field, 60)}=` }), `${plain(value, 200)} `]);
  }
}

/**
 * The condition that a field of an event has a value; empty where the language cannot say it.
 * @param {string} name of the event
 * @param {string} field
 * @param {string} value
 */
function fieldCondition(name, field, value) {
  const sayable = /^[a-z_]\w*$/i.test(name) && /^[a-z_]\w*$/i.test(field) && value.length < 200;
  return sayable ? `${name}.${field} == ${filterValue(value)}` : '';
}

/**
 * Shows all of an event.
 * @param {HTMLElement} place
 * @param {App} app
 * @param {TraceEvent} event
 * @param {(condition: string) => void} addFilter called with a condition that the event fulfils
 */
export function fillDetails(place, app, event, addFilter) {
  const kind = eventKinds(app).get(event.event);
  const name = kind?.name ?? `event ${event.event}`;
  const docs = new Map((kind?.fields ?? []).map((field) => [field.name, field.doc]));
  /** @type {[string, string, string, string][]} */
  const lines = [
    ['number', countText(event.n), '', ''],
    ['time', `${timeText(event.at)} s`, 'since the start of the trace', ''],
    ['CPU', String(event.cpu), '', `cpu == ${event.cpu}`],
    ['thread', `${plain(event.comm, 100)}:${event.tid}`, '', `tid == ${event.tid}`],
    ['process', String(event.pid), '', `pid == ${event.pid}`],
  ];
  for (const [field, value] of event.fields) {
    lines.push([plain(field, 100), plain(value, 5000), docs.get(field) ?? '', fieldCondition(name, field, value)]);
  }
  fill(
    place,
    make(
      'h2',
      {},
      make('button', {
        class: 'link',
        text: plain(name, 100),
        title: 'Show only such events',
        on: { click: () => addFilter(app.meta.features.filter ? eventCondition(name) : name) },
      }),
    ),
    make('p', { class: 'faint', text: kind?.doc ?? '' }),
    make(
      'table',
      { class: 'details' },
      ...lines.map(([field, value, doc, condition], index) =>
        make(
          'tr',
          {
            class: index === 5 ? 'first-field' : '',
          },
          make('th', { text: field, attributes: { scope: 'row' } }),
          make(
            'td',
            {},
            condition === '' || !app.meta.features.filter
              ? make('span', { class: 'mono', text: value })
              : make('button', {
                  class: 'link mono',
                  text: value,
                  title: `Show only ${condition}`.slice(0, 300),
                  on: { click: () => addFilter(condition) },
                }),
            doc && make('div', { class: 'faint', text: doc }),
          ),
        ),
      ),
    ),
  );
}
