//! The chunks of every CPU of a trace of our own, merged, wherever they come from.
//!
//! Memory holds one decoded chunk of each CPU, however long the trace is. The thread on a CPU is known from the records
//! of `thread_context`, which every chunk repeats at its start.

use std::ops::RangeInclusive;

use trace_format::{Chunk, ChunkInfo, Diagnostic, EventId, ReadError, RecordRef, Schema, Value};

use super::clock::Clock;
use super::context::Context;
use super::record::{Fields, Item, Loss, Record};
use super::stream::{NEVER, earliest};
use super::trace::TraceError;
use crate::model::{CpuId, GuestNanos, Pid, Tid};

/// Where chunks come from.
pub(super) trait ChunkSource {
    /// The next chunk of a CPU, whose chunks are in order of time; `None` when there is none now.
    fn next_chunk(&mut self, cpu: CpuId) -> Option<Result<Chunk, ReadError>>;

    /// Sequence of the first chunk of a CPU.
    fn first_sequence(&self, _: CpuId) -> u64 {
        0
    }

    /// The chunk before the next one of a CPU, where it is passed over.
    fn passed_before(&self, _: CpuId) -> Option<ChunkInfo> {
        None
    }

    /// A chunk that was passed over; `None` when it is damaged.
    fn read_passed(&self, _: &ChunkInfo) -> Option<Chunk> {
        None
    }
}

/// The records of all CPUs in one order.
#[derive(Debug)]
pub(super) struct Merge<C> {
    pub(super) chunks: C,
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
    chunk: Option<Chunk>,
    position: usize,
    next_sequence: Option<u64>,
    /// Time of the last record of the chunks so far.
    last_at: Option<GuestNanos>,
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

impl<C: ChunkSource> Merge<C> {
    /// Merges the records of `cpus`, which ascend, within ticks of the TSC.
    pub(super) fn new(
        chunks: C,
        cpus: impl IntoIterator<Item = CpuId>,
        schema: &Schema,
        clock: Clock,
        tscs: &RangeInclusive<u64>,
    ) -> Result<Self, TraceError> {
        let from_start = *tscs.start() == 0;
        let stream = |cpu| {
            let sequence = from_start.then(|| chunks.first_sequence(cpu));
            CpuStream::new(cpu, sequence)
        };
        let cpus = cpus.into_iter().map(stream).collect();
        let mut merge = Self {
            chunks,
            clock,
            names: ContextNames::new(schema),
            cpus,
            current: 0,
            limit: (0, 0),
            last_tsc: *tscs.end(),
            damage: Vec::new(),
        };
        for index in 0..merge.cpus.len() {
            merge.load(index)?;
            merge.skip_before(index, *tscs.start());
        }
        merge.choose();
        Ok(merge)
    }

    /// Chunks arrived, of these CPUs at most; records up to `last_tsc` are yielded from now on.
    pub(super) fn extend(
        &mut self,
        cpus: impl IntoIterator<Item = CpuId>,
        clock: Clock,
        last_tsc: u64,
    ) -> Result<(), TraceError> {
        for cpu in cpus {
            if let Err(at) = self.cpus.binary_search_by_key(&cpu, |stream| stream.cpu) {
                self.cpus.insert(at, CpuStream::new(cpu, Some(0)));
            }
        }
        (self.clock, self.last_tsc) = (clock, last_tsc);
        for index in 0..self.cpus.len() {
            self.load(index)?;
        }
        self.choose();
        Ok(())
    }

    /// Finds the CPU with the earliest record.
    fn choose(&mut self) {
        let times = self.cpus.iter().map(CpuStream::next_tsc);
        (self.current, self.limit) = earliest(times);
    }

    /// Brings the next chunk of a CPU that has a record, unless it still has records.
    fn load(&mut self, index: usize) -> Result<(), TraceError> {
        let cpu = &mut self.cpus[index];
        while cpu.next_tsc() == NEVER {
            let passed = self.chunks.passed_before(cpu.cpu);
            let Some(chunk) = self.chunks.next_chunk(cpu.cpu) else {
                return Ok(());
            };
            match chunk {
                Ok(chunk) => {
                    if let Some(passed) = passed {
                        let read = || self.chunks.read_passed(&passed);
                        cpu.pass_over(&passed, read, self.names, &chunk);
                    }
                    cpu.start(chunk, self.clock);
                }
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

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Makes the CPU with the earliest record the current one; that record's ticks.
    fn find_next(&mut self) -> Result<u64, TraceError> {
        if self.cpus[self.current].next_tsc() == NEVER {
            self.load(self.current)?;
        }
        if (self.cpus[self.current].next_tsc(), self.current) > self.limit {
            self.choose();
        }
        Ok(self.cpus[self.current].next_tsc())
    }

    /// Ticks of the next item; 0 for what was lost after the last record.
    pub(super) fn next_tsc(&mut self) -> Result<Option<u64>, TraceError> {
        if self.cpus.is_empty() {
            return Ok(None);
        }
        let next = self.find_next()?;
        let has_loss = || self.cpus.iter().any(|cpu| cpu.loss.is_some());
        Ok(match next {
            NEVER => (self.last_tsc == NEVER && has_loss()).then_some(0),
            next => Some(next).filter(|next| *next <= self.last_tsc),
        })
    }

    /// The next record or loss; `None` at the end, or when chunks have to arrive first.
    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        if self.cpus.is_empty() {
            return Ok(None);
        }
        let next_tsc = self.find_next()?;
        if next_tsc == NEVER && self.last_tsc == NEVER {
            // Only what was lost after the last records is still to be told.
            let mut losses = self.cpus.iter_mut().filter_map(|cpu| cpu.loss.take());
            return Ok(losses.next().map(Item::Loss));
        }
        if next_tsc > self.last_tsc || next_tsc == NEVER {
            return Ok(None);
        }
        let cpu = &mut self.cpus[self.current];
        if let Some(loss) = cpu.loss.take() {
            return Ok(Some(Item::Loss(loss)));
        }
        Ok(cpu.record(self.names, self.clock).map(Item::Record))
    }

    /// Damage that was met so far.
    pub(super) fn damage(&self) -> &[Diagnostic] {
        &self.damage
    }
}

impl CpuStream {
    fn new(cpu: CpuId, next_sequence: Option<u64>) -> Self {
        Self {
            cpu,
            chunk: None,
            position: 0,
            next_sequence,
            last_at: None,
            context: Context::idle(cpu),
            pending: None,
            loss: None,
            is_lost: true,
        }
    }

    /// Time of the next record.
    #[inline]
    fn next_tsc(&self) -> u64 {
        let tscs = self.chunk.as_ref().map_or(&[][..], Chunk::tscs);
        tscs.get(self.position).copied().unwrap_or(NEVER)
    }

    /// Takes the chunk before `next`, which holds nothing of interest, for read.
    ///
    /// What runs then is repeated at the start of `next`. Where the thread changes at that very tick the repetition may
    /// be of the new one already: then what ran before is told by nothing but the chunk that was passed over.
    fn pass_over(
        &mut self,
        passed: &ChunkInfo,
        read: impl FnOnce() -> Option<Chunk>,
        names: ContextNames,
        next: &Chunk,
    ) {
        self.next_sequence = Some(passed.sequence.saturating_add(1));
        self.is_lost = true;
        self.pending = None;
        let start = next.info().first_tsc;
        let own = next.records().skip(next.info().sticky_count as usize);
        let mut first = own.take_while(|record| record.tsc() == start);
        let changes = |record: RecordRef<'_>| {
            let event = Some(record.event());
            event == names.switch || event == names.event
        };
        let Some(passed) = first.any(changes).then(read).flatten() else {
            return;
        };
        let is_context = |record: &RecordRef<'_>| Some(record.event()) == names.event;
        for record in passed.records().filter(is_context) {
            self.settle();
            self.pending = names.read(record);
        }
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.tsc < start)
        {
            self.settle();
        }
        self.is_lost = false;
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
                since: self.loss.map_or(self.last_at, |loss| loss.since),
                at: clock.nanos(info.first_tsc),
                count: count.map(|count| count.saturating_add(info.lost_before)),
            });
        }
        self.is_lost |= self.loss.is_some();
        self.last_at = Some(clock.nanos(info.last_tsc));
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
