//! Rules that stand in the suite itself, as a file of rules for `check`.

use std::fmt::Write as _;

use toml::Spanned;

use crate::raw::{RawRun, line_at};

/// The text, in which each rule stands in the line that it has in the suite, where there is room; `None` without rules.
pub(crate) fn text(run: &RawRun, suite: &str) -> Option<String> {
    let kinds: [(&str, &[Spanned<toml::Table>]); 6] = [
        ("count", &run.count),
        ("never", &run.never),
        ("order", &run.order),
        ("latency", &run.latency),
        ("state", &run.state),
        ("report", &run.report),
    ];
    let rule = |kind, rule: &Spanned<toml::Table>| {
        let line = line_at(suite, &rule.span());
        (line, kind, rule.get_ref().clone())
    };
    let mut rules: Vec<(usize, &str, toml::Table)> = kinds
        .iter()
        .flat_map(|(kind, rules)| rules.iter().map(|item| rule(*kind, item)))
        .collect();
    rules.sort_by_key(|(line, ..)| *line);
    if rules.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut lines = 1;
    for (line, kind, table) in rules {
        while lines < line {
            text.push('\n');
            lines += 1;
        }
        let _ = writeln!(text, "[[{kind}]]");
        lines += 1;
        for (key, value) in table {
            // Values of TOML are written in one line.
            let _ = writeln!(text, "{} = {value}", toml::Value::String(key));
            lines += 1;
        }
    }
    Some(text)
}
