//! The table of the 256 strings that names are packed with.

use super::ALIGNMENTS;
use crate::bytes::{align_up, slice, u16_at};

const TOKENS: usize = 256;
/// A token comes from pairs of pairs; the longest seen has 20 bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// The 256 strings, and where their tables lie in the section.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    /// Offset of `kallsyms_token_table`.
    pub(super) table_at: usize,
    /// Offset of `kallsyms_token_index`.
    pub(super) index_at: usize,
    strings: Vec<&'a str>,
}

impl Tokens<'_> {
    /// Offset past `kallsyms_token_index`.
    pub(super) fn end(&self) -> usize {
        self.index_at + 2 * TOKENS
    }

    pub(super) fn string(&self, code: u8) -> &str {
        self.strings
            .get(usize::from(code))
            .copied()
            .unwrap_or_default()
    }
}

/// Finds the next token index at or after `from` that a token table precedes.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<Tokens<'_>> {
    let mut at = align_up(from, 4)?;
    loop {
        let rest = bytes.get(at..)?;
        // The first index is 0 and the second is not: skip to where that can be.
        at += rest
            .chunks_exact(4)
            .position(|c| matches!(c, [0, 0, low, high] if (*low, *high) != (0, 0)))?
            * 4;
        if let Some(tokens) = tokens_at(bytes, at) {
            return Some(tokens);
        }
        at += 4;
    }
}

fn tokens_at(bytes: &[u8], index_at: usize) -> Option<Tokens<'_>> {
    let mut starts = [0_usize; TOKENS];
    for i in 1..TOKENS {
        let start = usize::from(u16_at(bytes, index_at + 2 * i)?);
        let gap = start.checked_sub(starts[i - 1])?;
        if !(1..=TOKEN_BYTES_MAX).contains(&gap) {
            return None;
        }
        starts[i] = start;
    }
    let last = starts[TOKENS - 1];
    // The table ends with the last string and padding to the index.
    let lowest = index_at.checked_sub(last + TOKEN_BYTES_MAX)?;
    let table_at = (lowest..=index_at - last)
        .rev()
        .filter(|at| at % 4 == 0)
        .find(|at| is_table(bytes, *at, &starts, index_at))?;
    let strings = starts
        .iter()
        .map(|start| crate::bytes::text_at(bytes, table_at + start));
    Some(Tokens {
        table_at,
        index_at,
        strings: strings.collect::<Option<_>>()?,
    })
}

/// Every string ends right before the next starts, the last right before the padding to the index.
fn is_table(bytes: &[u8], table_at: usize, starts: &[usize; TOKENS], index_at: usize) -> bool {
    let is_string = |start: usize, end: usize| {
        let text = slice(bytes, start, end.saturating_sub(start));
        text.is_some_and(|text| text.iter().all(|byte| byte.is_ascii_graphic()))
    };
    let pairs = starts.iter().zip(starts.iter().skip(1));
    let strings_fit = pairs.clone().all(|(start, next)| {
        is_string(table_at + start, table_at + next - 1)
            && bytes.get(table_at + next - 1) == Some(&0)
    });
    let last_at = table_at + starts[TOKENS - 1];
    let last_bytes = bytes
        .get(last_at..index_at)
        .and_then(|rest| rest.iter().position(|byte| *byte == 0));
    let Some(last_end) = last_bytes.map(|len| last_at + len) else {
        return false;
    };
    strings_fit
        && is_string(last_at, last_end)
        && ALIGNMENTS
            .iter()
            .any(|it| align_up(last_end + 1, *it) == Some(index_at))
}
