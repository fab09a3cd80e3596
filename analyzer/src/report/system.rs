//! `system`: what the whole machine did: process code, kernel, idle; system calls; how often what happened.

use super::accounts::Accounts;
use super::options::Options;
use super::pass::run;
use super::processes::system_table;
use super::summary::count_table;
use super::syscalls::{Calls, call_table};
use super::table::Report;
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let selection = &options.selection;
    let parts = (Accounts::new(selection.clone()), Calls::new(selection));
    let pass = run(trace, selection, parts)?;
    let (accounts, calls) = &pass.analysis;
    Ok(Report {
        name: "system",
        tables: vec![
            system_table(&pass.machine, accounts),
            call_table(&pass.machine, calls, options),
            count_table(trace, &pass),
        ],
        findings: pass.findings,
    })
}
