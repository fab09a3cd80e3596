//! Where an event is seen: the grammar of hooks.

use std::fmt;
use std::str::FromStr;

/// A place in the kernel, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `tracepoint:SYSTEM:NAME`: every place in the code where the tracepoint lies.
    Tracepoint {
        /// Group of the tracepoint, such as `sched`.
        system: String,
        /// Name of the tracepoint.
        name: String,
    },
    /// `entry:FUNCTION` or `entry:FUNCTION+OFFSET`: before an instruction of a function.
    Entry {
        /// The function's symbol.
        function: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// `return:FUNCTION`: before every instruction that leaves a function.
    Return {
        /// The function's symbol.
        function: String,
    },
}

/// Why a text is not a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// Does not begin with a known kind.
    #[error(
        "hook {text:?} is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION"
    )]
    UnknownKind {
        /// The hook.
        text: String,
    },
    /// A name is empty or has a character that no symbol has.
    #[error("hook {text:?}: {name:?} is not a symbol's name")]
    BadName {
        /// The hook.
        text: String,
        /// The name.
        name: String,
    },
    /// The offset is not a number.
    #[error("hook {text:?}: {offset:?} is not an offset")]
    BadOffset {
        /// The hook.
        text: String,
        /// What stands after the plus sign.
        offset: String,
    },
}

impl FromStr for Hook {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, HookError> {
        let unknown = || HookError::UnknownKind {
            text: text.to_owned(),
        };
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        let symbol = |name: &str| {
            let valid = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_.$".contains(c));
            let bad = || HookError::BadName {
                text: text.to_owned(),
                name: name.to_owned(),
            };
            if valid {
                Ok(name.to_owned())
            } else {
                Err(bad())
            }
        };
        match kind {
            "tracepoint" => {
                let (system, name) = rest.split_once(':').ok_or_else(unknown)?;
                Ok(Self::Tracepoint {
                    system: symbol(system)?,
                    name: symbol(name)?,
                })
            }
            "entry" => {
                let (function, offset) = rest.split_once('+').unwrap_or((rest, "0"));
                let value = parse_offset(offset).ok_or_else(|| HookError::BadOffset {
                    text: text.to_owned(),
                    offset: offset.to_owned(),
                })?;
                Ok(Self::Entry {
                    function: symbol(function)?,
                    offset: value,
                })
            }
            "return" => Ok(Self::Return {
                function: symbol(rest)?,
            }),
            _ => Err(unknown()),
        }
    }
}

fn parse_offset(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "tracepoint:{system}:{name}"),
            Self::Entry {
                function,
                offset: 0,
            } => write!(f, "entry:{function}"),
            Self::Entry { function, offset } => write!(f, "entry:{function}+{offset:#x}"),
            Self::Return { function } => write!(f, "return:{function}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hook;

    fn check(text: &str, expected: &str) {
        let found = match text.parse::<Hook>() {
            Ok(hook) => hook.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn hooks_are_read_and_written_back() {
        check(
            "tracepoint:sched:sched_switch",
            "tracepoint:sched:sched_switch",
        );
        check(
            "entry:finish_task_switch.isra.0",
            "entry:finish_task_switch.isra.0",
        );
        check("entry:do_idle+16", "entry:do_idle+0x10");
        check("return:do_exit", "return:do_exit");
    }

    #[test]
    fn malformed_hooks_are_refused() {
        check(
            "tracepoint:sched",
            "error: hook \"tracepoint:sched\" is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION",
        );
        check(
            "entry:",
            "error: hook \"entry:\": \"\" is not a symbol's name",
        );
        check(
            "entry:a b",
            "error: hook \"entry:a b\": \"a b\" is not a symbol's name",
        );
        check(
            "entry:f+0xzz",
            "error: hook \"entry:f+0xzz\": \"0xzz\" is not an offset",
        );
        check(
            "kprobe:f",
            "error: hook \"kprobe:f\" is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION",
        );
    }
}
