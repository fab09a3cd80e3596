//! A recording's machine once more, which stands still at a moment for somebody to look at it.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use probe_plan::HaltSpec;
use trace_format::Header;

use super::args::RecordArgs;
use super::process::{self, Company, Finished};
use super::relay::Relays;
use super::{Prepared, prepare};
use crate::console::Console;

/// The machine stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// CPU whose instruction is next.
    pub(crate) cpu: u32,
    /// Time as that instruction would read it.
    pub(crate) tsc: u64,
    /// How far the kernel image was moved.
    pub(crate) slide: u64,
}

/// Who looks at a machine that stands still.
pub(crate) trait Visitor: std::fmt::Debug {
    /// Begins to look; must not take long.
    ///
    /// # Errors
    /// When there is nothing to look at; that ends the machine.
    fn arrive(&mut self, arrival: &Arrival, talk: &mut dyn Write) -> Result<()>;

    /// Whether the machine is no longer needed; asked again and again.
    fn has_left(&mut self) -> Result<bool>;

    /// Whether Ctrl-C is for the visitor now.
    fn takes_interrupts(&self) -> bool;
}

/// A machine that is ready to start once more.
#[derive(Debug)]
pub(crate) struct Repetition {
    prepared: Prepared,
}

impl Repetition {
    /// Prepares it as `record` would.
    pub(crate) fn prepare(args: &RecordArgs) -> Result<Self> {
        prepare(args).map(|prepared| Self { prepared })
    }

    /// What the trace of this run says of itself.
    pub(crate) fn header(&self) -> Option<&Header> {
        let recording = self.prepared.recording.as_ref()?;
        recording.sessions.first().map(|session| &session.header)
    }

    /// Has it stand still somewhere; a debugger finds it on the socket.
    pub(crate) fn halt_at(&mut self, halt: HaltSpec, gdb_socket: Option<PathBuf>) -> Result<()> {
        let recording = self.prepared.recording.as_mut();
        recording.context("a machine without recorder")?.halt = Some(halt);
        self.prepared.gdb_socket = gdb_socket;
        Ok(())
    }

    /// Runs it until the visitor has left or the guest has ended; the guest's console is not shown.
    pub(crate) fn run(
        mut self,
        args: &RecordArgs,
        visitor: &mut dyn Visitor,
        talk: &mut dyn Write,
    ) -> Result<Finished> {
        let company = Company {
            triggers: self.prepared.triggers.take(),
            relays: Relays::connect([].iter(), self.prepared.work_dir.path())?,
            visitor: Some(visitor),
        };
        let mut console = Console {
            out: &mut io::sink(),
            talk,
            width: None,
        };
        process::run(args, &self.prepared, company, &mut console)
    }
}
