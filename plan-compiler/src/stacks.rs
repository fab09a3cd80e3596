//! Call stacks that are added to events of the table: `kernel`, `user=sched_switch`, `both=tracepoint:block:*`.

use std::borrow::Cow;
use std::str::FromStr;

use guesttrace_events::{EventRow, FieldRow, FieldType, Hook};
use trace_format::FIELDS_MAX;

use crate::selection::{Selection, UnknownEvent};

/// Which stacks to record with which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackChoice {
    fields: &'static [StackField],
    /// All that are recorded when it is not said.
    events: Option<Selection>,
}

/// A field that is added.
#[derive(Debug, PartialEq, Eq)]
struct StackField {
    name: &'static str,
    fetch: &'static str,
    doc: &'static str,
}

const FIELDS: [StackField; 2] = [
    StackField {
        name: "kernel_stack",
        fetch: "stack(kernel)",
        doc: "how the kernel came here",
    },
    StackField {
        name: "user_stack",
        fetch: "stack(user)",
        doc: "how the program came into the kernel, by its frame pointers",
    },
];

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
        let (which, events) = match text.split_once('=') {
            Some((which, events)) => (which, Some(events)),
            None => (text, None),
        };
        let fields = match which {
            "kernel" => &FIELDS[..1],
            "user" => &FIELDS[1..],
            "both" => &FIELDS[..],
            _ => {
                let text = text.to_owned();
                return Err(StackChoiceError { text });
            }
        };
        let events = events.map(Selection::parse);
        Ok(Self { fields, events })
    }
}

impl StackChoice {
    /// Whether stacks of the kernel are among them.
    pub(crate) fn has_kernel(&self) -> bool {
        self.fields.contains(&FIELDS[0])
    }

    /// Adds the stacks to those of the rows that are meant.
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
            for field in self.fields {
                if is_of_program && *field == FIELDS[0] {
                    continue;
                }
                if row.field(field.name).is_none() && row.fields.len() < FIELDS_MAX {
                    row.to_mut().fields.push(field.row());
                }
            }
        }
        Ok(())
    }
}

impl StackField {
    fn row(&self) -> FieldRow {
        FieldRow {
            name: self.name.to_owned(),
            field_type: FieldType::Stack,
            unit: None,
            doc: self.doc.to_owned(),
            fetch: Some(self.fetch.to_owned()),
            line: 0,
        }
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

    use super::StackChoice;
    use crate::Selection;

    fn check(events: &str, stacks: &str, expected: &Expect) {
        let table = EventTable::builtin();
        let rows = Selection::parse(events).rows(&table).unwrap();
        let mut rows: Vec<_> = rows.into_iter().map(Cow::Borrowed).collect();
        let applied = stacks
            .parse::<StackChoice>()
            .map_err(|error| error.to_string())
            .and_then(|choice| choice.apply(&mut rows).map_err(|error| error.to_string()));
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
