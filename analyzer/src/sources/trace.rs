//! A trace of whatever source, opened.

use std::path::Path;

use thiserror::Error;
use trace_format::{EventId, ReadError, Schema, TraceFile};

use super::clock::Clock;
use super::ctf::CtfTrace;
use super::detect::{Kind, kind_of, map};
use super::finding::{Finding, findings_of_file};
use super::foreign::{Foreign, ForeignTrace};
use super::own::OwnStream;
use super::perf::PerfData;
use super::perfetto::Perfetto;
use super::several::Several;
use super::stoppable::Stoppable;
use super::stream::{Range, RecordStream};
use super::symbols::Symbols;
use super::tracedat::TraceDat;
use crate::model::{Aliases, Binding, GuestNanos, own_aliases};

/// Why a trace cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It is a trace of our own that cannot be read.
    #[error(transparent)]
    Own(#[from] ReadError),
    /// It is a directory that holds no trace.
    #[error("it is a directory without a trace")]
    IsDirectory,
    /// It is a trace of another tracer that cannot be read.
    #[error("it is a {format} that cannot be read: {text}")]
    Foreign {
        /// What people call such a file.
        format: &'static str,
        /// What is wrong, where.
        text: String,
    },
    /// Whoever wanted it no longer does.
    #[error("reading was stopped")]
    Stopped,
    /// It arrives without ever saying what is complete.
    #[error(
        "more than {} MiB of events arrived without their order being certain", bytes_max >> 20
    )]
    Unordered {
        /// Most that may wait.
        bytes_max: usize,
    },
}

/// A trace, opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trace {
    /// A trace of our own.
    Own(TraceFile),
    /// A trace of another tracer.
    Foreign(Foreign),
    /// Several traces as one.
    Several(Several),
    /// One of these, read until it is told to stop.
    Stoppable(Stoppable),
}

impl Trace {
    /// Opens a trace, of whatever kind its content says that it is.
    ///
    /// # Errors
    /// When the file cannot be read or is no trace.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        match kind_of(path)? {
            Kind::Ctf(directory) => Ok(Self::Foreign(Foreign::new(Box::new(CtfTrace::open(
                &directory,
            )?)))),
            Kind::Own => Ok(Self::Own(TraceFile::open(path)?)),
            Kind::TraceDat => Ok(foreign(TraceDat::read(map(path)?)?)),
            Kind::Perf => Ok(foreign(PerfData::read(map(path)?)?)),
            Kind::Perfetto => Ok(foreign(Perfetto::read(map(path)?)?)),
        }
    }

    /// The file of a trace of our own.
    #[must_use]
    pub fn own(&self) -> Option<&TraceFile> {
        match self {
            Self::Own(file) => Some(file),
            Self::Foreign(_) | Self::Several(_) => None,
            Self::Stoppable(inner) => inner.trace().own(),
        }
    }

    /// Its events and their fields.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Own(file) => &file.header().schema,
            Self::Foreign(foreign) => &foreign.description().schema,
            Self::Several(several) => several.schema(),
            Self::Stoppable(inner) => inner.trace().schema(),
        }
    }

    /// What its events are to the model, by event.
    #[must_use]
    pub fn aliases(&self) -> Aliases {
        match self {
            Self::Own(file) => own_aliases(&file.header().schema),
            Self::Foreign(foreign) => foreign.description().aliases.clone(),
            Self::Several(several) => several.aliases().clone(),
            Self::Stoppable(inner) => inner.trace().aliases(),
        }
    }

    /// How the model reads its events.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding::of_aliases(self.schema(), &self.aliases())
    }

    /// The kinds of events that are this event of the model; none when the trace has no such event.
    #[must_use]
    pub fn events_of(&self, model_event: &str) -> Vec<EventId> {
        match self {
            Self::Own(file) => {
                let event = file.header().schema.event_named(model_event);
                event.map(|event| event.id).into_iter().collect()
            }
            Self::Foreign(foreign) => {
                let aliases = &foreign.description().aliases;
                aliases.events(model_event).collect()
            }
            Self::Several(several) => several.aliases().events(model_event).collect(),
            Self::Stoppable(inner) => inner.trace().events_of(model_event),
        }
    }

    /// The machine that it is of, where it says so.
    #[must_use]
    pub fn machine(&self) -> Option<String> {
        match self {
            Self::Foreign(foreign) => foreign.description().machine.clone(),
            Self::Own(_) | Self::Several(_) => None,
            Self::Stoppable(inner) => inner.trace().machine(),
        }
    }

    /// How many CPUs it can have events of.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        match self {
            Self::Own(file) => file.header().machine.cpu_count,
            Self::Foreign(foreign) => foreign.description().cpu_count,
            Self::Several(several) => several.cpu_count(),
            Self::Stoppable(inner) => inner.trace().cpu_count(),
        }
    }

    /// When it began, in nanoseconds since 1970 (UTC), where it tells.
    #[must_use]
    pub fn start_nanos(&self) -> Option<i128> {
        match self {
            Self::Foreign(foreign) => foreign.description().start_nanos(),
            Self::Own(_) | Self::Several(_) => None,
            Self::Stoppable(inner) => inner.trace().start_nanos(),
        }
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match self {
            Self::Own(file) => Clock {
                first_tsc: file.origin_tsc(),
                tsc_hz: file.header().clock.tsc_hz,
            },
            Self::Foreign(foreign) => foreign.description().clock,
            Self::Several(_) => Several::clock(),
            Self::Stoppable(inner) => inner.trace().clock(),
        }
    }

    /// TSC of the last event; of another tracer's trace its stamp in ticks of that trace's clock.
    #[must_use]
    pub fn last_tsc(&self) -> u64 {
        match self {
            Self::Own(file) => file
                .chunks()
                .iter()
                .map(|chunk| chunk.last_tsc)
                .max()
                .unwrap_or(0),
            Self::Foreign(foreign) => foreign.description().last_ticks,
            Self::Several(several) => several.last_tsc(),
            Self::Stoppable(inner) => inner.trace().last_tsc(),
        }
    }

    /// Time from the first event to the last.
    #[must_use]
    pub fn duration(&self) -> GuestNanos {
        self.clock().nanos(self.last_tsc())
    }

    /// Names of the kernel addresses in it.
    #[must_use]
    pub fn symbols(&self) -> Symbols {
        match self {
            Self::Own(file) => {
                let table = file.symbols();
                Symbols::new(&table.symbols, table.kernel_slide.unwrap_or(0))
            }
            Self::Foreign(foreign) => Symbols::new(&foreign.description().symbols, 0),
            // Addresses of different kernels would be mixed up.
            Self::Several(several) => match several.parts().next() {
                Some((_, trace, _)) if several.parts().all(|(_, _, machine)| machine == 0) => {
                    trace.symbols()
                }
                _ => Symbols::default(),
            },
            Self::Stoppable(inner) => inner.trace().symbols(),
        }
    }

    /// What is known to be lost or doubtful without reading the records.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Own(file) => findings_of_file(file),
            Self::Foreign(foreign) => foreign.description().findings.clone(),
            Self::Several(several) => several.findings(),
            Self::Stoppable(inner) => inner.trace().findings(),
        }
    }

    /// Ticks at which it can be cut into pages that fit into memory, ascending, the first 0.
    #[must_use]
    pub fn page_starts(&self) -> Vec<u64> {
        let mut starts = match self {
            Self::Own(file) => file.chunks().iter().map(|chunk| chunk.first_tsc).collect(),
            Self::Foreign(foreign) => foreign.page_starts(),
            Self::Several(several) => several.page_starts(),
            Self::Stoppable(inner) => return inner.trace().page_starts(),
        };
        starts.sort_unstable();
        starts.dedup();
        // What is before the first event is nothing, but the order of an own trace's chunks is checked from there.
        match starts.first_mut() {
            Some(first) => *first = 0,
            None => starts.push(0),
        }
        starts
    }

    /// Its records in order of time.
    ///
    /// # Errors
    /// When they cannot be read at all.
    pub fn stream(&self, range: &Range) -> Result<Box<dyn RecordStream + '_>, TraceError> {
        match self {
            Self::Own(file) => Ok(Box::new(OwnStream::open(file, self.clock(), range)?)),
            Self::Foreign(foreign) => Ok(Box::new(foreign.stream(range)?)),
            Self::Several(several) => Ok(Box::new(several.stream(range)?)),
            Self::Stoppable(inner) => inner.stream(range),
        }
    }
}

fn foreign(trace: impl ForeignTrace + 'static) -> Trace {
    Trace::Foreign(Foreign::new(Box::new(trace)))
}
