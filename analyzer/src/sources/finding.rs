//! What is lost or doubtful in a trace, as rows that every report shows first.

use trace_format::{
    Counter, Diagnostic, END_CUT_OFF, ModuleState, ModuleUse, Severity, TraceFile, Trailer,
};

/// Name of the finding that a thread that is asked for is not there.
pub(crate) const NO_SUCH_THREAD: &str = "no_such_thread";

/// One thing that is lost, doubtful or surprising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Short name, for JSON and CSV.
    pub name: String,
    /// How often, if it can be counted.
    pub count: Option<u64>,
    /// One sentence.
    pub text: String,
    /// What the user can do; possibly empty.
    pub advice: String,
    /// Whether it means that the trace does not hold all that it was to hold.
    pub is_gap: bool,
    /// Whether the file itself is cut or damaged.
    pub is_damage: bool,
}

impl Finding {
    /// Something that is wrong with a file.
    #[must_use]
    pub fn of(diagnostic: &Diagnostic) -> Self {
        Self::of_file(diagnostic.severity(), diagnostic.to_string())
    }

    /// Something about a file, in a sentence.
    #[must_use]
    pub fn of_file(severity: Severity, text: String) -> Self {
        Self {
            severity,
            name: "file".to_owned(),
            count: None,
            text,
            advice: String::new(),
            is_gap: severity >= Severity::DataLoss,
            is_damage: severity >= Severity::DataLoss,
        }
    }

    /// Whether it is about the question, not about the trace: nothing is wrong with that, and the answer is empty.
    #[must_use]
    pub fn is_of_question(&self) -> bool {
        self.name == NO_SUCH_THREAD
    }

    /// Name of a severity.
    #[must_use]
    pub fn severity_name(&self) -> &'static str {
        match self.severity {
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::DataLoss => "data_loss",
            Severity::Error => "error",
        }
    }
}

/// What a trace file says of itself, worst first.
#[must_use]
pub fn findings_of_file(file: &TraceFile) -> Vec<Finding> {
    let lost = file.chunks().iter().map(|chunk| chunk.lost_before).sum();
    let mut findings = findings_of_parts(file.diagnostics(), file.trailer(), lost);
    findings.extend(of_piece(file));
    sort_findings(&mut findings);
    findings
}

/// Says of a file that does not hold all of its recording what it is.
fn of_piece(file: &TraceFile) -> Option<Finding> {
    let piece = file.part()?;
    let text = match piece.number {
        _ if piece.is_cut() => {
            "This is a cut: how exact stamps are and how often hooks fired is said of the whole recording."
                .to_owned()
        }
        Some(number) if number > 0 => {
            format!("This is file {number} of a recording in several; the others were not read.")
        }
        _ => return None,
    };
    Some(Finding {
        severity: Severity::Notice,
        name: "part".to_owned(),
        count: None,
        text,
        advice: String::new(),
        is_gap: false,
        is_damage: false,
    })
}

/// What a trace says of itself that was read to its end: what is wrong with it, its trailer if it has one, and the
/// number of records that its chunks say are lost; worst first.
#[must_use]
pub fn findings_of_parts(
    diagnostics: &[Diagnostic],
    trailer: Option<&Trailer>,
    lost: u64,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = diagnostics.iter().map(Finding::of).collect();
    let Some(trailer) = trailer else {
        findings.push(no_trailer());
        findings.extend(lost_in_chunks(lost));
        sort_findings(&mut findings);
        return findings;
    };
    if trailer.end_reason == END_CUT_OFF {
        findings.push(cut_off());
    }
    for (counter, count) in trailer.stats.at_least(Severity::Notice) {
        findings.push(Finding {
            severity: counter.severity(),
            name: counter.name().to_owned(),
            count: Some(count),
            text: counter.doc().to_owned(),
            advice: counter.advice().to_owned(),
            is_gap: counter.severity() == Severity::Error
                || matches!(counter, Counter::RecordsLost | Counter::CpuUnknown),
            is_damage: false,
        });
    }
    let is_told = [Counter::RecordsLost, Counter::RecordsOverwritten]
        .iter()
        .any(|counter| trailer.stats.get(*counter) != 0);
    if !is_told {
        findings.extend(lost_in_chunks(lost));
    }
    findings.extend(trailer.modules.iter().filter_map(of_module));
    sort_findings(&mut findings);
    findings
}

/// A module in which nothing was watched, although it has hooks.
fn of_module(module: &ModuleUse) -> Option<Finding> {
    let name = &module.name;
    let finding = |severity, kind: &str, text, advice: &str| Finding {
        severity,
        name: kind.to_owned(),
        count: None,
        text,
        advice: advice.to_owned(),
        is_gap: severity >= Severity::DataLoss,
        is_damage: false,
    };
    match module.state {
        ModuleState::Loaded => None,
        ModuleState::NeverLoaded => Some(finding(
            Severity::Notice,
            "module_not_loaded",
            format!("Module {name} was not loaded, so nothing happened in it."),
            "",
        )),
        ModuleState::Differs => Some(finding(
            Severity::DataLoss,
            "module_differs",
            format!(
                "Module {name} of the guest is another build than that of the plan: nothing in it was recorded."
            ),
            "pass the modules of the very kernel that the guest boots as --modules",
        )),
    }
}

fn no_trailer() -> Finding {
    Finding {
        severity: Severity::DataLoss,
        name: "recording_cut".to_owned(),
        count: None,
        text: "The recording has no end: the trace is whole up to its last chunk, what came after is not there."
            .to_owned(),
        advice: String::new(),
        is_gap: true,
        is_damage: true,
    }
}

fn cut_off() -> Finding {
    Finding {
        text:
            "The recording was cut off and repaired: what came after its last chunk is not there."
                .to_owned(),
        is_damage: false,
        ..no_trailer()
    }
}

fn lost_in_chunks(lost: u64) -> Option<Finding> {
    (lost > 0).then(|| Finding {
        severity: Severity::DataLoss,
        name: "records_lost".to_owned(),
        count: Some(lost),
        text: "Records for which there was no room, or that a flight recorder overwrote."
            .to_owned(),
        advice: "use --mode lossless, or a larger --buffer-size or --ring-size".to_owned(),
        is_gap: true,
        is_damage: false,
    })
}

/// Puts the worst first; those that are equally bad stay in order.
pub fn sort_findings(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}
