//! Each way of losing or doubting data, as a row: its name, how bad it is and what to do about it.
//!
//! The recorder counts, the trailer stores, every report prints what is not zero and not mere information first.

use serde::{Deserialize, Serialize};

/// How bad it is that a counter is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// May surprise; nothing is missing.
    Notice,
    /// Events or fields are missing or doubtful.
    DataLoss,
    /// The trace cannot be relied on.
    Error,
}

macro_rules! counters {
    ($($variant:ident $name:literal $severity:ident $doc:literal $advice:literal;)*) => {
        /// A counter of the recording.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $(#[doc = $doc] $variant,)*
        }

        impl Counter {
            /// Every counter, in the order in which they are shown.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)*];

            /// Name in the trailer and in JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// How bad it is when it is not zero.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Counter::$variant => Severity::$severity,)* }
            }

            /// What it counts.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Counter::$variant => $doc,)* }
            }

            /// What the user can do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Counter::$variant => $advice,)* }
            }
        }
    };
}

counters! {
    RecordsWritten "records_written" Info "Records in the trace, without those that only repeat earlier ones." "";
    RecordsLost "records_lost" DataLoss "Records dropped because both buffers of a CPU were full." "use --mode lossless or a larger --buffer-size";
    RecordsOverwritten "records_overwritten" Notice "Records that the flight recorder had overwritten before it was written." "remember more with --ring-size";
    FieldsMissing "fields_missing" Notice "Fields that could not be fetched, shown as missing." "a user page that is not in memory cannot be read from outside";
    StampsDoubtful "stamps_doubtful" DataLoss "Records whose stamp would have gone back on their CPU; they have that of the record before." "";
    SitesMismatched "sites_mismatched" Error "Probe sites whose instruction was not the one of the kernel image; they were not armed." "pass the kernel image that the guest really runs";
    RecordsFiltered "records_filtered" Notice "Events that the masks of the recording left out: sums and states are of what is there." "";
    RecordingGaps "recording_gaps" Notice "Stretches in which recording was stopped: what happened there is not in the trace." "the rows recording_stop and recording_start say where";
    EntriesLost "entries_lost" DataLoss "Entries of functions for which there was no room, so that their returns are not in the trace." "watch a function that fewer threads are within at once";
    CpuUnknown "cpu_unknown" DataLoss "Events on a CPU that could not be told; they were dropped." "";
    PluginPanics "plugin_panics" Error "Failures inside the recorder; recording stopped at the first." "please report this";
}

/// Values of the counters that are not zero, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Name and value; names that this version does not know are kept.
    pub counts: Vec<(String, u64)>,
}

impl Stats {
    /// Value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts
            .iter()
            .find(|(name, _)| name == counter.name())
            .map_or(0, |(_, value)| *value)
    }

    /// Sets a counter; zero removes it.
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.counts.retain(|(name, _)| name != counter.name());
        if value != 0 {
            self.counts.push((counter.name().to_owned(), value));
        }
    }

    /// The counters that are not zero and at least as bad as `severity`.
    pub fn at_least(&self, severity: Severity) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL
            .iter()
            .filter(move |counter| counter.severity() >= severity)
            .map(|counter| (*counter, self.get(*counter)))
            .filter(|(_, value)| *value != 0)
    }
}
