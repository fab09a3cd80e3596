//! What there is: the trace, its kinds of events, its rows.

use serde::Serialize;
use serde_json::{Value, json};

use super::numbers::sums_of;
use crate::answer::{Answer, Refusal};
use crate::index::{Index, Kind, RowId, RowInfo};
use crate::query::Query;
use crate::served::Served;

/// `meta`: what is known of the trace by now.
pub(crate) fn meta(served: &Served, _: &Query) -> Result<Answer, Refusal> {
    Answer::json(&meta_value(served))
}

/// What is known of a trace by now.
pub(crate) fn meta_value(served: &Served) -> Value {
    let (trace, index) = (served.trace(), served.index());
    let kinds = Kind::ALL
        .iter()
        .map(|kind| json!({ "name": kind.name(), "title": kind.title(), "runs": kind.runs() }));
    let events = trace.schema().events.iter().map(|event| {
        let fields = event.fields.iter();
        let fields = fields.map(|field| json!({ "name": field.name, "doc": field.doc }));
        let count = index.overview.counts.get(usize::from(event.id.0));
        json!({
            "id": event.id.0, "name": event.name, "doc": event.doc,
            "count": count.copied().unwrap_or(0), "fields": fields.collect::<Vec<_>>(),
        })
    });
    let status = served.status();
    let end = index.overview.end;
    #[allow(clippy::cast_precision_loss, reason = "a part, for a progress bar")]
    let progress = match trace.duration().0 {
        _ if index.is_done => 1.0,
        0 => 0.0,
        all => (end as f64 / all as f64).min(1.0),
    };
    json!({
        "name": served.name,
        "version": index.version,
        "done": index.is_done,
        "live": status.is_live,
        "progress": progress,
        "end_ns": end,
        "events": index.overview.counts.iter().sum::<u64>(),
        "cpus": trace.cpu_count(),
        "format": if trace.own().is_some() { "guesttrace" } else { "other" },
        "kinds": kinds.collect::<Vec<_>>(),
        "states": index.states.all(),
        "event_kinds": events.collect::<Vec<_>>(),
        "losses": index.gaps,
        "findings": status.findings,
        "features": served.features(),
    })
}

/// A row, as the page gets it.
#[derive(Serialize)]
struct RowAnswer<'a> {
    row: RowId,
    #[serde(flatten)]
    info: &'a RowInfo,
    sums: Vec<(Kind, u64)>,
}

/// `rows`: the rows of the graph.
pub(crate) fn rows(served: &Served, _: &Query) -> Result<Answer, Refusal> {
    Answer::json(&row_answers(&served.index()))
}

/// The rows of the graph.
pub(crate) fn rows_value(served: &Served) -> Value {
    json!(row_answers(&served.index()))
}

fn row_answers(index: &Index) -> Vec<RowAnswer<'_>> {
    let rows = index.overview.rows.iter().zip(0 as RowId..);
    let rows = rows.map(|(info, row)| RowAnswer {
        row,
        info,
        sums: index
            .timeline(row)
            .map_or_else(Vec::new, |timeline| sums_of(&timeline.sums)),
    });
    rows.collect()
}
