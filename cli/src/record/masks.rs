//! Masks: what is recorded of the chosen events, by whom they are and what is in them.
//!
//! Every mask is a condition of the filter language; the recorder knows only that.

use anyhow::{Context as _, Result};
use clap::Args;
use guesttrace_filter::{Context, Filter};
use trace_format::{FieldSchema, Schema};

use super::glob::is_match;
use crate::{Hint, Usage};

/// Which of the chosen events are recorded.
#[derive(Clone, Debug, Default, Args)]
#[command(
    next_help_heading = "Masks (which of the chosen events are recorded; all given masks must agree)"
)]
pub(crate) struct MaskArgs {
    /// Only events for which this holds, such as 'event == syscall_exit && ret < 0 && current.uid == 1000'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Only events of these processes
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// With --pid: and of all processes that descend from them
    #[arg(long, requires = "pid")]
    pub(crate) children: bool,
    /// Only events of threads of these process groups
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) pgrp: Vec<u32>,
    /// Only events of threads of these sessions, as setsid(2) makes them
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) sid: Vec<u32>,
    /// Only events of threads of these users
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) uid: Vec<u32>,
    /// Only events of threads of these groups
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) gid: Vec<u32>,
    /// Only events of threads in these cgroups: last part of the path, which may have `*` and `?`, `/` for the root, or number
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) cgroup: Vec<String>,
    /// Only events of threads of these names, which may have `*` and `?`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) comm: Vec<String>,
    /// Only events on these CPUs, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    pub(crate) cpus: Option<CpuList>,
    /// Of the system calls only these; other events are not concerned
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) syscalls: Vec<String>,
    /// Fields to keep: `off` for none, or EVENT:off, EVENT:FIELD+FIELD with names that may have `*` and `?`
    #[arg(long, value_name = "SPEC", value_delimiter = ',', value_parser = parse_details)]
    pub(crate) details: Vec<Details>,
}

/// Some CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CpuList(Vec<u32>);

/// Which fields of some events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    event: String,
    fields: Vec<String>,
}

fn parse_cpus(text: &str) -> Result<CpuList, String> {
    let bad = || format!("{text:?} is no list of CPUs: write 0,2-3");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|cpu| *cpu < 1024);
        let (first, last) = (
            number(first).ok_or_else(bad)?,
            number(last).ok_or_else(bad)?,
        );
        if first > last {
            return Err(bad());
        }
        cpus.extend(first..=last);
    }
    Ok(CpuList(cpus))
}

fn parse_details(text: &str) -> Result<Details, String> {
    let (event, fields) = match text.split_once(':') {
        Some(parts) => parts,
        None if text == "off" => ("*", "off"),
        None => {
            return Err(format!(
                "{text:?} does not say which fields: write off, EVENT:off or EVENT:FIELD+FIELD"
            ));
        }
    };
    let fields = match fields {
        "off" => Vec::new(),
        fields => fields.split('+').map(str::to_owned).collect(),
    };
    Ok(Details {
        event: event.to_owned(),
        fields,
    })
}

impl MaskArgs {
    /// All masks as one condition; `None` when there is none.
    pub(crate) fn filter_text(&self) -> Option<String> {
        let mut terms = Vec::new();
        if self.children {
            terms.push("current.followed".to_owned());
        } else {
            terms.extend(one_of("pid", &self.pid));
        }
        for (name, numbers) in [
            ("current.pgrp", &self.pgrp),
            ("current.sid", &self.sid),
            ("current.uid", &self.uid),
            ("current.gid", &self.gid),
        ] {
            terms.extend(one_of(name, numbers));
        }
        terms.extend(any_of(&self.cgroup, cgroup_term));
        terms.extend(any_of(&self.comm, |name| text_term("comm", name)));
        if let Some(CpuList(cpus)) = &self.cpus {
            terms.extend(one_of("cpu", cpus));
        }
        if !self.syscalls.is_empty() {
            let names: Vec<_> = self.syscalls.iter().map(|name| quoted(name)).collect();
            let names = names.join(", ");
            terms.push(format!("(category != syscall || name in ({names}))"));
        }
        terms.extend(self.filter.as_ref().map(|text| format!("({text})")));
        (!terms.is_empty()).then(|| terms.join(" && "))
    }

    /// Processes that are followed.
    pub(crate) fn followed(&self) -> &[u32] {
        if self.children { &self.pid } else { &[] }
    }

    /// Checks everything that can be wrong with the masks for what is recorded.
    pub(crate) fn check(&self, schema: &Schema, contexts: &[String]) -> Result<()> {
        if let Some(text) = &self.filter {
            check_filter("--filter", text, schema, contexts)?;
        }
        if let Some(text) = self.filter_text() {
            check_filter("the masks", &text, schema, contexts)?;
        }
        for name in &self.syscalls {
            check_syscall(name, schema)?;
        }
        for details in &self.details {
            details.check(schema)?;
        }
        Ok(())
    }

    /// What is left of the schema: the fields that are kept. The last that speaks of an event counts.
    pub(crate) fn keep_fields(&self, schema: &mut Schema) {
        for event in schema.events.iter_mut().filter(|event| !event.sticky) {
            let mut speaking = self.details.iter().rev();
            if let Some(details) = speaking.find(|details| is_match(&details.event, &event.name)) {
                event.fields.retain(|field| details.keeps(field));
            }
        }
    }
}

impl Details {
    fn keeps(&self, field: &FieldSchema) -> bool {
        self.fields
            .iter()
            .any(|pattern| is_match(pattern, &field.name))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        let events = || {
            schema
                .events
                .iter()
                .filter(|event| is_match(&self.event, &event.name))
        };
        if events().next().is_none() {
            let usage = Usage::new(format!("--details: no event {:?} is recorded", self.event));
            return Err(usage.hint("choose it with --events first").into());
        }
        for pattern in &self.fields {
            let known = |field: &FieldSchema| is_match(pattern, &field.name);
            if !events().any(|event| event.fields.iter().any(known)) {
                let usage = Usage::new(format!(
                    "--details: {} has no field {pattern:?}",
                    self.event
                ));
                return Err(usage
                    .hint("`guesttrace list events --format json` names the fields")
                    .into());
            }
        }
        Ok(())
    }
}

/// Checks the name of a system call of either kind; other events have names too, so that the condition cannot tell.
fn check_syscall(name: &str, schema: &Schema) -> Result<()> {
    let check = |event: &str| {
        let text = format!("{event}.name == {}", quoted(name));
        let filter = Filter::parse(&text)?;
        filter.bind_for_recording(schema).map(drop)
    };
    let problem = check("syscall_entry").or_else(|error| {
        let events = [
            "syscall_exit",
            "compat_syscall_entry",
            "compat_syscall_exit",
        ];
        let is_known = events.iter().any(|event| check(event).is_ok());
        if is_known { Ok(()) } else { Err(error) }
    });
    problem
        .with_context(|| format!("--syscalls {name}"))
        .context(Hint(
            "`guesttrace list syscalls --kernel F` names them; --events must choose system calls",
        ))
}

/// Checks a condition that the recorder is to evaluate.
pub(crate) fn check_filter(
    option: &str,
    text: &str,
    schema: &Schema,
    contexts: &[String],
) -> Result<()> {
    let filter = Filter::parse(text).with_context(|| format!("{option} cannot be understood"))?;
    let bound = filter
        .bind_for_recording(schema)
        .with_context(|| format!("{option} does not fit what is recorded"))
        .context(Hint(
            "conditions see the events that --events chooses; `guesttrace list events` has them all",
        ))?;
    for context in Context::RECORDING {
        let name = context.name();
        let is_there = *context == Context::Followed || contexts.iter().any(|known| known == name);
        if bound.uses(*context) && !is_there {
            let usage = Usage::new(format!(
                "{option}: the types of this kernel do not tell current.{name}"
            ));
            return Err(usage
                .hint("pass --vmlinux of the same build, which has more types")
                .into());
        }
    }
    Ok(())
}

fn one_of(name: &str, numbers: &[u32]) -> Option<String> {
    let list: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    (!list.is_empty()).then(|| format!("{name} in ({})", list.join(", ")))
}

fn any_of(texts: &[String], term: impl Fn(&str) -> String) -> Option<String> {
    let terms: Vec<_> = texts.iter().map(|text| term(text)).collect();
    (!terms.is_empty()).then(|| format!("({})", terms.join(" || ")))
}

/// A name as a whole: `=~` would find it anywhere.
fn text_term(name: &str, text: &str) -> String {
    let operator = if text.contains(['*', '?']) {
        "=~"
    } else {
        "=="
    };
    format!("{name} {operator} {}", quoted(text))
}

fn cgroup_term(text: &str) -> String {
    match text {
        "/" => "current.cgroup == \"\"".to_owned(),
        number if number.parse::<u64>().is_ok() => format!("current.cgroup_id == {number}"),
        name => text_term("current.cgroup", name),
    }
}

/// A string of the filter language.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\0"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(masks: MaskArgs, expected: &Expect) {
        let text = masks.filter_text().unwrap_or_default();
        expected.assert_eq(&text);
        if !text.is_empty() {
            Filter::parse(&text).unwrap();
        }
    }

    #[test]
    fn masks_are_conditions() {
        check(MaskArgs::default(), &expect![[""]]);
        let masks = MaskArgs {
            pid: vec![1, 20],
            uid: vec![0],
            comm: vec!["sh".to_owned(), "k*".to_owned()],
            cpus: Some(parse_cpus("0,2-3").unwrap()),
            syscalls: vec!["openat".to_owned()],
            filter: Some("ret < 0 || cpu == 1".to_owned()),
            ..MaskArgs::default()
        };
        check(
            masks,
            &expect![[
                r#"pid in (1, 20) && current.uid in (0) && (comm == "sh" || comm =~ "k*") && cpu in (0, 2, 3) && (category != syscall || name in ("openat")) && (ret < 0 || cpu == 1)"#
            ]],
        );
        let masks = MaskArgs {
            pid: vec![7],
            children: true,
            cgroup: ["/", "42", "ssh*", "a\"b"].map(str::to_owned).to_vec(),
            ..MaskArgs::default()
        };
        check(
            masks,
            &expect![[
                r#"current.followed && (current.cgroup == "" || current.cgroup_id == 42 || current.cgroup =~ "ssh*" || current.cgroup == "a\"b")"#
            ]],
        );
    }

    #[test]
    fn lists_of_cpus_are_checked() {
        assert_eq!(parse_cpus("3"), Ok(CpuList(vec![3])));
        for text in ["", "a", "3-1", "1,,2", "5000", "-1"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }
}
