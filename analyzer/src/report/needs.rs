//! What a report needs and a trace may not have: an empty table says that nothing happened only when it was recorded.

use trace_format::{Schema, Severity};

use crate::sources::{Finding, Trace, sort_findings};

/// Events that a part of a report is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Their names.
    pub(super) events: &'static [&'static str],
    /// What is not known without them, as the end of a sentence: `who sent a signal is not known`.
    pub(super) without: &'static str,
}

/// An event that is needed for `without`.
pub(super) const fn need(events: &'static [&'static str], without: &'static str) -> Need {
    Need { events, without }
}

/// Findings of a pass, and what the trace lacks for the report, worst first.
pub(super) fn with_needs(trace: &Trace, findings: Vec<Finding>, needs: &[Need]) -> Vec<Finding> {
    let mut all = findings;
    all.extend(unmet(trace.schema(), needs));
    sort_findings(&mut all);
    all
}

fn unmet(schema: &Schema, needs: &[Need]) -> Vec<Finding> {
    let finding = |need: &Need| {
        let lacks = |event: &&&str| schema.event_named(event).is_none();
        let lacking: Vec<&str> = need.events.iter().filter(lacks).copied().collect();
        (!lacking.is_empty()).then(|| Finding {
            severity: Severity::Notice,
            name: "not_recorded".to_owned(),
            count: None,
            text: format!("Not recorded: {}, so {}.", lacking.join(", "), need.without),
            advice: format!("record with --events core,{}", lacking.join(",")),
            is_gap: false,
            is_damage: false,
        })
    };
    needs.iter().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_with_the_way_to_record_it() {
        let schema = Schema {
            events: vec![trace_format::EventSchema {
                id: trace_format::EventId(1),
                name: "timer_start".to_owned(),
                category: "timer".to_owned(),
                ltt: None,
                doc: String::new(),
                sticky: false,
                fields: Vec::new(),
            }],
            enums: Vec::new(),
        };
        let needs = [
            need(&["timer_start"], "nothing is known"),
            need(
                &["timer_start", "timer_cancel"],
                "it is not known what was taken back",
            ),
        ];
        let findings = unmet(&schema, &needs);
        let said: Vec<_> = { findings.iter() }
            .map(|finding| (finding.text.as_str(), finding.advice.as_str()))
            .collect();
        let expected = (
            "Not recorded: timer_cancel, so it is not known what was taken back.",
            "record with --events core,timer_cancel",
        );
        assert_eq!(said, [expected]);
    }
}
