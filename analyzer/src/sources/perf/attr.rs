//! What is sampled, and how its samples are laid out (`include/uapi/linux/perf_event.h`).

use trace_format::EventId;

use crate::sources::ftrace::Bytes;

/// Kinds of events: of the processor, of the kernel, tracepoints.
const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const TYPE_TRACEPOINT: u32 = 2;

/// Names of the first two kinds, by number.
const HARDWARE: &[&str] = &[
    "cycles",
    "instructions",
    "cache-references",
    "cache-misses",
    "branch-instructions",
    "branch-misses",
    "bus-cycles",
    "stalled-cycles-frontend",
    "stalled-cycles-backend",
    "ref-cycles",
];
const SOFTWARE: &[&str] = &[
    "cpu-clock",
    "task-clock",
    "page-faults",
    "context-switches",
    "cpu-migrations",
    "minor-faults",
    "major-faults",
    "alignment-faults",
    "emulation-faults",
    "dummy",
    "bpf-output",
    "cgroup-switches",
];

/// Parts of a sample, in the order in which they come.
const IP: u64 = 1 << 0;
const TID: u64 = 1 << 1;
const TIME: u64 = 1 << 2;
const ADDR: u64 = 1 << 3;
const READ: u64 = 1 << 4;
const CALLCHAIN: u64 = 1 << 5;
const ID: u64 = 1 << 6;
const CPU: u64 = 1 << 7;
const PERIOD: u64 = 1 << 8;
const STREAM_ID: u64 = 1 << 9;
const RAW: u64 = 1 << 10;
const IDENTIFIER: u64 = 1 << 16;

/// Parts of what a sample reads.
const READ_ENABLED: u64 = 1 << 0;
const READ_RUNNING: u64 = 1 << 1;
const READ_ID: u64 = 1 << 2;
const READ_GROUP: u64 = 1 << 3;
const READ_LOST: u64 = 1 << 4;

const FLAG_TASK: u64 = 1 << 13;
const FLAG_SAMPLE_ID_ALL: u64 = 1 << 18;

/// Bytes of the parts that every version has.
const ATTR_BYTES: usize = 64;

/// One thing that is sampled.
#[derive(Clone, Debug)]
pub(super) struct Attr {
    kind: u32,
    config: u64,
    sample: u64,
    read: u64,
    flags: u64,
    /// The event of the schema that its samples are, unless they are a tracepoint's.
    pub(super) event: EventId,
}

/// What is known of a sample or another record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    pub(super) ip: Option<u64>,
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    pub(super) time: Option<u64>,
    pub(super) addr: Option<u64>,
    pub(super) cpu: Option<u32>,
    pub(super) period: Option<u64>,
    /// Addresses of 64 bits, from the inside out, with marks of contexts.
    pub(super) chain: &'a [u8],
    /// Data of a tracepoint.
    pub(super) raw: &'a [u8],
}

impl Attr {
    /// Reads `struct perf_event_attr`.
    pub(super) fn parse(bytes: &[u8], is_big_endian: bool) -> Option<Self> {
        bytes.get(..ATTR_BYTES)?;
        let mut reader = Bytes::new(bytes, is_big_endian);
        let kind = reader.u32()?;
        reader.u32()?;
        let config = reader.u64()?;
        reader.u64()?;
        let (sample, read, flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        Some(Self {
            kind,
            config,
            sample,
            read,
            flags,
            event: EventId(0),
        })
    }

    /// What the kernel calls it, where the file does not say.
    pub(super) fn usual_name(&self) -> Option<&'static str> {
        let names = match self.kind {
            TYPE_HARDWARE => HARDWARE,
            TYPE_SOFTWARE => SOFTWARE,
            _ => return None,
        };
        names.get(usize::try_from(self.config).ok()?).copied()
    }

    /// Whether it is a tracepoint whose data are recorded.
    pub(super) fn is_tracepoint(&self) -> bool {
        self.kind == TYPE_TRACEPOINT && self.sample & RAW != 0
    }

    /// The kernel's number of its tracepoint.
    pub(super) fn tracepoint(&self) -> Option<u32> {
        self.is_tracepoint()
            .then(|| u32::try_from(self.config).ok())?
    }

    pub(super) fn has_chain(&self) -> bool {
        self.sample & CALLCHAIN != 0
    }

    pub(super) fn has_addr(&self) -> bool {
        self.sample & ADDR != 0
    }

    pub(super) fn has_cpu(&self) -> bool {
        self.sample & CPU != 0
    }

    pub(super) fn has_time(&self) -> bool {
        self.sample & TIME != 0
    }

    /// Whether beginnings and ends of threads are recorded with it.
    pub(super) fn has_tasks(&self) -> bool {
        self.flags & FLAG_TASK != 0
    }

    /// Where the number is by which a sample says whose it is; `None` when it does not.
    pub(super) fn id_of_sample(&self, body: &[u8], is_big_endian: bool) -> Option<u64> {
        let before = if self.sample & IDENTIFIER != 0 {
            0
        } else if self.sample & ID != 0 {
            (self.sample & (IP | TID | TIME | ADDR)).count_ones() as usize * 8
        } else {
            return None;
        };
        Bytes::new(body.get(before..)?, is_big_endian).u64()
    }

    /// The same of another record.
    pub(super) fn id_of_record(&self, body: &[u8], is_big_endian: bool) -> Option<u64> {
        if self.flags & FLAG_SAMPLE_ID_ALL == 0 {
            return None;
        }
        let behind = if self.sample & IDENTIFIER != 0 {
            8
        } else if self.sample & ID != 0 {
            (self.sample & (ID | STREAM_ID | CPU)).count_ones() as usize * 8
        } else {
            return None;
        };
        let start = body.len().checked_sub(behind)?;
        Bytes::new(&body[start..], is_big_endian).u64()
    }

    /// When a sample was taken.
    #[inline]
    pub(super) fn time_of_sample(&self, body: &[u8], is_big_endian: bool) -> Option<u64> {
        let before = (self.sample & (IDENTIFIER | IP | TID)).count_ones() as usize * 8;
        let time = self.has_time().then(|| body.get(before..))??;
        Bytes::new(time, is_big_endian).u64()
    }

    /// Reads a sample; `None` when it is too short for what it is to hold.
    pub(super) fn sample<'a>(&self, body: &'a [u8], is_big_endian: bool) -> Option<Sample<'a>> {
        let mut reader = Bytes::new(body, is_big_endian);
        let has = |part| self.sample & part != 0;
        let mut sample = Sample::default();
        if has(IDENTIFIER) {
            reader.u64()?;
        }
        if has(IP) {
            sample.ip = Some(reader.u64()?);
        }
        if has(TID) {
            (sample.pid, sample.tid) = (Some(reader.u32()?), Some(reader.u32()?));
        }
        if has(TIME) {
            sample.time = Some(reader.u64()?);
        }
        if has(ADDR) {
            sample.addr = Some(reader.u64()?);
        }
        if has(ID) {
            reader.u64()?;
        }
        if has(STREAM_ID) {
            reader.u64()?;
        }
        if has(CPU) {
            sample.cpu = Some(reader.u32()?);
            reader.u32()?;
        }
        if has(PERIOD) {
            sample.period = Some(reader.u64()?);
        }
        if has(READ) {
            self.skip_read(&mut reader)?;
        }
        if has(CALLCHAIN) {
            let count = reader.size()?;
            sample.chain = reader.take(count.checked_mul(8)?)?;
        }
        if has(RAW) {
            let size = reader.u32()? as usize;
            sample.raw = reader.take(size)?;
        }
        Some(sample)
    }

    /// Goes over the counters that a sample has read.
    fn skip_read(&self, reader: &mut Bytes<'_>) -> Option<()> {
        let times = (self.read & (READ_ENABLED | READ_RUNNING)).count_ones() as usize;
        let each = 1 + (self.read & (READ_ID | READ_LOST)).count_ones() as usize;
        let numbers = if self.read & READ_GROUP != 0 {
            let count = reader.size()?;
            count.checked_mul(each)?.checked_add(times)?
        } else {
            times + each
        };
        reader.take(numbers.checked_mul(8)?)?;
        Some(())
    }

    /// What another record says at its end.
    pub(super) fn record(&self, body: &[u8], is_big_endian: bool) -> Sample<'static> {
        let mut sample = Sample::default();
        if self.flags & FLAG_SAMPLE_ID_ALL == 0 {
            return sample;
        }
        let parts = self.sample & (TID | TIME | ID | STREAM_ID | CPU | IDENTIFIER);
        let start = body.len().checked_sub(parts.count_ones() as usize * 8);
        let Some(end) = start.and_then(|start| body.get(start..)) else {
            return sample;
        };
        let mut reader = Bytes::new(end, is_big_endian);
        let has = |part| self.sample & part != 0;
        if has(TID) {
            (sample.pid, sample.tid) = (reader.u32(), reader.u32());
        }
        if has(TIME) {
            sample.time = reader.u64();
        }
        for part in [ID, STREAM_ID] {
            if has(part) {
                reader.u64();
            }
        }
        if has(CPU) {
            sample.cpu = reader.u32();
        }
        sample
    }

    /// Bytes of what other records have at their end.
    pub(super) fn record_end_bytes(&self) -> usize {
        let parts = self.sample & (TID | TIME | ID | STREAM_ID | CPU | IDENTIFIER);
        if self.flags & FLAG_SAMPLE_ID_ALL == 0 {
            0
        } else {
            parts.count_ones() as usize * 8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(sample: u64, read: u64) -> Attr {
        let mut bytes = Vec::new();
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(136_u32.to_le_bytes());
        for number in [315, 1, sample, read, FLAG_SAMPLE_ID_ALL, 0, 0] {
            bytes.extend(u64::to_le_bytes(number));
        }
        Attr::parse(&bytes, false).unwrap()
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn samples_are_read_in_the_kernels_order() {
        let parts = IDENTIFIER
            | IP
            | TID
            | TIME
            | ADDR
            | ID
            | STREAM_ID
            | CPU
            | PERIOD
            | READ
            | CALLCHAIN
            | RAW;
        let attr = attr(parts, READ_GROUP | READ_ID | READ_ENABLED);
        let mut body = words(&[
            1,
            2,
            (4 << 32) | 3,
            5,
            6,
            7,
            8,
            9,
            10,
            2,
            11,
            12,
            13,
            14,
            15,
            2,
            16,
            17,
        ]);
        body.extend(4_u32.to_le_bytes());
        body.extend(b"data");
        let sample = attr.sample(&body, false).unwrap();
        let expected = Sample {
            ip: Some(2),
            pid: Some(3),
            tid: Some(4),
            time: Some(5),
            addr: Some(6),
            cpu: Some(9),
            period: Some(10),
            chain: &words(&[16, 17]),
            raw: b"data",
        };
        assert_eq!(sample, expected);
        assert_eq!(attr.id_of_sample(&body, false), Some(1));
        for end in 0..body.len() {
            assert_eq!(attr.sample(&body[..end], false), None, "{end} bytes");
        }
    }

    #[test]
    fn other_records_end_with_the_same() {
        let attr = attr(IP | TID | TIME | ID | CPU | PERIOD, 0);
        let body = words(&[99, (4 << 32) | 3, 5, 77, 9]);
        let end = attr.record(&body, false);
        assert_eq!(
            (end.pid, end.tid, end.time, end.cpu),
            (Some(3), Some(4), Some(5), Some(9))
        );
        assert_eq!(attr.id_of_record(&body, false), Some(77));
        assert_eq!(attr.record(&body[..16], false), Sample::default());
    }
}
