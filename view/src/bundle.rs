//! The page: its modules as one script, its styles as one, nothing from elsewhere. `build.rs` puts them together.

use crate::answer::Answer;

/// The page without its script and style.
pub(crate) const PAGE: &str = include_str!("../web/index.html");
/// All modules as one script.
pub(crate) const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/app.js"));
/// All styles.
pub(crate) const STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/app.css"));

pub(crate) fn page() -> Answer {
    file("text/html; charset=utf-8", PAGE)
}

pub(crate) fn script() -> Answer {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) fn style() -> Answer {
    file("text/css; charset=utf-8", STYLE)
}

fn file(media_type: &'static str, text: &str) -> Answer {
    Answer {
        media_type,
        bytes: text.as_bytes().to_vec(),
        file_name: None,
    }
}
