//! A file of answers, and what each is worth beside the truth.

use std::collections::BTreeMap;

use super::amount::{Amount, Unit};
use super::fault::AnswersError;
use super::judge::Judged;
use super::limits::{Limits, Tolerance};
use super::outcome::{Answered, Judgement, Verdict};
use super::question::Question;
use super::rule::{Kind, Rule, Rules};

/// What people write by hand is shorter.
const TEXT_BYTES_MAX: usize = 1 << 16;

/// Answers by key; a question that is left empty is not among them.
#[derive(Debug)]
pub(super) struct Answers(BTreeMap<String, String>);

impl Rules {
    /// Takes the answers of a file, `key = "..."` or `key = 12` a line, for the questions of the rules. Without them
    /// questions are left out.
    ///
    /// # Errors
    /// What is wrong with the text, or that it answers what nobody asked.
    pub fn take_answers(&mut self, text: &str) -> Result<(), AnswersError> {
        let max = TEXT_BYTES_MAX;
        if text.len() > max {
            return Err(AnswersError::TooLong { max });
        }
        let table: toml::Table = text
            .parse()
            .map_err(|error| AnswersError::syntax(text, &error))?;
        let keys = || {
            let asked = self.rules.iter().filter(|rule| rule.question.is_some());
            asked.map(|rule| rule.name.as_str())
        };
        if keys().next().is_none() {
            return Err(AnswersError::NoQuestions);
        }
        let mut given = BTreeMap::new();
        for (key, value) in table {
            if keys().all(|known| known != key) {
                return Err(AnswersError::unknown(key, keys()));
            }
            let Some(text) = written(&value) else {
                let found = value.type_str();
                return Err(AnswersError::Type { key, found });
            };
            if !text.is_empty() {
                given.insert(key, text);
            }
        }
        self.answers = Some(Answers(given));
        Ok(())
    }
}

/// An answer as text.
fn written(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// What a trace says to a question.
enum Truth {
    Number(Amount),
    Text(String),
}

impl Truth {
    /// Nothing where the trace cannot tell; the reason is the judge's.
    fn of(rule: &Rule, question: &Question, judged: &Judged) -> Option<Self> {
        if judged.verdict != Verdict::Passed {
            return None;
        }
        let name = question.number;
        let meant = |(known, _): &&(String, Amount)| name.is_none_or(|name| name == known);
        match (judged.numbers.iter().find(meant), &rule.kind) {
            (Some((_, amount)), _) => Some(Self::Number(*amount)),
            (None, Kind::First { .. } | Kind::Literal(_) | Kind::Report(_)) => {
                Some(Self::Text(judged.found.clone()))
            }
            (None, _) => None,
        }
    }

    fn describe(&self, tolerance: Amount) -> String {
        match self {
            Self::Number(amount) if tolerance == Amount::things(0) => amount.to_string(),
            Self::Number(amount) => format!("{amount}, within {tolerance}"),
            Self::Text(text) => text.clone(),
        }
    }

    /// Whether an answer is right; otherwise perhaps what is wrong with how it is written.
    fn fits(&self, given: &str, tolerance: Amount) -> Result<(), Option<String>> {
        match self {
            Self::Text(text) if text.eq_ignore_ascii_case(given) => Ok(()),
            Self::Text(_) => Err(None),
            Self::Number(truth) => {
                let written = match truth.unit {
                    Unit::Things => "a plain number is asked for, such as 12",
                    Unit::Nanos => "a time is asked for, such as \"1.5ms\"",
                    Unit::Percent => "a percentage is asked for, such as \"12.5%\"",
                };
                let compact: String = given.split_whitespace().collect();
                let amount = Amount::parse(&compact).filter(|amount| amount.unit == truth.unit);
                let amount = amount.ok_or_else(|| Some(written.to_owned()))?;
                let both = Some(tolerance);
                let limits = Limits {
                    tolerance: Some(Tolerance {
                        over: both,
                        under: both,
                    }),
                    ..Limits::default()
                };
                match limits.bounds(Some(*truth)).judge(amount, Some(amount)) {
                    Verdict::Passed => Ok(()),
                    Verdict::Failed | Verdict::Unknown => Err(None),
                }
            }
        }
    }
}

impl Answers {
    /// What an answer is worth.
    pub(super) fn grade(&self, rule: &Rule, question: &Question, judged: Judged) -> Judgement {
        let given = self.0.get(&rule.name);
        let truth = Truth::of(rule, question, &judged);
        let tolerance = match &truth {
            Some(Truth::Number(amount)) => question.tolerance(*amount),
            Some(Truth::Text(_)) | None => Amount::things(0),
        };
        let (verdict, reason) = match (given, &truth) {
            (None, _) => (Verdict::Failed, None),
            (Some(given), Some(truth)) => match truth.fits(given, tolerance) {
                Ok(()) => (Verdict::Passed, None),
                Err(reason) => (Verdict::Failed, reason),
            },
            (Some(_), None) => {
                let found = || format!("the trace has no answer: {}", judged.found);
                let reason = judged.reason.clone().unwrap_or_else(found);
                (Verdict::Unknown, Some(reason))
            }
        };
        let expected = truth.map_or("-".to_owned(), |truth| truth.describe(tolerance));
        Judgement {
            name: rule.name.clone(),
            section: rule.section,
            line: rule.line,
            verdict,
            expected,
            found: given.cloned().unwrap_or_default(),
            reason,
            is_loss: judged.is_loss && verdict == Verdict::Unknown,
            offenders: Vec::new(),
            offender_count: 0,
            answered: Some(Answered {
                question: question.text.clone(),
                points: question.points,
                is_missing: given.is_none(),
            }),
        }
    }
}
