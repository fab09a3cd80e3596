//! Times in arguments: `1.5`, `1.5s`, `200ms`, `15us`, `7ns`, since the start of the trace; `-1s` before its end.

use analyzer::model::{GuestNanos, Span};
use analyzer::sources::Trace;
use anyhow::Result;

use crate::Usage;

/// Reads a time; without a unit it is in seconds.
pub(crate) fn parse_time(text: &str) -> Result<GuestNanos, String> {
    analyzer::report::parse_time(text)
        .ok_or_else(|| format!("{text:?} is not a time: write 1.5s, 200ms, 15us or 7ns"))
}

/// A moment of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long after its start.
    AfterStart(GuestNanos),
    /// So long before its end.
    BeforeEnd(GuestNanos),
}

/// Reads a moment.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, String> {
    match text.strip_prefix('-') {
        Some(length) => parse_time(length).map(Moment::BeforeEnd),
        None => parse_time(text).map(Moment::AfterStart),
    }
}

impl Moment {
    /// The moment in a trace of that length, which one that is still being recorded does not have.
    fn in_trace(self, duration: Option<GuestNanos>) -> Result<GuestNanos> {
        match (self, duration) {
            (Self::AfterStart(time), _) => Ok(time),
            (Self::BeforeEnd(time), Some(duration)) => Ok(duration.since(time)),
            (Self::BeforeEnd(_), None) => {
                let usage =
                    Usage::new("the end of a trace that is still being recorded is not known");
                Err(usage.hint("count from its start, without a minus").into())
            }
        }
    }
}

/// The time between two moments of a trace, or its start and end.
pub(crate) fn span_of(from: Option<Moment>, to: Option<Moment>, trace: &Trace) -> Result<Span> {
    span_within(from, to, Some(trace.duration()))
}

/// The same of a trace of that length, if it has one already.
pub(crate) fn span_within(
    from: Option<Moment>,
    to: Option<Moment>,
    duration: Option<GuestNanos>,
) -> Result<Span> {
    let nanos = |moment: Option<Moment>| moment.map(|moment| moment.in_trace(duration)).transpose();
    let start = nanos(from)?.unwrap_or(Span::ALL.start);
    let end = nanos(to)?.unwrap_or(Span::ALL.end);
    if start > end {
        return Err(Usage::new("--from is later than --to")
            .hint("both count from the start of the trace, with a minus from its end")
            .into());
    }
    Ok(Span { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The span of `--from` and `--to` in a trace of ten seconds, in milliseconds.
    fn check(from: &str, to: &str, expected: Option<(u64, u64)>) {
        let moment = |text| Some(parse_moment(text).unwrap());
        let duration = GuestNanos(10_000_000_000);
        let span = span_within(moment(from), moment(to), Some(duration)).ok();
        let found = span.map(|span| (span.start.0 / 1_000_000, span.end.0 / 1_000_000));
        assert_eq!(found, expected, "{from} {to}");
    }

    #[test]
    fn moments_count_from_the_start_or_back_from_the_end() {
        check("1s", "2s", Some((1000, 2000)));
        check("-1s", "-0", Some((9000, 10_000)));
        check("-2.5s", "9", Some((7500, 9000)));
        check("-11s", "1s", Some((0, 1000)));
        check("-1s", "-2s", None);
    }

    #[test]
    fn the_end_of_a_recording_is_not_known_before_it_ends() {
        let last = parse_moment("-1s").ok();
        assert!(span_within(last, None, None).is_err());
        assert!(span_within(parse_moment("1s").ok(), None, None).is_ok());
    }
}
