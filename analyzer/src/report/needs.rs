//! What a report needs and a trace may not have: an empty table says that nothing happened only when it was recorded.

use trace_format::Severity;

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
    let mut lacking = unmet(|event| !trace.events_of(event).is_empty(), needs);
    if trace.own().is_none() {
        // How another tracer is asked for an event is not for us to say.
        lacking
            .iter_mut()
            .for_each(|finding| finding.advice.clear());
    }
    all.extend(lacking);
    sort_findings(&mut all);
    all
}

fn unmet(has: impl Fn(&str) -> bool, needs: &[Need]) -> Vec<Finding> {
    let finding = |need: &Need| {
        let lacks = |event: &&&str| !has(event);
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
        let needs = [
            need(&["timer_start"], "nothing is known"),
            need(
                &["timer_start", "timer_cancel"],
                "it is not known what was taken back",
            ),
        ];
        let findings = unmet(|event| event == "timer_start", &needs);
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
