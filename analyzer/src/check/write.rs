//! Verdicts as text, JSON or JUnit's XML.

use std::io::{self, Write};

use serde_json::json;

use super::outcome::{CheckReport, Judgement, Offender, Verdict};
use crate::export::seconds;
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
        }
    }

    fn write_text(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        write_findings(&self.findings, out)?;
        for judgement in &self.judgements {
            let verdict = judgement.verdict.name();
            writeln!(out, "{verdict:<8}{}", shown(&judgement.name))?;
            if judgement.verdict == Verdict::Passed {
                continue;
            }
            for line in judgement.lines() {
                writeln!(out, "        {line}")?;
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
        let [passed, failed, unknown] =
            [Verdict::Passed, Verdict::Failed, Verdict::Unknown].map(|verdict| self.count(verdict));
        let count = self.judgements.len();
        format!("{count} rules: {passed} passed, {failed} failed, {unknown} unknown")
    }

    fn write_json(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        let offender = |offender: &Offender| json!({ "time_ns": offender.at.map(|at| at.0), "text": offender.text });
        let rule = |judgement: &Judgement| {
            let offenders: Vec<_> = judgement.offenders.iter().map(offender).collect();
            json!({
                "name": judgement.name,
                "kind": judgement.section,
                "line": judgement.line,
                "verdict": judgement.verdict.name(),
                "expected": judgement.expected,
                "found": judgement.found,
                "reason": judgement.reason,
                "offender_count": judgement.offender_count,
                "offenders": offenders,
            })
        };
        let rules: Vec<_> = self.judgements.iter().map(rule).collect();
        let whole = json!({
            "check": source,
            "passed": self.count(Verdict::Passed),
            "failed": self.count(Verdict::Failed),
            "unknown": self.count(Verdict::Unknown),
            "rules": rules,
            "findings": self.findings,
        });
        serde_json::to_writer_pretty(&mut *out, &whole)?;
        writeln!(out)
    }

    fn write_junit(&self, source: &str, out: &mut dyn Write) -> io::Result<()> {
        let count = self.judgements.len();
        let (failed, unknown) = (self.count(Verdict::Failed), self.count(Verdict::Unknown));
        let sums = format!("tests=\"{count}\" failures=\"{failed}\" errors=\"{unknown}\"");
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(out, "<testsuites {sums}>")?;
        let source = xml(source);
        writeln!(out, "  <testsuite name=\"{source}\" {sums} skipped=\"0\">")?;
        for judgement in &self.judgements {
            let (name, line) = (xml(&judgement.name), judgement.line);
            let class = judgement.section;
            write!(
                out,
                "    <testcase classname=\"{class}\" name=\"{name}\" file=\"{source}\" line=\"{line}\""
            )?;
            let (element, message) = match judgement.verdict {
                Verdict::Passed => {
                    writeln!(out, "/>")?;
                    continue;
                }
                Verdict::Failed => ("failure", format!("found {}", judgement.found)),
                Verdict::Unknown => ("error", judgement.reason.clone().unwrap_or_default()),
            };
            let (message, lines) = (xml(&message), judgement.lines().join("\n"));
            writeln!(out, ">")?;
            writeln!(
                out,
                "      <{element} message=\"{message}\">{}</{element}>",
                xml(&lines)
            )?;
            writeln!(out, "    </testcase>")?;
        }
        writeln!(out, "  </testsuite>\n</testsuites>")
    }
}

impl Judgement {
    /// What speaks against the rule, a line each.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("expected {}", self.expected),
            format!("found    {}", self.found),
        ];
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

/// Text in XML 1.0, which has no place for most control characters.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
    }
    out
}
