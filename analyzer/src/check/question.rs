//! `[[answer]]`: a question to whoever made the trace, whose answer the trace itself knows.
//!
//! Where the truth comes from is written as in the rules of the same name: a number of events, a period, a state, a
//! report; or it is a field of the first event that fits, or said right here.

use super::amount::{Amount, Unit};
use super::fault::{RulesError, RulesProblem};
use super::limits::Limits;
use super::read::{read_number, read_who, state_named};
use super::rule::{Kind, Latency, Rule, Stat, State};
use super::section::Section;
use crate::model::Span;

/// More points than any course gives for a question.
const POINTS_MAX: u32 = 1000;

/// What a rule asks, rather than demands.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) points: u32,
    /// How far from the truth an answer may be; if nothing is said, what people round off.
    tolerance: Option<Amount>,
    /// Which of a judge's numbers is meant; otherwise its first.
    pub(super) number: Option<&'static str>,
}

impl Question {
    /// How far from a number an answer may be.
    pub(super) fn tolerance(&self, truth: Amount) -> Amount {
        let rounded = match truth.unit {
            Unit::Things => Amount::things(0),
            Unit::Nanos | Unit::Percent => Amount::ONE_PERCENT,
        };
        self.tolerance.unwrap_or(rounded)
    }
}

/// What is asked for, and the name of its number where it has one.
type Reading = Result<(Kind, Option<&'static str>), RulesError>;

/// What tells where the truth comes from.
struct Origin {
    /// The key by which it is known.
    key: &'static str,
    /// The other keys that belong to it.
    keys: &'static [&'static str],
    read: fn(&Section<'_>) -> Reading,
}

const KEYS: &[&str] = &["key", "question", "points", "tolerance", "from", "to"];
const ORIGINS: &[Origin] = &[
    Origin {
        key: "answer",
        keys: &[],
        read: read_literal,
    },
    Origin {
        key: "events",
        keys: &["field"],
        read: read_events,
    },
    Origin {
        key: "begin",
        keys: &["end", "by", "of"],
        read: read_period,
    },
    Origin {
        key: "state",
        keys: &["comm", "pid", "tid", "cpu", "of"],
        read: read_state,
    },
    Origin {
        key: "report",
        keys: &["table", "row", "rows", "column"],
        read: |section| {
            let number = read_number(section, Limits::default())?;
            Ok((Kind::Report(Box::new(number)), None))
        },
    },
];

/// The keys of a section that asks.
pub(super) fn all_keys() -> Vec<&'static str> {
    let of_origins = ORIGINS
        .iter()
        .flat_map(|origin| std::iter::once(&origin.key).chain(origin.keys));
    let mut keys: Vec<&str> = KEYS.iter().chain(of_origins).copied().collect();
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

/// Reads a section that asks.
pub(super) fn read_question(section: &Section<'_>, window: Span) -> Result<Rule, RulesError> {
    let Some(key) = section.string("key")? else {
        return Err(section.missing("key", "the name of the answer in a file of answers"));
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.is_empty() || !key.bytes().all(is_plain) {
        return Err(section.fault_at("key", RulesProblem::Key));
    }
    let origin = origin(section)?;
    let (kind, number) = (origin.read)(section)?;
    let points = section.number("points")?.unwrap_or(1);
    if points > POINTS_MAX {
        let max = POINTS_MAX;
        return Err(section.fault_at("points", RulesProblem::TooManyPoints { max }));
    }
    let text = section.string("question")?.unwrap_or(key);
    Ok(Rule {
        name: key.to_owned(),
        section: "answer",
        line: section.line(),
        window,
        is_optional: false,
        kind,
        question: Some(Question {
            text: text.to_owned(),
            points,
            tolerance: section.amount("tolerance")?,
            number,
        }),
    })
}

/// Where the truth comes from: one place, and no keys of another.
fn origin(section: &Section<'_>) -> Result<&'static Origin, RulesError> {
    let mut named = ORIGINS.iter().filter(|origin| section.has(origin.key));
    let Some(origin) = named.next() else {
        const HINT: &str = "where the truth comes from: \"answer\", \"events\", \"begin\", \"state\" or \"report\"";
        return Err(section.missing("answer", HINT));
    };
    let is_foreign =
        |key: &&str| section.has(key) && *key != origin.key && !origin.keys.contains(key);
    let foreign = ORIGINS.iter().flat_map(|other| other.keys).copied();
    let mut others = named.map(|other| other.key).chain(foreign);
    match others.find(is_foreign) {
        Some(other) => {
            let one = origin.key;
            Err(section.fault_at(other, RulesProblem::Conflict { one, other }))
        }
        None => Ok(origin),
    }
}

fn read_literal(section: &Section<'_>) -> Reading {
    let text = section.string("answer")?.unwrap_or_default().trim();
    Ok((Kind::Literal(text.to_owned()), None))
}

fn read_events(section: &Section<'_>) -> Reading {
    let events = section.needed_expr("events")?;
    let kind = match section.string("field")? {
        Some("time") => Kind::First {
            events,
            field: None,
        },
        Some(_) => Kind::First {
            events,
            field: section.bare_name("field")?,
        },
        // No number is higher: where events are missing, nothing is known.
        None => Kind::Count {
            events,
            after: None,
            until: None,
            limits: Limits::at_most(Amount::things(u64::MAX)),
        },
    };
    Ok((kind, None))
}

fn read_period(section: &Section<'_>) -> Reading {
    let of = section.string("of")?.unwrap_or("max");
    let Some((name, stat)) = Stat::ALL.iter().find(|(name, _)| *name == of) else {
        let names = Stat::ALL.iter().map(|(name, _)| *name);
        return Err(section.fault_at("of", RulesProblem::unknown("number of lengths", of, names)));
    };
    let latency = Latency {
        begin: section.needed_expr("begin")?,
        end: section.needed_expr("end")?,
        by: section.by()?,
        limits: vec![(*stat, Limits::default())],
    };
    Ok((Kind::Latency(Box::new(latency)), Some(name)))
}

fn read_state(section: &Section<'_>) -> Reading {
    let of = section.string("of")?.unwrap_or("total");
    let Some(of) = State::NUMBERS.iter().find(|name| **name == of) else {
        let problem = RulesProblem::unknown("number of a state", of, State::NUMBERS);
        return Err(section.fault_at("of", problem));
    };
    let (name, activities) = state_named(section)?;
    let state = State {
        of: read_who(section)?,
        name,
        activities,
        longest: None,
        limits: Limits::default(),
    };
    Ok((Kind::State(state), Some(of)))
}
