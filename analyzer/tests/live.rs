//! A trace that is read while it is recorded shows the same events in the same order as the complete one, each as soon
//! as the recorder has said that nothing earlier will come.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "support/synthetic.rs"]
#[allow(dead_code, reason = "only the header is needed")]
mod synthetic;

use std::collections::BTreeMap;
use std::io::Cursor;

use analyzer::sources::{Item, LiveStream, Range, RecordStream, Trace};
use proptest::prelude::*;
use trace_format::{
    ChunkMeta, EventId, Part, RecordBuffer, Tail, TraceFile, TraceWriter, Trailer, WriterOptions,
};

/// One thing that happens to a recording.
#[derive(Clone, Debug)]
enum Step {
    /// An event on a CPU, so many ticks later than the last one.
    Event(u32, u64),
    /// Events of a CPU are lost.
    Lose(u32, u64),
    /// The buffers of all CPUs are written, that CPU's last.
    Flush(u32),
    /// A CPU's buffer is written, and nothing is said of the others.
    Write(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..4u32, 0..3u64).prop_map(|(cpu, ticks)| Step::Event(cpu, ticks)),
        1 => (0..4u32, 1..9u64).prop_map(|(cpu, count)| Step::Lose(cpu, count)),
        2 => (0..4u32).prop_map(Step::Flush),
        1 => (0..4u32).prop_map(Step::Write),
    ];
    prop::collection::vec(step, 0..120)
}

struct Recorder {
    writer: TraceWriter<Cursor<Vec<u8>>>,
    buffers: BTreeMap<u32, (RecordBuffer, u64)>,
    event: EventId,
    now: u64,
}

impl Recorder {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Event(cpu, ticks) => {
                self.now += ticks;
                let (now, event) = (self.now, self.event);
                let mut record = self.buffer(cpu).0.begin(now, event).unwrap();
                record.push_bytes(b"x");
                record.finish();
            }
            Step::Lose(cpu, count) => {
                self.write(cpu);
                self.buffer(cpu).1 += count;
            }
            Step::Flush(last) => {
                let cpus: Vec<u32> = self.buffers.keys().copied().collect();
                for cpu in cpus.into_iter().filter(|cpu| *cpu != last) {
                    self.write(cpu);
                }
                self.write(last);
                self.writer.write_up_to(self.now).unwrap();
            }
            Step::Write(cpu) => self.write(cpu),
        }
    }

    fn buffer(&mut self, cpu: u32) -> &mut (RecordBuffer, u64) {
        let empty = || (RecordBuffer::new(1 << 16), 0);
        self.buffers.entry(cpu).or_insert_with(empty)
    }

    fn write(&mut self, cpu: u32) {
        let Some((buffer, lost_before)) = self.buffers.remove(&cpu) else {
            return;
        };
        let meta = ChunkMeta { cpu, lost_before };
        self.writer.write_chunk(&meta, &buffer, |tsc| tsc).unwrap();
    }

    fn finish(mut self) -> Vec<u8> {
        while let Some(cpu) = self.buffers.keys().next().copied() {
            self.write(cpu);
        }
        let trailer = Trailer::default();
        self.writer.finish(&trailer).unwrap().into_inner()
    }
}

fn record(steps: &[Step]) -> Vec<u8> {
    let mut header = synthetic::header();
    header
        .schema
        .events
        .retain(|event| event.name == "recording_mark");
    header.schema.enums.clear();
    let event = header.schema.event_named("recording_mark").unwrap().id;
    let options = WriterOptions {
        compression_level: 1,
    };
    let mut recorder = Recorder {
        writer: TraceWriter::new(Cursor::new(Vec::new()), &header, options).unwrap(),
        buffers: BTreeMap::new(),
        event,
        now: 100,
    };
    steps.iter().for_each(|step| recorder.step(step));
    recorder.finish()
}

/// All that a stream has now, a line each.
fn take_all(stream: &mut dyn RecordStream) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        lines.push(match item {
            Item::Loss(loss) => format!("{loss:?}"),
            Item::Record(record) => format!("{} {:?} {:?}", record.tsc, record.at, record.cpu),
        });
    }
    lines
}

fn tsc(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

proptest! {
    #[test]
    fn what_is_followed_is_what_is_in_the_file(steps in steps(), piece in 1..4000usize) {
        let bytes = record(&steps);
        let trace = Trace::Own(TraceFile::from_bytes(bytes.clone()).unwrap());
        let mut complete = trace.stream(&Range::default()).unwrap();
        let expected = take_all(&mut *complete);
        let mut tail = Tail::new();
        let mut live = None;
        let mut shown: Vec<String> = Vec::new();
        for piece in bytes.chunks(piece) {
            tail.feed(piece);
            while let Some(part) = tail.next_part().unwrap() {
                match (part, &mut live) {
                    (Part::Header(header), live) => *live = LiveStream::new(&header).ok(),
                    (Part::Chunk(chunk), Some(live)) => live.push(chunk).unwrap(),
                    (Part::UpTo(up_to), Some(live)) => {
                        live.advance(up_to).unwrap();
                        shown.extend(take_all(live));
                        // Nothing that is certain is held back.
                        let next = expected.get(shown.len()).and_then(|line| tsc(line));
                        prop_assert!(next.is_none_or(|next| next >= up_to));
                    }
                    (Part::End, Some(live)) => {
                        live.advance(u64::MAX).unwrap();
                        shown.extend(take_all(live));
                    }
                    (Part::Damage(damage), _) => prop_assert!(false, "{}", damage),
                    _ => {}
                }
                prop_assert_eq!(&shown[..], &expected[..shown.len()]);
            }
        }
        prop_assert_eq!(shown, expected);
    }
}
