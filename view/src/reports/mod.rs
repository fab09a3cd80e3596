//! Analyses of a trace: reports, comparison, where time went, critical paths, queries, files to save.
//!
//! Each reads the trace anew, which takes seconds for a large one, and ends when nobody waits for it.

mod bounded;
mod csv;
mod export;
mod flame;
mod path;
mod reading;
mod sql;
mod wire;

use std::sync::Arc;

use analyzer::causes::{Subject, WaitOptions, wait};
use analyzer::inside::{Views, compare_views};
use analyzer::model::{CpuId, Pid};
use analyzer::report::{
    CompareOptions, Glob, Options, REPORTS, Report, Selection, compare as compare_reports, info,
    report_named,
};
use serde::Serialize;

use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::served::Served;

pub(crate) use export::export;
pub(crate) use flame::{STACKS_MAX, flame, stacks_of};
pub(crate) use path::path;
pub(crate) use sql::{is_there as has_sql, sql};

use analyzer::sources::Trace;
pub(crate) use reading::reading;
pub(crate) use wire::WireReport;

/// Rows of reports that have one for each thing that happened.
const ROWS_MAX: usize = 10_000;

/// Rows of the tables that are sorted by size, unless more or fewer are asked for.
const TOP: usize = 10;

/// Rows of reports that are compared, beyond those that people look at.
const COMPARED_ROWS_MAX: usize = 1000;

/// Differences that are shown.
const DIFFERENCES_MAX: usize = 1000;

/// A report, as the page lists it.
#[derive(Serialize)]
pub(crate) struct Listed {
    name: &'static str,
    doc: &'static str,
}

/// The reports there are.
pub(crate) fn listed() -> Vec<Listed> {
    let listed = REPORTS.iter().map(|kind| Listed {
        name: kind.name,
        doc: kind.doc,
    });
    listed.collect()
}

/// `api/reports`: the reports there are.
pub(crate) fn list() -> Result<Answer, Refusal> {
    Answer::json(&listed())
}

/// `api/T/report/NAME`: one of them.
pub(crate) fn report(served: &Served, name: &str, query: &Query) -> Result<Answer, Refusal> {
    let options = options(query)?;
    let trace = &reading(served, query);
    let (report, is_cut) = match name {
        "info" => (info(trace), false),
        "wait" => (waits(trace, query, options)?, false),
        _ => {
            let kind = report_named(name).ok_or_else(|| Refusal::Missing {
                what: format!("report {name:?}"),
            })?;
            kind.make_at_most(trace, &options, ROWS_MAX)?
        }
    };
    answer(&report, is_cut)
}

fn answer(report: &Report, is_cut: bool) -> Result<Answer, Refusal> {
    Answer::json(&WireReport::new(report, is_cut, ROWS_MAX))
}

/// Where the time of processes, or of one thread, went.
fn waits(trace: &Trace, query: &Query, options: Options) -> Result<Report, Refusal> {
    let subject = match number_of(query, "tid")? {
        Some(tid) => Subject::Thread(analyzer::model::Tid(tid)),
        None => Subject::Selected,
    };
    let options = WaitOptions {
        selection: options.selection,
        subject,
        depth: path::DEPTH,
        top: options.top,
    };
    Ok(wait(trace, &options)?)
}

/// What a report is asked for.
fn options(query: &Query) -> Result<Options, Refusal> {
    let top = query.number("top")?;
    let top = top.map(|top| usize::try_from(top).unwrap_or(ROWS_MAX).min(ROWS_MAX));
    Ok(Options {
        selection: selection(query)?,
        top: top.unwrap_or(TOP),
        accounts_max: top.unwrap_or(usize::MAX),
    })
}

/// The part of the trace that is asked for.
fn selection(query: &Query) -> Result<Selection, Refusal> {
    Ok(Selection {
        span: query.span()?,
        cpus: numbers_of(query, "cpu")?.into_iter().map(CpuId).collect(),
        pids: numbers_of(query, "pid")?.into_iter().map(Pid).collect(),
        comms: query.all("comm").map(Glob::new).collect(),
    })
}

fn numbers_of(query: &Query, name: &str) -> Result<Vec<u32>, Refusal> {
    let number = |text: &str| {
        let malformed = |_| Refusal::malformed(format!("{name} is {text:?}, which is no number"));
        text.parse().map_err(malformed)
    };
    query.all(name).map(number).collect()
}

fn number_of(query: &Query, name: &str) -> Result<Option<u32>, Refusal> {
    Ok(numbers_of(query, name)?.first().copied())
}

/// `api/compare`: two traces side by side.
pub(crate) fn compare(traces: &[Arc<Served>], query: &Query) -> Result<Answer, Refusal> {
    let of = |name: &str| {
        let number = query.required(name)?;
        let served = usize::try_from(number).ok();
        let served = served.and_then(|number| traces.get(number));
        served.ok_or_else(|| Refusal::Missing {
            what: format!("trace number {number}"),
        })
    };
    let (a, b) = (of("a")?, of("b")?);
    let is_known = |name: &&str| {
        let kind = report_named(name);
        kind.is_some_and(|kind| kind.is_whole())
    };
    if let Some(name) = query.all("report").find(|name| !is_known(name)) {
        let text = format!("there is no report {name:?} to compare");
        return Err(Refusal::malformed(text));
    }
    let options = Options {
        selection: selection(query)?,
        top: COMPARED_ROWS_MAX,
        ..Options::default()
    };
    let (first, second) = (reading(a, query), reading(b, query));
    if first.own().is_some() && second.own().is_none() {
        let views = Views {
            outside: &first,
            inside: &second,
            base: None,
        };
        return answer(&compare_views(&views)?, false);
    }
    let wish = CompareOptions {
        options: [options.clone(), options],
        reports: query.all("report").map(str::to_owned).collect(),
        threshold: 5.0,
        top: DIFFERENCES_MAX,
    };
    let compared = compare_reports(&first, &second, &wish)?;
    answer(&compared.report, false)
}

#[cfg(test)]
mod tests;
