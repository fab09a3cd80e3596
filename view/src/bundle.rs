//! The page: its modules as one script, its styles as one, nothing from elsewhere.

use std::sync::LazyLock;

use crate::answer::Answer;

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../web/", $name))),)*]
    };
}

/// The modules, each behind those that it imports from when it is loaded.
const MODULES: &[(&str, &str)] = files!(
    "dom.js"
    "time.js"
);

/// The styles.
const STYLES: &[(&str, &str)] = files!("theme.css");

/// All modules as one script.
#[must_use]
pub fn script_text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let modules = MODULES.iter().map(|(_, text)| without_modules(text));
        format!("'use strict';\n{}", modules.collect::<String>())
    });
    &TEXT
}

/// All styles.
#[must_use]
pub fn style_text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| STYLES.iter().map(|(_, text)| *text).collect());
    &TEXT
}

/// The page without its script and style.
pub const PAGE: &str = include_str!("../web/index.html");

/// A module's text as part of one script: without its imports, and with what it exports for all to see.
fn without_modules(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with("import ") {
            continue;
        }
        out.push_str(line.strip_prefix("export ").unwrap_or(line));
        out.push('\n');
    }
    out
}

pub(crate) fn page() -> Answer {
    file("text/html; charset=utf-8", PAGE)
}

pub(crate) fn script() -> Answer {
    file("text/javascript; charset=utf-8", script_text())
}

pub(crate) fn style() -> Answer {
    file("text/css; charset=utf-8", style_text())
}

fn file(media_type: &'static str, text: &str) -> Answer {
    Answer {
        media_type,
        bytes: text.as_bytes().to_vec(),
        file_name: None,
    }
}
