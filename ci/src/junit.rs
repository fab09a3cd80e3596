//! Verdicts for servers that collect test results: JUnit's XML, a suite for each run and a case for each thing it holds.

use std::io::{self, Write};
use std::path::Path;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::outcome::{Check, RunOutcome, Verdict};

/// Writes them.
///
/// # Errors
/// When the output fails.
pub fn write_junit(suite: &Path, outcomes: &[RunOutcome], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let file = harmless(&suite.to_string_lossy());
    let all = outcomes.iter().flat_map(|outcome| &outcome.checks);
    let sums = sums(all);
    { writer.create_element("testsuites") }
        .with_attribute(("name", file.as_str()))
        .with_attributes(sums.iter().map(|(key, sum)| (*key, sum.as_str())))
        .write_inner_content(|writer| {
            for outcome in outcomes {
                write_run(outcome, &file, writer)?;
            }
            Ok(())
        })?;
    writeln!(out)
}

fn sums<'a>(checks: impl Iterator<Item = &'a Check> + Clone) -> [(&'static str, String); 3] {
    let count = |verdict| {
        let checks = checks.clone();
        checks.filter(|check| check.verdict == verdict).count()
    };
    [
        ("tests", checks.clone().count().to_string()),
        ("failures", count(Verdict::Failed).to_string()),
        ("errors", count(Verdict::Unmade).to_string()),
    ]
}

fn write_run<W: Write>(outcome: &RunOutcome, file: &str, writer: &mut Writer<W>) -> io::Result<()> {
    let time = outcome.wall.map_or(0.0, |wall| wall.as_secs_f64());
    let (time, line) = (format!("{time:.3}"), outcome.line.to_string());
    let sums = sums(outcome.checks.iter());
    { writer.create_element("testsuite") }
        .with_attribute(("name", outcome.name.as_str()))
        .with_attributes(sums.iter().map(|(key, sum)| (*key, sum.as_str())))
        .with_attributes([("skipped", "0"), ("time", &time)])
        .write_inner_content(|writer| {
            for check in &outcome.checks {
                let name = harmless(&check.name);
                let case = { writer.create_element("testcase") }.with_attributes([
                    ("classname", outcome.name.as_str()),
                    ("name", &name),
                    ("file", file),
                    ("line", &line),
                ]);
                match check.verdict {
                    Verdict::Passed => case.write_empty()?,
                    Verdict::Failed => case.write_inner_content(|w| reason("failure", check, w))?,
                    Verdict::Unmade => case.write_inner_content(|w| reason("error", check, w))?,
                };
            }
            Ok(())
        })?;
    Ok(())
}

fn reason<W: Write>(element: &str, check: &Check, writer: &mut Writer<W>) -> io::Result<()> {
    let message = check.lines.first().map_or("", String::as_str);
    let text = check.lines.join("\n");
    { writer.create_element(element) }
        .with_attribute(("message", harmless(message).as_str()))
        .write_text_content(BytesText::new(&harmless(&text)))?;
    Ok(())
}

/// XML 1.0 has no place for most control characters.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}
