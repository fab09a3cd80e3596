//! The addresses of the names: each known layout is tried and believed only when its result makes sense.

use super::names::{DecodedNames, Names};
use super::tokens::Tokens;
use crate::LinkAddr;
use crate::bytes::{align_up, i32_at, index, slice, u64_at};
use crate::elf::{Section, Sections};

/// Per-CPU symbols linked at 0 lie below this; their whole area is some hundred KiB.
const PER_CPU_END_MAX: u64 = 1 << 28;
/// Room behind the last section for symbols such as `_end` and `__end_of_kernel_reserve`.
const BEHIND_IMAGE_MAX: u64 = 64 << 20;

/// What a 32-bit offset means.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// `KALLSYMS_ABSOLUTE_PERCPU` (x86 SMP to 6.14): negative counts down from base - 1, the rest is the value itself.
    SignedFromBase(u64),
    /// Unsigned distance from the base.
    FromBase(u64),
    /// Since 7.0: signed distance from the entry's own address.
    FromPlace(LinkAddr),
}

impl Encoding {
    fn decode(self, i: u64, raw: i32) -> LinkAddr {
        match self {
            Self::SignedFromBase(base) if raw < 0 => LinkAddr(
                base.wrapping_sub(1)
                    .wrapping_add(u64::from(raw.unsigned_abs())),
            ),
            Self::SignedFromBase(_) => LinkAddr(u64::from(raw.unsigned_abs())),
            Self::FromBase(base) => LinkAddr(base.wrapping_add(u64::from(raw.cast_unsigned()))),
            Self::FromPlace(first) => LinkAddr(first.0.wrapping_add(4 * i)).offset_by(raw.into()),
        }
    }
}

/// Finds the addresses; otherwise says what failed in the layout that came furthest.
pub(super) fn find(
    bytes: &[u8],
    section: &Section,
    sections: &Sections,
    names: &Names<'_>,
    tokens: &Tokens<'_>,
    decoded: &DecodedNames,
) -> Result<Vec<LinkAddr>, &'static str> {
    let check = Check::new(sections, decoded);
    let mut furthest = (0, "no table of offsets where one is expected");
    for (offsets_at, encoding) in candidates(bytes, section, names, tokens) {
        let Some(raw) = slice(bytes, offsets_at, index(names.count) * 4) else {
            continue;
        };
        let raw = raw.chunks_exact(4).filter_map(|word| i32_at(word, 0));
        let addresses: Vec<LinkAddr> = (0..)
            .zip(raw)
            .map(|(i, raw)| encoding.decode(i, raw))
            .collect();
        match check.judge(&addresses) {
            Ok(()) => return Ok(addresses),
            Err(failure) if failure.0 > furthest.0 => furthest = failure,
            Err(_) => {}
        }
    }
    Err(furthest.1)
}

/// Every place and meaning of the offsets that a known layout has.
fn candidates(
    bytes: &[u8],
    section: &Section,
    names: &Names<'_>,
    tokens: &Tokens<'_>,
) -> Vec<(usize, Encoding)> {
    let mut out = Vec::new();
    let table_bytes = index(names.count).saturating_mul(4);
    let mut with_base = |offsets_at: usize, base_at: usize| {
        if let Some(base) = u64_at(bytes, base_at) {
            out.push((offsets_at, Encoding::SignedFromBase(base)));
            out.push((offsets_at, Encoding::FromBase(base)));
        }
    };
    // To 6.3: the offsets and their base come before the count of names.
    let base_at = names.count_at.checked_sub(8);
    let before = base_at.and_then(|at| at.checked_sub(align_up(table_bytes, 8)?));
    if let Some((offsets_at, base_at)) = before.zip(base_at) {
        with_base(offsets_at, base_at);
    }
    // From 6.4: they come after the tokens.
    let after = align_up(tokens.end(), 8);
    let base_at = after.and_then(|at| align_up(at.checked_add(table_bytes)?, 8));
    if let Some((offsets_at, base_at)) = after.zip(base_at) {
        with_base(offsets_at, base_at);
    }
    // From 7.0: there is no base, and nothing to align to 8.
    let place = section.addr.checked_add(tokens.end() as u64);
    out.extend(place.map(|place| (tokens.end(), Encoding::FromPlace(place))));
    out
}

/// What is known of the right addresses.
struct Check {
    lowest: LinkAddr,
    highest: LinkAddr,
    text: LinkAddr,
    /// Index of a name that marks the start of the text: `_text` or `_stext`.
    text_name: Option<usize>,
    code: Vec<(LinkAddr, LinkAddr)>,
    /// Index of each name that is a function, thinned out.
    functions: Vec<usize>,
}

impl Check {
    fn new(sections: &Sections, decoded: &DecodedNames) -> Self {
        let main = || {
            sections
                .in_memory()
                .filter(|section| section.addr.0 >= PER_CPU_END_MAX)
        };
        let names = || decoded.iter().enumerate();
        let functions = names()
            .filter(|(_, (kind, _))| matches!(kind, 't' | 'T'))
            .map(|(i, _)| i);
        let text = sections
            .named(".text")
            .or_else(|| sections.loaded().find(|section| section.is_code));
        Self {
            lowest: main().map(|section| section.addr).min().unwrap_or_default(),
            highest: main().map(Section::end).max().unwrap_or_default(),
            text: text.map(|section| section.addr).unwrap_or_default(),
            text_name: names()
                .find(|(_, (_, name))| *name == "_text")
                .map(|(i, _)| i),
            code: sections
                .loaded()
                .filter(|section| section.is_code)
                .map(|s| (s.addr, s.end()))
                .collect(),
            functions: functions.step_by(16).collect(),
        }
    }

    /// Accepts addresses, or says which check failed and how far along that is.
    fn judge(&self, addresses: &[LinkAddr]) -> Result<(), (u8, &'static str)> {
        let limit = LinkAddr(self.highest.0.saturating_add(BEHIND_IMAGE_MAX));
        let in_range =
            |addr: &LinkAddr| addr.0 < PER_CPU_END_MAX || (self.lowest..=limit).contains(addr);
        if !addresses.iter().all(in_range) {
            return Err((1, "an address lies outside the image"));
        }
        if !addresses.is_sorted() {
            return Err((2, "the addresses do not rise"));
        }
        let text_name = self.text_name.and_then(|i| addresses.get(i));
        if text_name.is_some_and(|addr| *addr != self.text) {
            return Err((3, "_text is not where .text starts"));
        }
        let in_code = |addr: &LinkAddr| {
            self.code
                .iter()
                .any(|(start, end)| (start..=end).contains(&addr))
        };
        let misplaced = self
            .functions
            .iter()
            .filter(|i| !addresses.get(**i).is_some_and(in_code))
            .count();
        // Some kinds lie: nm gives `t` to marks in padding between sections.
        if self.functions.is_empty() || misplaced * 50 > self.functions.len() {
            return Err((4, "functions do not lie in code"));
        }
        Ok(())
    }
}
