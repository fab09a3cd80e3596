//! `guesttrace count`: how many events there are of each kind, thread, CPU or value of fields.

use std::process::ExitCode;

use analyzer::report::{CountBy, CountWish, count};
use anyhow::Result;
use clap::Args;
use guesttrace_filter::nearest;
use trace_format::Schema;

use crate::Usage;
use crate::console::Console;
use crate::events::{condition, events_named};
use crate::report::{Format, PartArgs, show};
use crate::traces::TracesArgs;

/// Count events by their kind, thread, CPU or the values of their fields
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace count out.bin\n  \
guesttrace count out.bin --event syscall_entry --by comm,name --top 20\n  \
guesttrace count out.bin --filter 'syscall_exit.ret < 0' --by name,ret --format csv\n\n\
The largest come first. Of events that do not have the field it is said how many they are.")]
pub(crate) struct CountArgs {
    #[command(flatten)]
    traces: TracesArgs,
    /// Only events of this name, which may have `*` and `?`; may be repeated, or several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    /// Only events for which this holds, such as 'prev_state == S && prev_pid != 0'
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// What they are told apart by: event, comm, pid, tid, cpu of the moment, or a field as
    /// filters name it, such as ret, syscall_exit.ret or event.pid; several with commas
    #[arg(
        long,
        value_name = "FIELD",
        value_delimiter = ',',
        default_value = "event"
    )]
    by: Vec<String>,
    #[command(flatten)]
    part: PartArgs,
    /// Show at most so many rows
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &CountArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = args.traces.open()?;
    let schema = trace.schema();
    let events = events_named(&args.event, schema)?;
    let by = args.by.iter().map(|name| {
        CountBy::parse(name, schema, &events)
            .map_err(|error| no_field(&error.to_string(), name, schema))
    });
    let wish = CountWish {
        selection: args.part.selection(&trace)?,
        by: by.collect::<Result<_, _>>()?,
        filter: (args.filter.as_ref())
            .map(|text| condition("--filter", text, schema))
            .transpose()?,
        events,
        top: args.top,
    };
    show(&count(&trace, &wish)?, args.format, console)
}

fn no_field(error: &str, name: &str, schema: &Schema) -> Usage {
    let fields = schema.events.iter().flat_map(|event| &event.fields);
    let known = fields.map(|field| field.name.as_str());
    let known = known.chain(["event", "comm", "pid", "tid", "cpu"]);
    let meant = nearest(name, known.filter(|known| *known != name));
    let meant = meant.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    let hint = "`guesttrace events FILE --limit 20` shows events with their fields";
    Usage::new(format!("--by: {error}{meant}")).hint(hint)
}
