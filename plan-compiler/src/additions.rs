//! Fields that are added to chosen events: call stacks (`kernel`, `user=sched_switch`, `both=tracepoint:block:*`) and
//! what is known of the running thread (`uid,cgroup_id`, `net_ns=socket`).

use std::borrow::Cow;
use std::str::FromStr;

use guesttrace_events::{EventRow, FieldRow, FieldType, Hook};
use trace_format::FIELDS_MAX;

use crate::selection::{Selection, UnknownEvent};
use crate::suggest::nearest;
use crate::thread::CONTEXTS;

/// Which fields to add to which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Additions {
    fields: Vec<FieldRow>,
    /// All that are recorded when it is not said.
    events: Option<Selection>,
}

/// Which stacks to record with which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackChoice(pub Additions);

/// What of the running thread to record with which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextChoice(pub Additions);

const KERNEL_STACK: &str = "kernel_stack";
const USER_STACK: &str = "user_stack";

fn stack(name: &str) -> FieldRow {
    let (fetch, doc) = match name {
        KERNEL_STACK => ("stack(kernel)", "how the kernel came here"),
        _ => (
            "stack(user)",
            "how the program came into the kernel, by its frame pointers",
        ),
    };
    added(name.to_owned(), FieldType::Stack, fetch, doc)
}

fn added(name: String, field_type: FieldType, fetch: &str, doc: &str) -> FieldRow {
    FieldRow {
        name,
        field_type,
        unit: None,
        doc: doc.to_owned(),
        fetch: Some(fetch.to_owned()),
        line: 0,
    }
}

/// What is chosen, and the events behind the `=`.
fn split(text: &str) -> (&str, Option<Selection>) {
    match text.split_once('=') {
        Some((which, events)) => (which, Some(Selection::parse(events))),
        None => (text, None),
    }
}

/// Why a text is no choice of stacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of kernel, user and both, alone or with =EVENTS behind it")]
pub struct StackChoiceError {
    /// The text.
    pub text: String,
}

impl FromStr for StackChoice {
    type Err = StackChoiceError;

    fn from_str(text: &str) -> Result<Self, StackChoiceError> {
        let (which, events) = split(text);
        let names = match which {
            "kernel" => &[KERNEL_STACK][..],
            "user" => &[USER_STACK],
            "both" => &[KERNEL_STACK, USER_STACK],
            _ => {
                let text = text.to_owned();
                return Err(StackChoiceError { text });
            }
        };
        let fields = names.iter().map(|name| stack(name)).collect();
        Ok(Self(Additions { fields, events }))
    }
}

/// Why a text is no choice of what to record of the running thread.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no context {name:?}{}; there are {}", suggested(.suggestion.as_ref()), known().join(", "))]
pub struct ContextChoiceError {
    /// The word.
    pub name: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

fn suggested(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

fn known() -> Vec<&'static str> {
    CONTEXTS.iter().map(|context| context.name).collect()
}

impl FromStr for ContextChoice {
    type Err = ContextChoiceError;

    fn from_str(text: &str) -> Result<Self, ContextChoiceError> {
        let (names, events) = split(text);
        let field = |name: &str| {
            let context = CONTEXTS.iter().find(|context| context.name == name);
            let context = context.ok_or_else(|| ContextChoiceError {
                name: name.to_owned(),
                suggestion: nearest(name, known()),
            })?;
            let name = format!("current_{name}");
            Ok(added(
                name,
                context.field_type.clone(),
                context.fetch,
                context.doc,
            ))
        };
        let names = names.split(',').map(str::trim);
        let fields = names.map(field).collect::<Result<_, _>>()?;
        Ok(Self(Additions { fields, events }))
    }
}

impl Additions {
    /// Whether stacks of the kernel are among them.
    pub(crate) fn has_kernel(&self) -> bool {
        self.fields.iter().any(|field| field.name == KERNEL_STACK)
    }

    /// Adds the fields to those of the rows that are meant.
    ///
    /// What says which thread runs, and what the recorder makes itself, happens at no place of its own. An event that has
    /// all fields that it can have is left as it is.
    pub(crate) fn apply(&self, rows: &mut [Cow<'_, EventRow>]) -> Result<(), UnknownEvent> {
        let chosen = match &self.events {
            Some(events) => events.among(rows)?,
            None => vec![true; rows.len()],
        };
        let chosen = rows
            .iter_mut()
            .zip(chosen)
            .filter(|(_, is_chosen)| *is_chosen);
        for (row, _) in chosen.filter(|(row, _)| !row.sticky && !is_made_by_recorder(row)) {
            let is_of_program = is_of_program(row);
            for field in &self.fields {
                if is_of_program && field.name == KERNEL_STACK {
                    continue;
                }
                if row.field(&field.name).is_none() && row.fields.len() < FIELDS_MAX {
                    row.to_mut().fields.push(field.clone());
                }
            }
        }
        Ok(())
    }
}

/// In a program of user space the kernel has no stack.
fn is_of_program(row: &EventRow) -> bool {
    let mut hooks = row.sites.iter().flat_map(|site| &site.hooks);
    hooks.any(|hook| matches!(hook, Hook::Program { .. }))
}

fn is_made_by_recorder(row: &EventRow) -> bool {
    let mut hooks = row.sites.iter().flat_map(|site| &site.hooks);
    hooks.any(|hook| matches!(hook, Hook::Recorder { .. }))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use expect_test::{Expect, expect};
    use guesttrace_events::EventTable;

    use super::{ContextChoice, StackChoice};
    use crate::Selection;

    fn check(events: &str, stacks: &str, expected: &Expect) {
        let table = EventTable::builtin();
        let rows = Selection::parse(events).rows(&table).unwrap();
        let mut rows: Vec<_> = rows.into_iter().map(Cow::Borrowed).collect();
        let applied = stacks
            .parse::<StackChoice>()
            .map_err(|error| error.to_string())
            .and_then(|choice| choice.0.apply(&mut rows).map_err(|error| error.to_string()));
        let shown = rows.iter().filter_map(|row| {
            let fields = row
                .fields
                .iter()
                .filter(|field| field.name.ends_with("_stack"));
            let names: Vec<_> = fields.map(|field| field.name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{}: {}", row.name, names.join(" ")))
        });
        let found = match applied {
            Ok(()) => shown.collect::<Vec<_>>().join(", "),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn stacks_go_to_the_events_that_are_meant() {
        check(
            "sched_switch,sched_waking",
            "both=*_switch",
            &expect!["sched_switch: kernel_stack user_stack"],
        );
        check(
            "sched_switch,tick",
            "user=sched",
            &expect!["sched_switch: user_stack"],
        );
        check(
            "tick",
            "kernel",
            &expect![
                "tick: kernel_stack, power_off: kernel_stack, restart: kernel_stack, halt: kernel_stack, panic: kernel_stack"
            ],
        );
    }

    #[test]
    fn contexts_are_known_by_name() {
        let shown = |text: &str| match text.parse::<ContextChoice>() {
            Ok(ContextChoice(additions)) => {
                let names: Vec<_> = additions.fields.iter().map(|it| it.name.as_str()).collect();
                format!("{} {}", names.join(" "), additions.events.is_some())
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(
            shown("uid,net_ns=socket"),
            "current_uid current_net_ns true"
        );
        assert_eq!(shown("cgroup"), "current_cgroup false");
        expect![[r#"there is no context "uidd"; did you mean "uid"?; there are uid, gid, ppid, pgrp, sid, cgroup, cgroup_id, pid_ns, mnt_ns, net_ns, user_ns, uts_ns, ipc_ns, cgroup_ns"#]]
            .assert_eq(&shown("uidd"));
    }

    #[test]
    fn what_is_no_choice_is_said() {
        check(
            "tick",
            "kernal",
            &expect![[
                r#"error: "kernal" is none of kernel, user and both, alone or with =EVENTS behind it"#
            ]],
        );
        check(
            "tick",
            "kernel=tock",
            &expect![[
                r#"error: there is no recorded event or category "tock"; did you mean "tick"?"#
            ]],
        );
    }
}
