//! The rings of the guest's own ftrace, as workload `ftrace` exports them through shared memory.
//!
//! Pages are those of `kernel/trace/ring_buffer.c`, the same from 4.x to 7.2; the meaning of an event's bytes comes from
//! the guest, which describes it in `events/GROUP/NAME/format`.

use std::collections::BTreeMap;

use crate::guest::{Run, record};

/// Bytes that `exercise export` puts before each file.
const TITLE_BYTES: usize = 128;
const PAGE_BYTES: usize = 4096;
/// Before the events of a page: time of the first, and how many bytes follow.
const PAGE_HEADER_BYTES: usize = 16;

/// Everything that ftrace recorded.
#[derive(Debug, Default)]
pub struct Ftrace {
    /// What the events are, by their id.
    pub formats: BTreeMap<u16, FtraceFormat>,
    /// Events in the order of their rings, by CPU.
    pub events: BTreeMap<u32, Vec<FtraceEvent>>,
    /// `per_cpu/cpuN/stats`, by CPU.
    pub stats: BTreeMap<u32, String>,
}

/// How an event's bytes are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FtraceFormat {
    /// Such as `sched`.
    pub group: String,
    /// Such as `sched_switch`.
    pub name: String,
    /// The event's own fields, without those that all have.
    pub fields: Vec<FtraceField>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FtraceField {
    /// Its name.
    pub name: String,
    /// Its length in the event.
    pub bytes: usize,
    offset: usize,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    Numbers,
    Text,
    /// Lies at the end of the event; the field says where.
    TextElsewhere,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FtraceEvent {
    /// When its place in the ring was taken, by the CPU's own RDTSC.
    pub tsc: u64,
    /// Which kind it is.
    pub id: u16,
    body: Vec<u8>,
}

/// Value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FtraceValue {
    /// Of 1, 2, 4 or 8 bytes, not sign-extended.
    Number(u64),
    /// An array of 8-byte numbers.
    Numbers(Vec<u64>),
    /// Up to the NUL.
    Text(Vec<u8>),
}

impl Ftrace {
    /// Records a workload that exports the rings of its ftrace.
    ///
    /// # Panics
    /// When the guest failed, or exported something else.
    #[must_use]
    pub fn record(kernel_name: &str, workload: &str, options: &[&str]) -> (Run, Self) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let shared = dir.path().join("shared");
        let memory = format!(
            "memory-backend-file,id=shared,share=on,mem-path={},size=64M",
            shared.display()
        );
        let emulator = [
            "--",
            "-object",
            &memory,
            "-device",
            "ivshmem-plain,memdev=shared",
        ];
        let run = record(kernel_name, workload, &[options, &emulator].concat());
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        let exported = std::fs::read(&shared).expect("QEMU made the file");
        (run, Self::parse(&exported))
    }

    /// Reads what was exported.
    ///
    /// # Panics
    /// When it is not what workload `ftrace` exports.
    #[must_use]
    pub fn parse(shared: &[u8]) -> Self {
        let mut ftrace = Self::default();
        let mut rest = shared;
        while let Some((path, bytes, after)) = next_file(rest) {
            rest = after;
            let parts: Vec<&str> = path.split('/').collect();
            match parts[..] {
                ["events", group, _, "format"] => {
                    let (id, mut format) = parse_format(&String::from_utf8_lossy(bytes));
                    group.clone_into(&mut format.group);
                    ftrace.formats.insert(id, format);
                }
                ["per_cpu", cpu, "stats"] => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    ftrace.stats.insert(cpu_number(cpu), text);
                }
                ["per_cpu", cpu, "trace_pipe_raw"] => {
                    let pages = bytes.chunks_exact(PAGE_BYTES);
                    let events = pages.flat_map(parse_page).collect();
                    ftrace.events.insert(cpu_number(cpu), events);
                }
                _ => {}
            }
        }
        ftrace
    }
}

impl FtraceEvent {
    /// Value of a field of its format.
    ///
    /// # Panics
    /// When the event is shorter than its format says.
    #[must_use]
    pub fn value(&self, field: &FtraceField) -> FtraceValue {
        let bytes = &self.body[field.offset..field.offset + field.bytes];
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0);
            FtraceValue::Text(bytes[..end.unwrap_or(bytes.len())].to_vec())
        };
        match field.shape {
            Shape::Number => FtraceValue::Number(number(bytes)),
            Shape::Numbers => FtraceValue::Numbers(bytes.chunks(8).map(number).collect()),
            Shape::Text => text(bytes),
            Shape::TextElsewhere => {
                let place = number(bytes);
                let start = usize::try_from(place & 0xffff).expect("16 bits");
                let length = usize::try_from(place >> 16).expect("16 bits");
                text(&self.body[start..start + length])
            }
        }
    }

    /// The 8-byte numbers from a field to the end of the event: an array whose length its format does not tell.
    #[must_use]
    pub fn numbers_from(&self, field: &FtraceField) -> Vec<u64> {
        let rest = self.body.get(field.offset..).unwrap_or_default();
        rest.chunks_exact(8).map(number).collect()
    }
}

fn cpu_number(directory: &str) -> u32 {
    let digits = directory.trim_start_matches("cpu");
    digits
        .parse()
        .expect("the directories of CPUs are numbered")
}

fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

/// The next file, `== PATH BYTES ==` and a line break before it, and what follows.
fn next_file(bytes: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (title, rest) = bytes.split_at_checked(TITLE_BYTES)?;
    let title = title.strip_prefix(b"== ")?;
    let end = title.iter().position(|byte| *byte == b'\n')?;
    let title = std::str::from_utf8(&title[..end]).ok()?;
    let (path, length) = title.strip_suffix(" ==")?.rsplit_once(' ')?;
    let (file, after) = rest.split_at_checked(length.parse().ok()?)?;
    Some((path, file, after))
}

/// Such lines: `field:char prev_comm[16];  offset:8;  size:16;  signed:0;`.
fn parse_format(text: &str) -> (u16, FtraceFormat) {
    let mut id = 0;
    let mut format = FtraceFormat::default();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("name: ") {
            name.clone_into(&mut format.name);
        } else if let Some(number) = line.strip_prefix("ID: ") {
            id = number.parse().expect("an id");
        } else if let Some(field) = line.strip_prefix("field:") {
            let field = parse_field(field);
            if !field.name.starts_with("common_") {
                format.fields.push(field);
            }
        }
    }
    (id, format)
}

fn parse_field(text: &str) -> FtraceField {
    let mut parts = text.split(';').map(str::trim);
    let declaration = parts.next().unwrap_or_default();
    let mut value = |key: &str| -> usize {
        let text = parts.next().and_then(|part| part.strip_prefix(key));
        text.and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no {key} in {text:?}"))
    };
    let (offset, bytes) = (value("offset:"), value("size:"));
    let (name, array) =
        declaration
            .split_once('[')
            .map_or((declaration, false), |(before, after)| {
                // `char prev_comm[16]`, but `__data_loc char[] name`.
                let elsewhere = after.split_once("] ").map(|(_, name)| name);
                (elsewhere.unwrap_or(before), true)
            });
    let name = name.rsplit([' ', '*']).next().unwrap_or_default();
    let shape = match (declaration.starts_with("__data_loc"), array) {
        (true, _) => Shape::TextElsewhere,
        (false, true) if declaration.contains("char") => Shape::Text,
        (false, true) => Shape::Numbers,
        (false, false) => Shape::Number,
    };
    FtraceField {
        name: name.to_owned(),
        bytes,
        offset,
        shape,
    }
}

fn parse_page(page: &[u8]) -> Vec<FtraceEvent> {
    let mut events = Vec::new();
    let mut tsc = number(&page[..8]);
    // The upper bits say whether events were lost before the page.
    let length = number(&page[8..16]) & 0xf_ffff;
    let end = PAGE_HEADER_BYTES + usize::try_from(length).expect("20 bits");
    let word = |at: usize| number(&page[at..at + 4]);
    let size = |word: u64| usize::try_from(word).expect("32 bits");
    let mut at = PAGE_HEADER_BYTES;
    while at < end {
        let (kind, delta) = (word(at) & 0x1f, word(at) >> 5);
        match kind {
            // Padding: an event that was taken back, or the rest of the page.
            29 if delta == 0 => break,
            29 => {
                tsc += delta;
                at += 4 + size(word(at + 4));
            }
            30 => {
                tsc += delta + (word(at + 4) << 27);
                at += 8;
            }
            // An absolute time, whose upper 5 bits do not fit and are those of the time before.
            31 => {
                tsc = (delta + (word(at + 4) << 27)) | (tsc & (0x1f << 59));
                at += 8;
            }
            _ => {
                tsc += delta;
                let (start, bytes) = if kind == 0 {
                    (at + 8, size(word(at + 4)) - 4)
                } else {
                    (at + 4, size(kind) * 4)
                };
                let body = page[start..start + bytes].to_vec();
                let id = u16::from_le_bytes([body[0], body[1]]);
                events.push(FtraceEvent { tsc, id, body });
                at = start + bytes;
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_their_format_says() {
        let text = "name: some_event\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\tfield:char comm[4];\toffset:8;\tsize:4;\tsigned:0;\n\tfield:const void * p;\toffset:12;\tsize:2;\tsigned:0;\n\tfield:__data_loc char[] name;\toffset:16;\tsize:4;\tsigned:0;\n";
        let (id, format) = parse_format(text);
        assert_eq!((id, format.name.as_str()), (7, "some_event"));
        let body = b"\x07\0\0\0\0\0\0\0ab\0c\x34\x12\0\0\x14\0\x04\0far\0".to_vec();
        let event = |body: &[u8]| FtraceEvent {
            tsc: 0,
            id,
            body: body.to_vec(),
        };
        let values: Vec<FtraceValue> = format
            .fields
            .iter()
            .map(|field| event(&body).value(field))
            .collect();
        let text = |text: &str| FtraceValue::Text(text.as_bytes().to_vec());
        assert_eq!(
            values,
            [text("ab"), FtraceValue::Number(0x1234), text("far")]
        );
        assert_eq!(format.fields[1].name, "p");
    }

    #[test]
    fn times_add_up_over_a_page() {
        let mut page = vec![0; PAGE_BYTES];
        page[0] = 100;
        let events: &[u32] = &[1 | (5 << 5), 7, 30 | (1 << 5), 1, 0, 12, 8, 9, 29];
        page[8] = 4 * u8::try_from(events.len()).unwrap();
        for (index, word) in events.iter().enumerate() {
            page[16 + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
        }
        let read = parse_page(&page);
        let times: Vec<(u64, u16)> = read.iter().map(|event| (event.tsc, event.id)).collect();
        assert_eq!(times, [(105, 7), (106 + (1 << 27), 8)]);
        assert_eq!(read[1].body.len(), 8);
    }
}
