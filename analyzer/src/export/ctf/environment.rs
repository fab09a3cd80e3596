//! What a CTF trace says of itself: its clock, and by which tracer and kernel it was made.
//!
//! It says to be of lttng-modules, domain kernel: that is how readers know that events have LTTng's names.

use trace_format::ClockMode;

use super::class::Names;
use crate::sources::Trace;

/// What stands in the metadata besides classes.
#[derive(Debug)]
pub(super) struct Environment {
    /// Names the trace; the same for the same trace.
    pub(super) uuid: [u8; 16],
    /// Ticks in a second, at least 1.
    pub(super) hz: u64,
    /// From the epoch (1970, UTC) to tick 0: whole seconds, and ticks.
    pub(super) offset: (i64, u64),
    /// Names and values.
    pub(super) entries: Vec<(String, Entry)>,
}

/// A value of the environment.
#[derive(Debug)]
pub(super) enum Entry {
    Number(i64),
    Text(String),
}

/// The version of lttng-modules whose names are used.
const LTTNG_VERSION: (i64, i64) = (2, 13);

impl Environment {
    pub(super) fn of(trace: &Trace) -> Self {
        let clock = trace.clock();
        let hz = clock.tsc_hz.max(1);
        let mut entries = vec![
            text("domain", "kernel"),
            text("tracer_name", "lttng-modules"),
            ("tracer_major".to_owned(), Entry::Number(LTTNG_VERSION.0)),
            ("tracer_minor".to_owned(), Entry::Number(LTTNG_VERSION.1)),
            ("tracer_patchlevel".to_owned(), Entry::Number(0)),
            text("sysname", "Linux"),
        ];
        let exporter = concat!("guesttrace ", env!("CARGO_PKG_VERSION"));
        entries.push(text("exported_by", exporter));
        let mut epoch = None;
        match trace {
            Trace::Own(file) => {
                let header = file.header();
                entries.push(text("kernel_release", &header.kernel.release));
                entries.push(text("kernel_version", &header.kernel.banner));
                entries.push(text("recorded_by", &header.producer));
                let mode = match header.clock.mode {
                    ClockMode::Deterministic => "deterministic",
                    ClockMode::Wall => "wall",
                };
                entries.push(text("clock_mode", mode));
            }
            Trace::Several(_) | Trace::Stoppable(_) => {}
            Trace::Foreign(foreign) => {
                let description = foreign.description();
                epoch = description.epoch_nanos;
                let mut names = Names::default();
                entries.push(text("source_format", &description.format));
                for fact in &description.facts {
                    let name = names.add(&format!("source_{}", fact.name));
                    entries.push(text(&name, &fact.value));
                }
            }
        }
        let mut uuid = Uuid::default();
        for (name, value) in &entries {
            uuid.add(name.as_bytes());
            uuid.add(format!("{value:?}").as_bytes());
        }
        uuid.add(&clock.first_tsc.to_le_bytes());
        uuid.add(&trace.last_tsc().to_le_bytes());
        Self {
            uuid: uuid.bytes(),
            hz,
            offset: offset(epoch.unwrap_or(0), hz),
            entries,
        }
    }

    /// The UUID as text.
    pub(super) fn uuid_text(&self) -> String {
        let mut text = String::new();
        for (index, byte) in self.uuid.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

fn text(name: &str, value: &str) -> (String, Entry) {
    (name.to_owned(), Entry::Text(value.to_owned()))
}

/// Whole seconds of a time, and the ticks of its rest.
fn offset(nanos: i128, hz: u64) -> (i64, u64) {
    const NANOS: i128 = 1_000_000_000;
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(0);
    let ticks = nanos.rem_euclid(NANOS) * i128::from(hz) / NANOS;
    (seconds, u64::try_from(ticks).unwrap_or(0))
}

/// A number that is the same for the same input (FNV-1a, twice).
#[derive(Debug)]
struct Uuid([u64; 2]);

impl Default for Uuid {
    fn default() -> Self {
        Self([0xcbf2_9ce4_8422_2325, 0x6c62_272e_07bb_0142])
    }
}

impl Uuid {
    fn add(&mut self, bytes: &[u8]) {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        for byte in bytes {
            for half in &mut self.0 {
                *half = (*half ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        }
    }

    /// With the marks of a UUID that was made from other data (RFC 9562, version 8).
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].to_be_bytes());
        bytes[8..].copy_from_slice(&self.0[1].to_be_bytes());
        bytes[6] = bytes[6] & 0x0F | 0x80;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        bytes
    }
}
