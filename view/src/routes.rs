//! Which question is answered by whom.

use std::sync::Arc;

use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::served::Served;
use crate::{bundle, events, filter, graph, reports};

/// The traces that are shown.
pub type Traces = Arc<[Arc<Served>]>;

/// Answers a question, given its path below the token.
///
/// # Errors
/// When there is no answer to it.
pub fn answer(traces: &[Arc<Served>], path: &str, query: &Query) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = path.split('/').collect();
    match &parts[..] {
        [""] => Ok(bundle::page()),
        ["app.js"] => Ok(bundle::script()),
        ["app.css"] => Ok(bundle::style()),
        ["api", "traces"] => {
            let names = traces.iter().map(|served| json!({ "name": served.name }));
            Answer::json(&names.collect::<Vec<_>>())
        }
        ["api", "reports"] => reports::list(),
        ["api", "compare"] => reports::compare(traces, query),
        ["api", number, question @ ..] => {
            let number: Option<usize> = number.parse().ok();
            let served = number.and_then(|number| traces.get(number));
            let served = served.ok_or_else(|| missing(path))?;
            answer_of_trace(served, question, query).ok_or_else(|| missing(path))?
        }
        _ => Err(missing(path)),
    }
}

/// Whether an answer may take seconds: it reads much of the trace.
pub(crate) fn is_slow(path: &str) -> bool {
    let slow = [
        "compare", "report", "flame", "path", "sql", "export", "find",
    ];
    path.split('/').any(|part| slow.contains(&part))
}

fn missing(path: &str) -> Refusal {
    Refusal::Missing {
        what: format!("{path:?} here"),
    }
}

fn answer_of_trace(
    served: &Served,
    question: &[&str],
    query: &Query,
) -> Option<Result<Answer, Refusal>> {
    let answer: fn(&Served, &Query) -> Result<Answer, Refusal> = match question {
        ["meta"] => graph::meta,
        ["rows"] => graph::rows,
        ["spans"] => graph::spans,
        ["at"] => graph::at,
        ["next"] => graph::next,
        ["arrows"] => graph::arrows,
        ["histogram"] => graph::histogram,
        ["statistics"] => graph::statistics,
        ["latencies"] => graph::latencies,
        ["events"] => events::events,
        ["position"] => events::position,
        ["find"] => events::find,
        ["filter"] => filter::check,
        ["flame"] => reports::flame,
        ["path"] => reports::path,
        ["sql"] => reports::sql,
        ["export"] => reports::export,
        ["report", name] => return Some(reports::report(served, name, query)),
        _ => return None,
    };
    Some(answer(served, query))
}
