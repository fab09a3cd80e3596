//! Which instruction pointer a system call records: that of the call itself, or one found on the user's stack, as the
//! Linux Trace Toolkit lets its users choose.
//!
//! The stack is walked by frame pointers, a bounded number of frames: a program built without them, as most C libraries
//! are, ends the walk or misleads it. What is not found is missing, never another address. 32-bit calls come through the
//! vDSO, which keeps something else in the frame pointer: they record the call itself.

use std::str::FromStr;

use guesttrace_events::EventTable;

/// Frames that are walked at most: their addresses need two slots of a program each.
pub const FRAMES_MAX: u64 = 6;

/// The row that has the instruction pointer, and its field.
const ROW: (&str, &str) = ("syscall_entry", "ip");

/// Which instruction pointer a system call records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSite {
    /// `depth:N`: the return address so many frames up; 0 is the call itself.
    Depth(u64),
    /// `range:FROM-TO`: the first address from the call upwards that lies there, both ends included.
    Range(u64, u64),
}

/// Why a text is no choice of a call site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} says neither depth:N, with N up to {FRAMES_MAX}, nor range:0xFROM-0xTO")]
pub struct CallSiteError {
    /// The text.
    pub text: String,
}

impl FromStr for CallSite {
    type Err = CallSiteError;

    fn from_str(text: &str) -> Result<Self, CallSiteError> {
        let address = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let site = match text.split_once(':') {
            Some(("depth", depth)) => depth.parse().ok().map(Self::Depth),
            Some(("range", range)) => range
                .split_once('-')
                .and_then(|(from, to)| Some(Self::Range(address(from)?, address(to)?))),
            _ => None,
        };
        let is_possible = |site: &Self| match site {
            Self::Depth(depth) => *depth <= FRAMES_MAX,
            Self::Range(from, to) => from <= to && *to < 1 << 63,
        };
        site.filter(is_possible).ok_or_else(|| CallSiteError {
            text: text.to_owned(),
        })
    }
}

impl CallSite {
    /// Makes system calls record that.
    pub fn apply(self, table: &mut EventTable) {
        let (binds, fetch) = match self {
            Self::Depth(0) => return,
            Self::Depth(depth) => (frames(depth), return_address(depth - 1)),
            Self::Range(from, to) => {
                let length = to - from + 1;
                let mut fetch = "*(u64 *)0".to_owned();
                let addresses = (0..FRAMES_MAX).rev().map(return_address);
                for address in addresses.chain(["frame->ip".to_owned()]) {
                    fetch = format!(
                        "(u64)({address}) - {from:#x} < {length:#x} ? (u64)({address}) : ({fetch})"
                    );
                }
                (frames(FRAMES_MAX), fetch)
            }
        };
        table.refetch(ROW.0, binds, ROW.1, &fetch);
    }
}

/// The frame pointers of so many frames, each from the one below. A program may keep an address of the kernel there:
/// that is followed no further.
fn frames(count: u64) -> Vec<(String, String)> {
    let mut binds = Vec::new();
    for index in 0..count {
        let saved = match index {
            0 => "frame->bp".to_owned(),
            _ => format!("*(u64 *)user_frame{}", index - 1),
        };
        binds.push((format!("saved{index}"), saved));
        binds.push((
            format!("user_frame{index}"),
            format!("(s64)saved{index} > 0 ? (u64)saved{index} : 0"),
        ));
    }
    binds
}

fn return_address(frame: u64) -> String {
    format!("*(u64 *)(user_frame{frame} + 8)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read() {
        let check = |text: &str, expected: Option<CallSite>| {
            assert_eq!(text.parse().ok(), expected, "{text}");
        };
        check("depth:0", Some(CallSite::Depth(0)));
        check("depth:6", Some(CallSite::Depth(6)));
        check(
            "range:0x400000-0x4fffff",
            Some(CallSite::Range(0x40_0000, 0x4f_ffff)),
        );
        for text in [
            "depth:7",
            "depth:-1",
            "depth",
            "range:0x2-0x1",
            "range:1-2",
            "range:0x0-0xffffffffffffffff",
            "",
        ] {
            check(text, None);
        }
    }
}
