// What the modules of the page share. The wire's meaning is in ../PROTOCOL.md.

/** A pair of a kind or state and nanoseconds. */
export type Sum = [number, number];

export interface Kind { name: string; title: string; runs: boolean }
export interface EventKind { id: number; name: string; doc: string; count: number; fields: { name: string; doc: string }[] }
export interface Finding { severity: string; name: string; count: number | null; text: string; advice: string }
export interface Loss { cpu: number; at: number; count: number | null }
export interface Features { filter: boolean; path: boolean; sql: boolean; cut: boolean }

export interface Meta {
  name: string; version: number; done: boolean; live: boolean; progress: number;
  end_ns: number; events: number; cpus: number; format: string;
  kinds: Kind[]; states: [number, string][]; event_kinds: EventKind[];
  losses: Loss[]; findings: Finding[]; features: Features;
}

export interface Row {
  row: number; type: 'cpu' | 'irq' | 'softirq' | 'disk' | 'thread'; name: string;
  cpu: number | null; tid: number | null; pid: number | null; parent: number | null;
  born_ns: number; died_ns: number | null; sums: Sum[]; wakes: number;
}

/** Spans of one row; the i-th ends at starts[i + 1], the last one at end. */
export interface Spans {
  row: number; starts: Float64Array; end: number;
  busy: Uint16Array; rest: Uint16Array; part: Uint16Array;
}

export interface Span {
  row: number; state: number; from_ns: number; to_ns: number; cpu: number | null;
  ended_by: { row: number; at_ns: number; via: string; thread: string } | null; text: string;
}

/** Time, row of who woke, row of who was woken, by what. */
export type Arrow = [number, number, number, string];

export interface Histogram {
  from_ns: number; step_ns: number; events: number[]; busy: number[][]; rates: Record<string, number[]>;
}

export interface Statistics {
  from_ns: number; to_ns: number; events: [number, number][]; rows: [number, Sum[], number][];
}

export interface Latencies {
  count: number; min_ns: number; mean_ns: number; max_ns: number; p50_ns: number; p90_ns: number; p99_ns: number;
  buckets: [number, number][]; low_ns: number; high_ns: number;
  cells: [number, number, number, number, number, number, number][];
  states: [number, number, number][]; slowest: [number, number, number, number][];
}

export interface TraceEvent {
  n: number; at: number; cpu: number; tid: number; pid: number; comm: string; event: number; fields: [string, string][];
}
export interface EventPage { total: number; complete: boolean; seen: number; events: TraceEvent[] }
export interface Completion { text: string; doc: string; from: number }
export interface FilterCheck { ok: boolean; error?: string; at?: number; completions: Completion[] }

export type Cell = null | { text?: string; count?: number; time?: number; length?: number; percent?: number; hex?: string; flag?: boolean; branch?: number; bar?: [number, number] };
export interface Table { name: string; title: string; shape: 'rows' | 'record'; columns: { name: string; title: string }[]; rows: Cell[][] }
export interface Report { report: string; findings: Finding[]; truncated: boolean; tables: Table[] }
export interface ReportOptions { from?: number; to?: number; top?: number; pid?: number[]; comm?: string[]; cpu?: number[] }

export interface Segment { row: number; from_ns: number; to_ns: number; text: string; state: number }
export interface Flame { unit: string; stacks: [string[], number][] }
export interface QueryResult { columns: string[]; rows: string[][]; truncated: boolean }

/**
 * One trace, wherever its data are: ServerSource asks a server, EmbeddedSource looks into the page itself.
 * Every question can be given a signal that ends it. A failure is an Error whose message is a sentence for people.
 */
export interface Source {
  meta(): Promise<Meta>;
  rows(): Promise<Row[]>;
  spans(from: number, to: number, width: number, rows: number[], signal?: AbortSignal): Promise<Spans[]>;
  at(row: number, ns: number): Promise<Span | null>;
  next(row: number, ns: number, direction: 'next' | 'previous'): Promise<number | null>;
  arrows(from: number, to: number, rows: number[], max: number, signal?: AbortSignal): Promise<{ count: number; arrows: Arrow[] }>;
  histogram(from: number, to: number, width: number, signal?: AbortSignal): Promise<Histogram>;
  statistics(from: number, to: number, signal?: AbortSignal): Promise<Statistics>;
  latencies(kind: string, from: number, to: number, width: number, height: number, only?: { row?: number; state?: number }, signal?: AbortSignal): Promise<Latencies>;
  events(first: number, count: number, filter: string, signal?: AbortSignal): Promise<EventPage>;
  position(ns: number, filter: string): Promise<number>;
  find(n: number, direction: 'next' | 'previous', filter: string, signal?: AbortSignal): Promise<{ n: number; at: number } | null>;
  checkFilter(text: string, cursor: number): Promise<FilterCheck>;
  report(name: string, options: ReportOptions, signal?: AbortSignal): Promise<Report>;
  flame(from: number, to: number, pid: number | null, waiting: boolean, signal?: AbortSignal): Promise<Flame>;
  path(row: number, from: number, to: number, signal?: AbortSignal): Promise<Segment[]>;
  sql(query: string, signal?: AbortSignal): Promise<QueryResult>;
  /** Address under which the browser can save a file, or null where there is none. */
  exportUrl(to: 'csv' | 'json' | 'cut', from: number, to_ns: number, filter: string): string | null;
}

/** What the whole page shows: all of it is in the address, so that a link shows the same. */
export interface ViewState {
  /** Name of the page that is shown. */
  view: string;
  /** Which trace. */
  trace: number;
  /** Visible times. */
  from: number; to: number;
  /** Selected times, or null. */
  selection: [number, number] | null;
  /** The time that the cursor stands at, or null. */
  cursor: number | null;
  /** Selected row, or null. */
  row: number | null;
  /** Filter of the list of events. */
  filter: string;
  /** What a page alone remembers, by names that begin with the page's. */
  extra: Record<string, string>;
}

/** What a page is given to work with. */
export interface App {
  state: Readonly<ViewState>;
  /** All traces, and the one that is shown. */
  sources: Source[]; source: Source; names: string[];
  /** Latest meta and rows of the shown trace. */
  meta: Meta; rows: Row[];
  /** Whether there is no server. */
  embedded: boolean;
  reports: { name: string; doc: string }[];
  /** Changes what is shown; `replace` (default) keeps one entry of the browser's history for a movement. */
  go(change: Partial<ViewState>, history?: 'push' | 'replace'): void;
  /** Calls back after `state` (any change of ViewState), `data` (meta and rows are new) or `theme`; gives the way to end that. */
  on(what: 'state' | 'data' | 'theme', call: () => void): () => void;
  /** Says something shortly at the edge of the page. */
  say(text: string, tone?: 'info' | 'error'): void;
  /** A colour of the theme: of a kind by its name, or `text`, `faint`, `line`, `back`, `panel`, `accent`, `selection`, `lost`. */
  color(name: string): string;
}

/** A page of the view: made once, shown and hidden. */
export interface Page {
  name: string; title: string; key: string;
  element: HTMLElement;
  show(): void; hide(): void;
  /** Keys that it knows, for the help; the page gets keys that nothing focused has taken. */
  keys: [string, string][];
  keydown?(event: KeyboardEvent): boolean;
}
