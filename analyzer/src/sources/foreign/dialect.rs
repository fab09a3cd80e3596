//! Tables of what a tracer's events are to the model, as far as tables can say it.
//!
//! An event that no row names is the model's event of that name, if there is one; a field that no row names is the model's
//! field of that name. So a table has only what differs.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use trace_format::{EventSchema, Schema};

use crate::model::{Alias, Aliases, Conversion, FieldSource};

/// A table.
#[derive(Debug)]
pub(in crate::sources) struct Dialect {
    /// By the tracer's name of the event.
    rows: HashMap<String, Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    event: Vec<NamedRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedRow {
    /// The tracer's names of the event.
    names: Vec<String>,
    #[serde(flatten)]
    row: Row,
}

/// What one event is.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    /// The model's event; empty for none.
    is: String,
    /// By field of the model.
    #[serde(default)]
    fields: BTreeMap<String, Source>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    /// The field of that name; the first of several that is there.
    Field(String),
    OneOf(Vec<String>),
    Converted {
        field: String,
        r#as: Conversion,
    },
    Number {
        number: u64,
    },
    Text {
        text: String,
    },
}

impl Dialect {
    /// Reads a table that is part of the program.
    ///
    /// # Panics
    /// When it is no table.
    pub(in crate::sources) fn parse(text: &str) -> Self {
        #[allow(
            clippy::expect_used,
            reason = "a test reads every table of the program"
        )]
        let table: Table = toml::from_str(text).expect("a table of the program is well-formed");
        let rows = table.event.into_iter().flat_map(|named| {
            let row = named.row;
            let pair = move |name| (name, row.clone());
            named.names.into_iter().map(pair)
        });
        Self {
            rows: rows.collect(),
        }
    }

    /// What the events of a schema are to the model. Names of events may begin with that of their subsystem: `sched:`.
    pub(in crate::sources) fn aliases(&self, schema: &Schema) -> Aliases {
        let mut aliases = Aliases::default();
        for event in &schema.events {
            if let Some(alias) = self.alias(event) {
                aliases.insert(event.id, alias);
            }
        }
        aliases
    }

    /// What an event is to the model; `None` when it is nothing.
    pub(in crate::sources) fn alias(&self, event: &EventSchema) -> Option<Alias> {
        let name = event.name.rsplit(':').next().unwrap_or(&event.name);
        let Some(row) = self.rows.get(name) else {
            return Alias::named(name, event);
        };
        let mut alias = Alias::named(&row.is, event)?;
        for (field, source) in &row.fields {
            match source.of(event) {
                Some(source) => alias = alias.with(field, source),
                // What the row says stands, also where the event has another field of the model's name.
                None => {
                    alias.fields.remove(field);
                }
            }
        }
        Some(alias)
    }
}

impl Source {
    fn of(&self, event: &EventSchema) -> Option<FieldSource> {
        let field = |name: &String| event.field_index(name);
        Some(match self {
            Self::Field(name) => FieldSource::plain(field(name)?),
            Self::OneOf(names) => FieldSource::plain(names.iter().find_map(field)?),
            Self::Converted {
                field: name,
                r#as: conversion,
            } => FieldSource::Field {
                index: field(name)?,
                conversion: conversion.clone(),
            },
            Self::Number { number } => FieldSource::Number(*number),
            Self::Text { text } => FieldSource::Text(text.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use trace_format::{EventId, FieldKind, FieldSchema};

    use super::*;

    #[test]
    fn a_row_says_what_differs() {
        let dialect = Dialect::parse(
            r#"
            [[event]]
            names = ["wake_one"]
            is = "sched_waking"
            fields = { pid = "thread", prio = { field = "prio", as = { less = 100 } }, target_cpu = { number = 3 } }
            "#,
        );
        let field = |name: &str| FieldSchema {
            name: name.to_owned(),
            kind: FieldKind::Unsigned,
            unit: None,
            doc: String::new(),
        };
        let event = |name: &str| EventSchema {
            id: EventId(0),
            name: name.to_owned(),
            category: String::new(),
            ltt: None,
            doc: String::new(),
            sticky: false,
            fields: ["pid", "prio", "thread", "comm"].map(field).to_vec(),
        };
        let alias = dialect.alias(&event("sched:wake_one")).unwrap();
        assert_eq!(alias.is, "sched_waking");
        assert_eq!(alias.fields["pid"], FieldSource::plain(2));
        assert_eq!(alias.fields["comm"], FieldSource::plain(3));
        let less = FieldSource::Field {
            index: 1,
            conversion: Conversion::Less(100),
        };
        assert_eq!(alias.fields["prio"], less);
        assert_eq!(alias.fields["target_cpu"], FieldSource::Number(3));
        assert_eq!(
            dialect.alias(&event("sched_waking")).unwrap().fields["pid"],
            FieldSource::plain(0)
        );
        assert_eq!(dialect.alias(&event("unheard_of")), None);
    }
}
