//! Reports: what a trace says, as tables.

mod accounts;
mod boot;
mod catalogue;
mod compare;
mod distribution;
mod foreign_info;
mod futex;
mod glob;
mod idle;
mod info;
mod interrupts;
mod io;
mod json;
mod largest;
mod log;
mod memory;
mod met;
mod modules;
pub(crate) mod names;
mod needs;
mod net;
mod options;
mod pass;
mod periods;
mod processes;
mod render;
mod sched;
mod selection;
mod signals;
mod slowest;
mod stream;
mod summary;
mod syscalls;
mod system;
mod table;
mod tally;
mod time;
mod timehist;
mod timers;

pub use accounts::{Accounts, Times};
pub use catalogue::{REPORTS, ReportError, ReportKind, report_named};
pub use compare::{CompareOptions, Compared, compare};
pub use distribution::{DISTRIBUTION_COLUMNS, Distribution};
pub use glob::Glob;
pub use info::info;
pub(crate) use met::Met;
pub use met::absent_threads;
pub use names::{Namer, call_name, disk_name, error_name, op_name};
pub use options::Options;
pub use pass::{Analysis, Pass, PassReader, run};
pub use periods::{By, NoSuchField, Period, periods};
pub use render::{ReportFormat, write_findings};
pub use selection::Selection;
pub use table::{Cell, Column, Report, Shape, Table, column};
pub use tally::{CountBy, CountWish, count};
pub use time::parse_time;

/// Bytes of the guest as text that neither breaks a line nor upsets a terminal.
#[must_use]
pub fn guest_text(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    crate::export::push_text(&mut out, bytes);
    String::from_utf8_lossy(&out).into_owned()
}
