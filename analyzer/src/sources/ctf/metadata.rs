//! Finds and unpacks the metadata of a trace, and reads it in the language that it is written in.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::class::Metadata;
use super::error::{MetadataError, unopened, unreadable};
use super::{json, tsdl};
use crate::sources::TraceError;

/// Name of the file that every trace has.
pub(super) const FILE_NAME: &str = "metadata";
/// Metadata of a kernel with all its tracepoints and system calls has 2 MiB.
const BYTES_MAX: u64 = 64 << 20;
/// How deep below the directory that was named traces are looked for: a rotated session has
/// `archives/TIME/ust/uid/1000/64-bit`.
const DEPTH_MAX: usize = 8;
/// Most entries of directories that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// First bytes of a packet of metadata, as the number that they are in the trace's byte order.
const MAGIC: u32 = 0x75D1_1D57;
/// Bytes of its header.
const HEADER_BYTES: usize = 37;
/// Where in it the bits of its content and of all of it are told.
const CONTENT_AT: usize = 24;
const PACKET_AT: usize = 28;
/// What a fragment of CTF 2's metadata begins with: RFC 7464.
const RECORD_SEPARATOR: u8 = 0x1E;

/// Directories with a trace, at `path` and below, in order of their names.
pub(super) fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![(path.to_owned(), 0)];
    let mut entries = 0;
    while let Some((directory, depth)) = pending.pop() {
        if directory.join(FILE_NAME).is_file() {
            found.push(directory.clone());
        }
        if depth == DEPTH_MAX {
            continue;
        }
        let listing = match fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) if depth == 0 => return Err(error),
            Err(_) => continue,
        };
        for entry in listing.flatten() {
            entries += 1;
            if entries > ENTRIES_MAX {
                break;
            }
            // Links are not followed: they may lead back.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the metadata in a directory.
pub(super) fn read(directory: &Path) -> Result<Metadata, TraceError> {
    let path = directory.join(FILE_NAME);
    let io_error = |source| unopened(&path, source);
    let length = fs::metadata(&path).map_err(io_error)?.len();
    if length > BYTES_MAX {
        return Err(unreadable(format!("its metadata has {} MiB", length >> 20)));
    }
    let bytes = fs::read(&path).map_err(io_error)?;
    Ok(parse(&bytes)?)
}

/// Reads metadata.
pub(super) fn parse(bytes: &[u8]) -> Result<Metadata, MetadataError> {
    let unpacked = unpack(bytes)?;
    let content = unpacked.as_deref().unwrap_or(bytes);
    if content.is_empty() {
        return Err(MetadataError::new("line 1", "it is empty"));
    }
    if content.first() == Some(&RECORD_SEPARATOR) {
        json::parse(content)
    } else {
        tsdl::parse(&String::from_utf8_lossy(content))
    }
}

/// The content of packets of metadata; `None` when it is not in packets.
fn unpack(bytes: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
    let word = |at: usize| {
        bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .copied()
    };
    let number: fn([u8; 4]) -> u32 = match word(0) {
        Some(four) if u32::from_le_bytes(four) == MAGIC => u32::from_le_bytes,
        Some(four) if u32::from_be_bytes(four) == MAGIC => u32::from_be_bytes,
        _ => return Ok(None),
    };
    let mut content = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..).filter(|rest| rest.len() > HEADER_BYTES) {
        let wrong = |what: &str| Err(MetadataError::new(format!("the packet at byte {at}"), what));
        let bytes_of = |place: usize| {
            let four = header.get(place..).and_then(|rest| rest.first_chunk::<4>());
            four.map_or(0, |four| number(*four) as usize / 8)
        };
        if word(at).map(number) != Some(MAGIC) {
            return wrong("it does not begin like one");
        }
        if header[32] != 0 || header[33] != 0 {
            return wrong("it is compressed or encrypted");
        }
        let (own, all) = (bytes_of(CONTENT_AT), bytes_of(PACKET_AT));
        if own < HEADER_BYTES || all < own {
            return wrong("its size cannot be");
        }
        content.extend_from_slice(&header[HEADER_BYTES..own.min(header.len())]);
        at = at.saturating_add(all);
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str, room: u32, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let length = 37 + u32::try_from(text.len()).unwrap();
        let mut bytes = order(MAGIC).to_vec();
        bytes.extend([7; 16]);
        for number in [0, 8 * length, 8 * (length + room)] {
            bytes.extend(order(number));
        }
        bytes.extend([0, 0, 0, 1, 8]);
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + room as usize, 0);
        bytes
    }

    #[test]
    fn packets_of_both_byte_orders_are_put_together() {
        for order in [u32::to_le_bytes, u32::to_be_bytes] {
            let bytes = [packet("one ", 5, order), packet("two", 0, order)].concat();
            assert_eq!(unpack(&bytes).unwrap().unwrap(), b"one two");
        }
        assert_eq!(unpack(b"/* CTF 1.8 */").unwrap(), None);
    }

    #[test]
    fn a_packet_that_cannot_be_is_told() {
        let mut bytes = packet("one", 0, u32::to_le_bytes);
        bytes[28..32].fill(0);
        let text = unpack(&bytes).unwrap_err().to_string();
        assert_eq!(
            text,
            "the packet at byte 0 of its metadata: its size cannot be"
        );
    }
}
