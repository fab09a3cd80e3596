//! What the recorder is told to record: for each trace its events, masks, and when it begins and ends.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;
use guesttrace_events::EventTable;
use probe_plan::{Action, Mode, SessionSpec, WatchSpec};
use trace_format::{Header, Schema};

use super::args::{ModeArgs, RecordArgs};
use super::kernel::BootKernel;
use super::limits::{LimitArgs, Occasion};
use super::masks::MaskArgs;
use super::plan::PreparedPlan;
use super::triggers::TriggerAction;
use crate::Usage;
use crate::endpoint::Endpoint;
use crate::event_choice::EventArgs;

/// Rows that a trace with gaps has, and what tells what exists when it begins late.
const GAP_ROWS: [&str; 2] = ["recording_start", "recording_stop"];
const STATE_ROWS: [&str; 2] = ["task_state", "open_file"];
const MARK_ROW: &str = "recording_mark";
/// What the guest's init says around the work of the guest's own tracer.
const NATIVE_MARK_ROW: &str = "marker";
const SNAPSHOT_ROW: &str = "recording_snapshot";
/// As many as the recorder has bits for.
const SESSIONS_MAX: usize = 16;
const WATCHES_MAX: usize = 64;

/// Keys of a further trace's description, besides `children`, which has no value.
const KEYS: [&str; 20] = [
    "name",
    "trace",
    "events",
    "filter",
    "details",
    "pid",
    "pgrp",
    "sid",
    "uid",
    "gid",
    "cgroup",
    "comm",
    "cpus",
    "syscalls",
    "start",
    "stop",
    "duration",
    "mode",
    "ring-size",
    "children",
];

/// One trace that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) trace: PathBuf,
    /// `None` for those of the recording's own options, whose rows may be files and tracepoints.
    events: Option<String>,
    masks: MaskArgs,
    limits: LimitArgs,
    mode: Mode,
}

/// Everything that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) traces: Vec<Wanted>,
    /// Conditions of `--on`, and what to do.
    pub(crate) triggers: Vec<(String, TriggerAction)>,
    has_control: bool,
    /// The guest's own tracer works between two marks.
    has_native: bool,
}

/// What a further trace's description can hold.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct SessionOptions {
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    trace: PathBuf,
    #[arg(long, default_value = "core", allow_hyphen_values = true)]
    events: String,
    #[command(flatten)]
    masks: MaskArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    mode: ModeArgs,
}

impl Wishes {
    /// Understands the options; nothing is known of the kernel yet.
    pub(crate) fn new(args: &RecordArgs) -> Result<Self> {
        let main = Wanted {
            trace: args.trace.clone(),
            events: None,
            masks: args.masks.clone(),
            limits: args.limits.clone(),
            mode: args.mode.mode(),
        };
        let mut traces = vec![main];
        for text in &args.control.session {
            traces.push(further(text)?);
        }
        if traces.len() > SESSIONS_MAX {
            let usage = Usage::new(format!("more than {SESSIONS_MAX} traces of one recording"));
            return Err(usage.hint("give fewer --session").into());
        }
        check_traces(&traces)?;
        let pairs = args.control.on.chunks_exact(2);
        let triggers = pairs
            .map(|pair| Ok((pair[0].clone(), TriggerAction::parse(&pair[1])?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            traces,
            triggers,
            has_control: args.control.control.is_some(),
            has_native: args.native.native.is_some(),
        })
    }

    /// Whether a trace can have gaps for reasons that concern them all.
    fn has_common_gaps(&self) -> bool {
        let acts =
            |action: &TriggerAction| matches!(action, TriggerAction::Start | TriggerAction::Stop);
        self.has_control || self.triggers.iter().any(|(_, action)| acts(action))
    }

    /// Names of the rows that a trace has besides those that were chosen.
    fn added(&self, wanted: &Wanted) -> Vec<&'static str> {
        let mut names = Vec::new();
        if wanted.limits.has_any() || self.has_common_gaps() {
            names.extend(GAP_ROWS);
            names.extend(STATE_ROWS);
        }
        if self.has_control {
            names.push(MARK_ROW);
        }
        if wanted.is_flight_recorder() {
            names.push(SNAPSHOT_ROW);
        }
        if self.has_native {
            names.push(NATIVE_MARK_ROW);
        }
        names
    }

    /// The choice of events that the plan needs: all that any trace has or any condition looks at.
    pub(crate) fn events(&self, args: &EventArgs) -> Result<EventArgs> {
        let mut names: Vec<String> = Vec::new();
        for wanted in &self.traces {
            names.extend(self.added(wanted).into_iter().map(str::to_owned));
            if let Some(events) = &wanted.events {
                names.extend(rows_of(events)?);
            }
            for (option, text) in wanted.occasions() {
                let occasion = Occasion::parse(text, is_event);
                names.extend(
                    occasion
                        .words(option)?
                        .into_iter()
                        .filter(|word| is_event(word)),
                );
            }
        }
        for (text, _) in &self.triggers {
            let words = Occasion::parse(text, is_event).words("--on")?;
            names.extend(words.into_iter().filter(|word| is_event(word)));
        }
        names.sort();
        names.dedup();
        let mut events = args.clone();
        for name in names {
            events.events.push(',');
            events.events.push_str(&name);
        }
        Ok(events)
    }

    /// What the recorder is told of each trace, and what it is to look out for.
    pub(crate) fn tell(
        &self,
        args: &RecordArgs,
        kernel: &BootKernel,
        plan: &PreparedPlan,
        header: &Header,
    ) -> Result<(Vec<SessionSpec>, Vec<WatchSpec>)> {
        let mut specs = Vec::new();
        let mut watches = Vec::new();
        for (index, wanted) in self.traces.iter().enumerate() {
            let chosen = Self::chosen(wanted, args, plan)?;
            let schema = self.schema_of(wanted, &chosen, plan)?;
            let mut absent = plan.absent.clone();
            // What is no row was asked for by itself.
            absent.retain(|one| chosen.contains(&one.event) || !is_event(&one.event));
            let mut times = Vec::new();
            for (option, text) in wanted.occasions() {
                let occasion = Occasion::parse(text, is_event);
                let is_start = option == "--start";
                times.extend(occasion.time(is_start));
                let when = occasion.when(option, kernel, &plan.schema, &plan.contexts)?;
                let action = if is_start {
                    Action::Start(index)
                } else {
                    Action::Stop(index)
                };
                watches.extend(when.map(|when| WatchSpec { when, action }));
            }
            specs.push(SessionSpec {
                out: absolute(&wanted.trace),
                is_stream: false,
                mode: wanted.mode,
                filter: wanted.masks.filter_text(),
                header: Header {
                    schema,
                    absent,
                    ..header.clone()
                },
                starts_stopped: wanted.limits.starts_stopped(),
                times,
                duration_nanos: wanted.limits.duration.map(|time| time.0),
            });
        }
        watches.extend(self.trigger_watches(kernel, plan)?);
        if watches.len() > WATCHES_MAX {
            let usage = Usage::new(format!(
                "more than {WATCHES_MAX} conditions to look out for"
            ));
            return Err(usage.hint("join conditions with ||").into());
        }
        Ok((specs, watches))
    }

    /// Names of the events that were asked for.
    fn chosen(wanted: &Wanted, args: &RecordArgs, plan: &PreparedPlan) -> Result<Vec<String>> {
        match &wanted.events {
            Some(events) => rows_of(events),
            None => args.events.chosen(&plan.schema),
        }
    }

    /// The events of a trace, and of each the fields that are kept.
    fn schema_of(&self, wanted: &Wanted, chosen: &[String], plan: &PreparedPlan) -> Result<Schema> {
        let added = self.added(wanted);
        let mut schema = plan.schema.clone();
        schema
            .events
            .retain(|event| chosen.contains(&event.name) || added.contains(&event.name.as_str()));
        wanted.masks.check(&schema, &plan.contexts)?;
        wanted.masks.keep_fields(&mut schema);
        keep_used_enums(&mut schema);
        Ok(schema)
    }

    /// What `--on` looks out for.
    fn trigger_watches(&self, kernel: &BootKernel, plan: &PreparedPlan) -> Result<Vec<WatchSpec>> {
        let mut watches = Vec::new();
        for (number, (text, action)) in self.triggers.iter().enumerate() {
            let occasion = Occasion::parse(text, is_event);
            let Some(when) = occasion.when("--on", kernel, &plan.schema, &plan.contexts)? else {
                let usage = Usage::new("--on looks out for events, not for a time");
                return Err(usage.hint("use --start and --stop").into());
            };
            let all = |act: fn(usize) -> Action| (0..self.traces.len()).map(act).collect();
            let actions: Vec<Action> = match action {
                TriggerAction::Log | TriggerAction::Run(_) => vec![Action::Tell(number)],
                TriggerAction::Quit => vec![Action::End(number)],
                TriggerAction::Start => all(Action::Start),
                TriggerAction::Stop => all(Action::Stop),
                TriggerAction::Snapshot => self.snapshots()?,
            };
            watches.extend(actions.into_iter().map(|action| WatchSpec {
                when: when.clone(),
                action,
            }));
        }
        Ok(watches)
    }

    /// The traces that are files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Wanted> {
        let is_file = |wanted: &&Wanted| Endpoint::parse(&wanted.trace).is_none();
        self.traces.iter().filter(is_file)
    }

    /// Whether a trace goes to standard output, where nothing else may be then.
    pub(crate) fn takes_stdout(&self) -> bool {
        let mut traces = self.traces.iter();
        traces.any(|wanted| Endpoint::parse(&wanted.trace) == Some(Endpoint::Stdout))
    }

    /// Whether any trace may lose events.
    pub(crate) fn discards(&self) -> bool {
        self.traces
            .iter()
            .any(|wanted| wanted.mode == Mode::Discard)
    }

    /// The snapshots of all flight recorders.
    fn snapshots(&self) -> Result<Vec<Action>> {
        let traces = self.traces.iter().enumerate();
        let recorders = traces.filter(|(_, wanted)| wanted.is_flight_recorder());
        let actions: Vec<_> = recorders
            .map(|(index, _)| Action::Snapshot(index))
            .collect();
        if actions.is_empty() {
            let usage =
                Usage::new("--on: there is no flight recorder whose memory could be written");
            return Err(usage.hint("record with --mode overwrite").into());
        }
        Ok(actions)
    }

    /// Processes that are followed.
    pub(crate) fn followed(&self) -> Result<Vec<u32>> {
        let mut following = self.traces.iter().map(|wanted| wanted.masks.followed());
        let following: Vec<_> = following.by_ref().filter(|pids| !pids.is_empty()).collect();
        match following.as_slice() {
            [] => Ok(Vec::new()),
            [first, others @ ..] if others.iter().all(|other| other == first) => Ok(first.to_vec()),
            _ => {
                let usage = Usage::new("two traces follow the children of different processes");
                Err(usage
                    .hint("give the same --pid with --children to both, or record twice")
                    .into())
            }
        }
    }
}

impl Wanted {
    /// Whether only the newest events are remembered until a snapshot.
    pub(crate) fn is_flight_recorder(&self) -> bool {
        matches!(self.mode, Mode::Overwrite { .. })
    }

    /// Starts and stops, with the option that each is from.
    fn occasions(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let starts = self.limits.start.iter().map(|text| ("--start", text));
        starts.chain(self.limits.stop.iter().map(|text| ("--stop", text)))
    }
}

/// Whether the table has an event of that name.
fn is_event(word: &str) -> bool {
    static TABLE: std::sync::LazyLock<EventTable> = std::sync::LazyLock::new(EventTable::builtin);
    TABLE.events().iter().any(|row| row.name == word)
}

/// Names of the rows that a choice of events stands for.
fn rows_of(events: &str) -> Result<Vec<String>> {
    let table = EventTable::builtin();
    let selection = plan_compiler::Selection::parse(events);
    if selection.files().next().is_some() || events.contains("tracepoint:") {
        let usage = Usage::new("--session takes events of the table, not files or tracepoints");
        return Err(usage
            .hint("choose those with --events, for the trace of --trace")
            .into());
    }
    let rows = selection.rows(&table)?;
    Ok(rows.into_iter().map(|row| row.name.clone()).collect())
}

/// Leaves the enumerations that fields refer to.
fn keep_used_enums(schema: &mut Schema) {
    let events = &schema.events;
    schema.enums.retain(|enumeration| {
        let kind = trace_format::FieldKind::Enum(enumeration.name.clone());
        events
            .iter()
            .flat_map(|event| &event.fields)
            .any(|field| field.kind == kind)
    });
}

/// Reads the description of a further trace: `KEY=VALUE,...`, where a value may have commas.
fn further(text: &str) -> Result<Wanted> {
    let fail = |problem: String| {
        let usage = Usage::new(format!("--session {text:?}: {problem}"));
        let hint = if text.chars().all(|c| c.is_ascii_digit() || c == ',') {
            "to record only a login session, as setsid(2) makes it, use --sid".to_owned()
        } else {
            format!("write KEY=VALUE,... with the keys {}", KEYS.join(", "))
        };
        anyhow::Error::from(usage.hint(hint))
    };
    let mut words: Vec<String> = Vec::new();
    for part in text.split(',') {
        match key_of(part) {
            Some(("children", None)) => words.push("--children".to_owned()),
            Some((key, Some(value))) => words.push(format!("--{key}={value}")),
            _ => match words.last_mut() {
                Some(value) => {
                    value.push(',');
                    value.push_str(part);
                }
                None => return Err(fail(format!("{part:?} is no KEY=VALUE"))),
            },
        }
    }
    let options = SessionOptions::try_parse_from(words).map_err(|error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or("").replace("error: ", "");
        fail(first)
    })?;
    drop(options.name);
    Ok(Wanted {
        trace: options.trace,
        events: Some(options.events),
        masks: options.masks,
        limits: options.limits,
        mode: options.mode.mode(),
    })
}

/// A part that begins with a key, and its value.
fn key_of(part: &str) -> Option<(&str, Option<&str>)> {
    let trimmed = part.trim_start();
    if trimmed == "children" {
        return Some(("children", None));
    }
    let (key, value) = trimmed.split_once('=')?;
    // `pid==3` is a condition that goes on.
    (KEYS.contains(&key) && !value.starts_with('=')).then_some((key, Some(value)))
}

fn check_traces(traces: &[Wanted]) -> Result<()> {
    for (index, wanted) in traces.iter().enumerate() {
        let path = absolute(&wanted.trace);
        if traces[..index]
            .iter()
            .any(|other| absolute(&other.trace) == path)
        {
            let usage = Usage::new(format!("two traces would be written to {}", path.display()));
            return Err(usage.hint("give each --session a trace= of its own").into());
        }
    }
    Ok(())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_session_may_have_commas() {
        let wanted = further(
            "name=a, trace=a.bin,events=sched,-sched_switch,filter=pid in (1,2) && x in (3,pid==4),pid=7,8,children",
        )
        .unwrap();
        assert_eq!(wanted.trace, PathBuf::from("a.bin"));
        assert_eq!(wanted.events.as_deref(), Some("sched,-sched_switch"));
        let filter = wanted.masks.filter.as_deref();
        assert_eq!(filter, Some("pid in (1,2) && x in (3,pid==4)"));
        assert_eq!(wanted.masks.followed(), [7, 8]);
    }

    #[test]
    fn a_session_needs_a_trace_and_known_keys() {
        for text in [
            "",
            "12",
            "name=a",
            "trace=a,duration=x",
            "colour=red,trace=a",
        ] {
            let error = further(text).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{text}");
        }
    }
}
