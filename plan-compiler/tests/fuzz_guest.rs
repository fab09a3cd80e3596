//! Every fetch program of the table, and of every tracepoint, on kernels whose memory is garbage.

use std::collections::BTreeSet;
use std::io::Cursor;

use guest_symbols::Kernel;
use guesttrace_events::EventTable;
use guesttrace_tests::{Chance, fuzz_usually, mix};
use plan_compiler::{Selection, StackChoice, compile};
use probe_plan::{
    Entry, FieldSink, GuestView, Interpreter, Op, Output, Plan, Program, Register, RuntimeAddr,
    SAVED_MAX, Slide,
};
use trace_format::{
    ChunkMeta, EventId, RecordBuffer, RecordEncoder, Schema, TraceFile, TraceWriter, Trailer,
    Value, WriterOptions,
};

const LINE_BYTES: u64 = 128;
const PAGE_BYTES: u64 = 4096;

fn plan(name: &str) -> Option<Plan> {
    let files = guesttrace_tests::kernel(name)?;
    let image = std::fs::read(files.vmlinuz).expect("a fetched kernel has an image");
    let kernel = Kernel::from_bytes(Some(&image), None).expect("a kernel of the matrix");
    let mut selection = Selection::parse("all,tracepoint:*:*");
    // Garbage makes long lists of owners of code, which take time: not with every event.
    let StackChoice(stacks) = "both=sched,irq".parse().expect("a choice");
    selection.add_fields(stacks);
    let compiled = compile(&kernel, &EventTable::builtin(), &selection);
    Some(compiled.expect("the built-in table").plan)
}

/// Memory without end that follows from a seed: pages that are mapped or not, full of numbers or of pointers, many of
/// them to the page itself, to its edges, to nothing, or no addresses at all.
struct WildGuest {
    seed: u64,
    /// What a failed read leaves behind: nothing may depend on it.
    poison: u8,
    /// Of 8 pages, how many are mapped.
    mapped_of_8: u64,
    registers: [Option<u64>; Register::ALL.len()],
    /// What functions' entries left.
    entry: Entry,
    reads: usize,
}

impl WildGuest {
    fn new(chance: &mut Chance) -> Self {
        let mut guest = Self {
            seed: chance.number(),
            poison: 0,
            mapped_of_8: *chance.pick(&[0, 4, 7, 8]),
            registers: [None; Register::ALL.len()],
            entry: Entry::default(),
            reads: 0,
        };
        let is_kernel_like = chance.once_in(2);
        for index in 0..guest.registers.len() {
            let value = guest.word(chance.number(), chance.number());
            let value = if is_kernel_like {
                value | 0xffff_8000_0000_0000
            } else {
                value
            };
            guest.registers[index] = (!chance.once_in(50)).then_some(value);
        }
        for index in 0..SAVED_MAX {
            let value = guest.word(chance.number(), chance.number());
            guest.entry.saved[index] = (!chance.once_in(10)).then_some(value);
        }
        guest.entry.elapsed_nanos = (!chance.once_in(10)).then(|| chance.number());
        guest
    }

    fn is_mapped(&self, addr: u64) -> bool {
        mix(self.seed ^ (addr / PAGE_BYTES)) % 8 < self.mapped_of_8
    }

    /// A number as it might stand at `addr`.
    fn word(&self, addr: u64, chance: u64) -> u64 {
        let page = addr & !(PAGE_BYTES - 1);
        match chance % 16 {
            0 => addr,
            1..=4 => page | (chance >> 52),
            5 => page + PAGE_BYTES - 1 - (chance >> 61),
            6 => 0xffff_8880_0000_0000 | (chance >> 32),
            7 => 0xffff_ffff_8000_0000 | (chance >> 33),
            8 => chance >> 17,
            9 => 0x0000_8000_0000_0000 | (chance >> 16),
            10 => 0,
            11 => u64::MAX - (chance >> 60),
            12 => chance >> 56,
            13 => u64::from_le_bytes(*b"\x1b[2J\xff<b>"),
            _ => chance,
        }
    }

    fn byte(&self, addr: u64) -> u8 {
        let start = addr & !7;
        let word = self.word(start, mix(self.seed ^ start));
        word.to_le_bytes()[usize::try_from(addr & 7).expect("less than 8")]
    }
}

impl GuestView for WildGuest {
    fn register(&mut self, register: Register) -> Option<u64> {
        self.registers[register as usize]
    }

    fn read(&mut self, addr: u64, out: &mut [u8]) -> bool {
        assert_eq!(
            addr % LINE_BYTES,
            0,
            "reads are of whole lines, so that none leaves its page"
        );
        assert_eq!(out.len() as u64, LINE_BYTES);
        self.reads += 1;
        let is_mapped = self.is_mapped(addr);
        for (at, byte) in (addr..=addr + (LINE_BYTES - 1)).zip(out) {
            *byte = if is_mapped {
                self.byte(at)
            } else {
                self.poison
            };
        }
        is_mapped
    }
}

/// A field as fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fetched {
    Missing,
    Number(u64),
    Bytes(Vec<u8>),
}

/// Keeps what it passes on to the encoder.
struct Sink<'a> {
    encoder: RecordEncoder<'a>,
    fields: Vec<Fetched>,
}

impl FieldSink for Sink<'_> {
    fn number(&mut self, value: Option<u64>) {
        self.fields
            .push(value.map_or(Fetched::Missing, Fetched::Number));
        match value {
            Some(value) => self.encoder.push_number(value),
            None => self.encoder.push_missing_number(),
        }
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        self.fields
            .push(value.map_or(Fetched::Missing, |bytes| Fetched::Bytes(bytes.to_vec())));
        match value {
            Some(bytes) => self.encoder.push_bytes(bytes),
            None => self.encoder.push_missing_bytes(),
        }
    }
}

/// What a program of that length can read at most: each load two lines, each string all of its lines.
fn reads_max(program: &Program) -> usize {
    let loads = |ops: &[Op]| {
        let bases = ops.iter().filter(|op| matches!(op, Op::Load(_))).count();
        2 * bases
    };
    let bindings: usize = program.bindings.iter().map(|ops| loads(ops)).sum();
    let condition = program.condition.as_deref().map_or(0, loads);
    let fields: usize = program
        .fields
        .iter()
        .map(|field| {
            let lines = match field.output {
                Output::Number => 0,
                // Of each frame a few words and of its rule some, each in two lines at most; and owners of rules.
                Output::CallStack { max } => usize::from(max) * 80 + 1024 * 10,
                Output::FramePointers { max, .. } => usize::from(max) * 4,
                Output::String { max, .. } | Output::Bytes { max, .. } => {
                    usize::from(max) / 128 + 2
                }
            };
            loads(&field.ops) + lines
        })
        .sum();
    bindings + condition + fields
}

type Records = Vec<(u16, Vec<Fetched>)>;

/// Runs every program once and appends the records to the buffer.
fn run_all(plan: &Plan, guest: &mut WildGuest, buffer: &mut RecordBuffer) -> Records {
    let mut interpreter = Interpreter::new(Slide(0)).with_unwind(plan.unwind.clone());
    interpreter.set_entry(guest.entry);
    let mut records = Records::new();
    let mut seen = BTreeSet::new();
    for site in &plan.sites {
        if !seen.insert(site.program) {
            continue;
        }
        let program = &plan.programs[site.program as usize];
        guest.reads = 0;
        let probe = RuntimeAddr(site.addr.0);
        if interpreter.begin(program, probe, guest) {
            let encoder = buffer.begin(0, site.event).expect("room for all records");
            let mut sink = Sink {
                encoder,
                fields: Vec::new(),
            };
            interpreter.fetch(program, probe, guest, &mut sink);
            let Sink { encoder, fields } = sink;
            encoder.finish();
            assert_eq!(fields.len(), program.fields.len());
            records.push((site.event.0, fields));
        }
        let max = reads_max(program);
        assert!(
            guest.reads <= max,
            "{site:?}: {} of {max} reads",
            guest.reads
        );
    }
    records
}

/// The records of a buffer after their way through a file.
fn through_a_file(schema: &Schema, buffer: &RecordBuffer) -> Records {
    let header = trace_format::Header {
        producer: String::new(),
        kernel: trace_format::KernelInfo::default(),
        machine: trace_format::MachineInfo::default(),
        clock: trace_format::ClockInfo {
            mode: trace_format::ClockMode::Deterministic,
            tsc_hz: 1_000_000_000,
        },
        schema: schema.clone(),
        digests: Vec::new(),
        absent: Vec::new(),
        chunks: None,
    };
    let mut bytes = Cursor::new(Vec::new());
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut writer = TraceWriter::new(&mut bytes, &header, options).expect("a header");
    let meta = ChunkMeta {
        cpu: 0,
        lost_before: 0,
    };
    writer
        .write_chunk(&meta, buffer, |stamp| stamp)
        .expect("whatever was fetched can be encoded");
    writer.finish(&Trailer::default()).expect("an end");
    let file = TraceFile::from_bytes(bytes.into_inner()).expect("what was written");
    assert_eq!(file.verify(), []);
    let chunk = file.read_chunk(0).expect("the only chunk");
    let field = |value: Value<'_>| match value {
        Value::Missing => Fetched::Missing,
        Value::Number(number) => Fetched::Number(number),
        Value::Bytes(bytes) => Fetched::Bytes(bytes.to_vec()),
    };
    let record = |record: trace_format::RecordRef<'_>| {
        let fields = (0..record.field_count()).map(|index| field(record.field(index)));
        (record.event().0, fields.collect())
    };
    chunk.records().map(record).collect()
}

/// Fields that were fetched and that were missing, over one case.
fn check(plan: &Plan, chance: &mut Chance, buffers: &mut [RecordBuffer; 2]) -> [usize; 2] {
    let mut guest = WildGuest::new(chance);
    let [first, second] = buffers;
    first.clear();
    second.clear();
    let records = run_all(plan, &mut guest, first);
    guest.poison = 0xa5;
    assert_eq!(
        run_all(plan, &mut guest, second),
        records,
        "what was not mapped was used"
    );
    if first.record_count() != 0 {
        assert_eq!(through_a_file(&plan.schema, first), records);
    }
    let fields = records.iter().flat_map(|(_, fields)| fields);
    let missing = fields.clone().filter(|field| **field == Fetched::Missing);
    [
        fields.clone().count() - missing.clone().count(),
        missing.count(),
    ]
}

fn check_kernel(name: &str) {
    let Some(plan) = plan(name) else {
        guesttrace_tests::skip!("kernel {name} was not fetched")
    };
    let events: BTreeSet<EventId> = plan.sites.iter().map(|site| site.event).collect();
    assert!(events.len() > 600, "{} events", events.len());
    let mut buffers = [RecordBuffer::new(4 << 20), RecordBuffer::new(4 << 20)];
    let mut fields = [0, 0];
    fuzz_usually(60, |chance| {
        let more = check(&plan, chance, &mut buffers);
        fields = [fields[0] + more[0], fields[1] + more[1]];
    });
    // Garbage that no program can read, or that hides nothing from any, would test little.
    assert!(fields[0] > 1000 && fields[1] > 1000, "{fields:?}");
}

#[test]
fn fuzz_every_program_on_garbage_of_debian_12() {
    check_kernel("6.1-amd64");
}

#[test]
fn fuzz_every_program_on_garbage_of_debian_13() {
    check_kernel("6.12-amd64");
}
