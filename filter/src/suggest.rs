//! Names that there are none of, and those that were probably meant.

use trace_format::{EventSchema, Schema};

use crate::error::FilterErrorKind;
use crate::row::Context;

/// Says which part of a name there is none of: it was looked up last for `event`.
pub(crate) fn no_field(
    schema: &Schema,
    event: &EventSchema,
    qualifier: Option<String>,
    name: String,
) -> FilterErrorKind {
    let Some(wanted) = qualifier.filter(|wanted| wanted != "event") else {
        return no_bare_field(schema, event, name);
    };
    match schema.event_named(&wanted) {
        Some(event) => no_field_of(event, name),
        None => {
            let suggestion = nearest(
                &wanted,
                schema.events.iter().map(|event| event.name.as_str()),
            );
            FilterErrorKind::UnknownValue {
                what: "event".to_owned(),
                name: wanted,
                suggestion,
            }
        }
    }
}

fn no_bare_field(schema: &Schema, event: &EventSchema, name: String) -> FilterErrorKind {
    if schema
        .events
        .iter()
        .any(|event| event.field_index(&name).is_some())
    {
        return no_field_of(event, name);
    }
    let context = Context::ALL.iter().map(|context| context.name());
    let known = ["event", "category"].into_iter().chain(context);
    let field = nearest(
        &name,
        known.chain(schema.events.iter().flat_map(field_names)),
    );
    // A bare event, too, is meant as a condition.
    let event = nearest(&name, schema.events.iter().map(|event| event.name.as_str()));
    let suggestion = match event {
        Some(event) if field.is_none() || event == name => Some(format!("event == {event}")),
        _ => field,
    };
    FilterErrorKind::UnknownField { name, suggestion }
}

fn no_field_of(event: &EventSchema, name: String) -> FilterErrorKind {
    let suggestion = nearest(&name, field_names(event));
    FilterErrorKind::UnknownFieldOf {
        event: event.name.clone(),
        name,
        suggestion,
    }
}

fn field_names(event: &EventSchema) -> impl Iterator<Item = &str> {
    event.fields.iter().map(|field| field.name.as_str())
}

/// The nearest of `names`, if any is near enough; the first of equals.
#[must_use]
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    // A third of the name may be wrong; names longer than any real one are not worth the time.
    let distance_max = wanted.len().div_ceil(3).min(4);
    if wanted.len() > 64 {
        return None;
    }
    let near = names
        .filter(|name| name.len() <= 64)
        .map(|name| (distance(wanted.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)?;
    Some(near.1.to_owned())
}

/// Insertions, deletions and replacements that make one of the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, byte) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
