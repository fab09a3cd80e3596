//! Times in arguments: `1.5`, `1.5s`, `200ms`, `15us`, `7ns`, since the start of the trace.

use analyzer::model::GuestNanos;

/// Reads a time; without a unit it is in seconds.
pub(crate) fn parse_time(text: &str) -> Result<GuestNanos, String> {
    analyzer::report::parse_time(text)
        .ok_or_else(|| format!("{text:?} is not a time: write 1.5s, 200ms, 15us or 7ns"))
}
