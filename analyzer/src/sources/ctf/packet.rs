//! Packets of a stream: what they say of themselves, and what is missing between them.

use super::bits::Cursor;
use super::class::Role;
use super::plan::Plan;
use super::program::{State, run};

/// First bytes of a packet, as the number that they are in the trace's byte order.
const MAGIC: u64 = 0xC1FC_1FC1;

/// A packet whose header was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'t> {
    /// Its bytes, as far as they are there.
    pub(super) bytes: &'t [u8],
    /// At its first event, with an end where its content has one.
    pub(super) cursor: Cursor<'t>,
    /// Its bytes, as it says.
    pub(super) length: u64,
    /// Position of its kind of stream in the plan.
    pub(super) stream: usize,
    /// Which stream of that kind it is of.
    pub(super) instance: Option<u64>,
    /// When it begins and ends, in ticks, where it says so.
    pub(super) begin: Option<u64>,
    pub(super) end: Option<u64>,
    pub(super) cpu: u32,
    sequence: Option<u64>,
    discarded: Option<u64>,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPacket {
    /// They do not begin like one.
    Magic,
    /// The metadata knows no such stream.
    Stream(Option<u64>),
    /// They are too short for its header.
    Short,
    /// So many bits are less than its header has, or no whole number of bytes.
    Size(u64),
}

impl<'t> Packet<'t> {
    /// Reads the header of the packet that `bytes` begin with. The clock of `state` goes to the packet's start.
    pub(super) fn open(plan: &Plan, bytes: &'t [u8], state: &mut State) -> Result<Self, NoPacket> {
        let mut cursor = Cursor::new(bytes);
        state.begin_packet(plan.keeps);
        run(&plan.packet_header, &mut cursor, state).map_err(|_short| NoPacket::Short)?;
        if state.role(Role::Magic).is_some_and(|magic| magic != MAGIC) {
            return Err(NoPacket::Magic);
        }
        let id = state.role(Role::StreamClass);
        let mut streams = plan.streams.iter();
        let stream = match id {
            Some(id) => streams.position(|stream| stream.id == id),
            None => streams.next().map(|_| 0),
        };
        let stream = stream.ok_or(NoPacket::Stream(id))?;
        let context = &plan.streams[stream].packet_context;
        run(context, &mut cursor, state).map_err(|_short| NoPacket::Short)?;
        let there = cursor.at() + cursor.left();
        let bits = state
            .role(Role::PacketBits)
            .or(state.role(Role::ContentBits));
        let bits = bits.unwrap_or(there);
        if bits < cursor.at() || bits == 0 || !bits.is_multiple_of(8) {
            return Err(NoPacket::Size(bits));
        }
        let length = bits / 8;
        cursor.cut(bits.min(state.role(Role::ContentBits).unwrap_or(bits)));
        let have = usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len()));
        let cpu = state.role(Role::Cpu).unwrap_or(0);
        let begin = state.role(Role::PacketStart);
        // `lttng-crash` takes packets out of memory that nobody has closed yet: their end is 0.
        let end = state
            .role(Role::PacketEnd)
            .filter(|end| begin.is_none_or(|begin| *end >= begin));
        Ok(Self {
            bytes: &bytes[..have],
            cursor,
            length,
            stream,
            instance: state.role(Role::StreamInstance),
            begin,
            end,
            cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
            sequence: state.role(Role::PacketSequence),
            discarded: state.role(Role::Discarded),
        })
    }

    /// Whether the file ends before it does.
    pub(super) fn is_cut(&self) -> bool {
        u64::try_from(self.bytes.len()).is_ok_and(|have| have < self.length)
    }
}

/// What is known of the packets before, to tell what is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continuity {
    sequence: Option<u64>,
    discarded: Option<u64>,
    is_begun: bool,
}

/// Events that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The tracer had no room for so many.
    Discarded(u64),
    /// So many packets with all their events.
    Packets(u64),
}

impl Continuity {
    /// What is missing between the packet before and this one.
    pub(super) fn next(&mut self, packet: &Packet<'_>) -> Option<Missing> {
        let before = std::mem::replace(
            self,
            Self {
                sequence: packet.sequence,
                discarded: packet.discarded,
                is_begun: true,
            },
        );
        if let (Some(before), Some(now)) = (before.sequence, packet.sequence)
            && let Some(lost) = now.checked_sub(before.wrapping_add(1))
            && lost > 0
        {
            return Some(Missing::Packets(lost));
        }
        // The counter of a stream's first packet counts from the start of tracing, if that is the first of all.
        let is_first = !before.is_begun && packet.sequence == Some(0);
        let since = before.discarded.or(is_first.then_some(0))?;
        let count = packet.discarded?.checked_sub(since)?;
        (count > 0).then_some(Missing::Discarded(count))
    }
}
