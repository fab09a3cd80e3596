//! Judges a recording by what its run has to hold. Every question about the trace is a child process.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::outcome::{Check, Facts, RunOutcome, Verdict};
use crate::recording::{Ending, Recording};
use crate::suite::{Compare, Holds, Run};
use crate::tools::{Tools, complaint};

/// All recordings of a run, made or taken from the cache.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The one that stands for all.
    pub(crate) recording: Recording,
    /// So many there were.
    pub(crate) recordings: u32,
    /// So many were of the same bytes.
    pub(crate) identical: u32,
    /// The first that was not.
    pub(crate) other: Option<PathBuf>,
    /// What went wrong with recordings that could not be made.
    pub(crate) troubles: Vec<String>,
    pub(crate) is_cached: bool,
}

/// Lines of a difference that go into verdicts; the artifacts have all.
const DIFFERENCE_LINES: usize = 12;

/// Words of a command line.
macro_rules! words {
    ($($word:expr),* $(,)?) => { [$(std::ffi::OsString::from($word)),*] };
}
pub(crate) use words;

/// Judges it; `suite` is where rules of the suite's own stand, `scratch` a directory for files.
pub(crate) fn judge(
    run: &Run,
    made: &Made,
    suite: &Path,
    scratch: &Path,
    tools: &Tools<'_>,
) -> RunOutcome {
    let mut judge = Judge {
        holds: &run.holds,
        made,
        suite,
        scratch,
        tools,
        checks: Vec::new(),
        facts: None,
        divergence: None,
    };
    judge.judge(run);
    RunOutcome {
        name: run.name.clone(),
        line: run.line,
        key: None,
        checks: judge.checks,
        is_cached: made.is_cached,
        recordings: made.recordings,
        facts: judge.facts,
        wall: Some(made.recording.wall),
        artifacts: None,
        trace: made.recording.trace(),
        divergence: judge.divergence,
    }
}

/// What `record` told its caller by that status.
fn told_by(status: i32) -> &'static str {
    match status {
        0 => "the guest ends well",
        1 => "the guest panics or fails",
        4 => "the guest runs into its time-out",
        _ => "the recording is whole",
    }
}

/// Whether the recording ended in a way that says something of the guest.
pub(crate) fn is_made(ending: Ending) -> bool {
    matches!(ending, Ending::Status(0 | 1 | 4))
}

/// Why a recording could not be made.
pub(crate) fn trouble(recording: &Recording) -> String {
    let told = complaint(&recording.talk());
    match recording.ending {
        Ending::Signal(signal) => format!("record was ended by signal {signal}"),
        Ending::Status(status) if told.is_empty() => format!("record ended with status {status}"),
        Ending::Status(_) => told,
    }
}

struct Judge<'a> {
    holds: &'a Holds,
    made: &'a Made,
    suite: &'a Path,
    scratch: &'a Path,
    tools: &'a Tools<'a>,
    checks: Vec<Check>,
    facts: Option<Facts>,
    divergence: Option<String>,
}

impl Judge<'_> {
    fn judge(&mut self, run: &Run) {
        let trace = self.made.recording.trace();
        self.facts = trace.as_deref().and_then(|trace| facts(trace, self.tools));
        if !self.ends_as_expected() {
            return;
        }
        let Some(trace) = trace else {
            let check = Check::unmade("there is a trace", "record left none");
            self.checks.push(check);
            return;
        };
        self.is_always_the_same(&trace);
        self.keeps_rules(run, &trace);
        self.is_golden(&trace);
        self.is_in_time();
    }

    fn ends_as_expected(&mut self) -> bool {
        let expected = self.holds.status;
        let recording = &self.made.recording;
        let name = told_by(expected);
        let check = match recording.ending {
            Ending::Status(status) if status == expected => Check::passed(name),
            ending if is_made(ending) => {
                let told = complaint(&recording.talk());
                let told = if told.is_empty() {
                    "it did not".to_owned()
                } else {
                    told
                };
                Check::failed(name, told)
            }
            _ => Check::unmade(name, trouble(recording)),
        };
        let is_passed = check.verdict == Verdict::Passed;
        self.checks.push(check);
        is_passed
    }

    fn is_always_the_same(&mut self, trace: &Path) {
        let Made {
            recordings,
            identical,
            ..
        } = *self.made;
        if self.holds.same <= 1 && self.made.troubles.is_empty() && identical == recordings {
            return;
        }
        let name = format!("all {recordings} recordings are the same bytes");
        let count = format!("{identical} of {recordings} are");
        let check = if let Some(other) = &self.made.other {
            let mut lines = vec![count];
            lines.extend(self.difference(trace, other));
            Check::new(name, Verdict::Failed, lines)
        } else if let Some(trouble) = self.made.troubles.first() {
            Check::new(name, Verdict::Unmade, vec![count, trouble.clone()])
        } else {
            Check::passed(name)
        };
        self.checks.push(check);
    }

    /// How two traces differ.
    fn difference(&mut self, a: &Path, b: &Path) -> Vec<String> {
        let output = self.tools.ask(words!["diff", a, b]);
        let text = match output {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => format!("cannot compare them: {error}"),
        };
        self.differs(text)
    }

    /// Keeps how traces differ for the artifacts, if nothing did before; the lines of it that go into a verdict.
    fn differs(&mut self, text: String) -> Vec<String> {
        let lines = text.lines().take(DIFFERENCE_LINES).map(str::to_owned);
        let lines = lines.collect();
        self.divergence.get_or_insert(text);
        lines
    }

    fn keeps_rules(&mut self, run: &Run, trace: &Path) {
        let mut files: Vec<(PathBuf, String)> = { self.holds.rules.iter() }
            .map(|path| (path.clone(), path.display().to_string()))
            .collect();
        if let Some(text) = &self.holds.own_rules {
            let path = self.scratch.join(format!("{}.rules.toml", run.name));
            if let Err(error) = fs::write(&path, text) {
                let told = format!("cannot write {}: {error}", path.display());
                self.checks.push(Check::unmade("rules of the suite", told));
                return;
            }
            files.push((path, self.suite.display().to_string()));
        }
        for (path, shown) in files {
            self.keeps(trace, &path, &shown);
        }
    }

    /// Judges it by one file of rules.
    fn keeps(&mut self, trace: &Path, rules: &Path, shown: &str) {
        let mut words = words!["check", trace, rules, "--format", "json"].to_vec();
        if let Some(golden) = self.holds.golden.as_ref().filter(|path| path.is_file()) {
            words.extend(words!["--golden", golden]);
        }
        let name = format!("rules of {shown}");
        let output = match self.tools.ask(words) {
            Ok(output) => output,
            Err(error) => {
                self.checks.push(Check::unmade(name, error.to_string()));
                return;
            }
        };
        let report: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let listed = report
            .as_ref()
            .and_then(|report| report["rules"].as_array());
        let Some(listed) = listed else {
            // Rules of the suite have its lines, but not its name.
            let told = complaint(&output.stderr).replace(&rules.display().to_string(), shown);
            self.checks.push(Check::unmade(name, told));
            return;
        };
        self.checks
            .extend(listed.iter().map(|rule| of_rule(rule, shown)));
        if listed.is_empty() {
            self.checks
                .push(Check::unmade(name, "there is no rule in it"));
        }
    }

    fn is_golden(&mut self, trace: &Path) {
        let Some(golden) = &self.holds.golden else {
            return;
        };
        let shown = golden.display().to_string();
        if !golden.is_file() {
            let told = format!("there is no {shown}: `guesttrace ci accept` makes it");
            self.checks
                .push(Check::unmade("the golden trace is there", told));
            return;
        }
        match &self.holds.compare {
            Compare::Nothing => {}
            Compare::All => {
                let check = self.is_identical(golden, trace, format!("identical to {shown}"));
                self.checks.push(check);
            }
            Compare::Events(events) => {
                let name = format!("events {events} as in {shown}");
                let words = words!["diff", golden, trace, "--event", events];
                let check = self.is_same(words.to_vec(), name);
                self.checks.push(check);
            }
        }
    }

    fn is_identical(&mut self, golden: &Path, trace: &Path, name: String) -> Check {
        match has_same_bytes(golden, trace) {
            Ok(true) => Check::passed(name),
            Ok(false) => self.is_same(words!["diff", golden, trace].to_vec(), name),
            Err(error) => Check::unmade(name, format!("cannot compare: {error}")),
        }
    }

    /// Judges by what `diff` says.
    fn is_same(&mut self, diff: Vec<OsString>, name: String) -> Check {
        let output = match self.tools.ask(diff) {
            Ok(output) => output,
            Err(error) => return Check::unmade(name, error.to_string()),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Check::passed(name),
            Some(1) => Check::new(name, Verdict::Failed, self.differs(text)),
            _ => Check::unmade(name, complaint(&output.stderr)),
        }
    }

    fn is_in_time(&mut self) {
        let guest = self.facts.map(|facts| facts.guest);
        let wall = Some(self.made.recording.wall);
        for (what, most, found) in [
            ("guest time", self.holds.max_guest, guest),
            ("time on the host", self.holds.max_wall, wall),
        ] {
            let Some(most) = most else { continue };
            let name = format!("{what} is at most {}", seconds(most));
            let check = match found {
                None => Check::unmade(name, "the trace does not say how long it is"),
                Some(found) if found > most => {
                    Check::failed(name, format!("it is {}", seconds(found)))
                }
                Some(_) => Check::passed(name),
            };
            self.checks.push(check);
        }
    }
}

/// A time for people.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A rule's verdict as `check` writes it.
fn of_rule(rule: &Value, source: &str) -> Check {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let name = text("name");
    let verdict = match text("verdict") {
        "passed" => return Check::passed(name),
        // What cannot be told was not kept, as far as anybody knows.
        _ => Verdict::Failed,
    };
    let mut lines = vec![
        format!("expected {}", text("expected")),
        format!("found    {}", text("found")),
    ];
    if let Some(reason) = rule["reason"].as_str() {
        lines.push(format!("unknown, because {reason}"));
    }
    let offenders = rule["offenders"].as_array().map_or(&[][..], Vec::as_slice);
    for offender in offenders {
        let at = offender["time_ns"].as_u64().map(Duration::from_nanos);
        let at = at.map_or_else(String::new, |at| format!("[{:.9}] ", at.as_secs_f64()));
        let told = offender["text"].as_str().unwrap_or_default();
        lines.push(format!("  {at}{told}"));
    }
    lines.push(format!("rule of {source} line {}", rule["line"]));
    Check::new(name, verdict, lines)
}

/// What a trace says of itself.
pub(crate) fn facts(trace: &Path, tools: &Tools<'_>) -> Option<Facts> {
    let output = tools.ask(words!["info", trace, "--format", "json"]).ok()?;
    let info: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(Facts {
        guest: Duration::from_nanos(info["trace"]["duration_ns"].as_u64()?),
        events: info["trace"]["records"].as_u64()?,
        is_reproducible: info["machine"]["reproducible"].as_bool().unwrap_or(false),
    })
}

/// Whether two files are the same bytes.
pub(crate) fn has_same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    if fs::metadata(a)?.len() != fs::metadata(b)?.len() {
        return Ok(false);
    }
    let mut a = BufReader::with_capacity(1 << 16, fs::File::open(a)?);
    let mut b = BufReader::with_capacity(1 << 16, fs::File::open(b)?);
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let count = left.len().min(right.len());
        if left.get(..count) != right.get(..count) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        a.consume(count);
        b.consume(count);
    }
}
