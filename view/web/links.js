// Where the numbers of reports come from: for a cell, the filter of the events behind it, or the place to look at.

import { bothFilters, eventCondition, filterValue } from './filter_box.js';
import { rowOfThread, showEvents, showInGraph, showTime, timesFilter } from './page_parts.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./tables.js').NamedRow} NamedRow */
/** @typedef {import('./types.d.ts').Table} Table */

/** Events behind the counts that reports give names to. */
/** @type {Record<string, string>} */
const EVENTS_OF_COUNTS = {
  sched_switches: 'sched_switch',
  ticks: 'tick',
  syscall_entries: 'syscall_entry',
  syscall_exits: 'syscall_exit',
  trap_entries: 'trap_entry',
  trap_exits: 'trap_exit',
  irq_entries: 'irq_entry',
  irq_exits: 'irq_exit',
  softirqs: 'softirq_entry',
  tasklets: 'tasklet_entry',
  works: 'workqueue_execute_start',
  timer_expiries: 'timer_expire_entry',
  hrtimer_expiries: 'hrtimer_expire_entry',
  forks: 'sched_process_fork',
  execs: 'sched_process_exec',
  exits: 'sched_process_exit',
  wakeups: 'sched_waking',
  migrations: 'sched_migrate_task',
  signals_generated: 'signal_generate',
  signals_delivered: 'signal_deliver',
  page_allocs: 'mm_page_alloc',
  page_frees: 'mm_page_free',
  packets_out: 'net_dev_queue',
  packets_in: 'netif_receive_skb',
};

/** Names of columns that are times to look at. */
const TIME_COLUMN = /^(at|first|start|born|died|delay_max_at)_ns$/;
/** Names of columns that name a thread as `name:number`. */
const THREAD_COLUMN = /^(thread|waker|sender|receiver|taker|waiter|owner|most_by|waited_for|requester|charged)$/;

/**
 * The condition that events are of a process, if the row has one.
 * @param {NamedRow} row
 */
function ofProcess(row) {
  return row.pid === null || row.pid === undefined ? '' : `pid == ${row.pid}`;
}

/**
 * Events whose lengths make up a time of a thread or process, by the name of the time.
 * @type {Record<string, string>}
 */
const EVENTS_OF_TIMES = {
  syscall_ns: 'syscall_entry',
  trap_ns: 'trap_entry',
  irq_ns: 'irq_entry',
  softirq_ns: 'softirq_entry',
  syscalls: 'syscall_entry',
  traps: 'trap_entry',
};

/** System calls that move bytes, for traces without events of files. */
const READ_CALLS = 'name in ("read", "readv", "pread64", "preadv", "recvfrom", "recvmsg")';
const WRITE_CALLS = 'name in ("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg")';

/**
 * A condition of events: the name that they must have, and what else has to hold.
 * @typedef {[string, string]} Behind
 */

/**
 * An event, and what stands for it in traces of other tracers.
 * @param {string} name
 * @param {string} condition
 * @returns {Behind[]}
 */
function alternatives(name, condition) {
  const kernel = { syscall_entry: 'sys_enter', syscall_exit: 'sys_exit' }[name];
  return kernel
    ? [
        [name, condition],
        [kernel, condition],
        [`${name}_*`, condition],
      ]
    : [[name, condition]];
}

/**
 * The condition that an event has a name, which may end with an asterisk; null if no such event was recorded.
 * @param {string[]} recorded
 * @param {string} name
 */
function nameCondition(recorded, name) {
  if (name.endsWith('*')) {
    const begins = recorded.some((one) => one.startsWith(name.slice(0, -1)));
    return begins ? `event =~ ${filterValue(name)}` : null;
  }
  return recorded.includes(name) ? eventCondition(name) : null;
}

/**
 * The events that a cell of a system call counts.
 * @param {Table} table
 * @param {NamedRow} row
 * @param {string} column
 * @returns {Behind[]}
 */
function callsBehind(table, row, column) {
  const name = String(row.name);
  const plainName = filterValue(name.replace(' (32-bit)', ''));
  const prefix = name.endsWith(' (32-bit)') ? 'compat_' : '';
  const who = ofProcess(row);
  const isError = column === 'errors' || (table.name === 'errors' && column === 'count');
  if (!isError && !['count', 'name'].includes(column)) {
    return [];
  }
  const [own, kernel] = isError ? ['syscall_exit', 'sys_exit'] : ['syscall_entry', 'sys_enter'];
  const failed = isError ? 'ret < 0' : '';
  const all = (/** @type {string[]} */ ...conditions) => conditions.reduce(bothFilters, '');
  return [
    [`${prefix}${own}`, all(who, `name == ${plainName}`, failed)],
    [kernel, all(who, `id == ${plainName}`, failed)],
    [`${prefix}${own}_${name}`, all(who, failed)],
  ];
}

/**
 * The events that a cell of a thread or a process comes from.
 * @param {NamedRow} row
 * @param {string} column
 * @returns {Behind[]}
 */
function threadBehind(row, column) {
  const { tid } = row;
  const isThread = typeof tid === 'number';
  const who = isThread ? `tid == ${tid}` : ofProcess(row);
  const event = EVENTS_OF_TIMES[column];
  if (who === '') {
    return [];
  }
  if (event) {
    return alternatives(event, who);
  }
  if (['running_ns', 'runnable_ns', 'waiting_ns', 'switches'].includes(column)) {
    return [['sched_switch', isThread ? `next_pid == ${tid} || prev_pid == ${tid}` : who]];
  }
  if (column === 'reads' || column === 'read_bytes') {
    return [
      ['file_read', who],
      ['syscall_exit', `${who} && ${READ_CALLS}`],
    ];
  }
  if (column === 'writes' || column === 'written_bytes') {
    return [
      ['file_write', who],
      ['syscall_exit', `${who} && ${WRITE_CALLS}`],
    ];
  }
  return [];
}

/**
 * The events that a cell counts: the first that were recorded will do.
 * @param {string} report
 * @param {Table} table
 * @param {NamedRow} row
 * @param {string} column
 * @returns {Behind[]}
 */
function eventsBehind(report, table, row, column) {
  const name = typeof row.name === 'string' ? row.name : '';
  if (['calls', 'errors', 'slowest'].includes(table.name) || `${report} ${table.name}` === 'syscalls processes') {
    return callsBehind(table, row, column);
  }
  if (table.name === 'counts' && column === 'count' && EVENTS_OF_COUNTS[name]) {
    return alternatives(EVENTS_OF_COUNTS[name], '');
  }
  switch (`${report} ${table.name} ${column}`) {
    case 'irqs irqs count':
      return [['irq_entry', `vector == ${row.vector} && cpu == ${row.cpu}`]];
    case 'irqs handlers count':
      return [['irq_handler_entry', `irq == ${row.irq} && cpu == ${row.cpu}`]];
    case 'softirqs softirqs count':
      return [['softirq_entry', `vec == ${name} && cpu == ${row.cpu}`]];
    case 'softirqs raise_latency count':
      return [['softirq_raise', `vec == ${name} && cpu == ${row.cpu}`]];
    case 'traps traps count':
      return [['trap_entry', `name == ${filterValue(name)}`]];
    case 'sched threads migrations':
      return [['sched_migrate_task', `sched_migrate_task.pid == ${row.tid}`]];
    case 'sched threads wakeups':
      return [['sched_waking', `sched_waking.pid == ${row.tid}`]];
    case 'signals signals sent':
      return [['signal_generate', `sig == ${row.number}`]];
    case 'signals signals handled':
      return [['signal_deliver', `sig == ${row.number}`]];
    case 'boot programs count':
      return [['sched_process_exec', `filename == ${filterValue(String(row.program))}`]];
    case 'futex futexes waits':
      return [['futex_start', bothFilters(ofProcess(row), `uaddr == ${row.address}`)]];
    default:
      return ['processes', 'io', 'sched'].includes(report) ? threadBehind(row, column) : [];
  }
}

/**
 * What a click on a cell of a report does, for a table of it.
 * @param {App} app
 * @param {string} report
 * @returns {(row: NamedRow, column: string, table: Table) => (() => void) | null}
 */
export function reportLinks(app, report) {
  const recorded = app.meta.event_kinds.filter((kind) => kind.count > 0).map((kind) => kind.name);
  return (row, column, table) => {
    const value = row[column];
    if (value === null || value === undefined || value === 0) {
      return null;
    }
    if (TIME_COLUMN.test(column) && typeof value === 'number') {
      return () => goToTime(app, row, value);
    }
    if (
      (column === 'pid' || column === 'ppid' || column === 'comm') &&
      typeof (column === 'comm' ? row.pid : value) === 'number'
    ) {
      const pid = column === 'comm' ? row.pid : value;
      return () => app.go({ view: 'processes', extra: { ...app.state.extra, 'processes.pid': String(pid) } }, 'push');
    }
    const named = THREAD_COLUMN.test(column) && typeof value === 'string' ? /:(\d+)$/.exec(value) : null;
    const tid = column === 'tid' ? Number(value) : named ? Number(named[1]) : null;
    if (tid !== null) {
      return () => goToThread(app, tid);
    }
    const behind = app.meta.features.filter ? eventsBehind(report, table, row, column) : [];
    const conditions = behind.map(([name, rest]) => ({ name: nameCondition(recorded, name), rest }));
    const found = conditions.find((one) => one.name !== null);
    if (!found) {
      return null;
    }
    const filter = [found.name ?? '', found.rest, timesFilter(app)].reduce(bothFilters);
    return () => showEvents(app, filter);
  };
}

/**
 * Shows a time that a row of a report tells; what it tells of a length is shown whole.
 * @param {App} app
 * @param {NamedRow} row
 * @param {number} ns
 */
function goToTime(app, row, ns) {
  const length = row.length_ns ?? row.run_ns ?? 0;
  const thread = typeof row.tid === 'number' ? rowOfThread(app, row.tid, ns) : null;
  if (typeof length === 'number' && length > 0) {
    showInGraph(app, ns, ns + length, thread?.row ?? null);
  } else {
    showTime(app, ns);
  }
}

/**
 * Shows a thread in the graph.
 * @param {App} app
 * @param {number} tid
 */
function goToThread(app, tid) {
  const row = rowOfThread(app, tid);
  if (row) {
    app.go({ view: 'graph', row: row.row }, 'push');
  } else {
    app.say(`The graph has no row for thread ${tid}.`);
  }
}
