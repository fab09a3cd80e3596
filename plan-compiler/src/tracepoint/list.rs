//! What `guesttrace list tracepoints` shows.

use std::collections::HashSet;

use guest_symbols::{Kernel, SymbolError, Tracepoint};

use super::image::{recover_site, tracepoint_arguments};
use super::{RecoveredSite, Unrecoverable};

/// A tracepoint, and whether its arguments can be had without switching it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointReport {
    /// Its system, such as `sched`; `None` for one that is in no system: the kernel alone uses it.
    pub system: Option<String>,
    /// Its name.
    pub name: String,
    /// The module that defines it; `None` for the kernel's own.
    pub module: Option<String>,
    /// Places in the kernel's code that run it.
    pub sites: usize,
    /// Name and C type of each argument that a site tells; `None` when no site tells any.
    pub arguments: Option<Vec<(String, String)>>,
    /// What is missing, and at how many sites.
    pub reason: Option<String>,
}

/// All tracepoints of a kernel, in its own order, then those of the modules that it may load.
///
/// # Errors
/// The kernel's tables of tracepoints cannot be found.
pub fn list_tracepoints(kernel: &Kernel) -> Result<Vec<TracepointReport>, SymbolError> {
    let mut reports = Vec::new();
    for view in std::iter::once(kernel).chain(kernel.modules()) {
        let own = view.tracepoints()?.iter().filter(|it| !it.is_foreign);
        reports.extend(own.map(|tracepoint| report(view, tracepoint)));
    }
    Ok(reports)
}

fn report(kernel: &Kernel, tracepoint: &Tracepoint) -> TracepointReport {
    let arguments = tracepoint_arguments(kernel, tracepoint);
    let found: Vec<_> = tracepoint
        .sites
        .iter()
        .map(|site| (site.code.0, recover_site(kernel, tracepoint, site)))
        .collect();
    let nested: HashSet<u64> = found
        .iter()
        .filter_map(|(_, site)| site.as_ref().ok())
        .flat_map(|site| site.nested.iter().copied())
        .collect();
    // Sites behind another one run only when the tracepoint is on: they neither help nor harm.
    let outer: Vec<_> = found
        .iter()
        .filter(|(code, _)| !nested.contains(code))
        .map(|(_, site)| site)
        .collect();
    let names: Vec<&str> = arguments
        .iter()
        .flatten()
        .map(|argument| argument.name.as_str())
        .collect();
    let faults: Vec<String> = outer
        .iter()
        .filter_map(|site| fault(site, &names))
        .collect();
    let reason = match faults.first() {
        None if tracepoint.sites.is_empty() => {
            Some("nothing in the kernel image runs it".to_owned())
        }
        None => None,
        Some(first) => Some(format!(
            "{} of {} sites: {first}",
            faults.len(),
            outer.len()
        )),
    };
    let is_told = |index: usize| {
        outer.iter().any(|site| {
            let ops = site
                .as_ref()
                .ok()
                .and_then(|site| site.arguments.get(index));
            ops.is_some_and(Result::is_ok)
        })
    };
    let is_seen = outer.iter().any(|site| site.is_ok());
    let spelled = arguments.filter(|_| is_seen).map(|arguments| {
        let told = arguments.into_iter().enumerate();
        told.filter(|(index, _)| is_told(*index))
            .map(|(_, argument)| (argument.name, kernel.types().c_name(argument.type_id)))
            .collect()
    });
    TracepointReport {
        system: tracepoint.system.clone(),
        name: tracepoint.name.clone(),
        module: kernel.module().map(|module| module.name().to_owned()),
        sites: tracepoint.sites.len(),
        arguments: spelled,
        reason,
    }
}

/// What is not known of a site, as a clause.
fn fault(site: &Result<RecoveredSite, Unrecoverable>, names: &[&str]) -> Option<String> {
    match site {
        Err(why) => Some(why.to_string()),
        Ok(site) => {
            let (index, why) = site
                .arguments
                .iter()
                .enumerate()
                .find_map(|(index, ops)| Some((index, ops.as_ref().err()?)))?;
            Some(format!(
                "argument {}: {why}",
                names.get(index).copied().unwrap_or_default()
            ))
        }
    }
}
