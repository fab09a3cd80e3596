//! From the text of a file to rules.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::amount::{Amount, Unit};
use super::fault::{RulesError, RulesProblem};
use super::limits::{Limits, Tolerance};
use super::question::{all_keys, read_question};
use super::rule::{
    Expr, Kind, Latency, Number, Rows, Rule, Rules, Stat, State, Who, activities_named, state_names,
};
use super::section::Section;
use crate::model::{Activity, CpuId, Pid, Span, Tid};
use crate::report::{Glob, REPORTS, report_named};

/// No rules that people write are longer; each of a condition's tests is kept for each kind of event.
const TEXT_BYTES_MAX: usize = 1 << 17;
/// Each rule may look at each event.
const RULES_MAX: usize = 1000;

const COMMON_KEYS: &[&str] = &["name", "from", "to", "optional"];
const LIMIT_KEYS: &[&str] = &[
    "equals",
    "at_least",
    "at_most",
    "tolerance",
    "over",
    "under",
];

/// How the rules of a section are read.
type ReadKind = fn(&Section<'_>) -> Result<Kind, RulesError>;

/// Kinds of rules: how their section is called, its own keys, how it is read.
const SECTIONS: &[(&str, &str, &[&[&str]], ReadKind)] = &[
    (
        "count",
        "[[count]]",
        &[COMMON_KEYS, LIMIT_KEYS, &["events", "after", "until"]],
        read_count,
    ),
    (
        "never",
        "[[never]]",
        &[COMMON_KEYS, &["events", "after", "until"]],
        read_never,
    ),
    (
        "order",
        "[[order]]",
        &[COMMON_KEYS, &["first", "then", "within"]],
        read_order,
    ),
    (
        "latency",
        "[[latency]]",
        &[
            COMMON_KEYS,
            &["begin", "end", "by", "of", "tolerance", "over", "under"],
            &["min", "max", "mean", "p25", "p50", "p90", "p95", "p99"],
        ],
        read_latency,
    ),
    (
        "state",
        "[[state]]",
        &[
            COMMON_KEYS,
            &[
                "comm", "pid", "tid", "cpu", "state", "longest", "at_least", "at_most",
            ],
        ],
        read_state,
    ),
    (
        "report",
        "[[report]]",
        &[
            COMMON_KEYS,
            LIMIT_KEYS,
            &["report", "table", "row", "rows", "column"],
        ],
        read_report,
    ),
];

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// What is wrong with the text and where.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let limits = [(text.len() > TEXT_BYTES_MAX, TEXT_BYTES_MAX)];
        if let Some((_, max)) = limits.into_iter().find(|(is_over, _)| *is_over) {
            return Err(RulesError::in_line(RulesProblem::TooLong { max }, 1));
        }
        let document = DeTable::parse(text).map_err(|error| {
            let message = error.message().replace('\n', ", ");
            let span = error.span().unwrap_or(0..0);
            RulesError::at(RulesProblem::Syntax { message }, text, &span)
        })?;
        let names: Vec<&str> = SECTIONS.iter().map(|(name, ..)| *name).collect();
        let keys: &[&[&str]] = &[&["golden", "masks_are_meant"], &names, &["answer"]];
        let top = Section::new(text, "the file", 0..0, document.get_ref(), keys)?;
        let mut rules = Vec::new();
        for (name, title, keys, read) in SECTIONS {
            for (span, table) in tables(&top, document.get_ref(), name)? {
                let section = Section::new(text, title, span, table, keys)?;
                rules.push(read_rule(&section, name, *read)?);
            }
        }
        read_questions(text, &top, document.get_ref(), &mut rules)?;
        rules.sort_by_key(|rule| rule.line);
        if rules.len() > RULES_MAX {
            return Err(RulesError::in_line(
                RulesProblem::TooMany { max: RULES_MAX },
                1,
            ));
        }
        if rules.is_empty() {
            let titles = SECTIONS.iter().map(|(_, title, ..)| *title);
            let titles: Vec<&str> = titles.chain(["[[answer]]"]).collect();
            let sections = titles.join(", ");
            return Err(RulesError::in_line(RulesProblem::Empty { sections }, 1));
        }
        Ok(Self {
            golden: top.string("golden")?.map(PathBuf::from),
            masks_are_meant: top.flag("masks_are_meant")?,
            rules,
            answers: None,
        })
    }
}

/// The sections of a name, each with where its title is.
fn tables<'t>(
    top: &Section<'t>,
    document: &'t DeTable<'t>,
    name: &'static str,
) -> Result<Vec<(std::ops::Range<usize>, &'t DeTable<'t>)>, RulesError> {
    let Some(value) = document.get(name) else {
        return Ok(Vec::new());
    };
    let wrong = |found: &'static str| {
        let problem = RulesProblem::Type {
            key: name.to_owned(),
            expected: "a list of sections, each begun by its name in double brackets",
            found,
        };
        top.fault_at(name, problem)
    };
    let table = |item: &'t Spanned<DeValue<'t>>| match item.get_ref() {
        DeValue::Table(table) => Ok((item.span(), table)),
        other => Err(wrong(other.type_str())),
    };
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(table).collect(),
        other => Err(wrong(other.type_str())),
    }
}

fn read_questions<'t>(
    text: &'t str,
    top: &Section<'t>,
    document: &'t DeTable<'t>,
    rules: &mut Vec<Rule>,
) -> Result<(), RulesError> {
    let keys = all_keys();
    let mut seen = BTreeSet::new();
    for (span, table) in tables(top, document, "answer")? {
        let section = Section::new(text, "[[answer]]", span, table, &[&keys])?;
        let rule = read_question(&section, read_window(&section)?)?;
        if !seen.insert(rule.name.clone()) {
            let key = rule.name;
            return Err(section.fault_at("key", RulesProblem::TwoKeys { key }));
        }
        rules.push(rule);
    }
    Ok(())
}

/// The part of the trace that a section is about.
fn read_window(section: &Section<'_>) -> Result<Span, RulesError> {
    let start = section.time("from")?.unwrap_or(Span::ALL.start);
    let end = section.time("to")?.unwrap_or(Span::ALL.end);
    match start > end {
        true => Err(section.fault_at("from", RulesProblem::Backwards)),
        false => Ok(Span { start, end }),
    }
}

fn read_rule(
    section: &Section<'_>,
    name: &'static str,
    read: ReadKind,
) -> Result<Rule, RulesError> {
    let window = read_window(section)?;
    let kind = read(section)?;
    let given = section.string("name")?.map(str::to_owned);
    Ok(Rule {
        name: given.unwrap_or_else(|| name_of(&kind)),
        section: name,
        line: section.line(),
        window,
        is_optional: section.flag("optional")?,
        kind,
        question: None,
    })
}

/// What a rule is called that has no name.
fn name_of(kind: &Kind) -> String {
    let text = |expr: &Expr| expr.filter.text().to_owned();
    match kind {
        Kind::Count { events, .. } => format!("number of {}", text(events)),
        Kind::Never { events, .. } => format!("never {}", text(events)),
        Kind::Order { first, then, .. } => format!("{} before {}", text(first), text(then)),
        Kind::Latency(latency) => {
            format!("from {} to {}", text(&latency.begin), text(&latency.end))
        }
        Kind::State(state) => format!("time {}", state.name),
        Kind::Report(number) => format!("report {}", number.kind.name),
        Kind::First { events, .. } => format!("first {}", text(events)),
        Kind::Literal(said) => said.clone(),
    }
}

fn read_count(section: &Section<'_>) -> Result<Kind, RulesError> {
    let events = section.needed_expr("events")?;
    let limits = read_limits(section)?;
    check_unit(section, &limits, Unit::Things)?;
    Ok(Kind::Count {
        events,
        after: section.expr("after")?,
        until: section.expr("until")?,
        limits,
    })
}

fn read_never(section: &Section<'_>) -> Result<Kind, RulesError> {
    Ok(Kind::Never {
        events: section.needed_expr("events")?,
        after: section.expr("after")?,
        until: section.expr("until")?,
    })
}

fn read_order(section: &Section<'_>) -> Result<Kind, RulesError> {
    Ok(Kind::Order {
        first: section.needed_expr("first")?,
        then: section.needed_expr("then")?,
        within: section.time("within")?,
    })
}

fn read_latency(section: &Section<'_>) -> Result<Kind, RulesError> {
    let mut limits = Vec::new();
    for (key, stat) in Stat::ALL {
        if let Some(time) = section.time(key)? {
            let of_stat = match stat {
                Stat::Min => Limits::at_least(Amount::nanos(time)),
                Stat::Max | Stat::Mean | Stat::Percentile(_) => {
                    Limits::at_most(Amount::nanos(time))
                }
            };
            limits.push((stat, of_stat));
        }
    }
    if let Some(tolerance) = read_tolerance(section)? {
        let of = section.string("of")?.unwrap_or("mean");
        let Some((_, stat)) = Stat::ALL.iter().find(|(name, _)| *name == of) else {
            let names = Stat::ALL.iter().map(|(name, _)| *name);
            return Err(
                section.fault_at("of", RulesProblem::unknown("number of lengths", of, names))
            );
        };
        let tolerance = Some(tolerance);
        let golden = Limits {
            tolerance,
            ..Limits::default()
        };
        check_unit(section, &golden, Unit::Nanos)?;
        limits.push((*stat, golden));
    } else if section.has("of") {
        let (one, other) = ("of", "a rule without \"tolerance\", \"over\" or \"under\"");
        return Err(section.fault_at("of", RulesProblem::Conflict { one, other }));
    }
    if limits.is_empty() {
        let keys = "\"min\", \"max\", \"mean\", \"p25\", \"p50\", \"p90\", \"p95\", \"p99\", \"tolerance\"";
        return Err(unlimited(section, keys));
    }
    Ok(Kind::Latency(Box::new(Latency {
        begin: section.needed_expr("begin")?,
        end: section.needed_expr("end")?,
        by: section.by()?,
        limits,
    })))
}

/// The state that a section names.
pub(super) fn state_named(
    section: &Section<'_>,
) -> Result<(&'static str, Vec<Activity>), RulesError> {
    const HINT: &str = "one of user, syscall, blocked, runnable, running, idle and others";
    let Some(name) = section.string("state")? else {
        return Err(section.missing("state", HINT));
    };
    let known = activities_named(name)
        .filter(|(_, activities)| !activities.contains(&Activity::Unknown))
        .filter(|(_, activities)| !activities.contains(&Activity::Unseen));
    known.ok_or_else(|| {
        let problem = RulesProblem::unknown("state", name, state_names());
        section.fault_at("state", problem)
    })
}

fn read_state(section: &Section<'_>) -> Result<Kind, RulesError> {
    let (name, activities) = state_named(section)?;
    let limits = Limits {
        at_least: section.amount("at_least")?,
        at_most: section.amount("at_most")?,
        tolerance: None,
    };
    for (key, amount) in limits.amounts() {
        if amount.unit == Unit::Things {
            let (found, unit) = (amount.unit.name(), "a time or a percentage");
            return Err(section.fault_at(key, RulesProblem::Unit { key, found, unit }));
        }
    }
    let longest = section.time("longest")?;
    if longest.is_none() && limits.is_empty() {
        return Err(unlimited(section, "\"longest\", \"at_least\", \"at_most\""));
    }
    Ok(Kind::State(State {
        of: read_who(section)?,
        name,
        activities,
        longest,
        limits,
    }))
}

pub(super) fn read_who(section: &Section<'_>) -> Result<Who, RulesError> {
    let threads = ["comm", "pid", "tid"]
        .into_iter()
        .find(|key| section.has(key));
    match (section.has("cpu"), threads) {
        (true, Some(other)) => {
            Err(section.fault_at("cpu", RulesProblem::Conflict { one: "cpu", other }))
        }
        (true, None) => {
            if section.string("cpu").ok().flatten() == Some("each") {
                return Ok(Who::Cpu(None));
            }
            let number = section.number_or("cpu", "the number of a CPU, or \"each\"")?;
            Ok(Who::Cpu(number.map(CpuId)))
        }
        (false, Some(_)) => Ok(Who::Threads {
            comm: section.string("comm")?.map(Glob::new),
            pid: section.number("pid")?.map(Pid),
            tid: section.number("tid")?.map(Tid),
        }),
        (false, None) => Err(section.missing(
            "comm",
            "say whose states are meant: \"comm\", \"pid\", \"tid\" or \"cpu\"",
        )),
    }
}

fn read_report(section: &Section<'_>) -> Result<Kind, RulesError> {
    let number = read_number(section, read_limits(section)?)?;
    if number.rows == Rows::Count {
        check_unit(section, &number.limits, Unit::Things)?;
    }
    Ok(Kind::Report(Box::new(number)))
}

/// The number of a report that a section names.
pub(super) fn read_number(section: &Section<'_>, limits: Limits) -> Result<Number, RulesError> {
    const HINT: &str = "`guesttrace list reports` names them";
    let Some(name) = section.string("report")? else {
        return Err(section.missing("report", HINT));
    };
    let Some(kind) = report_named(name) else {
        let names = REPORTS.iter().map(|report| report.name);
        let problem = RulesProblem::unknown("report", name, names).with_hint(HINT);
        return Err(section.fault_at("report", problem));
    };
    let rows = match section.string("rows")? {
        None | Some("each") => Rows::Each,
        Some("sum") => Rows::Sum,
        Some("count") => Rows::Count,
        Some(other) => {
            let problem =
                RulesProblem::unknown("way to take rows", other, ["each", "sum", "count"]);
            return Err(section.fault_at("rows", problem));
        }
    };
    let column = section.name("column")?;
    if column.is_none() && rows != Rows::Count {
        return Err(section.missing("column", "the column of the table that holds the number"));
    }
    let row = section.patterns("row")?;
    Ok(Number {
        kind,
        table: section.name("table")?,
        row: row
            .into_iter()
            .map(|(name, glob)| (name, Glob::new(&glob)))
            .collect(),
        column,
        rows,
        limits,
    })
}

/// The limits of a number, of which there has to be one.
fn read_limits(section: &Section<'_>) -> Result<Limits, RulesError> {
    let equals = section.amount("equals")?;
    if equals.is_some()
        && let Some(other) = ["at_least", "at_most"]
            .into_iter()
            .find(|key| section.has(key))
    {
        let problem = RulesProblem::Conflict {
            one: "equals",
            other,
        };
        return Err(section.fault_at("equals", problem));
    }
    let limits = Limits {
        at_least: equals.or(section.amount("at_least")?),
        at_most: equals.or(section.amount("at_most")?),
        tolerance: read_tolerance(section)?,
    };
    match limits.is_empty() {
        true => Err(unlimited(
            section,
            "\"equals\", \"at_least\", \"at_most\", \"tolerance\"",
        )),
        false => Ok(limits),
    }
}

fn read_tolerance(section: &Section<'_>) -> Result<Option<Tolerance>, RulesError> {
    let both = section.amount("tolerance")?;
    let (over, under) = (section.amount("over")?, section.amount("under")?);
    if both.is_some()
        && let Some(other) = ["over", "under"].into_iter().find(|key| section.has(key))
    {
        let problem = RulesProblem::Conflict {
            one: "tolerance",
            other,
        };
        return Err(section.fault_at("tolerance", problem));
    }
    let (over, under) = (over.or(both), under.or(both));
    let is_given = over.is_some() || under.is_some();
    Ok(is_given.then_some(Tolerance { over, under }))
}

fn check_unit(section: &Section<'_>, limits: &Limits, unit: Unit) -> Result<(), RulesError> {
    let Some((key, amount)) = limits.misfit(unit) else {
        return Ok(());
    };
    let (found, unit) = (amount.unit.name(), unit.name());
    Err(section.fault_at(key, RulesProblem::Unit { key, found, unit }))
}

fn unlimited(section: &Section<'_>, keys: &'static str) -> RulesError {
    section.fault(RulesProblem::Unlimited {
        section: section.title,
        keys,
    })
}
