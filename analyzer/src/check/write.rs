//! Verdicts as text, JSON or JUnit's XML.

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::outcome::{CheckReport, Judgement, Offender, Verdict};
use crate::export::{push_csv, seconds};
use crate::report::write_findings;

/// How verdicts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// For servers that run tests.
    Junit,
    /// Comma-separated values, a rule or an answer a line: for tables over many traces.
    Csv,
}

impl CheckReport {
    /// Writes it; `source` is what the file of rules is called.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write(&self, format: CheckFormat, source: &str, out: &mut dyn Write) -> io::Result<()> {
        match format {
            CheckFormat::Text => self.write_text(source, out),
            CheckFormat::Json => self.write_json(source, out),
            CheckFormat::Junit => self.write_junit(source, out),
            CheckFormat::Csv => self.write_csv(out),
        }
    }

    fn write_text(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        write_findings(&self.findings, out)?;
        for judgement in &self.judgements {
            let result = judgement.result();
            writeln!(out, "{result:<8}{}", shown(&judgement.title()))?;
            if judgement.verdict == Verdict::Passed {
                continue;
            }
            for line in judgement.lines() {
                writeln!(out, "        {line}")?;
            }
            if judgement.answered.is_some() {
                continue;
            }
            writeln!(
                out,
                "        rule of {} line {}",
                shown(source),
                judgement.line
            )?;
        }
        writeln!(out, "{}", self.sums())
    }

    fn sums(&self) -> String {
        let sums = |what: &str, are_answers: bool, names: &[&str]| {
            let judgements = self.judgements.iter();
            let is_meant = |judgement: &&Judgement| judgement.answered.is_some() == are_answers;
            let results: Vec<&str> = judgements.filter(is_meant).map(Judgement::result).collect();
            let count = |name: &&str| results.iter().filter(|result| *result == name).count();
            let parts = names.iter().map(|name| format!("{} {name}", count(name)));
            let parts: Vec<String> = parts.collect();
            format!("{} {what}: {}", results.len(), parts.join(", "))
        };
        let rules = sums("rules", false, &["passed", "failed", "unknown"]);
        let Some((points, points_max)) = self.points() else {
            return rules;
        };
        let answers = sums("answers", true, &["right", "wrong", "missing", "unknown"]);
        format!("{rules}\n{answers}\n{points} of {points_max} points")
    }

    fn write_json(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        let offender = |offender: &Offender| json!({ "time_ns": offender.at.map(|at| at.0), "text": offender.text });
        let rule = |judgement: &Judgement| {
            let offenders: Vec<_> = judgement.offenders.iter().map(offender).collect();
            let mut rule = json!({
                "name": judgement.name,
                "kind": judgement.section,
                "line": judgement.line,
                "verdict": judgement.result(),
                "expected": judgement.expected,
                "found": judgement.found,
                "reason": judgement.reason,
                "offender_count": judgement.offender_count,
                "offenders": offenders,
            });
            if let (Some((points, points_max)), Some(answered)) =
                (judgement.points(), &judgement.answered)
            {
                rule["points"] = points.into();
                rule["points_max"] = points_max.into();
                rule["question"] = answered.question.clone().into();
            }
            rule
        };
        let rules: Vec<_> = self.judgements.iter().map(rule).collect();
        let mut whole = json!({
            "check": source,
            "passed": self.count(Verdict::Passed),
            "failed": self.count(Verdict::Failed),
            "unknown": self.count(Verdict::Unknown),
            "rules": rules,
            "findings": self.findings,
        });
        if let Some((points, points_max)) = self.points() {
            whole["points"] = points.into();
            whole["points_max"] = points_max.into();
        }
        serde_json::to_writer_pretty(&mut *out, &whole)?;
        writeln!(out)
    }

    fn write_junit(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut rules = TestSuite::new(source);
        for judgement in &self.judgements {
            let mut case = TestCase::new(judgement.title(), judgement.status());
            case.set_classname(judgement.section);
            let place = [("file", source), ("line", &judgement.line.to_string())];
            case.extra
                .extend(place.map(|(key, value)| (key.into(), value.into())));
            rules.add_test_case(case);
        }
        let mut report = Report::new(source);
        report.add_test_suite(rules);
        report.serialize(out).map_err(io::Error::other)
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "kind,name,verdict,points,points_max,expected,found,reason"
        )?;
        for judgement in &self.judgements {
            let (points, points_max) = judgement.points().unzip();
            let number =
                |points: Option<u32>| points.map_or_else(String::new, |one| one.to_string());
            let cells = [
                judgement.section,
                &judgement.name,
                judgement.result(),
                &number(points),
                &number(points_max),
                &judgement.expected,
                &judgement.found,
                judgement.reason.as_deref().unwrap_or_default(),
            ];
            let mut line = Vec::new();
            for cell in cells {
                push_csv(&mut line, cell.as_bytes());
                line.push(b',');
            }
            line.pop();
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    }
}

impl Judgement {
    /// Its name; of an answer also what it is worth.
    fn title(&self) -> String {
        match &self.answered {
            None => self.name.clone(),
            Some(answered) if answered.points == 1 => format!("{} (1 point)", self.name),
            Some(answered) => format!("{} ({} points)", self.name, answered.points),
        }
    }

    /// What servers that run tests are told of it.
    fn status(&self) -> TestCaseStatus {
        let (kind, message) = match self.verdict {
            Verdict::Passed => return TestCaseStatus::success(),
            Verdict::Failed if self.found.is_empty() => {
                (NonSuccessKind::Failure, "missing".to_owned())
            }
            Verdict::Failed => (NonSuccessKind::Failure, format!("found {}", self.found)),
            Verdict::Unknown => (
                NonSuccessKind::Error,
                self.reason.clone().unwrap_or_default(),
            ),
        };
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(message);
        status.set_description(self.lines().join("\n"));
        status
    }

    /// What speaks against the rule, a line each.
    fn lines(&self) -> Vec<String> {
        let question = self
            .answered
            .iter()
            .map(|answered| one_line(&answered.question));
        let mut lines: Vec<String> = question.collect();
        for (what, text) in [("expected", &self.expected), ("found   ", &self.found)] {
            if !text.is_empty() {
                lines.push(format!("{what} {}", one_line(text)));
            }
        }
        lines.extend(
            self.reason
                .iter()
                .map(|reason| format!("because  {reason}")),
        );
        for offender in &self.offenders {
            let at = offender
                .at
                .map_or_else(String::new, |at| format!("[{}] ", seconds(at)));
            lines.push(format!("  {at}{}", offender.text));
        }
        let more = self
            .offender_count
            .saturating_sub(self.offenders.len() as u64);
        if more > 0 && !self.offenders.is_empty() {
            lines.push(format!("  and {more} more"));
        }
        lines
    }
}

/// Text of a user's file, as it can be shown in a line.
fn shown(text: &str) -> String {
    crate::report::guest_text(text.as_bytes())
}

/// Text that people wrote, without what would move a terminal's cursor.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
