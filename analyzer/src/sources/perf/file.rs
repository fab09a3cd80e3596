//! The parts of a perf.data: what was sampled, what is said of the machine, where the records are
//! (`tools/perf/Documentation/perf.data-file-format.txt`).

use std::collections::{BTreeMap, HashMap};

use super::attr::Attr;
use crate::sources::ftrace::{Bytes, lossy};

/// Features that are of use here.
pub(super) const TRACING_DATA: u32 = 1;
pub(super) const HOSTNAME: u32 = 3;
pub(super) const OS_RELEASE: u32 = 4;
pub(super) const VERSION: u32 = 5;
pub(super) const ARCH: u32 = 6;
pub(super) const CPU_DESCRIPTION: u32 = 8;
pub(super) const COMMAND: u32 = 11;
const EVENT_DESCRIPTIONS: u32 = 12;
pub(super) const CLOCK_ID: u32 = 23;
pub(super) const CLOCK_DATA: u32 = 29;

/// Bytes of the header of a file that was not written to a pipe.
const HEADER_BYTES: u64 = 104;
/// Bytes of that of a pipe.
const PIPE_HEADER_BYTES: u64 = 16;
/// Bytes of a record's header.
pub(super) const RECORD_BYTES: usize = 8;

/// Records of perf itself.
pub(super) const HEADER_ATTR: u32 = 64;
pub(super) const HEADER_TRACING_DATA: u32 = 66;
pub(super) const FINISHED_ROUND: u32 = 68;
pub(super) const AUXTRACE: u32 = 71;
const EVENT_UPDATE: u32 = 78;
const HEADER_FEATURE: u32 = 80;
pub(super) const COMPRESSED: u32 = 81;
pub(super) const COMPRESSED2: u32 = 83;

/// The parts.
#[derive(Debug, Default)]
pub(super) struct PerfFile {
    pub(super) is_big_endian: bool,
    pub(super) attrs: Vec<Attr>,
    /// Their names; possibly empty.
    pub(super) names: Vec<String>,
    /// Which of them has an id.
    pub(super) ids: HashMap<u64, usize>,
    /// By number, bytes from the start of the file and how many.
    features: BTreeMap<u32, (usize, usize)>,
    /// Where the records are.
    pub(super) records: (usize, usize),
    /// Whether the file ends before its records do.
    pub(super) is_cut: bool,
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// Bytes, with the header.
    pub(super) size: usize,
}

impl RecordHeader {
    /// Reads a header; `None` where there is none.
    #[inline]
    pub(super) fn parse(bytes: &[u8], is_big_endian: bool) -> Option<Self> {
        let mut reader = Bytes::new(bytes, is_big_endian);
        let (kind, misc, size) = (reader.u32()?, reader.u16()?, usize::from(reader.u16()?));
        (size >= RECORD_BYTES).then_some(Self { kind, misc, size })
    }

    /// Bytes that follow behind the record and are no records: those that it announces.
    pub(super) fn followed_by(&self, body: &[u8], is_big_endian: bool) -> usize {
        let mut reader = Bytes::new(body, is_big_endian);
        match self.kind {
            HEADER_TRACING_DATA => reader.u32().map_or(0, |size| size as usize),
            AUXTRACE => reader.size().unwrap_or(0),
            _ => 0,
        }
    }
}

impl PerfFile {
    /// Whether a file begins as one of these.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        head.starts_with(b"PERFILE2") || head.starts_with(b"2ELIFREP")
    }

    /// Reads all parts but the records.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let mut parts = Self {
            is_big_endian: file.starts_with(b"2ELIFREP"),
            ..Self::default()
        };
        let mut header = Bytes::new(file.get(8..).unwrap_or(&[]), parts.is_big_endian);
        match header.u64() {
            Some(PIPE_HEADER_BYTES) => parts.read_pipe(file),
            Some(HEADER_BYTES..) => parts
                .read_header(file, header)
                .ok_or("it is cut off or damaged in its header")?,
            Some(size) => return Err(format!("its header has {size} bytes, which no version has")),
            None => return Err("it is cut off in its first bytes".to_owned()),
        }
        if parts.attrs.is_empty() {
            return Err(
                "it does not say what was recorded: the end of the file may be missing".to_owned(),
            );
        }
        parts.name_attrs(file);
        Ok(parts)
    }

    fn read_header(&mut self, file: &[u8], mut header: Bytes<'_>) -> Option<()> {
        let attr_bytes = header.size()?;
        let (attrs, attrs_bytes) = (header.size()?, header.size()?);
        let (data, data_bytes) = (header.size()?, header.size()?);
        header.take(16)?;
        let features = [header.u64()?, header.u64()?, header.u64()?, header.u64()?];
        let rest = file.len().saturating_sub(data);
        // A recording that was killed does not say how long it is, and ends with its records.
        let data_bytes = if data_bytes == 0 { rest } else { data_bytes };
        self.is_cut = data_bytes > rest;
        self.records = (data, data_bytes.min(rest));
        let attrs = file.get(attrs..)?;
        let attrs = attrs.get(..attrs_bytes).unwrap_or(attrs);
        for entry in attrs.chunks_exact(attr_bytes.max(32)) {
            self.read_attr(file, entry);
        }
        let table = data.checked_add(data_bytes).and_then(|end| file.get(end..));
        let mut table = Bytes::new(table.unwrap_or(&[]), self.is_big_endian);
        for feature in 0..256_u32 {
            if features[feature as usize / 64] >> (feature % 64) & 1 == 0 {
                continue;
            }
            let Some((offset, size)) = table.size().zip(table.size()) else {
                self.is_cut = true;
                break;
            };
            let is_there = file.get(offset..).is_some_and(|rest| size <= rest.len());
            if is_there {
                self.features.insert(feature, (offset, size));
            } else {
                self.is_cut = true;
            }
        }
        Some(())
    }

    /// An entry of the table: the attribute, and where its ids are.
    fn read_attr(&mut self, file: &[u8], entry: &[u8]) {
        let Some((attr, ids)) = entry.split_last_chunk::<16>() else {
            return;
        };
        let mut reader = Bytes::new(ids, self.is_big_endian);
        let ids = reader.size().zip(reader.size());
        let ids = ids.and_then(|(offset, size)| file.get(offset..)?.get(..size));
        self.add_attr(attr, ids.unwrap_or(&[]));
    }

    fn add_attr(&mut self, attr: &[u8], ids: &[u8]) {
        let Some(attr) = Attr::parse(attr, self.is_big_endian) else {
            return;
        };
        let index = self.attrs.len();
        self.attrs.push(attr);
        self.names.push(String::new());
        let mut ids = Bytes::new(ids, self.is_big_endian);
        while let Some(id) = ids.u64() {
            self.ids.insert(id, index);
        }
    }

    /// What was written to a pipe says everything in records.
    fn read_pipe(&mut self, file: &[u8]) {
        let start = 16;
        self.records = (start, file.len().saturating_sub(start));
        let mut at = start;
        while let Some(rest) = file.get(at..)
            && let Some(header) = RecordHeader::parse(rest, self.is_big_endian)
            && let Some(body) = rest.get(RECORD_BYTES..header.size)
        {
            let body_at = at + RECORD_BYTES;
            let behind = header.followed_by(body, self.is_big_endian);
            self.read_meta(&header, body, body_at);
            if header.kind == HEADER_TRACING_DATA {
                self.features
                    .insert(TRACING_DATA, (at + header.size, behind));
            }
            at = (at + header.size).saturating_add(behind);
        }
    }

    fn read_meta(&mut self, header: &RecordHeader, body: &[u8], body_at: usize) {
        let mut reader = Bytes::new(body, self.is_big_endian);
        match header.kind {
            HEADER_ATTR => {
                let size = Bytes::new(body.get(4..).unwrap_or(&[]), self.is_big_endian).u32();
                let size = size.map_or(0, |size| size as usize);
                let parts = body.split_at_checked(size);
                self.add_attr(
                    parts.map_or(body, |(attr, _)| attr),
                    parts.map_or(&[], |(_, ids)| ids),
                );
            }
            HEADER_FEATURE => {
                let number = reader.u64().and_then(|number| u32::try_from(number).ok());
                if let Some(number) = number.filter(|number| *number < 256) {
                    self.features.insert(number, (body_at + 8, body.len() - 8));
                }
            }
            // Kind 2 of an update is a name.
            EVENT_UPDATE if reader.u64() == Some(2) => {
                let index = reader.u64().and_then(|id| self.ids.get(&id).copied());
                if let Some(name) = index.and_then(|index| self.names.get_mut(index)) {
                    *name = lossy(reader.rest());
                }
            }
            _ => {}
        }
    }

    /// What a feature says.
    pub(super) fn feature<'a>(&self, file: &'a [u8], number: u32) -> Option<Bytes<'a>> {
        let (offset, size) = *self.features.get(&number)?;
        let rest = file.get(offset..)?;
        Some(Bytes::new(
            rest.get(..size).unwrap_or(rest),
            self.is_big_endian,
        ))
    }

    /// The text of a feature that is one.
    pub(super) fn text(&self, file: &[u8], number: u32) -> Option<String> {
        text(&mut self.feature(file, number)?)
    }

    /// The texts of a feature that is several.
    pub(super) fn texts(&self, file: &[u8], number: u32) -> Option<Vec<String>> {
        let mut bytes = self.feature(file, number)?;
        let count = bytes.u32()?;
        Some((0..count).map_while(|_| text(&mut bytes)).collect())
    }

    fn name_attrs(&mut self, file: &[u8]) {
        let Some(mut bytes) = self.feature(file, EVENT_DESCRIPTIONS) else {
            return;
        };
        let named = |bytes: &mut Bytes<'_>, attr_bytes: usize| {
            bytes.take(attr_bytes)?;
            let ids = bytes.u32()? as usize;
            let name = text(bytes)?;
            let ids = bytes.take(ids.checked_mul(8)?)?;
            Some((name, ids.first_chunk::<8>().copied()))
        };
        let sizes = bytes.u32().zip(bytes.u32());
        let Some((count, attr_bytes)) = sizes else {
            return;
        };
        for position in 0..count as usize {
            let Some((name, id)) = named(&mut bytes, attr_bytes as usize) else {
                return;
            };
            let id = id.and_then(|id| Bytes::new(&id, self.is_big_endian).u64());
            let index = id
                .and_then(|id| self.ids.get(&id).copied())
                .unwrap_or(position);
            if let Some(slot) = self.names.get_mut(index) {
                *slot = name;
            }
        }
    }
}

/// A text with its length before it, filled up with NULs.
fn text(bytes: &mut Bytes<'_>) -> Option<String> {
    bytes.short_text().map(lossy)
}
