//! A section of a file of rules: its keys, each of the type that it has to be.

use std::ops::Range;

use guesttrace_filter::Filter;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::amount::Amount;
use super::fault::{RulesError, RulesProblem, line_number};
use super::rule::{Expr, Name};
use crate::model::GuestNanos;
use crate::report::parse_time;

/// A section, of which every key is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'t> {
    text: &'t str,
    /// How it is written, such as `[[count]]`.
    pub(super) title: &'static str,
    span: (usize, usize),
    table: &'t DeTable<'t>,
}

impl<'t> Section<'t> {
    /// Looks at a section.
    ///
    /// # Errors
    /// When it has a key that is not one of `keys`.
    pub(super) fn new(
        text: &'t str,
        title: &'static str,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        keys: &[&[&str]],
    ) -> Result<Self, RulesError> {
        let known = || keys.iter().copied().flatten().copied();
        let stranger = table
            .keys()
            .find(|key| known().all(|one| one != key.get_ref()));
        if let Some(key) = stranger {
            let problem = RulesProblem::unknown(format!("key of {title}"), key.get_ref(), known());
            return Err(RulesError::at(problem, text, &key.span()));
        }
        Ok(Self {
            text,
            title,
            span: (span.start, span.end),
            table,
        })
    }

    /// Line of its title.
    pub(super) fn line(&self) -> usize {
        line_number(self.text, self.span.0)
    }

    /// An error that concerns all of it.
    pub(super) fn fault(&self, problem: RulesProblem) -> RulesError {
        let start = self.span.0;
        let line = self.text.get(start..).and_then(|rest| rest.lines().next());
        let end = start + line.map_or(0, str::len);
        RulesError::at(problem, self.text, &(start..end))
    }

    /// An error that concerns the value of a key.
    pub(super) fn fault_at(&self, key: &str, problem: RulesProblem) -> RulesError {
        match self.table.get(key) {
            Some(value) => RulesError::at(problem, self.text, &value.span()),
            None => self.fault(problem),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &'static str,
        take: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Result<Option<T>, RulesError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        self.taken(key, value, expected, take).map(Some)
    }

    fn taken<T>(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'t>>,
        expected: &'static str,
        take: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Result<T, RulesError> {
        take(value.get_ref()).ok_or_else(|| {
            let problem = RulesProblem::Type {
                key: key.to_owned(),
                expected,
                found: value.get_ref().type_str(),
            };
            RulesError::at(problem, self.text, &value.span())
        })
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'t str>, RulesError> {
        self.typed(key, "text in quotes", DeValue::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, RulesError> {
        Ok(self
            .typed(key, "true or false", DeValue::as_bool)?
            .unwrap_or(false))
    }

    /// A number of a thread or process.
    pub(super) fn number(&self, key: &str) -> Result<Option<u32>, RulesError> {
        self.number_or(key, "a whole number")
    }

    /// A number where something else is possible too.
    pub(super) fn number_or(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Option<u32>, RulesError> {
        self.typed(key, expected, whole_number)
    }

    /// A name that is looked up later.
    pub(super) fn name(&self, key: &str) -> Result<Option<Name>, RulesError> {
        let line = self
            .table
            .get(key)
            .map(|value| line_number(self.text, value.span().start));
        let text = self.string(key)?;
        Ok(text.zip(line).map(|(text, line)| Name {
            text: text.to_owned(),
            line,
        }))
    }

    pub(super) fn time(&self, key: &str) -> Result<Option<GuestNanos>, RulesError> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        let problem = || RulesProblem::Time {
            text: text.to_owned(),
        };
        let time = parse_time(text).ok_or_else(|| self.fault_at(key, problem()))?;
        Ok(Some(time))
    }

    /// A number as TOML writes it, or in quotes with what it is a number of.
    pub(super) fn amount(&self, key: &str) -> Result<Option<Amount>, RulesError> {
        let text = self.typed(
            key,
            "a number, or one with its unit in quotes",
            |value| match value {
                DeValue::String(text) => Some(text.as_ref()),
                DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
                DeValue::Float(number) => Some(number.as_str()),
                _ => None,
            },
        )?;
        let Some(text) = text else { return Ok(None) };
        let problem = || RulesProblem::Amount {
            text: text.to_owned(),
        };
        let amount = Amount::parse(text).ok_or_else(|| self.fault_at(key, problem()))?;
        Ok(Some(amount))
    }

    /// A condition on events.
    pub(super) fn expr(&self, key: &'static str) -> Result<Option<Expr>, RulesError> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        self.expr_of(key, text).map(Some)
    }

    /// The same, which has to be there.
    pub(super) fn needed_expr(&self, key: &'static str) -> Result<Expr, RulesError> {
        const HINT: &str = "a condition on events, such as 'event == \"sched_process_fork\"'";
        self.expr(key)?.ok_or_else(|| self.missing(key, HINT))
    }

    pub(super) fn missing(&self, key: &'static str, hint: &'static str) -> RulesError {
        self.fault(RulesProblem::Missing {
            section: self.title,
            key,
            hint,
        })
    }

    fn expr_of(&self, key: &'static str, text: &str) -> Result<Expr, RulesError> {
        let place = self
            .table
            .get(key)
            .map_or(self.span.0, |value| value.span().start);
        let line = line_number(self.text, place);
        let filter = Filter::parse(text)
            .map_err(|source| RulesError::in_line(RulesProblem::Filter { key, source }, line))?;
        Ok(Expr { filter, key, line })
    }

    /// What the begin and the end of a period have in common: `"tid"`, `["a.x", "b.y"]`, or nothing when it is `"none"`.
    pub(super) fn by(&self) -> Result<Option<(Expr, Expr)>, RulesError> {
        let key = "by";
        let names = self.typed(key, "one name, or two in brackets", |value| match value {
            DeValue::String(name) => Some((name.as_ref(), name.as_ref())),
            DeValue::Array(names) => match names.as_ref() {
                [one, other] => Some((one.get_ref().as_str()?, other.get_ref().as_str()?)),
                _ => None,
            },
            _ => None,
        })?;
        let (begin, end) = match names {
            Some(("none", "none")) => return Ok(None),
            Some(names) => names,
            None => ("tid", "tid"),
        };
        Ok(Some((self.bare(key, begin)?, self.bare(key, end)?)))
    }

    /// The name of a field.
    pub(super) fn bare_name(&self, key: &'static str) -> Result<Option<Expr>, RulesError> {
        let name = self.string(key)?;
        name.map(|name| self.bare(key, name)).transpose()
    }

    fn bare(&self, key: &'static str, name: &str) -> Result<Expr, RulesError> {
        let is_name = name.split('.').count() <= 2
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
        match is_name {
            true => self.expr_of(key, name),
            false => Err(self.fault_at(key, RulesProblem::Bare { key })),
        }
    }

    /// A table of names and patterns, such as `{ comm = "sh", tid = 7 }`.
    pub(super) fn patterns(&self, key: &str) -> Result<Vec<(Name, String)>, RulesError> {
        let Some(table) =
            self.typed(key, "a table, such as { comm = \"sh\" }", DeValue::as_table)?
        else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for (name, value) in table {
            let pattern =
                self.taken(
                    name.get_ref(),
                    value,
                    "text or a whole number",
                    |value| match value {
                        DeValue::String(text) => Some(text.to_string()),
                        DeValue::Integer(number) if number.radix() == 10 => {
                            Some(number.as_str().to_owned())
                        }
                        _ => None,
                    },
                )?;
            let line = line_number(self.text, name.span().start);
            let text = name.get_ref().to_string();
            found.push((Name { text, line }, pattern));
        }
        Ok(found)
    }
}

fn whole_number(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer().filter(|number| number.radix() == 10)?;
    number.as_str().parse().ok()
}
