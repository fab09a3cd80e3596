//! The model's names are those of the event table.

use guesttrace_events::EventTable;

#[test]
fn every_name_of_the_model_is_in_the_event_table() {
    let table = EventTable::builtin();
    for names in analyzer::model::model_events() {
        let event = table
            .event(names.event)
            .unwrap_or_else(|| panic!("no event {}", names.event));
        for field in names.fields.iter().map(|field| field.name) {
            assert!(
                event.field(field).is_some(),
                "{} has no field {field}",
                names.event
            );
        }
    }
}
