//! Judges rules: all that are about events and states in one pass, the others by the reports that they name.

use thiserror::Error;
use trace_format::{Schema, Severity};

use super::amount::Amount;
use super::bind::{Bound, Unbound, Vocabulary};
use super::fault::RulesError;
use super::judge::{
    Count, Doubt, Ending, First, Gap, Judge, Judged, Limited, Never, Order, Periods, States,
};
use super::limits::Limits;
use super::numbers::{Asked, TOP, same_report};
use super::outcome::{CheckReport, Judgement, Offenders, Verdict};
use super::rule::{Expr, Kind, Latency, Number, Rule, Rules};
use super::watch::{ROLES, Watch, Watched};
use crate::model::GuestNanos;
use crate::report::{Options, Pass, Report, Selection, run};
use crate::sources::{Finding, Trace, TraceError};

/// Why rules cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A rule is wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// The numbers of a trace by rule, each with its name.
type Numbers = Vec<Vec<(String, Amount)>>;

/// Judges a trace, beside a golden one where rules ask for that. `known` are the events that a trace could have.
///
/// # Errors
/// When a rule does not fit the trace, or when a trace cannot be read.
pub fn check(
    trace: &Trace,
    rules: &Rules,
    golden: Option<&Trace>,
    known: &Schema,
) -> Result<CheckReport, CheckError> {
    let golden = match golden {
        Some(golden) => Some(measure(golden, rules, known, None)?),
        None => None,
    };
    let numbers: Option<Numbers> = golden.as_ref().map(|measured| {
        let judged = measured.judged.iter();
        judged.map(|judged| judged.numbers.clone()).collect()
    });
    let measured = measure(trace, rules, known, numbers.as_ref())?;
    let whole = golden.as_ref().and_then(|golden| golden.gap.as_ref());
    let judged = rules.rules.iter().zip(measured.judged);
    let judgements = judged
        .filter_map(|(rule, judged)| match (&rule.question, &rules.answers) {
            (None, _) => Some(judgement(rule, judged, whole)),
            (Some(question), Some(answers)) => Some(answers.grade(rule, question, judged)),
            (Some(_), None) => None,
        })
        .collect();
    Ok(CheckReport {
        judgements,
        findings: measured.findings,
    })
}

/// A judge's word on a rule; a golden trace that is not whole is no measure.
fn judgement(rule: &Rule, judged: Judged, golden_gap: Option<&Gap>) -> Judgement {
    let is_measured = rule.kind.has_tolerance();
    let gap = golden_gap.filter(|_| is_measured && judged.verdict == Verdict::Passed);
    Judgement {
        name: rule.name.clone(),
        section: rule.section,
        line: rule.line,
        verdict: if gap.is_some() {
            Verdict::Unknown
        } else {
            judged.verdict
        },
        expected: judged.expected,
        found: judged.found,
        reason: match gap {
            Some(gap) => Some(format!("of the golden trace: {}", gap.reason)),
            None => judged.reason,
        },
        is_loss: judged.is_loss || gap.is_some(),
        offender_count: judged.offenders.count,
        offenders: judged.offenders.shown,
        answered: None,
    }
}

/// What a trace says to each rule.
struct Measured {
    judged: Vec<Judged>,
    findings: Vec<Finding>,
    gap: Option<Gap>,
}

fn measure(
    trace: &Trace,
    rules: &Rules,
    known: &Schema,
    golden: Option<&Numbers>,
) -> Result<Measured, CheckError> {
    let words = Vocabulary::new(trace, known);
    let mut judged: Vec<Option<Judged>> = Vec::new();
    let mut watched = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let golden = golden.and_then(|golden| golden.get(index));
        let watch = Draft {
            words: &words,
            rule,
            golden: golden.map(Vec::as_slice),
        };
        judged.push(None);
        match watch.watched(index) {
            Ok(Some(one)) => watched.push(one),
            Ok(None) => {}
            Err(Unbound::Wrong(error)) => return Err(error.into()),
            Err(Unbound::NotRecorded(reason)) => {
                judged[index] = Some(unrecorded(rule, reason));
            }
        }
    }
    let pass = run(trace, &Selection::default(), Watch::new(trace, watched))?;
    let gap = gap(trace, rules, &pass);
    let Pass {
        analysis,
        findings,
        end,
        ..
    } = pass;
    let whole = Gap {
        since: GuestNanos(0),
        reason: "events are missing".to_owned(),
    };
    let report_gap = gap.clone().or(analysis.saw_loss.then_some(whole));
    for (index, one) in analysis.finish(&Ending { end, gap }) {
        judged[index] = Some(one);
    }
    judge_numbers(trace, rules, golden, report_gap.as_ref(), &mut judged)?;
    Ok(Measured {
        judged: judged.into_iter().flatten().collect(),
        findings,
        gap: report_gap,
    })
}

/// Judges the rules about reports, each report made once.
fn judge_numbers(
    trace: &Trace,
    rules: &Rules,
    golden: Option<&Numbers>,
    gap: Option<&Gap>,
    judged: &mut [Option<Judged>],
) -> Result<(), CheckError> {
    let mut made: Vec<(&Rule, &Number, Report)> = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let number = match &rule.kind {
            Kind::Report(number) => number,
            Kind::Literal(text) => {
                judged[index] = Some(said(text));
                continue;
            }
            _ => continue,
        };
        let known = made
            .iter()
            .position(|(other, of_other, _)| same_report(rule, number, other, of_other));
        let position = match known {
            Some(position) => position,
            None => {
                let selection = Selection {
                    span: rule.window,
                    ..Selection::default()
                };
                let report = number.kind.make(
                    trace,
                    &Options {
                        selection,
                        top: TOP,
                        ..Options::default()
                    },
                )?;
                made.push((rule, number, report));
                made.len() - 1
            }
        };
        let asked = Asked {
            rule,
            number,
            report: &made[position].2,
            golden: golden
                .and_then(|golden| golden.get(index))
                .map(Vec::as_slice),
            gap,
        };
        judged[index] = Some(asked.judge()?);
    }
    Ok(())
}

/// What the rules say themselves, as a truth.
fn said(text: &str) -> Judged {
    let number = Amount::parse(text).map(|amount| ("said".to_owned(), amount));
    Judged {
        verdict: Verdict::Passed,
        expected: String::new(),
        found: text.to_owned(),
        offenders: Offenders::default(),
        reason: None,
        is_loss: false,
        numbers: number.into_iter().collect(),
    }
}

/// What is missing of a trace that no place in it tells.
fn gap(trace: &Trace, rules: &Rules, pass: &Pass<Watch>) -> Option<Gap> {
    let findings = pass.findings.iter();
    let is_gap = |finding: &&Finding| match finding.name.as_str() {
        // Told where it happened.
        "records_lost" => !pass.analysis.saw_loss,
        "records_filtered" => !rules.masks_are_meant,
        _ => finding.severity >= Severity::DataLoss,
    };
    let worst = findings
        .filter(is_gap)
        .max_by_key(|finding| finding.name != "recording_cut")?;
    let hint = match worst.name.as_str() {
        "records_filtered" => {
            " Say `masks_are_meant = true` if rules are about what they let through."
        }
        _ => "",
    };
    Some(Gap {
        since: if worst.name == "recording_cut" {
            trace.duration()
        } else {
            GuestNanos(0)
        },
        reason: format!("{}{hint}", worst.text),
    })
}

fn unrecorded(rule: &Rule, reason: String) -> Judged {
    let expected = match &rule.kind {
        Kind::Count { limits, .. } => limits.describe(None),
        Kind::Never { .. } => "none".to_owned(),
        Kind::Order { .. } => "the first before the second".to_owned(),
        Kind::Latency(_)
        | Kind::State(_)
        | Kind::Report(_)
        | Kind::First { .. }
        | Kind::Literal(_) => "events to measure".to_owned(),
    };
    Judged {
        verdict: Verdict::Unknown,
        expected,
        found: "not recorded".to_owned(),
        offenders: Offenders::default(),
        reason: Some(reason),
        is_loss: false,
        numbers: Vec::new(),
    }
}

/// A rule on its way to a judge.
struct Draft<'d> {
    words: &'d Vocabulary<'d>,
    rule: &'d Rule,
    golden: Option<&'d [(String, Amount)]>,
}

impl Draft<'_> {
    /// The rule with its judge, if it is judged by events.
    fn watched(&self, index: usize) -> Result<Option<Watched>, Unbound> {
        let is_optional = self.rule.is_optional;
        let (judge, bounds) = match &self.rule.kind {
            Kind::Count {
                events,
                after,
                until,
                limits,
            } => {
                let bounds = self.bind([Some(events), after.as_ref(), until.as_ref()])?;
                let golden = self.number("count");
                let doubt = self.doubt(&bounds, golden.is_none() && self.lacks_golden(limits));
                let limits = (limits.bounds(golden), limits.describe(golden));
                let stretch = [after.is_some(), until.is_some()];
                let judge = Count::new(limits, stretch, is_optional, doubt);
                (Judge::Count(judge), bounds)
            }
            Kind::Never {
                events,
                after,
                until,
            } => {
                let bounds = self.bind([Some(events), after.as_ref(), until.as_ref()])?;
                let doubt = self.doubt(&bounds, false);
                let judge = Never::new(after.is_some(), until.is_some(), is_optional, doubt);
                (Judge::Never(judge), bounds)
            }
            Kind::Order {
                first,
                then,
                within,
            } => {
                let bounds = self.bind([Some(first), Some(then), None])?;
                let doubt = self.doubt(&bounds, false);
                (
                    Judge::Order(Order::new(*within, is_optional, doubt)),
                    bounds,
                )
            }
            Kind::Latency(latency) => {
                let bounds = self.bind([Some(&latency.begin), Some(&latency.end), None])?;
                (self.periods(latency, &bounds)?, bounds)
            }
            Kind::State(state) => {
                let states = States::new(state.clone(), is_optional);
                (Judge::State(Box::new(states)), [const { None }; ROLES])
            }
            Kind::First { events, field } => {
                let bounds = self.bind([Some(events), None, None])?;
                if let Some(field) = field {
                    self.words.bind(field)?;
                }
                let field = field.as_ref().map(|field| field.filter.text().to_owned());
                let doubt = self.doubt(&bounds, false);
                (Judge::First(First::new(field, doubt)), bounds)
            }
            Kind::Report(_) | Kind::Literal(_) => return Ok(None),
        };
        Ok(Some(Watched {
            rule: index,
            window: self.rule.window,
            bounds,
            judge,
        }))
    }

    fn bind(&self, exprs: [Option<&Expr>; ROLES]) -> Result<[Option<Bound>; ROLES], Unbound> {
        let mut bounds = [const { None }; ROLES];
        for (bound, expr) in bounds.iter_mut().zip(exprs) {
            *bound = expr.map(|expr| self.words.bind(expr)).transpose()?;
        }
        Ok(bounds)
    }

    fn doubt(&self, bounds: &[Option<Bound>; ROLES], lacks_golden: bool) -> Doubt {
        let missing = bounds
            .iter()
            .flatten()
            .flat_map(|bound| bound.missing.iter().cloned());
        let mut missing: Vec<String> = missing.collect();
        missing.sort_unstable();
        missing.dedup();
        if lacks_golden {
            missing.push("the number of the golden trace".to_owned());
        }
        Doubt::of_missing(missing)
    }

    /// Whether the golden trace was looked at and lacks a number that the rule is measured from.
    fn lacks_golden(&self, limits: &Limits) -> bool {
        self.golden.is_some() && limits.tolerance.is_some()
    }

    fn number(&self, name: &str) -> Option<Amount> {
        let known = self.golden?.iter().find(|(known, _)| known == name);
        known.map(|(_, amount)| *amount)
    }

    fn periods(
        &self,
        latency: &Latency,
        bounds: &[Option<Bound>; ROLES],
    ) -> Result<Judge, Unbound> {
        let by = match &latency.by {
            Some((begin, end)) => Some((self.words.bind(begin)?, self.words.bind(end)?)),
            None => None,
        };
        let mut lacks = false;
        let limits = latency.limits.iter().map(|(stat, limits)| {
            let golden = self.number(stat.name());
            lacks |= golden.is_none() && self.lacks_golden(limits);
            Limited {
                stat: *stat,
                bounds: limits.bounds(golden),
                expected: limits.describe(golden),
                above: 0,
            }
        });
        let limits = limits.collect();
        let doubt = self.doubt(bounds, lacks);
        let is_optional = self.rule.is_optional;
        Ok(Judge::Latency(Box::new(Periods::new(
            by,
            limits,
            is_optional,
            doubt,
        ))))
    }
}
