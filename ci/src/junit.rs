//! Verdicts for servers that collect test results: JUnit's XML, a suite for each run and a case for each thing it holds.

use std::io::{self, Write};
use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::outcome::{Check, RunOutcome, Verdict};

/// Writes them.
///
/// # Errors
/// When the output fails.
pub fn write_junit(suite: &Path, outcomes: &[RunOutcome], out: &mut dyn Write) -> io::Result<()> {
    let file = suite.to_string_lossy();
    let mut report = Report::new(file.as_ref());
    for outcome in outcomes {
        let mut run = TestSuite::new(outcome.name.as_str());
        run.set_time(outcome.wall.unwrap_or_default());
        for check in &outcome.checks {
            let mut case = TestCase::new(check.name.as_str(), status(check));
            case.set_classname(outcome.name.as_str());
            let place = [("file", file.as_ref()), ("line", &outcome.line.to_string())];
            case.extra
                .extend(place.map(|(key, value)| (key.into(), value.into())));
            run.add_test_case(case);
        }
        report.add_test_suite(run);
    }
    report.serialize(out).map_err(io::Error::other)
}

fn status(check: &Check) -> TestCaseStatus {
    let kind = match check.verdict {
        Verdict::Passed => return TestCaseStatus::success(),
        Verdict::Failed => NonSuccessKind::Failure,
        Verdict::Unmade => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(check.lines.first().map_or("", String::as_str));
    status.set_description(check.lines.join("\n"));
    status
}
