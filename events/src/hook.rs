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
    /// `address:0xffffffff81000000`: before the instruction linked there.
    Address(u64),
    /// `line:FILE:LINE`: where the statements of a line of the source begin; needs DWARF.
    Line {
        /// A path in the source, or the end of one.
        file: String,
        /// Line, from 1.
        line: u32,
    },
    /// `uprobe:PROGRAM:PLACE`: a place in a program of the guest's user space.
    ///
    /// `PLACE` is `FUNCTION`, `FUNCTION+OFFSET`, `FUNCTION%return`, `FILE:LINE` or `0xADDRESS`.
    Program {
        /// The program's file, as the user named it.
        program: String,
        /// An entry, return, address or line, by the program's names.
        place: Box<Hook>,
    },
    /// `recorder:WHAT`: no place in the kernel; the recorder itself makes the record.
    Recorder {
        /// On which occasion, or of which items.
        what: String,
    },
}

/// Why a text is not a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// Does not begin with a known kind.
    #[error(
        "hook {text:?} is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION, address:0xADDRESS, line:FILE:LINE, uprobe:PROGRAM:PLACE"
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
    /// The address is not a hexadecimal number.
    #[error(
        "hook {text:?}: {address:?} is not an address in hexadecimal, such as 0xffffffff81000000"
    )]
    BadAddress {
        /// The hook.
        text: String,
        /// What stands for the address.
        address: String,
    },
    /// Not a file and the number of a line.
    #[error("hook {text:?}: {place:?} is not FILE:LINE, such as fs/open.c:1300")]
    BadLine {
        /// The hook.
        text: String,
        /// What stands for file and line.
        place: String,
    },
    /// Not a program and a place in it.
    #[error(
        "hook {text:?}: {place:?} is not PROGRAM:PLACE, where PLACE is FUNCTION, FUNCTION+OFFSET, FUNCTION%return, FILE.c:LINE or 0xADDRESS"
    )]
    BadProgramPlace {
        /// The hook.
        text: String,
        /// What stands for program and place.
        place: String,
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
                    .all(|c| c.is_ascii_alphanumeric() || "_.$@".contains(c));
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
            "address" => {
                let bad = || HookError::BadAddress {
                    text: text.to_owned(),
                    address: rest.to_owned(),
                };
                let digits = rest.strip_prefix("0x").ok_or_else(bad)?;
                let address = u64::from_str_radix(digits, 16).ok().ok_or_else(bad)?;
                Ok(Self::Address(address))
            }
            "recorder" => Ok(Self::Recorder {
                what: symbol(rest)?,
            }),
            "line" => source_line(rest).ok_or_else(|| HookError::BadLine {
                text: text.to_owned(),
                place: rest.to_owned(),
            }),
            "uprobe" => program_place(rest).ok_or_else(|| HookError::BadProgramPlace {
                text: text.to_owned(),
                place: rest.to_owned(),
            }),
            _ => Err(unknown()),
        }
    }
}

impl Hook {
    /// The program that it is in; `None` for the kernel.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Program { program, .. } => Some(program),
            _ => None,
        }
    }
}

/// `PROGRAM:PLACE`.
fn program_place(text: &str) -> Option<Hook> {
    let (program, place) = text
        .split_once(':')
        .filter(|(program, _)| !program.is_empty())?;
    let kind = if place.starts_with("0x") {
        "address"
    } else if place.contains(':') {
        "line"
    } else if place.ends_with("%return") {
        "return"
    } else {
        "entry"
    };
    let place = place.strip_suffix("%return").unwrap_or(place);
    Some(Hook::Program {
        program: program.to_owned(),
        place: Box::new(format!("{kind}:{place}").parse().ok()?),
    })
}

/// A place in a program, without its kind, as [`program_place`] reads it.
fn write_place(hook: &Hook, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match hook {
        Hook::Return { function } => write!(out, "{function}%return"),
        other => {
            let text = other.to_string();
            out.write_str(
                text.split_once(':')
                    .map_or(text.as_str(), |(_, place)| place),
            )
        }
    }
}

/// `FILE:LINE`.
fn source_line(text: &str) -> Option<Hook> {
    let (file, line) = text.rsplit_once(':')?;
    let line = line.parse().ok().filter(|line| *line > 0)?;
    let is_path = !file.is_empty() && !file.contains(|c: char| c.is_whitespace() || c == ':');
    is_path.then(|| Hook::Line {
        file: file.to_owned(),
        line,
    })
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
            Self::Address(address) => write!(f, "address:{address:#x}"),
            Self::Line { file, line } => write!(f, "line:{file}:{line}"),
            Self::Program { program, place } => {
                // Without its directory: what is on the host is nobody's business in a trace.
                write!(f, "uprobe:{}:", file_name(program))?;
                write_place(place, f)
            }
            Self::Recorder { what } => write!(f, "recorder:{what}"),
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
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
        check("address:0xFFFFffff81000000", "address:0xffffffff81000000");
        check("line:fs/open.c:1300", "line:fs/open.c:1300");
        check("uprobe:/bin/ls:main+0x10", "uprobe:ls:main+0x10");
        check(
            "uprobe:libc.so.6:write%return",
            "uprobe:libc.so.6:write%return",
        );
        check("uprobe:./ls:src/ls.c:12", "uprobe:ls:src/ls.c:12");
        check("uprobe:ls:0x1f00", "uprobe:ls:0x1f00");
        check("uprobe:c:memcpy@GLIBC_2.2.5", "uprobe:c:memcpy@GLIBC_2.2.5");
    }

    #[test]
    fn malformed_hooks_are_refused() {
        check(
            "tracepoint:sched",
            "error: hook \"tracepoint:sched\" is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION, address:0xADDRESS, line:FILE:LINE, uprobe:PROGRAM:PLACE",
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
            "address:81000000",
            "error: hook \"address:81000000\": \"81000000\" is not an address in hexadecimal, such as 0xffffffff81000000",
        );
        check(
            "line:open.c:0",
            "error: hook \"line:open.c:0\": \"open.c:0\" is not FILE:LINE, such as fs/open.c:1300",
        );
        for text in [
            "uprobe:main",
            "uprobe::main",
            "uprobe:ls:",
            "uprobe:ls:f%return+1",
        ] {
            let place = &text["uprobe:".len()..];
            let expected = format!(
                "error: hook {text:?}: {place:?} is not PROGRAM:PLACE, where PLACE is FUNCTION, FUNCTION+OFFSET, \
                 FUNCTION%return, FILE.c:LINE or 0xADDRESS"
            );
            check(text, &expected);
        }
        check(
            "kprobe:f",
            "error: hook \"kprobe:f\" is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION, address:0xADDRESS, line:FILE:LINE, uprobe:PROGRAM:PLACE",
        );
    }
}
