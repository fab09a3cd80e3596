//! The packed names: found by their markers, unpacked with the tokens.

use super::ALIGNMENTS;
use super::tokens::Tokens;
use crate::bytes::{align_up, index, slice, u32_at};

/// Names per marker.
const NAMES_PER_MARKER: u32 = 256;
/// `KSYM_NAME_LEN` is 512 since 6.1; a marker's distance is at most 256 packed names of that length.
const MARKER_DISTANCE_MAX: u32 = NAMES_PER_MARKER * 514;
/// No kernel has fewer names than this many markers; shorter runs of rising numbers are noise.
const MARKERS_MIN: usize = 4;
/// How far before the tokens the markers may lie: seqs_of_names, 3 or 4 bytes for each of at most 4 million names.
const SEQS_BYTES_MAX: usize = 16 << 20;

/// Where the names lie in the section.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// Offset of `kallsyms_num_syms`.
    pub(super) count_at: usize,
    pub(super) count: u32,
    packed: &'a [u8],
}

/// The names with the letters of their kinds, in the order of the addresses.
#[derive(Debug)]
pub(super) struct DecodedNames {
    text: String,
    ends: Vec<usize>,
}

impl DecodedNames {
    /// The kind's letter and the name of each symbol.
    pub(super) fn iter(&self) -> impl Iterator<Item = (char, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| {
            let mut letters = self.text.get(start..*end)?.chars();
            Some((letters.next()?, letters.as_str()))
        })
    }
}

/// Finds the names before the tokens.
///
/// Looks backwards for a run of rising numbers from 0 (the markers) that the names before it, walked from their count,
/// agree with one by one.
pub(super) fn find<'a>(bytes: &'a [u8], tokens: &Tokens<'_>) -> Option<Names<'a>> {
    let lowest = tokens.table_at.saturating_sub(SEQS_BYTES_MAX);
    let mut at = tokens.table_at & !3;
    while at > lowest {
        at -= 4;
        // Cheap test first: a marker table starts with 0 and rises.
        if u32_at(bytes, at) != Some(0) || u32_at(bytes, at + 4).is_none_or(|second| second == 0) {
            continue;
        }
        let markers = markers_at(bytes, at, tokens.table_at);
        if markers.len() >= MARKERS_MIN
            && let Some(names) = names_before(bytes, at, &markers)
        {
            return Some(names);
        }
    }
    None
}

fn markers_at(bytes: &[u8], at: usize, end: usize) -> Vec<u32> {
    let mut markers = vec![0];
    let mut place = at + 4;
    while place + 4 <= end {
        let last = markers.last().copied().unwrap_or_default();
        match u32_at(bytes, place) {
            Some(next) if next > last && next - last <= MARKER_DISTANCE_MAX => markers.push(next),
            _ => break,
        }
        place += 4;
    }
    markers
}

/// The names that end where the markers start; `markers` may have run on into what follows them.
fn names_before<'a>(bytes: &'a [u8], markers_at: usize, markers: &[u32]) -> Option<Names<'a>> {
    // seqs_of_names can look like more markers, so the count of names says how many there are.
    let last_min = index(*markers.get(MARKERS_MIN - 1)?);
    let last_max = index(*markers.last()?) + index(MARKER_DISTANCE_MAX);
    let highest = markers_at.checked_sub(last_min)? & !3;
    let lowest = markers_at.saturating_sub(last_max + 16).max(8);
    (lowest..=highest)
        .rev()
        .filter(|at| at % 4 == 0)
        .find_map(|names_at| {
            ALIGNMENTS.iter().find_map(|alignment| {
                let count_at = names_at.checked_sub(*alignment)?;
                let count = u32_at(bytes, count_at)?;
                // What follows a count is padding.
                let is_padded = bytes
                    .get(count_at + 4..names_at)?
                    .iter()
                    .all(|byte| *byte == 0);
                let names = bytes.get(names_at..markers_at).filter(|_| is_padded)?;
                let packed = packed_names(names, count, markers, *alignment)?;
                Some(Names {
                    count_at,
                    count,
                    packed,
                })
            })
        })
}

/// The names, when so many of them fill the bytes before the markers and agree with each marker.
fn packed_names<'a>(
    packed: &'a [u8],
    count: u32,
    markers: &[u32],
    alignment: usize,
) -> Option<&'a [u8]> {
    let marker_count = index(count.div_ceil(NAMES_PER_MARKER));
    if marker_count < MARKERS_MIN || marker_count > markers.len() {
        return None;
    }
    let mut at = 0;
    for i in 0..count {
        if i % NAMES_PER_MARKER == 0
            && markers.get(index(i / NAMES_PER_MARKER)).map(|m| index(*m)) != Some(at)
        {
            return None;
        }
        let (len_bytes, len) = name_length(packed, at)?;
        at += len_bytes + len;
    }
    (align_up(at, alignment) == Some(packed.len())).then_some(packed)
}

/// A name's packed length, in one byte, or since 6.1 in two when the first has its high bit set.
///
/// Before 6.1 a length above 127 was one byte; no kernel of that time has such a name (`KSYM_NAME_LEN` was 128 and
/// packing halves names).
fn name_length(packed: &[u8], at: usize) -> Option<(usize, usize)> {
    let low = *packed.get(at)?;
    if low < 0x80 {
        return (low > 0).then_some((1, usize::from(low)));
    }
    let high = *packed.get(at + 1)?;
    Some((2, usize::from(low & 0x7f) | usize::from(high) << 7))
}

impl Names<'_> {
    /// Unpacks all names; `None` when one has no letter and name.
    pub(super) fn decode(&self, tokens: &Tokens<'_>) -> Option<DecodedNames> {
        let mut out = DecodedNames {
            text: String::new(),
            ends: Vec::new(),
        };
        let mut at = 0;
        for _ in 0..self.count {
            let start = out.text.len();
            let (len_bytes, len) = name_length(self.packed, at)?;
            for code in slice(self.packed, at + len_bytes, len)? {
                out.text.push_str(tokens.string(*code));
            }
            at += len_bytes + len;
            if out.text.len() < start + 2 {
                return None;
            }
            out.ends.push(out.text.len());
        }
        Some(out)
    }
}
