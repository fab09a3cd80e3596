//! Why a rule may not be judged: events that are missing, were never recorded, or lack what decides.

use super::super::outcome::{Offenders, Verdict};
use super::super::watch::Lines;
use super::Judged;
use crate::export::seconds;
use crate::model::GuestNanos;
use crate::sources::Record;

/// Doubts about what a judge was told.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Doubt {
    /// From when on events are missing.
    lost_since: Option<GuestNanos>,
    /// What is missing that no place in the trace tells.
    whole: Option<String>,
    /// Events that could matter and were not recorded.
    missing: Vec<String>,
    /// Events that lack a field.
    undecided: Offenders,
}

impl Doubt {
    /// Events of these names were not recorded.
    pub(in super::super) fn of_missing(missing: Vec<String>) -> Self {
        Self {
            missing,
            ..Self::default()
        }
    }

    pub(super) fn lose(&mut self, since: GuestNanos) {
        self.lost_since = Some(self.lost_since.map_or(since, |before| before.min(since)));
    }

    pub(super) fn doubt_whole(&mut self, since: GuestNanos, reason: &str) {
        self.lose(since);
        self.whole = Some(reason.to_owned());
    }

    /// A record might matter.
    pub(super) fn undecided(&mut self, record: &Record<'_>, lines: &mut Lines) {
        self.undecided.add(Some(record.at), || lines.line(record));
    }

    pub(super) fn is_none(&self) -> bool {
        self.lost_since.is_none() && self.missing.is_empty() && self.undecided.count == 0
    }

    /// Whether what is missing could have been before a time, or anywhere if there is none.
    pub(super) fn is_before(&self, at: Option<GuestNanos>) -> bool {
        let is_lost = match (self.lost_since, at) {
            (Some(since), Some(at)) => since <= at,
            (since, None) => since.is_some(),
            (None, Some(_)) => false,
        };
        is_lost || !self.missing.is_empty() || self.undecided.count > 0
    }

    /// What remains of a verdict that every doubt shakes.
    pub(super) fn shake(&self, verdict: Verdict) -> Verdict {
        if self.is_none() {
            verdict
        } else {
            Verdict::Unknown
        }
    }

    /// Puts the reasons into a verdict that could not be given.
    pub(super) fn explain(self, mut judged: Judged) -> Judged {
        if judged.verdict != Verdict::Unknown {
            return judged;
        }
        let mut reasons = Vec::new();
        if let Some(since) = self.lost_since {
            judged.is_loss = true;
            reasons.push(self.whole.unwrap_or_else(|| {
                format!("events are missing, the first after {} s", seconds(since))
            }));
        }
        if !self.missing.is_empty() {
            reasons.push(not_recorded(&self.missing));
        }
        if self.undecided.count > 0 {
            reasons.push(match self.undecided.count {
                1 => "an event lacks a field that decides".to_owned(),
                count => format!("{count} events lack a field that decides"),
            });
            if judged.offenders.count == 0 {
                judged.offenders = self.undecided;
            }
        }
        judged.reason = Some(reasons.join("; "));
        judged
    }
}

/// Says which events were not recorded; not all, if they are many.
fn not_recorded(names: &[String]) -> String {
    const NAMES_MAX: usize = 6;
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("not recorded: {}{more}", shown.join(", "))
}
