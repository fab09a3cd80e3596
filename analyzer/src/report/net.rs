//! `net`: packets and bytes by device, who sends them, and what processes move through sockets.
//!
//! Lengths are those of the kernel's events: of a packet that comes in without the link's header, of one that goes out
//! with it.

use std::collections::{BTreeMap, HashMap};

use super::distribution::Distribution;
use super::largest::largest;
use super::names::{Leaders, Namer};
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Cause, CpuId, FileName, Frame, FrameInterval, GuestNanos, KernelEvent, Machine, Moment,
    Observer, Pid, Transfer, descriptor_of,
};
use crate::sources::{Trace, TraceError};

/// Packets under way are no more than this; more would be a trace that makes them up.
const UNDER_WAY_MAX: usize = 1 << 16;

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Net::new(&options.selection))?;
    let namer = Namer::new(trace);
    let needs = [
        need(&["netif_receive_skb"], "packets that came in are missing"),
        need(
            &["net_dev_queue", "net_dev_xmit"],
            "packets that went out and who sent them are missing",
        ),
        need(
            &["netif_rx"],
            "it is not known how long packets that came in waited",
        ),
        need(&["kfree_skb"], "packets that were dropped are missing"),
        need(
            &["socket_create", "socket_call"],
            "reads and writes of sockets are told apart from those of files only for those that were accepted",
        ),
        need(
            &["syscall_entry", "syscall_exit"],
            "what processes moved through sockets is missing",
        ),
    ];
    Ok(Report {
        name: "net",
        tables: vec![
            device_table(&pass),
            sender_table(&pass, &namer, options.top),
            drop_table(&pass, &namer, options.top),
            process_table(&pass, options.top),
        ],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// Packets and sockets within a selection.
struct Net {
    selection: Selection,
    devices: Vec<Device>,
    /// Position of each among `devices`.
    by_name: BTreeMap<Vec<u8>, usize>,
    /// When packets were queued or handed over, by their addresses.
    queued: HashMap<u64, GuestNanos>,
    handed_over: HashMap<u64, GuestNanos>,
    senders: BTreeMap<(Cause, usize), Packets>,
    /// By the place in the kernel that drops them.
    drops: BTreeMap<Option<u64>, Packets>,
    sockets: BTreeMap<(Pid, Option<FileName>), Moved>,
}

#[derive(Debug, Default)]
struct Device {
    name: String,
    received: Packets,
    /// From being handed over by the driver to being dealt with.
    backlog: Distribution,
    sent: Packets,
    refused: u64,
    /// From being queued to being taken by the device.
    queue: Distribution,
}

#[derive(Debug, Default)]
struct Packets {
    count: u64,
    bytes: u64,
}

impl Packets {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn cells(&self) -> [Cell; 2] {
        [Cell::Count(self.count), Cell::Count(self.bytes)]
    }
}

/// What calls moved through sockets.
#[derive(Debug, Default)]
struct Moved {
    sent: Packets,
    received: Packets,
    failed: u64,
    time: GuestNanos,
}

impl Moved {
    fn bytes(&self) -> u64 {
        self.sent.bytes.saturating_add(self.received.bytes)
    }
}

impl Net {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            devices: Vec::new(),
            by_name: BTreeMap::new(),
            queued: HashMap::new(),
            handed_over: HashMap::new(),
            senders: BTreeMap::new(),
            drops: BTreeMap::new(),
            sockets: BTreeMap::new(),
        }
    }

    fn device(&mut self, name: Option<&[u8]>) -> usize {
        let name = name.unwrap_or(b"?");
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.devices.len();
        self.by_name.insert(name.to_owned(), index);
        self.devices.push(Device {
            name: super::guest_text(name),
            ..Device::default()
        });
        index
    }

    fn packet(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let at = moment.at;
        let is_selected = self.selection.has_moment(machine, moment);
        match event {
            KernelEvent::NetifRx(packet) => note(&mut self.handed_over, packet.skbaddr, at),
            KernelEvent::NetifReceiveSkb(packet) => {
                let since = packet
                    .skbaddr
                    .and_then(|packet| self.handed_over.remove(&packet));
                if is_selected {
                    let device = self.device(packet.name);
                    let device = &mut self.devices[device];
                    device.received.add(packet.len);
                    if let Some(since) = since {
                        device.backlog.add(at.since(since));
                    }
                }
            }
            KernelEvent::NetDevQueue(packet) => {
                note(&mut self.queued, packet.skbaddr, at);
                if is_selected {
                    let device = self.device(packet.name);
                    let sender = (machine.acting(moment.cpu), device);
                    self.senders.entry(sender).or_default().add(packet.len);
                }
            }
            KernelEvent::NetDevXmit(packet) => {
                let is_taken = packet.rc.is_none_or(|rc| rc == 0);
                let since = packet
                    .skbaddr
                    .and_then(|packet| self.queued.get(&packet))
                    .copied();
                if let Some(packet) = packet.skbaddr.filter(|_| is_taken) {
                    self.queued.remove(&packet);
                }
                if is_selected {
                    let device = self.device(packet.name);
                    let device = &mut self.devices[device];
                    if !is_taken {
                        device.refused += 1;
                        return;
                    }
                    device.sent.add(packet.len);
                    if let Some(since) = since {
                        device.queue.add(at.since(since));
                    }
                }
            }
            KernelEvent::KfreeSkb(packet) if is_selected => {
                let drops = self.drops.entry(packet.location).or_default();
                drops.add(packet.len.unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// Notes when something happened to a packet.
fn note(packets: &mut HashMap<u64, GuestNanos>, packet: Option<u64>, at: GuestNanos) {
    if packets.len() >= UNDER_WAY_MAX {
        packets.clear();
    }
    if let Some(packet) = packet {
        packets.insert(packet, at);
    }
}

impl Analysis for Net {}

impl Observer for Net {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        if matches!(
            event,
            E::NetifRx(_)
                | E::NetifReceiveSkb(_)
                | E::NetDevQueue(_)
                | E::NetDevXmit(_)
                | E::KfreeSkb(_)
        ) {
            self.packet(machine, moment, event);
        }
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        let thread = &machine.threads()[interval.thread];
        let (pid, args) = (thread.process(), &interval.open.args);
        let Some(transfer) = machine.socket_transfer(pid, abi, nr, args) else {
            return;
        };
        if !self.selection.has_end(interval, thread) {
            return;
        }
        let name = args[0].and_then(|fd| machine.files().name(pid, descriptor_of(fd)));
        let moved = self.sockets.entry((pid, name.cloned())).or_default();
        moved.time += interval.span.length();
        match (interval.ret.map(u64::try_from), transfer) {
            (Some(Ok(bytes)), Transfer::Read) => moved.received.add(bytes),
            (Some(Ok(bytes)), Transfer::Write | Transfer::Send) => moved.sent.add(bytes),
            (Some(Err(_)), _) => moved.failed += 1,
            (None, _) => {}
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        self.queued.clear();
        self.handed_over.clear();
    }
}

fn device_table(pass: &Pass<Net>) -> Table {
    let mut rows = Vec::new();
    for index in pass.analysis.by_name.values() {
        let device = &pass.analysis.devices[*index];
        let mut row = vec![Cell::Text(device.name.clone())];
        row.extend(device.received.cells());
        row.extend(mean_and_max(&device.backlog));
        row.extend(device.sent.cells());
        row.push(Cell::Count(device.refused));
        row.extend(mean_and_max(&device.queue));
        rows.push(row);
    }
    Table {
        name: "devices",
        title: "Packets by device; how long those that came in waited for the kernel, and those that went out for the \
            device (microseconds)"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("device", "Device"),
            column("packets_in", "In"),
            column("bytes_in", "Bytes in"),
            column("backlog_mean_ns", "Waited"),
            column("backlog_max_ns", "Max"),
            column("packets_out", "Out"),
            column("bytes_out", "Bytes out"),
            column("refused", "Refused"),
            column("queue_mean_ns", "Waited"),
            column("queue_max_ns", "Max"),
        ],
        rows,
    }
}

fn mean_and_max(lengths: &Distribution) -> [Cell; 2] {
    if lengths.count() == 0 {
        return [Cell::Absent, Cell::Absent];
    }
    [Cell::Length(lengths.mean()), Cell::Length(lengths.max())]
}

fn sender_table(pass: &Pass<Net>, namer: &Namer, top: usize) -> Table {
    let senders = largest(&pass.analysis.senders, top, |packets| packets.bytes);
    let rows = senders.rows(|(cause, device), packets| {
        let mut row = vec![
            Cell::Text(namer.cause(&pass.machine, *cause)),
            Cell::Text(pass.analysis.devices[*device].name.clone()),
        ];
        row.extend(packets.cells());
        row
    });
    Table {
        name: "senders",
        title: "Who queues packets: a thread, or the kernel when a packet or timer makes it"
            .to_owned(),
        shape: senders.shape(),
        columns: vec![
            column("sender", "Sender"),
            column("device", "Device"),
            column("packets", "Packets"),
            column("bytes", "Bytes"),
        ],
        rows,
    }
}

fn drop_table(pass: &Pass<Net>, namer: &Namer, top: usize) -> Table {
    let drops = largest(&pass.analysis.drops, top, |packets| packets.count);
    let rows = drops.rows(|place, packets| {
        let place = place.map(|place| Cell::Text(namer.function(place)));
        let mut row = vec![place.unwrap_or(Cell::Absent)];
        row.extend(packets.cells());
        row
    });
    Table {
        name: "drops",
        title: "Packets that the kernel dropped, and where".to_owned(),
        shape: drops.shape(),
        columns: vec![
            column("place", "Where"),
            column("packets", "Packets"),
            column("bytes", "Bytes"),
        ],
        rows,
    }
}

fn process_table(pass: &Pass<Net>, top: usize) -> Table {
    let leaders = Leaders::new(&pass.machine);
    let sockets = largest(&pass.analysis.sockets, top, Moved::bytes);
    let rows = sockets.rows(|(pid, name), moved| {
        let name = name.as_ref().map(|name| super::guest_text(name));
        let mut row = vec![
            Cell::Text(leaders.name(&pass.machine, *pid)),
            Cell::Count(u64::from(pid.0)),
            name.map_or(Cell::Absent, Cell::Text),
        ];
        row.extend(moved.received.cells());
        row.extend(moved.sent.cells());
        row.extend([Cell::Count(moved.failed), Cell::Time(moved.time)]);
        row
    });
    Table {
        name: "sockets",
        title: "What processes moved through sockets by system calls".to_owned(),
        shape: sockets.shape(),
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("socket", "Socket"),
            column("receives", "Receives"),
            column("received_bytes", "Bytes"),
            column("sends", "Sends"),
            column("sent_bytes", "Bytes"),
            column("failed", "Failed"),
            column("time_ns", "Time in them (s)"),
        ],
        rows,
    }
}
