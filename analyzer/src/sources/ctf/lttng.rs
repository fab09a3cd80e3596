//! What LTTng's kernel events are to the model, as far as a table (`dialects/lttng.toml`) cannot say it: system calls
//! by their names, and what depends on the versions of kernel and tracer.

use std::collections::HashMap;

use trace_format::{EnumSchema, EventSchema, Schema};

use super::class::Metadata;
use crate::model::{Alias, Aliases, Conversion, FieldSource};
use crate::sources::foreign::Dialect;

/// What differs from the model's names.
const TABLE: &str = include_str!("../dialects/lttng.toml");
/// System calls of a 64-bit kernel, and those of 32-bit programs.
const NATIVE: &str = include_str!("../dialects/lttng_calls_x86_64.txt");
const COMPAT: &str = include_str!("../dialects/lttng_calls_i386.txt");
/// Number of the first call that is in no table.
const UNKNOWN_CALLS: u64 = 1 << 32;
/// Vectors of interrupts are told with these before and behind the interrupt's name.
const VECTOR: (&str, &str, &str) = ("x86_irq_vectors_", "_entry", "_exit");

/// What an event that stands for a system call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CallEvent<'n> {
    /// LTTng's name of the call; empty where one event stands for all calls.
    name: &'n str,
    is_entry: bool,
    is_compat: bool,
}

/// A system call of a table.
#[derive(Clone, Debug)]
struct Call {
    nr: u64,
    name: &'static str,
    args: Vec<&'static str>,
}

/// Calls by their names.
#[derive(Debug)]
struct Calls {
    /// What the enumeration of their names is called.
    enumeration: &'static str,
    known: HashMap<&'static str, Call>,
    /// Numbers that were made up for calls that are in no table.
    unknown: HashMap<String, u64>,
}

/// What the events of an LTTng kernel trace are to the model.
pub(super) fn aliases(schema: &mut Schema, metadata: &Metadata) -> Aliases {
    let dialect = Dialect::parse(TABLE);
    let is_32_bit = metadata.env("architecture_bit_width") == Some("32");
    let mut native = Calls::parse(if is_32_bit { COMPAT } else { NATIVE }, "system_call");
    let mut compat = Calls::parse(COMPAT, "compat_system_call");
    schema.enums.extend([native.names(), compat.names()]);
    let exporter = metadata.env("exported_by");
    let is_exported = exporter.is_some_and(|exporter| exporter.starts_with("guesttrace"));
    let mut aliases = Aliases::default();
    for event in &schema.events {
        let alias = match CallEvent::of(&event.name) {
            Some(call) if is_exported => call.exported(event),
            Some(call) if call.is_compat => call.alias(event, &mut compat),
            Some(call) => call.alias(event, &mut native),
            None => vector(event).or_else(|| dialect.alias(event)),
        };
        if let Some(alias) = alias {
            aliases.insert(event.id, of_version(alias, event, metadata));
        }
    }
    aliases
}

/// An alias as it is with this kernel and this version of the tracer.
fn of_version(mut alias: Alias, event: &EventSchema, metadata: &Metadata) -> Alias {
    match alias.is.as_str() {
        "sched_switch" => {
            if let Some(index) = event.field_index("prev_state") {
                let conversion = state_of(metadata.env("kernel_release").unwrap_or_default());
                alias = alias.with("prev_state", FieldSource::Field { index, conversion });
            }
        }
        // lttng-modules 5aa835c: until then the prio of woken threads is the kernel's.
        "sched_waking" | "sched_wakeup" | "sched_wakeup_new" => {
            let version = ["tracer_major", "tracer_minor", "tracer_patchlevel"].map(|name| {
                metadata
                    .env(name)
                    .and_then(|number| number.parse::<u64>().ok())
                    .unwrap_or(u64::MAX)
            });
            if version < [2, 7, 1]
                && let Some(index) = event.field_index("prio")
            {
                alias = alias.with("prio", FieldSource::plain(index));
            }
        }
        _ => {}
    }
    alias
}

/// How that kernel says in what state a thread leaves its CPU.
fn state_of(release: &str) -> Conversion {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(u64::MAX));
    let version = [
        numbers.next().unwrap_or(u64::MAX),
        numbers.next().unwrap_or(0),
    ];
    // TASK_STATE_MAX of include/linux/sched.h, which is added for a thread that was preempted.
    let preempted = match version {
        v if v >= [4, 14] => return Conversion::State { preempted: 0x100 },
        v if v >= [4, 8] => 0x1000,
        v if v >= [4, 2] => 0x800,
        v if v >= [3, 9] => 0x400,
        _ => 0x200,
    };
    Conversion::InnerState { preempted }
}

/// What the entry or exit of an interrupt vector is.
fn vector(event: &EventSchema) -> Option<Alias> {
    let (before, entry, exit) = VECTOR;
    let name = event.name.strip_prefix(before)?;
    match (name.strip_suffix(entry), name.strip_suffix(exit)) {
        (Some(name), _) => {
            let alias = Alias::named("irq_entry", event)?;
            Some(alias.with("name", FieldSource::Text(name.to_owned())))
        }
        (_, Some(_)) => Alias::named("irq_exit", event),
        _ => None,
    }
}

impl<'n> CallEvent<'n> {
    /// Names since 2.6: `syscall_entry_NAME`, `compat_syscall_exit_NAME`. Before: `sys_NAME`, `compat_sys_NAME`, and
    /// `exit_syscall` for all.
    fn of(event: &'n str) -> Option<Self> {
        if event == "exit_syscall" {
            return Some(Self {
                name: "",
                is_entry: false,
                is_compat: false,
            });
        }
        let compat = event.strip_prefix("compat_");
        let rest = compat.unwrap_or(event);
        let prefixes = [
            ("syscall_entry_", true),
            ("syscall_exit_", false),
            ("sys_", true),
        ];
        let found = prefixes.into_iter().find_map(|(prefix, is_entry)| {
            let name = rest.strip_prefix(prefix)?;
            Some((name, is_entry))
        });
        found.map(|(name, is_entry)| Self {
            name,
            is_entry,
            is_compat: compat.is_some(),
        })
    }

    /// The model's event.
    fn model_event(&self) -> &'static str {
        match (self.is_compat, self.is_entry) {
            (false, true) => "syscall_entry",
            (false, false) => "syscall_exit",
            (true, true) => "compat_syscall_entry",
            (true, false) => "compat_syscall_exit",
        }
    }

    /// In a trace that guesttrace exported everything but the call's name has the model's names.
    fn exported(&self, event: &EventSchema) -> Option<Alias> {
        let alias = Alias::named(self.model_event(), event)?;
        Some(match event.field_index("id") {
            Some(index) if self.name == "unknown" => alias.with("nr", FieldSource::plain(index)),
            _ if self.is_entry => alias.with("name", FieldSource::Text(self.name.to_owned())),
            _ => alias,
        })
    }

    fn alias(&self, event: &EventSchema, calls: &mut Calls) -> Option<Alias> {
        let mut alias = Alias::named(self.model_event(), event)?;
        // What a call's own arguments are called means nothing.
        alias.fields.retain(|name, _| name == "ret");
        if self.name.is_empty() {
            return Some(alias);
        }
        // A call that LTTng does not know: the number is in the record.
        if self.name == "unknown" {
            let Some(index) = event.field_index("id") else {
                return Some(alias);
            };
            let alias = alias.with("nr", FieldSource::plain(index));
            let conversion = Conversion::Named(calls.enumeration.to_owned());
            let name = FieldSource::Field { index, conversion };
            return Some(if self.is_entry {
                alias.with("name", name)
            } else {
                alias
            });
        }
        let call = calls.get(self.name);
        alias = alias.with("nr", FieldSource::Number(call.nr));
        if !self.is_entry {
            return Some(alias);
        }
        alias = alias.with("name", FieldSource::Text(call.name.to_owned()));
        for (number, arg) in call.args.iter().enumerate().take(6) {
            let field = event
                .fields
                .iter()
                .position(|field| field.name == *arg && !field.kind.is_bytes());
            if let Some(index) = field {
                alias = alias.with(&format!("arg{number}"), FieldSource::plain(index));
            }
        }
        Some(alias)
    }
}

impl Calls {
    fn parse(text: &'static str, enumeration: &'static str) -> Self {
        let mut known = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let (Some(nr), Some(name), Some(lttng)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(nr) = nr.parse() else { continue };
            let args = words.collect();
            let call = Call { nr, name, args };
            // LTTng's names come first: `stat` of 32-bit x86 is `newstat` there.
            known.entry(name).or_insert_with(|| call.clone());
            known.insert(lttng, call);
        }
        Self {
            enumeration,
            known,
            unknown: HashMap::new(),
        }
    }

    /// The names by their numbers.
    fn names(&self) -> EnumSchema {
        let known = self.known.values();
        let mut values: Vec<(u64, String)> =
            known.map(|call| (call.nr, call.name.to_owned())).collect();
        values.sort();
        values.dedup_by_key(|(nr, _)| *nr);
        EnumSchema {
            name: self.enumeration.to_owned(),
            values,
        }
    }

    fn get<'n>(&mut self, name: &'n str) -> CallOf<'_, 'n> {
        if let Some(call) = self.known.get(name) {
            return CallOf {
                nr: call.nr,
                name: call.name,
                args: &call.args,
            };
        }
        let next = UNKNOWN_CALLS + self.unknown.len() as u64;
        CallOf {
            nr: *self.unknown.entry(name.to_owned()).or_insert(next),
            name,
            args: &[],
        }
    }
}

/// A call, of a table or not.
#[derive(Debug)]
struct CallOf<'c, 'n> {
    nr: u64,
    name: &'n str,
    args: &'c [&'static str],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_names_of_every_generation() {
        let of = |name: &'static str| {
            CallEvent::of(name).map(|call| (call.name, call.is_entry, call.is_compat))
        };
        assert_eq!(of("syscall_entry_read"), Some(("read", true, false)));
        assert_eq!(of("compat_syscall_exit_read"), Some(("read", false, true)));
        assert_eq!(of("sys_read"), Some(("read", true, false)));
        assert_eq!(of("compat_sys_read"), Some(("read", true, true)));
        assert_eq!(of("exit_syscall"), Some(("", false, false)));
        assert_eq!(of("sched_switch"), None);
    }

    #[test]
    fn calls_are_found_by_the_names_of_tracer_and_kernel() {
        let mut calls = Calls::parse(NATIVE, "");
        for name in ["newlstat", "lstat"] {
            let call = calls.get(name);
            assert_eq!(
                (call.nr, call.name, call.args),
                (6, "lstat", &["filename", "statbuf"][..])
            );
        }
        assert_eq!(calls.get("futex").args[..2], ["uaddr", "op"]);
        assert_eq!(calls.get("made_up").nr, UNKNOWN_CALLS);
        assert_eq!(calls.get("made_up_too").nr, UNKNOWN_CALLS + 1);
        assert_eq!(calls.get("made_up").name, "made_up");
        assert_eq!(calls.names().name_of(15), Some("rt_sigreturn"));
        assert_eq!(Calls::parse(COMPAT, "").get("read").nr, 3);
    }

    #[test]
    fn states_are_those_of_the_kernel() {
        assert_eq!(
            state_of("6.1.0-17-amd64"),
            Conversion::State { preempted: 0x100 }
        );
        assert_eq!(
            state_of("4.4.0-116-generic"),
            Conversion::InnerState { preempted: 0x800 }
        );
        assert_eq!(
            state_of("3.10.0"),
            Conversion::InnerState { preempted: 0x400 }
        );
        assert_eq!(state_of(""), Conversion::State { preempted: 0x100 });
    }
}
