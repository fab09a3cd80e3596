//! What the recorder is told to record: for each trace its header, filter, and when it begins and ends.

use std::path::{Path, PathBuf};

use probe_plan::SessionSpec;
use trace_format::{Header, Schema};

use super::args::RecordArgs;
use super::masks::MaskArgs;

/// One trace that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) trace: PathBuf,
    pub(crate) masks: MaskArgs,
    /// Names of events that the plan has for the sake of conditions only.
    pub(crate) hidden: Vec<String>,
}

impl Wanted {
    /// The one trace of a recording without further ones.
    pub(crate) fn main(args: &RecordArgs, hidden: Vec<String>) -> Self {
        Self {
            trace: args.trace.clone(),
            masks: args.masks.clone(),
            hidden,
        }
    }

    /// What the recorder is told; `header` has the schema of the plan.
    pub(crate) fn spec(&self, mut header: Header) -> SessionSpec {
        self.restrict(&mut header.schema);
        SessionSpec {
            out: absolute(&self.trace),
            filter: self.masks.filter_text(),
            header,
            starts_stopped: false,
            times: Vec::new(),
            duration_ticks: None,
        }
    }

    /// Leaves what this trace is to have.
    fn restrict(&self, schema: &mut Schema) {
        schema
            .events
            .retain(|event| !self.hidden.contains(&event.name));
        self.masks.keep_fields(schema);
        let events = &schema.events;
        schema.enums.retain(|enumeration| {
            let kind = trace_format::FieldKind::Enum(enumeration.name.clone());
            events
                .iter()
                .flat_map(|event| &event.fields)
                .any(|field| field.kind == kind)
        });
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
