//! Names with `*` and `?`.

use analyzer::report::Glob;

/// Whether a pattern matches the whole of a name.
pub(crate) fn is_match(pattern: &str, name: &str) -> bool {
    Glob::new(pattern).matches(name.as_bytes())
}
