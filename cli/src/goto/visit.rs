//! Somebody looks at the machine that stands still: first whether the run is the trace's, then with a debugger.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use analyzer::sources::{Range, Trace};
use anyhow::Result;

use super::debugger::Debugger;
use super::place::Place;
use crate::diff::first_divergence;
use crate::record::{Arrival, Visitor};
use crate::tell;

/// Lines before a divergence that are shown.
const CONTEXT: usize = 3;

/// Somebody who looks.
pub(super) struct Visit<'a> {
    trace: &'a Trace,
    place: &'a Place,
    /// What the machine records on its way.
    until_there: &'a Path,
    debugger: Debugger,
    out: &'a mut dyn Write,
    code: Option<ExitCode>,
    has_left: bool,
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

impl<'a> Visit<'a> {
    /// Nothing was seen yet.
    pub(super) fn new(
        trace: &'a Trace,
        (place, until_there): (&'a Place, &'a Path),
        debugger: Debugger,
        out: &'a mut dyn Write,
    ) -> Self {
        Self {
            trace,
            place,
            until_there,
            debugger,
            out,
            code: None,
            has_left: false,
        }
    }

    /// The exit status; `None` when the machine was never there.
    pub(super) fn ended(&self) -> Option<ExitCode> {
        self.code
    }

    /// Compares what was recorded with the trace; whether all of it is the same.
    fn compare(&mut self, arrival: &Arrival) -> Result<bool> {
        let now = tell::open(self.until_there)?;
        let of_now = Range::default();
        let of_then = Range {
            tscs: 0..=self.place.tsc.saturating_sub(1),
            ..Range::default()
        };
        let (_, divergence) = first_divergence((&now, &of_now), (self.trace, &of_then), CONTEXT)?;
        if let Some(divergence) = divergence {
            let out = &mut self.out;
            writeln!(out, "another run: here they part")?;
            for line in &divergence.before {
                writeln!(out, "  {line}")?;
            }
            let line = |line: Option<String>| line.unwrap_or_else(|| "nothing".to_owned());
            writeln!(out, "  now  {}", line(divergence.a))?;
            writeln!(out, "  then {}", line(divergence.b))?;
            return Ok(false);
        }
        let same = self.place.events_before;
        if arrival.tsc != self.place.tsc && self.place.event.is_some() {
            writeln!(
                self.out,
                "another run: {same} events are equal, but the next one comes at TSC {} and not at {}",
                arrival.tsc, self.place.tsc
            )?;
            return Ok(false);
        }
        writeln!(self.out, "the same run: {same} events equal")?;
        Ok(true)
    }

    fn describe(&mut self, arrival: &Arrival) -> Result<()> {
        let Arrival { cpu, tsc, slide } = arrival;
        match &self.place.event {
            Some(event) => {
                writeln!(self.out, "before event {}: {}", event.number, event.line)?;
            }
            None => {
                let at = self.trace.clock().nanos(*tsc).0;
                let (seconds, nanos) = (at / 1_000_000_000, at % 1_000_000_000);
                writeln!(self.out, "at [{seconds}.{nanos:09}]")?;
            }
        }
        writeln!(self.out, "CPU {cpu}, TSC {tsc}, kernel moved by {slide:#x}")?;
        Ok(())
    }
}

impl Visitor for Visit<'_> {
    fn arrive(&mut self, arrival: &Arrival, talk: &mut dyn Write) -> Result<()> {
        if !self.compare(arrival)? {
            self.code = Some(ExitCode::from(1));
            self.has_left = true;
            return Ok(());
        }
        self.code = Some(ExitCode::SUCCESS);
        self.describe(arrival)?;
        self.debugger.start(arrival, self.out, talk)
    }

    fn has_left(&mut self) -> Result<bool> {
        if let Some(status) = self.debugger.ended()? {
            if !status.success() {
                self.code = Some(ExitCode::from(1));
            }
            self.has_left = true;
        }
        Ok(self.has_left)
    }

    fn takes_interrupts(&self) -> bool {
        self.debugger.is_running()
    }
}
