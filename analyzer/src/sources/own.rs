//! Our own trace files: the chunks of every CPU, merged.
//!
//! Memory holds one decoded chunk of each CPU, however long the trace is. The thread on a CPU is known from the records
//! of `thread_context`, which every chunk repeats at its start.

use trace_format::{Chunk, Diagnostic, EventId, ReadError, RecordRef, Schema, TraceFile, Value};

use super::clock::Clock;
use super::context::Context;
use super::record::{Fields, Item, Loss, Record};
use super::stream::{Range, RecordStream};
use super::trace::TraceError;
use crate::model::{CpuId, Pid, Tid};

/// Stream over a trace file.
#[derive(Debug)]
pub(super) struct OwnStream<'f> {
    file: &'f TraceFile,
    clock: Clock,
    names: ContextNames,
    cpus: Vec<CpuStream>,
    /// The CPU whose records come next, and the time and CPU of the next record of any other.
    current: usize,
    limit: (u64, usize),
    last_tsc: u64,
    damage: Vec<Diagnostic>,
}

/// The records of one CPU.
#[derive(Debug)]
struct CpuStream {
    cpu: CpuId,
    /// Positions of its chunks in the file, the next one last.
    chunks: Vec<usize>,
    chunk: Option<Chunk>,
    position: usize,
    next_sequence: Option<u64>,
    context: Context,
    /// A context record that may belong to the scheduling change after it.
    pending: Option<Pending>,
    loss: Option<Loss>,
    /// Whether the context is not known from what came before: at the start and after a loss.
    is_lost: bool,
}

#[derive(Clone, Debug)]
struct Pending {
    tsc: u64,
    tid: Tid,
    pid: Option<Pid>,
    comm: Option<Vec<u8>>,
}

/// Where the schema has what contexts are made of.
#[derive(Clone, Copy, Debug)]
struct ContextNames {
    event: Option<EventId>,
    switch: Option<EventId>,
    tid: Option<usize>,
    pid: Option<usize>,
    comm: Option<usize>,
}

impl ContextNames {
    fn new(schema: &Schema) -> Self {
        let event = schema.event_named("thread_context");
        let field = |name| event.and_then(|event| event.field_index(name));
        Self {
            event: event.map(|event| event.id),
            switch: schema.event_named("sched_switch").map(|event| event.id),
            tid: field("tid"),
            pid: field("pid"),
            comm: field("comm"),
        }
    }

    fn number(record: RecordRef<'_>, index: Option<usize>) -> Option<u32> {
        match record.field(index?) {
            Value::Number(number) => u32::try_from(number).ok(),
            Value::Bytes(_) | Value::Missing => None,
        }
    }

    fn read(self, record: RecordRef<'_>) -> Option<Pending> {
        let comm = match record.field(self.comm?) {
            Value::Bytes(bytes) => bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec),
            Value::Number(_) | Value::Missing => None,
        };
        Some(Pending {
            tsc: record.tsc(),
            tid: Tid(Self::number(record, self.tid)?),
            pid: Self::number(record, self.pid).map(Pid),
            comm,
        })
    }
}

/// Time of a CPU that has no more records.
const NEVER: u64 = u64::MAX;

impl<'f> OwnStream<'f> {
    /// Reads `file` within `range`.
    pub(super) fn new(
        file: &'f TraceFile,
        clock: Clock,
        range: &Range,
    ) -> Result<Self, TraceError> {
        let mut stream = Self {
            file,
            clock,
            names: ContextNames::new(&file.header().schema),
            cpus: cpu_streams(file, range),
            current: 0,
            limit: (0, 0),
            last_tsc: *range.tscs.end(),
            damage: Vec::new(),
        };
        for index in 0..stream.cpus.len() {
            stream.load(index)?;
            stream.skip_before(index, *range.tscs.start());
        }
        stream.choose();
        Ok(stream)
    }

    /// Finds the CPU with the earliest record.
    fn choose(&mut self) {
        let (mut best, mut second) = ((NEVER, usize::MAX), (NEVER, usize::MAX));
        for (index, cpu) in self.cpus.iter().enumerate() {
            let next = (cpu.next_tsc(), index);
            if next < best {
                (best, second) = (next, best);
            } else {
                second = second.min(next);
            }
        }
        self.current = if best.1 == usize::MAX { 0 } else { best.1 };
        self.limit = second;
    }

    /// Brings the next chunk of a CPU that has a record, unless it still has records.
    fn load(&mut self, index: usize) -> Result<(), TraceError> {
        let cpu = &mut self.cpus[index];
        while cpu.next_tsc() == NEVER {
            let Some(chunk) = cpu.chunks.pop() else {
                cpu.chunk = None;
                return Ok(());
            };
            match self.file.read_chunk(chunk) {
                Ok(chunk) => cpu.start(chunk, self.clock),
                Err(ReadError::Damaged(damage)) => {
                    self.damage.push(damage);
                    // The sequence number of the chunk after it tells that one is missing.
                    cpu.chunk = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Passes over the records before `tsc`, taking note of contexts.
    fn skip_before(&mut self, index: usize, tsc: u64) {
        let (names, cpu) = (self.names, &mut self.cpus[index]);
        while cpu.next_tsc() < tsc {
            let Some(chunk) = &cpu.chunk else { return };
            let record = chunk.record(cpu.position);
            let context = (Some(record.event()) == names.event).then(|| names.read(record));
            if let Some(Some(pending)) = context {
                cpu.pending = Some(pending);
                cpu.settle();
            }
            cpu.position += 1;
        }
    }
}

impl RecordStream for OwnStream<'_> {
    fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        if self.cpus.is_empty() {
            return Ok(None);
        }
        if self.cpus[self.current].next_tsc() == NEVER {
            self.load(self.current)?;
        }
        if (self.cpus[self.current].next_tsc(), self.current) > self.limit {
            self.choose();
        }
        let cpu = &mut self.cpus[self.current];
        if cpu.next_tsc() > self.last_tsc || cpu.next_tsc() == NEVER {
            return Ok(None);
        }
        if let Some(loss) = cpu.loss.take() {
            return Ok(Some(Item::Loss(loss)));
        }
        Ok(cpu.record(self.names, self.clock).map(Item::Record))
    }

    fn damage(&self) -> &[Diagnostic] {
        &self.damage
    }
}

impl CpuStream {
    /// Time of the next record.
    #[inline]
    fn next_tsc(&self) -> u64 {
        let tscs = self.chunk.as_ref().map_or(&[][..], Chunk::tscs);
        tscs.get(self.position).copied().unwrap_or(NEVER)
    }

    fn start(&mut self, chunk: Chunk, clock: Clock) {
        let info = *chunk.info();
        let is_next = self.next_sequence.is_none_or(|next| next == info.sequence);
        self.next_sequence = Some(info.sequence.saturating_add(1));
        if info.lost_before > 0 || !is_next {
            // An empty chunk only says how many were lost before it: then there are two losses in a row.
            let earlier = self.loss.map_or(Some(0), |loss| loss.count);
            let count = earlier.filter(|_| is_next);
            self.loss = Some(Loss {
                cpu: self.cpu,
                at: clock.nanos(info.first_tsc),
                count: count.map(|count| count.saturating_add(info.lost_before)),
            });
        }
        self.is_lost |= self.loss.is_some();
        self.position = 0;
        self.chunk = Some(chunk);
    }

    #[inline]
    fn record(&mut self, names: ContextNames, clock: Clock) -> Option<Record<'_>> {
        let record = self.chunk.as_ref()?.record(self.position);
        let (tsc, event) = (record.tsc(), record.event());
        let is_context = Some(event) == names.event;
        // The scheduling change is still an event of the thread that it moves off.
        if let Some(pending) = &self.pending
            && !(Some(event) == names.switch && pending.tsc == tsc)
        {
            self.settle();
        }
        let (position, chunk) = (self.position, self.chunk.as_ref()?);
        let is_repeated = position < chunk.info().sticky_count as usize;
        // A buffer may end between a scheduling change and its context record: then the next one repeats an old context.
        if is_context && (!is_repeated || self.is_lost) {
            self.pending = names.read(chunk.record(position));
        }
        self.is_lost &= is_repeated;
        self.position += 1;
        Some(Record {
            at: clock.nanos(tsc),
            tsc,
            cpu: self.cpu,
            event,
            context: &self.context,
            fields: Fields::Own(chunk.record(position)),
            is_repeated,
            is_context,
        })
    }

    /// Makes the pending context the thread's.
    fn settle(&mut self) {
        if let Some(Pending { tid, pid, comm, .. }) = self.pending.take() {
            self.context.set(self.cpu, tid, pid, comm.as_deref());
        }
    }
}

fn cpu_streams(file: &TraceFile, range: &Range) -> Vec<CpuStream> {
    let mut cpus: std::collections::BTreeMap<u32, Vec<usize>> = std::collections::BTreeMap::new();
    for (index, chunk) in file.chunks().iter().enumerate() {
        let wanted = range.cpus.is_empty() || range.cpus.contains(&CpuId(chunk.cpu));
        let in_time = chunk.last_tsc >= *range.tscs.start() && chunk.first_tsc <= *range.tscs.end();
        if wanted && in_time {
            cpus.entry(chunk.cpu).or_default().push(index);
        }
    }
    let stream = |(cpu, mut chunks): (u32, Vec<usize>)| {
        chunks.reverse();
        CpuStream {
            cpu: CpuId(cpu),
            chunks,
            chunk: None,
            position: 0,
            next_sequence: (*range.tscs.start() == 0).then_some(0),
            context: Context::idle(CpuId(cpu)),
            pending: None,
            loss: None,
            is_lost: true,
        }
    };
    cpus.into_iter().map(stream).collect()
}
