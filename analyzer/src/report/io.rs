//! `io` and `files`: who moves how many bytes, through which files, and what the block devices do for it.

use std::collections::BTreeMap;

use super::distribution::{DISTRIBUTION_COLUMNS, Distribution};
use super::names::{Leaders, disk_name, op_name, thread_label};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    FileName, Frame, FrameInterval, GuestNanos, Machine, Observer, Pid, Request, ThreadIndex,
    Transfer, descriptor_of,
};
use crate::sources::{Trace, TraceError};

/// Makes the report of processes and devices.
pub(super) fn io(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Io::new(&options.selection))?;
    let processes = process_table(&pass).first(options.accounts_max);
    let mut tables = vec![processes, disk_table(&pass)];
    tables.push(requester_table(&pass).first(options.top));
    tables.push(pass.analysis.latency().histogram(
        "histogram",
        "From a request's issue to its end, all disks (microseconds)".to_owned(),
    ));
    Ok(Report {
        name: "io",
        tables,
        findings: pass.findings,
    })
}

/// Makes the report of files.
pub(super) fn files(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Io::new(&options.selection))?;
    Ok(Report {
        name: "files",
        tables: vec![file_table(&pass).first(options.top)],
        findings: pass.findings,
    })
}

/// Input and output within a selection.
pub(super) struct Io {
    selection: Selection,
    files: BTreeMap<(Pid, Option<FileName>), Moved>,
    disks: BTreeMap<(u64, Option<u64>), Disk>,
    requesters: BTreeMap<(Option<ThreadIndex>, u64, Option<u64>), Disk>,
}

/// Bytes that calls moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    reads: u64,
    pub(super) read_bytes: u64,
    writes: u64,
    pub(super) written_bytes: u64,
    failed: u64,
    time: GuestNanos,
}

/// Requests of one kind to one disk.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: u64,
    failed: u64,
    /// From being queued to being issued.
    queue: Distribution,
    /// From being issued to being done.
    service: Distribution,
    count: u64,
    most_under_way: u64,
}

impl Moved {
    fn read(&mut self, ret: i64) {
        self.reads += 1;
        self.count_bytes(ret, |moved| &mut moved.read_bytes);
    }

    fn write(&mut self, ret: i64) {
        self.writes += 1;
        self.count_bytes(ret, |moved| &mut moved.written_bytes);
    }

    fn count_bytes(&mut self, ret: i64, sum: impl Fn(&mut Self) -> &mut u64) {
        match u64::try_from(ret) {
            Ok(bytes) => {
                let sum = sum(self);
                *sum = sum.saturating_add(bytes);
            }
            Err(_) => self.failed += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.writes += other.writes;
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        self.failed += other.failed;
        self.time += other.time;
    }

    fn bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.written_bytes)
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::Count(self.reads),
            Cell::Count(self.read_bytes),
            Cell::Count(self.writes),
            Cell::Count(self.written_bytes),
            Cell::Count(self.failed),
            Cell::Time(self.time),
        ]
    }
}

const MOVED_COLUMNS: [super::table::Column; 6] = [
    column("reads", "Reads"),
    column("read_bytes", "Bytes read"),
    column("writes", "Writes"),
    column("written_bytes", "Bytes written"),
    column("failed", "Failed"),
    column("time_ns", "Time in them (s)"),
];

impl Io {
    pub(super) fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            files: BTreeMap::new(),
            disks: BTreeMap::new(),
            requesters: BTreeMap::new(),
        }
    }

    /// What each process moved.
    pub(super) fn by_process(&self) -> BTreeMap<Pid, Moved> {
        let mut processes: BTreeMap<Pid, Moved> = BTreeMap::new();
        for ((pid, _), moved) in &self.files {
            processes.entry(*pid).or_default().merge(moved);
        }
        processes
    }

    fn latency(&self) -> Distribution {
        let parts = self.disks.values();
        parts.map(|disk| &disk.service).sum()
    }

    /// The account of the file behind a call's argument.
    fn file(&mut self, machine: &Machine, pid: Pid, arg: Option<u64>) -> &mut Moved {
        let name = arg.and_then(|arg| machine.files().name(pid, descriptor_of(arg)));
        self.files.entry((pid, name.cloned())).or_default()
    }
}

impl Analysis for Io {}

impl Observer for Io {
    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        let thread = &machine.threads()[interval.thread];
        let Some(transfer) = machine.transfer(abi, nr) else {
            return;
        };
        let (Some(ret), true) = (interval.ret, self.selection.has_end(interval, thread)) else {
            return;
        };
        let (pid, args) = (thread.process(), &interval.open.args);
        let file = self.file(machine, pid, args[0]);
        file.time += interval.span.length();
        match transfer {
            Transfer::Read => file.read(ret),
            Transfer::Write => file.write(ret),
            Transfer::Send => {
                file.write(ret);
                self.file(machine, pid, args[1]).read(ret);
            }
        }
    }

    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        error: Option<i64>,
    ) {
        let thread = request.thread;
        let has_thread = |index| self.selection.has_thread(&machine.threads()[index]);
        if !self.selection.span.contains(at) || !thread.is_none_or(has_thread) {
            return;
        }
        let kind = (request.dev, request.op);
        let under_way = machine.requests().count(request.dev) as u64;
        let disks = [
            self.disks.entry(kind).or_default(),
            self.requesters
                .entry((thread, request.dev, request.op))
                .or_default(),
        ];
        for disk in disks {
            disk.count += 1;
            disk.bytes = disk.bytes.saturating_add(request.done);
            disk.failed += u64::from(error.is_some_and(|error| error != 0));
            // The one that is done was under way too.
            disk.most_under_way = disk.most_under_way.max(under_way + 1);
            if let Some(issued) = request.issued {
                disk.service.add(at.since(issued));
                if let Some(inserted) = request.inserted {
                    disk.queue.add(issued.since(inserted));
                }
            }
        }
    }
}

fn process_table(pass: &Pass<Io>) -> Table {
    let mut processes: Vec<(Pid, Moved)> = pass.analysis.by_process().into_iter().collect();
    processes.sort_by_key(|(pid, moved)| (std::cmp::Reverse(moved.bytes()), *pid));
    let leaders = Leaders::new(&pass.machine);
    let rows = processes.iter().map(|(pid, moved)| {
        let name = leaders.name(&pass.machine, *pid);
        let mut row = vec![Cell::Text(name), Cell::Count(u64::from(pid.0))];
        row.extend(moved.cells());
        row
    });
    let mut columns = vec![column("comm", "Process"), column("pid", "PID")];
    columns.extend(MOVED_COLUMNS);
    Table {
        name: "processes",
        title: "Bytes that processes moved by system calls".to_owned(),
        shape: Shape::Rows,
        columns,
        rows: rows.collect(),
    }
}

fn file_table(pass: &Pass<Io>) -> Table {
    let mut files: BTreeMap<Option<&FileName>, (Moved, u64)> = BTreeMap::new();
    for ((_, name), moved) in &pass.analysis.files {
        let (sum, processes) = files.entry(name.as_ref()).or_default();
        sum.merge(moved);
        *processes += 1;
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(|(name, (moved, _))| (std::cmp::Reverse(moved.bytes()), *name));
    let rows = files.into_iter().map(|(name, (moved, processes))| {
        let name = name.map_or_else(
            || "(opened unseen)".to_owned(),
            |name| super::guest_text(name),
        );
        let mut row = vec![Cell::Text(name), Cell::Count(processes)];
        row.extend(moved.cells());
        row
    });
    let mut columns = vec![column("file", "File"), column("processes", "Processes")];
    columns.extend(MOVED_COLUMNS);
    Table {
        name: "files",
        title: "Files, most bytes first".to_owned(),
        shape: Shape::Rows,
        columns,
        rows: rows.collect(),
    }
}

fn disk_table(pass: &Pass<Io>) -> Table {
    let mut rows = Vec::new();
    for ((dev, op), disk) in &pass.analysis.disks {
        let mut row = vec![
            Cell::Text(disk_name(*dev)),
            Cell::Text(op_name(*op).to_owned()),
            Cell::Count(disk.bytes),
            Cell::Count(disk.failed),
            Cell::Count(disk.most_under_way),
            Cell::Length(disk.queue.mean()),
            Cell::Length(disk.queue.max()),
        ];
        row.extend(disk.service.cells());
        rows.push(row);
    }
    let mut columns = vec![
        column("disk", "Disk"),
        column("operation", "Operation"),
        column("bytes", "Bytes"),
        column("failed", "Failed"),
        column("most_under_way", "Under way"),
        column("queue_mean_ns", "Queued"),
        column("queue_max_ns", "Max"),
    ];
    columns.extend(DISTRIBUTION_COLUMNS);
    Table {
        name: "disks",
        title: "Requests of block devices: the most at a time, time in the queue, time at the device (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns,
        rows,
    }
}

fn requester_table(pass: &Pass<Io>) -> Table {
    let mut requesters: Vec<_> = pass.analysis.requesters.iter().collect();
    requesters.sort_by_key(|(key, disk)| (std::cmp::Reverse(disk.bytes), **key));
    let rows = requesters.into_iter().map(|((thread, dev, op), disk)| {
        let thread = thread.map(|index| thread_label(&pass.machine.threads()[index]));
        vec![
            Cell::Text(thread.unwrap_or_default()),
            Cell::Text(disk_name(*dev)),
            Cell::Text(op_name(*op).to_owned()),
            Cell::Count(disk.count),
            Cell::Count(disk.bytes),
            Cell::Length(disk.service.mean()),
        ]
    });
    Table {
        name: "requesters",
        title: "Who issued requests: what is written late is issued by the kernel's own threads (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("thread", "Thread"),
            column("disk", "Disk"),
            column("operation", "Operation"),
            column("requests", "Requests"),
            column("bytes", "Bytes"),
            column("service_mean_ns", "Mean"),
        ],
        rows: rows.collect(),
    }
}
