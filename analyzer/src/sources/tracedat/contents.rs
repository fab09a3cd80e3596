//! What is in a trace.dat besides its events.

use std::collections::HashSet;

use super::compression::Compression;
use super::options::Options;
use crate::sources::ftrace::EventFormat;
use crate::sources::ftrace::{Bytes, lossy};

const MAGIC: &[u8] = b"\x17\x08\x44tracing";

/// Kinds of sections, which are numbers of options as well.
const OPTIONS: u16 = 0;
pub(super) const HEADER_INFO: u16 = 16;
pub(super) const FTRACE_EVENTS: u16 = 17;
pub(super) const EVENT_FORMATS: u16 = 18;
pub(super) const KALLSYMS: u16 = 19;
pub(super) const PRINTK: u16 = 20;
pub(super) const CMDLINES: u16 = 21;
/// Flag of a section.
pub(super) const COMPRESSED: u16 = 1;

/// More sections of options than any file has; a chain of more leads nowhere.
const OPTION_SECTIONS_MAX: usize = 10_000;

/// The parts of a file.
#[derive(Clone, Debug, Default)]
pub(in crate::sources) struct Contents {
    pub(in crate::sources) version: u32,
    pub(in crate::sources) is_big_endian: bool,
    /// Bytes of the kernel's `long`.
    pub(in crate::sources) long_bytes: u32,
    pub(super) page_bytes: usize,
    pub(super) compression: Compression,
    pub(in crate::sources) formats: Vec<EventFormat>,
    /// Texts of which no format could be read.
    pub(in crate::sources) unreadable_formats: u64,
    pub(in crate::sources) kallsyms: Vec<u8>,
    pub(in crate::sources) printk: Vec<u8>,
    pub(in crate::sources) cmdlines: Vec<u8>,
    pub(super) options: Options,
    /// Of the text of a latency tracer, instead of events.
    pub(super) is_latency: bool,
}

/// Why a file cannot be read: what part of it is broken.
pub(in crate::sources) type Broken = String;

impl Contents {
    /// Whether a file begins as a trace.dat does.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    /// Reads all parts.
    pub(super) fn read(file: &[u8]) -> Result<Self, Broken> {
        let mut contents = Self::default();
        let mut bytes = Bytes::new(file, false);
        let start = contents.read_start(&mut bytes);
        start.ok_or("it is cut off in its first bytes")?;
        match contents.version {
            6 => contents.read_v6(file, bytes)?,
            7 => contents.read_v7(file, bytes)?,
            version => {
                return Err(format!(
                    "it has version {version}; versions 6 and 7 can be read"
                ));
            }
        }
        Ok(contents)
    }

    /// Reads the part of a perf.data that describes tracepoints: it begins as a trace.dat of version 6 does.
    pub(in crate::sources) fn read_tracing_data(data: &[u8]) -> Result<Self, Broken> {
        let mut contents = Self::default();
        let mut bytes = Bytes::new(data, false);
        contents
            .read_start(&mut bytes)
            .ok_or("it is cut off in its first bytes")?;
        contents.read_texts(&mut bytes)?;
        Ok(contents)
    }

    fn read_start(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        bytes.expect(MAGIC)?;
        // perf writes 0.6.
        self.version = lossy(bytes.text()?).rsplit('.').next()?.parse().ok()?;
        self.is_big_endian = bytes.take(1)? == [1];
        bytes.is_big_endian = self.is_big_endian;
        self.long_bytes = u32::from(*bytes.take(1)?.first()?);
        self.page_bytes = bytes.u32()? as usize;
        Some(())
    }

    /// The texts of the kernel, one after the other.
    fn read_texts(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Broken> {
        self.read_headers(bytes)
            .ok_or_else(cut("the description of its pages"))?;
        self.read_ftrace(bytes)
            .ok_or_else(cut("the formats of ftrace's own events"))?;
        self.read_systems(bytes)
            .ok_or_else(cut("the formats of its events"))?;
        self.kallsyms = bytes
            .short_text()
            .ok_or_else(cut("the names of kernel addresses"))?
            .to_vec();
        self.printk = bytes
            .short_text()
            .ok_or_else(cut("the formats of trace_printk"))?
            .to_vec();
        if self.version >= 6 {
            self.cmdlines = bytes
                .long_text()
                .ok_or_else(cut("the names of threads"))?
                .to_vec();
        }
        Ok(())
    }

    fn read_v6(&mut self, file: &[u8], mut bytes: Bytes<'_>) -> Result<(), Broken> {
        self.read_texts(&mut bytes)?;
        self.options.cpus = bytes.u32().ok_or_else(cut("the number of CPUs"))?;
        let mut options = std::mem::take(&mut self.options);
        let events = self.read_v6_buffer(&mut bytes, &mut options);
        self.options = options;
        events.ok_or_else(cut("the list of its events' places"))?;
        for index in 0..self.options.buffers.len() {
            let Some(at) = self.options.buffers[index].v6_offset else {
                continue;
            };
            let place = usize::try_from(at).ok().and_then(|at| file.get(at..));
            let mut bytes = Bytes::new(place.unwrap_or(&[]), self.is_big_endian);
            let mut options = std::mem::take(&mut self.options);
            let read = self.read_v6_places(&mut bytes, &mut options, index);
            self.options = options;
            read.ok_or_else(cut("the list of events' places of a further buffer"))?;
        }
        Ok(())
    }

    /// Options, and where the events of the first buffer are.
    fn read_v6_buffer(&mut self, bytes: &mut Bytes<'_>, options: &mut Options) -> Option<()> {
        let index = options.add_main_buffer();
        self.read_v6_places(bytes, options, index)
    }

    fn read_v6_places(
        &mut self,
        bytes: &mut Bytes<'_>,
        options: &mut Options,
        index: usize,
    ) -> Option<()> {
        let mut kind = bytes.take(10)?;
        if kind.starts_with(b"options") {
            loop {
                let id = bytes.u16()?;
                if id == 0 {
                    break;
                }
                let data = bytes.short_text()?;
                options.take(id, Bytes::new(data, bytes.is_big_endian), self.version);
            }
            kind = bytes.take(10)?;
        }
        if kind.starts_with(b"latency") {
            self.is_latency = true;
            return Some(());
        }
        kind.starts_with(b"flyrecord").then_some(())?;
        for cpu in 0..options.cpus {
            let (offset, size) = (bytes.u64()?, bytes.u64()?);
            options.buffers.get_mut(index)?.add(cpu, offset, size);
        }
        Some(())
    }

    fn read_v7(&mut self, file: &[u8], mut bytes: Bytes<'_>) -> Result<(), Broken> {
        let start = (|| {
            let name = bytes.text()?;
            bytes.text()?;
            Some((lossy(name), bytes.u64()?))
        })();
        let (name, mut offset) = start.ok_or("it is cut off in its first bytes")?;
        let compression = Compression::named(name.as_bytes());
        self.compression = compression.ok_or_else(|| {
            format!("it is compressed with {name:?}; what can be read is compressed with zlib, zstd, or not at all")
        })?;
        let mut sections = Vec::new();
        let mut seen = HashSet::new();
        while offset != 0 && seen.len() < OPTION_SECTIONS_MAX {
            if !seen.insert(offset) {
                return Err(format!(
                    "its options at {offset:#x} lead back to themselves"
                ));
            }
            let data = self.section(file, OPTIONS, offset);
            let data =
                data.ok_or_else(|| format!("its options at {offset:#x} are cut off or damaged"))?;
            let mut bytes = Bytes::new(&data, self.is_big_endian);
            offset = 0;
            while let Some((id, data)) = option(&mut bytes) {
                match id {
                    OPTIONS => offset = data.clone().u64().unwrap_or(0),
                    HEADER_INFO..=CMDLINES => {
                        sections.extend(data.clone().u64().map(|place| (id, place)))
                    }
                    _ => self.options.take(id, data, self.version),
                }
            }
        }
        // The pages' own description comes first: the others need it.
        sections.sort_by_key(|(id, _)| *id);
        for (id, place) in sections {
            let data = self.section(file, id, place);
            let read = data.and_then(|data| self.read_section(id, &data));
            read.ok_or_else(|| format!("its section {id} at {place:#x} is cut off or damaged"))?;
        }
        self.is_latency = self.options.is_latency
            && self
                .options
                .buffers
                .iter()
                .all(|buffer| buffer.cpus.is_empty());
        Ok(())
    }

    /// The data of a section.
    fn section(&self, file: &[u8], expected: u16, offset: u64) -> Option<Vec<u8>> {
        let mut bytes = Bytes::new(
            file.get(usize::try_from(offset).ok()?..)?,
            self.is_big_endian,
        );
        let (id, flags, _, size) = (bytes.u16()?, bytes.u16()?, bytes.u32()?, bytes.size()?);
        if id != expected {
            return None;
        }
        if flags & COMPRESSED == 0 {
            return bytes.take(size).map(<[u8]>::to_vec);
        }
        let (packed, size) = (bytes.u32()? as usize, bytes.u32()? as usize);
        let mut data = Vec::new();
        self.compression
            .unpack(bytes.take(packed)?, size, &mut data)?;
        Some(data)
    }

    fn read_section(&mut self, id: u16, data: &[u8]) -> Option<()> {
        let mut bytes = Bytes::new(data, self.is_big_endian);
        match id {
            HEADER_INFO => self.read_headers(&mut bytes),
            FTRACE_EVENTS => self.read_ftrace(&mut bytes),
            EVENT_FORMATS => self.read_systems(&mut bytes),
            KALLSYMS => {
                self.kallsyms = bytes.short_text()?.to_vec();
                Some(())
            }
            PRINTK => {
                self.printk = bytes.short_text()?.to_vec();
                Some(())
            }
            _ => {
                self.cmdlines = bytes.long_text()?.to_vec();
                Some(())
            }
        }
    }

    /// How pages begin: the count of used bytes is a `long` of the kernel, which says more than the file's start.
    fn read_headers(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        bytes.expect(b"header_page\0")?;
        let page = EventFormat::field_bytes(&lossy(bytes.long_text()?), "commit");
        if let Some(size @ (4 | 8)) = page {
            self.long_bytes = size;
        }
        bytes.expect(b"header_event\0")?;
        bytes.long_text()?;
        matches!(self.long_bytes, 4 | 8).then_some(())
    }

    fn read_ftrace(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        for _ in 0..bytes.u32()? {
            let text = bytes.long_text()?;
            self.add_format("ftrace", text);
        }
        Some(())
    }

    fn read_systems(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        for _ in 0..bytes.u32()? {
            let system = lossy(bytes.text()?);
            for _ in 0..bytes.u32()? {
                let text = bytes.long_text()?;
                self.add_format(&system, text);
            }
        }
        Some(())
    }

    fn add_format(&mut self, system: &str, text: &[u8]) {
        match EventFormat::parse(system, &lossy(text)) {
            Some(format) => self.formats.push(format),
            None => self.unreadable_formats += 1,
        }
    }
}

fn cut(part: &'static str) -> impl Fn() -> Broken {
    move || format!("it is cut off or damaged in {part}")
}

/// The next option of a section of version 7.
fn option<'a>(bytes: &mut Bytes<'a>) -> Option<(u16, Bytes<'a>)> {
    let id = bytes.u16()?;
    let data = bytes.short_text()?;
    Some((id, Bytes::new(data, bytes.is_big_endian)))
}
