//! When a trace begins and ends, and what else is looked out for while the guest runs.

use std::path::PathBuf;

use analyzer::model::GuestNanos;
use anyhow::{Context as _, Result};
use clap::Args;
use guesttrace_filter::Filter;
use probe_plan::{LinkAddr, TimeSpec, When};
use trace_format::Schema;

use super::kernel::BootKernel;
use super::masks::{check_filter, quoted};
use crate::Usage;
use crate::time::parse_time;

/// When one trace begins and ends.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Start and stop")]
pub(crate) struct LimitArgs {
    /// Start recording at a time since the kernel's start (1.5s), at `function:NAME`, at a kernel log line (`marker:TEXT`),
    /// or at an event: its name or a condition; may be repeated, also to go on after a stop
    #[arg(long, value_name = "WHEN")]
    pub(crate) start: Vec<String>,
    /// Stop recording, at the like; the guest runs on
    #[arg(long, value_name = "WHEN")]
    pub(crate) stop: Vec<String>,
    /// Stop so long after each start, in guest time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) duration: Option<GuestNanos>,
}

/// What concerns the whole recording.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Start and stop")]
pub(crate) struct ControlArgs {
    /// When this event or condition happens: log it, run:COMMAND with it as JSON on standard input, start, stop, or quit
    #[arg(long, value_names = ["WHEN", "ACTION"], num_args = 2, action = clap::ArgAction::Append)]
    pub(crate) on: Vec<String>,
    /// Take commands of `guesttrace ctl` on this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) control: Option<PathBuf>,
    /// Record a further trace: 'trace=FILE[,events=SPEC][,MASK=VALUE]...[,start=WHEN][,stop=WHEN][,duration=TIME]'
    #[arg(long, value_name = "SPEC")]
    pub(crate) session: Vec<String>,
}

/// An occasion, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Time(GuestNanos),
    Function(String),
    /// A condition on events.
    Event(String),
}

impl Occasion {
    /// Reads it; `is_event` knows the names of events.
    pub(crate) fn parse(text: &str, is_event: impl Fn(&str) -> bool) -> Self {
        if let Ok(time) = parse_time(text) {
            return Self::Time(time);
        }
        match text.split_once(':') {
            Some(("function", name)) => Self::Function(name.to_owned()),
            Some(("marker", text)) => Self::Event(format!("printk.text =~ {}", quoted(text))),
            _ if is_event(text) => Self::Event(format!("event == {text}")),
            _ => Self::Event(text.to_owned()),
        }
    }

    /// The words of a condition, which may be names of events that have to be watched for it.
    pub(crate) fn words(&self, option: &str) -> Result<Vec<String>> {
        let Self::Event(text) = self else {
            return Ok(Vec::new());
        };
        let filter =
            Filter::parse(text).with_context(|| format!("{option} cannot be understood"))?;
        Ok(filter.words().into_iter().map(str::to_owned).collect())
    }

    /// What the recorder is told to look out for; `None` for a time.
    pub(crate) fn when(
        &self,
        option: &str,
        kernel: &BootKernel,
        schema: &Schema,
        contexts: &[String],
    ) -> Result<Option<When>> {
        Ok(match self {
            Self::Time(_) => None,
            Self::Event(text) => {
                check_filter(option, text, schema, contexts)?;
                Some(When::Event(text.clone()))
            }
            Self::Function(name) => {
                let address = kernel.facts()?.symbols().address(name);
                let Some(address) = address else {
                    let usage =
                        Usage::new(format!("{option}: the kernel has no function {name:?}"));
                    return Err(usage
                        .hint("`guesttrace list functions --kernel F` names them")
                        .into());
                };
                Some(When::Reached(LinkAddr(address.0)))
            }
        })
    }

    /// As a start or a stop at a time.
    pub(crate) fn time(&self, is_start: bool) -> Option<TimeSpec> {
        let Self::Time(time) = self else { return None };
        let nanos = time.0;
        Some(TimeSpec { nanos, is_start })
    }
}

impl LimitArgs {
    /// Whether something has to start the trace.
    pub(crate) fn starts_stopped(&self) -> bool {
        !self.start.is_empty()
    }

    /// Whether the trace can have gaps.
    pub(crate) fn has_any(&self) -> bool {
        self.starts_stopped() || !self.stop.is_empty() || self.duration.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Occasion) {
        let found = Occasion::parse(text, |name| name == "sched_switch");
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn occasions_are_told_apart() {
        let event = |text: &str| Occasion::Event(text.to_owned());
        check("1.5", Occasion::Time(GuestNanos(1_500_000_000)));
        check("20ms", Occasion::Time(GuestNanos(20_000_000)));
        check(
            "function:vfs_read",
            Occasion::Function("vfs_read".to_owned()),
        );
        check("sched_switch", event("event == sched_switch"));
        check(
            "marker:phase \"2\"",
            event(r#"printk.text =~ "phase \"2\"""#),
        );
        check("pid == 1", event("pid == 1"));
    }
}
