//! Pages of the kernel's ring buffer (`kernel/trace/ring_buffer.c`, 2.6.31 on).
//!
//! A page has the stamp of its first event, the bytes that are used, and events: 32 bits of length and time since the event
//! before, then the data. What does not fit into these 32 bits follows in the next.

use crate::sources::ftrace::Bytes;

/// Bits of the count of used bytes; what is above tells of lost events.
const COMMIT_BITS: u64 = (1 << 27) - 1;
const MISSED: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;

/// Bits of time in the first word of an event.
const DELTA_BITS: u32 = 27;
const TYPE_BITS: u32 = 5;
/// Kinds of events by that many bits; those below are lengths in words.
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;

/// What a stamp of 59 bits lacks.
const STAMP_HIGH: u64 = !((1 << 59) - 1);

/// Where the walk over a page is.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// Bytes from the start of the block that the page is in: the next event, and the end of the last.
    at: usize,
    end: usize,
    /// Stamp of the latest event.
    pub(super) stamp: u64,
    /// Whether events are missing before its first.
    pub(super) missed: Option<Missed>,
}

/// How many events are missing, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed(pub(super) Option<u64>);

/// What is next in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The data of an event: bytes from the start of the block, and how many.
    Event(usize, usize),
    /// The page has no more.
    End,
    /// The page is damaged.
    Damage,
}

/// How pages are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageLayout {
    /// Whether the first byte of a number is its highest.
    pub(super) is_big_endian: bool,
    /// Bytes of the count of used bytes: of a `long`.
    pub(super) commit_bytes: usize,
    /// Bytes of a page.
    pub(super) page_bytes: usize,
}

impl Page {
    /// Begins with the page at `start` of a block; `None` when there is none, or when it is damaged.
    pub(super) fn open(block: &[u8], start: usize, layout: PageLayout) -> Option<Self> {
        let rest = block.get(start..)?;
        let bytes = rest.get(..layout.page_bytes).unwrap_or(rest);
        let mut header = Bytes::new(bytes, layout.is_big_endian);
        let stamp = header.u64()?;
        let commit = match layout.commit_bytes {
            4 => u64::from(header.u32()?),
            _ => header.u64()?,
        };
        let used = usize::try_from(commit & COMMIT_BITS).ok()?;
        let data = start + 8 + layout.commit_bytes;
        let mut rest = header;
        rest.take(used)?;
        let count = match layout.commit_bytes {
            4 => rest.u32().map(u64::from),
            _ => rest.u64(),
        };
        let stored = count.filter(|_| commit & MISSED_STORED != 0);
        Some(Self {
            at: data,
            end: data + used,
            stamp,
            missed: (commit & MISSED != 0).then_some(Missed(stored)),
        })
    }

    /// Goes to the next event.
    #[inline]
    pub(super) fn next(&mut self, block: &[u8], is_big_endian: bool) -> Next {
        loop {
            let Some(word) = self.word(block, is_big_endian) else {
                // Events are whole words; less is what an end is filled with.
                return Next::End;
            };
            let (kind, delta) = if is_big_endian {
                (word >> DELTA_BITS, word & ((1 << DELTA_BITS) - 1))
            } else {
                (word & ((1 << TYPE_BITS) - 1), word >> TYPE_BITS)
            };
            let delta = u64::from(delta);
            match kind {
                PADDING if delta == 0 => {
                    self.at = self.end;
                    return Next::End;
                }
                PADDING => {
                    let Some(length) = self.word(block, is_big_endian) else {
                        return Next::Damage;
                    };
                    // The word of the length is part of it.
                    let rest = (length as usize).saturating_sub(4);
                    self.stamp = self.stamp.wrapping_add(delta);
                    self.at = self.at.saturating_add(rest).min(self.end);
                }
                TIME_EXTEND | TIME_STAMP => {
                    let Some(high) = self.word(block, is_big_endian) else {
                        return Next::Damage;
                    };
                    let time = (u64::from(high) << DELTA_BITS) + delta;
                    self.stamp = match kind {
                        TIME_EXTEND => self.stamp.wrapping_add(time),
                        _ => absolute(time, self.stamp),
                    };
                }
                0 => {
                    self.stamp = self.stamp.wrapping_add(delta);
                    let Some(length) = self.word(block, is_big_endian) else {
                        return Next::Damage;
                    };
                    return self.data((length as usize).saturating_sub(4));
                }
                words => {
                    self.stamp = self.stamp.wrapping_add(delta);
                    return self.data(words as usize * 4);
                }
            }
        }
    }

    #[inline]
    fn data(&mut self, length: usize) -> Next {
        let start = self.at;
        let whole = length.next_multiple_of(4);
        if whole > self.end - start {
            self.at = self.end;
            return Next::Damage;
        }
        self.at = start + whole;
        Next::Event(start, length)
    }

    /// The next word of the page.
    #[inline]
    fn word(&mut self, block: &[u8], is_big_endian: bool) -> Option<u32> {
        let word = *block.get(self.at..self.end)?.first_chunk::<4>()?;
        self.at += 4;
        Some(if is_big_endian {
            u32::from_be_bytes(word)
        } else {
            u32::from_le_bytes(word)
        })
    }
}

/// A stamp of which the low 59 bits are written: the high ones are those of the stamp before, or the next.
fn absolute(low: u64, before: u64) -> u64 {
    if before & STAMP_HIGH == 0 {
        return low;
    }
    let stamp = low | (before & STAMP_HIGH);
    if stamp < before {
        stamp.wrapping_add(1 << 59)
    } else {
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: PageLayout = PageLayout {
        is_big_endian: false,
        commit_bytes: 8,
        page_bytes: 4096,
    };

    fn page(commit: u64, words: &[u32]) -> Vec<u8> {
        let mut bytes = 1000_u64.to_le_bytes().to_vec();
        bytes.extend(commit.to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    fn walk(bytes: &[u8]) -> Vec<(u64, Next)> {
        let mut page = Page::open(bytes, 0, LAYOUT).unwrap();
        let mut all = Vec::new();
        loop {
            let next = page.next(bytes, false);
            all.push((page.stamp, next));
            if !matches!(next, Next::Event(..)) {
                return all;
            }
        }
    }

    #[test]
    fn all_kinds_of_events_are_walked_over() {
        let word = |kind: u32, delta: u32| delta << 5 | kind;
        let words = [
            word(1, 0),
            7,
            // A discarded event of three words in all.
            word(PADDING, 5),
            8,
            0,
            word(TIME_EXTEND, 3),
            1,
            // A long one: nine bytes in three words.
            word(0, 2),
            13,
            1,
            2,
            3,
            word(TIME_STAMP, 1),
            2,
            word(1, 1),
            9,
            word(PADDING, 0),
            99,
        ];
        let bytes = page(words.len() as u64 * 4, &words);
        let later = 1005 + 3 + (1 << 27) + 2;
        let expected = [
            (1000, Next::Event(20, 4)),
            (later, Next::Event(52, 9)),
            (1 + (2 << 27) + 1, Next::Event(76, 4)),
            (1 + (2 << 27) + 1, Next::End),
        ];
        assert_eq!(walk(&bytes), expected);
        for end in 0..bytes.len() {
            let mut cut = bytes[..end].to_vec();
            if end >= 16 {
                cut[8..16].copy_from_slice(&(end as u64 - 16).to_le_bytes());
                walk(&cut);
            } else {
                assert!(Page::open(&cut, 0, LAYOUT).is_none());
            }
        }
    }

    #[test]
    fn lost_events_are_told() {
        let missed =
            |commit, words: &[u32]| Page::open(&page(commit, words), 0, LAYOUT).unwrap().missed;
        assert_eq!(missed(4, &[1]), None);
        assert_eq!(missed(4 | MISSED, &[1]), Some(Missed(None)));
        assert_eq!(
            missed(4 | MISSED | MISSED_STORED, &[1, 77, 0]),
            Some(Missed(Some(77)))
        );
        assert_eq!(missed(4 | MISSED | MISSED_STORED, &[1]), Some(Missed(None)));
    }

    #[test]
    fn the_high_bits_of_stamps_are_those_before() {
        assert_eq!(absolute(5, 3), 5);
        assert_eq!(absolute(5, (1 << 59) | 3), (1 << 59) | 5);
        assert_eq!(absolute(5, (1 << 59) | 9), (2 << 59) | 5);
    }
}
