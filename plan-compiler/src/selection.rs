//! Which events to record: `sched,irq,syscall_entry,-softirq_raise,tracepoint:block:*`.

use std::borrow::Cow;

use guest_symbols::Tracepoint;
use guesttrace_events::{EventRow, EventTable, Source, TRACEPOINT_ID_FIRST};

use crate::additions::Additions;
use crate::suggest::nearest;

/// Events by name, category, file, `core`, `ltt`, `all`, `none`, pattern with `*` and `?`, or `tracepoint:SYSTEM:NAME`; a minus
/// takes away what came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    terms: Vec<Term>,
    additions: Vec<Additions>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    pattern: String,
    exclude: bool,
}

/// A word of a selection that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {word:?}{}", suggestion.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default())]
pub struct UnknownEvent {
    /// What it should be the name of.
    pub what: &'static str,
    /// The word.
    pub word: String,
    /// The nearest name.
    pub suggestion: Option<String>,
}

/// A tracepoint of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SelectedTracepoint {
    /// Position among the kernel's tracepoints.
    pub(crate) index: usize,
    /// Whether the user named it, and not a pattern that it happens to match.
    pub(crate) is_named: bool,
}

impl Selection {
    /// Reads a selection; that its words stand for something is checked when it is used.
    ///
    /// One that begins with an exclusion begins from `core`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        let mut terms: Vec<Term> = words
            .map(|word| match word.strip_prefix('-') {
                Some(pattern) => Term {
                    pattern: pattern.trim().to_owned(),
                    exclude: true,
                },
                None => Term {
                    pattern: word.to_owned(),
                    exclude: false,
                },
            })
            .collect();
        if terms.first().is_some_and(|term| term.exclude) {
            terms.insert(
                0,
                Term {
                    pattern: "core".to_owned(),
                    exclude: false,
                },
            );
        }
        let additions = Vec::new();
        Self { terms, additions }
    }

    /// The selected rows, in the order of the table. Those that readers cannot do without are always among them.
    ///
    /// # Errors
    /// The first word that stands for nothing.
    pub fn rows<'a>(&self, table: &'a EventTable) -> Result<Vec<&'a EventRow>, UnknownEvent> {
        let live: Vec<&EventRow> = table.events().iter().filter(|row| !row.retired).collect();
        let mut chosen: Vec<bool> = live.iter().map(|row| row.is_always_recorded()).collect();
        for term in &self.terms {
            let mut known = is_group(&term.pattern) || term.tracepoint().is_some();
            for (row, chosen) in live.iter().zip(&mut chosen) {
                if term.matches(row) {
                    known = true;
                    *chosen = !term.exclude || row.is_always_recorded();
                }
            }
            if !known {
                let names = live
                    .iter()
                    .flat_map(|row| [row.name.as_str(), row.category.as_str()]);
                let what = "event or category";
                let suggestion =
                    nearest(&term.pattern, names.chain(["core", "ltt", "all", "none"]));
                return Err(UnknownEvent {
                    what,
                    word: term.pattern.clone(),
                    suggestion,
                });
            }
        }
        Ok(live
            .into_iter()
            .zip(chosen)
            .filter(|(_, chosen)| *chosen)
            .map(|(row, _)| row)
            .collect())
    }

    /// Files of rows that it names: they have to be added to the table before it is used.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let words = self.terms.iter().map(|term| term.pattern.as_str());
        words.filter(|word| is_file(word))
    }

    /// Adds the event of that name.
    pub fn add(&mut self, name: &str) {
        self.terms.push(Term {
            pattern: name.to_owned(),
            exclude: false,
        });
    }

    /// The tracepoints that it names: patterns of system and name.
    pub(crate) fn tracepoint_patterns(&self) -> impl Iterator<Item = (&str, &str)> {
        let patterns = self.terms.iter().filter(|term| !term.exclude);
        let patterns = patterns.filter_map(Term::tracepoint);
        patterns.map(|pattern| (pattern.system.unwrap_or("*"), pattern.name))
    }

    /// Adds fields to some of the events.
    pub fn add_fields(&mut self, additions: Additions) {
        self.additions.push(additions);
    }

    /// What is recorded besides the fields that the events have of their own.
    pub(crate) fn additions(&self) -> &[Additions] {
        &self.additions
    }

    /// Which of the rows it names, whether from the table or made of tracepoints.
    pub(crate) fn among(&self, rows: &[Cow<'_, EventRow>]) -> Result<Vec<bool>, UnknownEvent> {
        let mut chosen = vec![false; rows.len()];
        for term in &self.terms {
            let mut known = is_group(&term.pattern);
            for (row, chosen) in rows.iter().zip(&mut chosen) {
                if term.matches(row) || term.matches_made(row) {
                    known = true;
                    *chosen = !term.exclude;
                }
            }
            if !known {
                let names = rows.iter();
                let names = names.flat_map(|row| [row.name.as_str(), row.category.as_str()]);
                return Err(UnknownEvent {
                    what: "recorded event or category",
                    word: term.pattern.clone(),
                    suggestion: nearest(&term.pattern, names),
                });
            }
        }
        Ok(chosen)
    }

    /// Whether it names tracepoints besides rows of the table.
    pub(crate) fn has_tracepoints(&self) -> bool {
        self.terms.iter().any(|term| term.tracepoint().is_some())
    }

    /// The selected tracepoints, in the kernel's order.
    pub(crate) fn tracepoints<'a>(
        &self,
        all: impl Iterator<Item = &'a Tracepoint>,
    ) -> Result<Vec<SelectedTracepoint>, UnknownEvent> {
        let all: Vec<&Tracepoint> = all.collect();
        let mut chosen: Vec<Option<bool>> = vec![None; all.len()];
        for term in &self.terms {
            let Some(pattern) = term.tracepoint() else {
                continue;
            };
            let mut known = false;
            for (tracepoint, chosen) in all.iter().zip(&mut chosen) {
                if pattern.matches(tracepoint) {
                    known = true;
                    let is_named = !pattern.name.contains(['*', '?']);
                    *chosen = (!term.exclude).then_some(is_named);
                }
            }
            if !known {
                return Err(pattern.unknown(&all));
            }
        }
        let chosen = chosen.into_iter().enumerate();
        Ok(chosen
            .filter_map(|(index, is_named)| {
                let is_named = is_named?;
                Some(SelectedTracepoint { index, is_named })
            })
            .collect())
    }
}

/// `SYSTEM:NAME`, or `NAME` in any system.
struct TracepointPattern<'a> {
    system: Option<&'a str>,
    name: &'a str,
}

impl TracepointPattern<'_> {
    fn matches(&self, tracepoint: &Tracepoint) -> bool {
        self.fits(system_of(tracepoint), &tracepoint.name)
    }

    fn fits(&self, system: &str, name: &str) -> bool {
        self.system
            .is_none_or(|pattern| glob(pattern.as_bytes(), system.as_bytes()))
            && glob(self.name.as_bytes(), name.as_bytes())
    }

    fn unknown(&self, all: &[&Tracepoint]) -> UnknownEvent {
        let full = |tracepoint: &Tracepoint| match self.system {
            Some(_) => format!("{}:{}", system_of(tracepoint), tracepoint.name),
            None => tracepoint.name.clone(),
        };
        let word = match self.system {
            Some(system) => format!("{system}:{}", self.name),
            None => self.name.to_owned(),
        };
        // The right name in the wrong system is what people slip on most.
        let same = all.iter().find(|tracepoint| tracepoint.name == self.name);
        let suggestion = same.copied().map(full).or_else(|| {
            let names: Vec<String> = all.iter().copied().map(full).collect();
            nearest(&word, names.iter().map(String::as_str))
        });
        UnknownEvent {
            what: "tracepoint",
            word,
            suggestion,
        }
    }
}

/// Its system; those that only the kernel itself uses are in none.
pub(crate) fn system_of(tracepoint: &Tracepoint) -> &str {
    tracepoint.system.as_deref().unwrap_or("none")
}

fn is_file(word: &str) -> bool {
    word.ends_with(".toml")
}

fn is_group(word: &str) -> bool {
    matches!(word, "core" | "ltt" | "all" | "none")
}

impl Term {
    fn tracepoint(&self) -> Option<TracepointPattern<'_>> {
        let pattern = self.pattern.strip_prefix("tracepoint:")?;
        Some(match pattern.split_once(':') {
            Some((system, name)) => TracepointPattern {
                system: Some(system),
                name,
            },
            None => TracepointPattern {
                system: None,
                name: pattern,
            },
        })
    }

    /// Whether it is the pattern of a tracepoint and the row was made of one that it matches.
    fn matches_made(&self, row: &EventRow) -> bool {
        let parts = self.tracepoint().zip(row.name.split_once(':'));
        row.id >= TRACEPOINT_ID_FIRST
            && parts.is_some_and(|(pattern, (system, name))| pattern.fits(system, name))
    }

    fn matches(&self, row: &EventRow) -> bool {
        match self.pattern.as_str() {
            "all" => true,
            "none" => false,
            "core" => row.core,
            "ltt" => row.ltt.is_some(),
            file if is_file(file) => {
                matches!(&row.source, Source::File { name, .. } if name == file)
            }
            pattern => glob(pattern.as_bytes(), row.name.as_bytes()) || pattern == row.category,
        }
    }
}

/// `*` stands for any run of characters, `?` for one.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on after the last star, and how much of the text it has taken.
    let mut star = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    p = after;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use guesttrace_events::EventTable;

    use super::Selection;

    /// The names of what is selected besides what always is.
    fn check(selection: &str, expected: &Expect) {
        let table = EventTable::builtin();
        let found = match Selection::parse(selection).rows(&table) {
            Ok(rows) => {
                let names = rows
                    .iter()
                    .filter(|row| !row.is_always_recorded())
                    .map(|row| row.name.as_str());
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn words_add_and_take_away_in_order() {
        check("", &expect![""]);
        check("none", &expect![""]);
        check("sched_switch", &expect!["sched_switch"]);
        check(
            "softirq, -softirq_* ,tick,-w*",
            &expect!["tasklet_entry tasklet_exit tick"],
        );
        check(
            "*_switch,sched_wake?p",
            &expect!["sched_switch sched_wakeup"],
        );
        check("irq,-irq*", &expect![""]);
        check("all,-*,trap", &expect!["trap_entry trap_exit"]);
        check("-all,irq_exit", &expect!["irq_exit"]);
    }

    #[test]
    fn unknown_words_are_errors_with_a_better_one() {
        check(
            "shed_switch",
            &expect![[
                r#"error: there is no event or category "shed_switch"; did you mean "sched_switch"?"#
            ]],
        );
        check(
            "sched,irqq",
            &expect![[r#"error: there is no event or category "irqq"; did you mean "irq"?"#]],
        );
        check(
            "nothing_like_that*",
            &expect![[r#"error: there is no event or category "nothing_like_that*""#]],
        );
    }

    #[test]
    fn context_and_end_are_always_recorded() {
        let table = EventTable::builtin();
        let rows = Selection::parse("-all").rows(&table).unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(
            names,
            ["thread_context", "power_off", "restart", "halt", "panic"]
        );
    }
}
