//! Names that no kernel changes for numbers which other tracers write without: those of the event table.

use guesttrace_events::{EnumValues, EventTable};
use trace_format::{EnumSchema, Schema};

/// Adds the enumerations of the event table that the schema does not have.
pub(super) fn complete(schema: &mut Schema) {
    for known in EventTable::builtin().enums() {
        let EnumValues::Fixed(values) = &known.values else {
            continue;
        };
        if schema.enumeration(&known.name).is_none() {
            let values = values.iter().map(|(value, name)| (*value, name.clone()));
            schema.enums.push(EnumSchema {
                name: known.name.clone(),
                values: values.collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softirqs_have_names() {
        let mut schema = Schema::default();
        complete(&mut schema);
        let softirq = schema.enumeration("softirq").unwrap();
        assert_eq!(softirq.name_of(3), Some("NET_RX"));
    }
}
