//! What `--on WHEN ACTION` does on the host: lines on the terminal, commands.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use analyzer::export::{LineFormat, LineWriter};
use analyzer::model::{CpuId, GuestNanos, Pid, Tid};
use analyzer::sources::{Context, Fields, Record};
use anyhow::Result;
use probe_plan::MatchedEvent;
use trace_format::{EventId, Schema, Value};

use crate::Usage;

/// Commands that wait for those before them; what is beyond is counted.
const QUEUE_MAX: usize = 1024;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TriggerAction {
    Log,
    Run(String),
    Start,
    Stop,
    Snapshot,
    Quit,
}

impl TriggerAction {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let hint = match text {
            "log" => return Ok(Self::Log),
            "start" => return Ok(Self::Start),
            "stop" => return Ok(Self::Stop),
            "quit" => return Ok(Self::Quit),
            "snapshot" => return Ok(Self::Snapshot),
            _ => match text.strip_prefix("run:") {
                Some(command) if !command.trim().is_empty() => {
                    return Ok(Self::Run(command.to_owned()));
                }
                _ => "the actions are log, run:COMMAND, start, stop, snapshot and quit",
            },
        };
        let usage = Usage::new(format!("--on: {text:?} is no action"));
        Err(usage.hint(hint).into())
    }
}

/// A command, and the event as a line of JSON.
type Job = (String, Vec<u8>);

/// Carries the actions out.
#[derive(Debug)]
pub(crate) struct Triggers {
    actions: Vec<TriggerAction>,
    schema: Schema,
    text: LineWriter,
    json: LineWriter,
    tsc_hz: u64,
    commands: Option<(SyncSender<Job>, JoinHandle<()>)>,
    dropped: u64,
}

impl Triggers {
    /// `schema` is that of the plan.
    pub(crate) fn new(actions: Vec<TriggerAction>, schema: &Schema, tsc_hz: u64) -> Self {
        let runs = actions
            .iter()
            .any(|action| matches!(action, TriggerAction::Run(_)));
        Self {
            text: LineWriter::new(schema, LineFormat::Text),
            json: LineWriter::new(schema, LineFormat::Json),
            schema: schema.clone(),
            tsc_hz,
            commands: runs.then(start_runner),
            dropped: 0,
            actions,
        }
    }

    /// Something happened that was looked out for. Returns what to show on the terminal.
    pub(crate) fn take(&mut self, number: usize, event: Option<&MatchedEvent>) -> Option<Vec<u8>> {
        let action = self.actions.get(number)?.clone();
        match action {
            TriggerAction::Log | TriggerAction::Quit => Some(self.line(event, LineFormat::Text)),
            TriggerAction::Run(command) => {
                let line = self.line(event, LineFormat::Json);
                let (queue, _) = self.commands.as_ref()?;
                if let Err(TrySendError::Full(_)) = queue.try_send((command, line)) {
                    self.dropped += 1;
                }
                None
            }
            TriggerAction::Start | TriggerAction::Stop | TriggerAction::Snapshot => None,
        }
    }

    /// Waits for the commands that were started. Returns how many could not be.
    pub(crate) fn finish(&mut self) -> u64 {
        if let Some((queue, runner)) = self.commands.take() {
            drop(queue);
            let _ = runner.join();
        }
        self.dropped
    }

    fn line(&mut self, event: Option<&MatchedEvent>, format: LineFormat) -> Vec<u8> {
        let mut line = Vec::new();
        let Some(event) = event else {
            return b"{}\n".to_vec();
        };
        let id = EventId(event.event);
        let values = values(&self.schema, id, event);
        let context = Context {
            tid: Tid(u32::try_from(event.tid).unwrap_or(u32::MAX)),
            pid: Pid(u32::try_from(event.pid).unwrap_or(u32::MAX)),
            comm: event.comm.clone(),
            // Each event is told with its own thread.
            generation: event.tsc,
            is_assumed: false,
        };
        let record = Record {
            at: self.time(event),
            tsc: event.tsc,
            cpu: CpuId(event.cpu),
            event: id,
            context: &context,
            fields: Fields::Plain(&values),
            is_repeated: false,
            is_context: false,
        };
        let writer = match format {
            LineFormat::Text | LineFormat::Csv => &mut self.text,
            LineFormat::Json => &mut self.json,
        };
        writer.push(&mut line, &record);
        line
    }

    fn time(&self, event: &MatchedEvent) -> GuestNanos {
        let ticks = event.tsc.saturating_sub(event.first_tsc);
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.tsc_hz.max(1));
        GuestNanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The fields of a plain record.
fn values<'a>(schema: &Schema, id: EventId, event: &'a MatchedEvent) -> Vec<Value<'a>> {
    let mut payload = event.payload.as_slice();
    let fields = schema.event(id).map_or(&[][..], |event| &event.fields);
    let mut values = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let length = match (field.kind.is_bytes(), payload) {
            (false, _) => 8,
            (true, [low, high, ..]) => {
                let length = usize::from(u16::from_le_bytes([*low, *high]));
                payload = &payload[2..];
                length
            }
            (true, _) => 0,
        };
        let Some((bytes, rest)) = payload.split_at_checked(length) else {
            break;
        };
        payload = rest;
        values.push(
            match (event.missing >> (index & 31) & 1, bytes.first_chunk()) {
                (1, _) => Value::Missing,
                (_, Some(number)) if !field.kind.is_bytes() => {
                    Value::Number(u64::from_le_bytes(*number))
                }
                _ => Value::Bytes(bytes),
            },
        );
    }
    values
}

/// Runs commands one after the other; the guest does not wait for them.
fn start_runner() -> (SyncSender<Job>, JoinHandle<()>) {
    let (queue, inbox) = sync_channel::<Job>(QUEUE_MAX);
    let runner = thread::spawn(move || {
        for (command, event) in inbox {
            let child = Command::new("/bin/sh")
                .args(["-c", &command])
                .stdin(Stdio::piped())
                .spawn();
            let Ok(mut child) = child else { continue };
            if let Some(mut stdin) = child.stdin.take() {
                // A command that does not read its input is none the worse.
                let _ = stdin.write_all(&event);
            }
            let _ = child.wait();
        }
    });
    (queue, runner)
}
