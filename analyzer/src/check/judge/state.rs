//! Adds up how long threads or CPUs are in a state, and how long at a stretch.

use std::collections::BTreeMap;

use super::super::amount::{Amount, Unit};
use super::super::limits::{Bounds, Limits};
use super::super::outcome::{Offenders, Verdict};
use super::super::rule::{State, Who};
use super::{Doubt, Judged};
use crate::model::{Activity, CpuId, GuestNanos, Machine, Pid, Span, Thread, ThreadInterval};
use crate::report::guest_text;

/// Follows the states of some threads, or of CPUs.
#[derive(Debug)]
pub(in super::super) struct States {
    state: State,
    is_optional: bool,
    /// By number of the thread in the model, or of the CPU.
    subjects: BTreeMap<usize, Subject>,
    offenders: Offenders,
    pub(super) doubt: Doubt,
}

/// A thread or a CPU.
#[derive(Debug, Default)]
struct Subject {
    label: String,
    inside: GuestNanos,
    unknown: GuestNanos,
    total: GuestNanos,
    /// The stretch in the state that it is in or was in last, and the longest.
    stretch: Stretch,
    longest: GuestNanos,
    /// The same, of what may have been in the state.
    perhaps: Stretch,
    longest_perhaps: GuestNanos,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretch {
    start: GuestNanos,
    end: GuestNanos,
}

impl Stretch {
    /// Goes on with what begins where it ends, otherwise begins anew; returns what it was then.
    fn extend(&mut self, span: Span) -> Option<Self> {
        if self.end == span.start && self.start < self.end {
            self.end = span.end;
            return None;
        }
        let before = *self;
        (self.start, self.end) = (span.start, span.end);
        Some(before)
    }

    fn length(self) -> GuestNanos {
        self.end.since(self.start)
    }
}

impl States {
    /// Follows what a rule is about.
    pub(in super::super) fn new(state: State, is_optional: bool) -> Self {
        Self {
            state,
            is_optional,
            subjects: BTreeMap::new(),
            offenders: Offenders::default(),
            doubt: Doubt::default(),
        }
    }

    pub(in super::super) fn thread_interval(
        &mut self,
        _: &Machine,
        interval: &ThreadInterval<'_>,
        window: Span,
    ) {
        let thread = interval.thread;
        let span = interval.span.within(window);
        if span.length() == GuestNanos(0) || !self.is_about(thread) {
            return;
        }
        let label = || format!("{}:{}", guest_text(&thread.comm), thread.tid);
        self.add(interval.index.index(), label, interval.activity, span);
    }

    pub(in super::super) fn cpu_interval(&mut self, cpu: CpuId, activity: Activity, span: Span) {
        let Who::Cpu(wanted) = self.state.of else {
            return;
        };
        if wanted.is_none_or(|wanted| wanted == cpu) && span.length() > GuestNanos(0) {
            self.add(cpu.0 as usize, || format!("CPU {cpu}"), activity, span);
        }
    }

    fn is_about(&self, thread: &Thread) -> bool {
        let Who::Threads { comm, pid, tid } = &self.state.of else {
            return false;
        };
        // An idle thread waits for nothing: when it does not run, others do.
        thread.idle_of.is_none()
            && comm.as_ref().is_none_or(|comm| comm.matches(&thread.comm))
            && pid.is_none_or(|pid: Pid| thread.process() == pid)
            && tid.is_none_or(|tid| thread.tid == tid)
    }

    fn add(&mut self, key: usize, label: impl FnOnce() -> String, activity: Activity, span: Span) {
        let subject = self.subjects.entry(key).or_insert_with(|| Subject {
            label: label(),
            ..Subject::default()
        });
        let is_inside = self.state.activities.contains(&activity);
        let is_unknown = match activity {
            Activity::Unknown => true,
            // Some way of running, but which?
            Activity::RunningUnknown => self.state.activities.iter().any(|one| one.is_running()),
            _ => false,
        } && !is_inside;
        subject.total += span.length();
        if is_inside {
            subject.inside += span.length();
            let before = subject.stretch.extend(span);
            subject.longest = subject.longest.max(subject.stretch.length());
            if let Some(before) = before {
                tell_long(&self.state, &mut self.offenders, &subject.label, before);
            }
        }
        if is_unknown {
            subject.unknown += span.length();
        }
        if is_inside || is_unknown {
            subject.perhaps.extend(span);
            subject.longest_perhaps = subject.longest_perhaps.max(subject.perhaps.length());
        }
    }

    pub(super) fn finish(mut self) -> Judged {
        let mut verdict = Verdict::Passed;
        for subject in self.subjects.values() {
            tell_long(
                &self.state,
                &mut self.offenders,
                &subject.label,
                subject.stretch,
            );
            let of_one = judge_one(&self.state, subject);
            if of_one == Verdict::Failed && !is_long(&self.state, subject.longest) {
                let text = || format!("{}: {}", subject.label, describe(&self.state, subject));
                self.offenders.add(None, text);
            }
            verdict = worse(verdict, of_one);
        }
        if self.subjects.is_empty() && !self.is_optional {
            verdict = Verdict::Failed;
        }
        if verdict != Verdict::Failed || self.subjects.is_empty() {
            verdict = self.doubt.shake(verdict);
        }
        let found = found(&self.state, &self.subjects);
        let numbers = numbers(&self.subjects);
        let is_shaken = !self.doubt.is_none();
        let mut judged = self.doubt.explain(Judged {
            verdict,
            expected: expected(&self.state),
            found,
            offenders: self.offenders,
            reason: None,
            is_loss: false,
            numbers,
        });
        if verdict == Verdict::Unknown && !is_shaken {
            let unknown: GuestNanos = self.subjects.values().map(|subject| subject.unknown).sum();
            let unknown = Amount::nanos(unknown);
            judged.reason = Some(format!("of {unknown} the trace does not tell the state"));
            judged.is_loss = true;
        }
        judged
    }
}

/// [`State::NUMBERS`] of all of them together; none where the trace does not tell the state all the time.
fn numbers(subjects: &BTreeMap<usize, Subject>) -> Vec<(String, Amount)> {
    let sum = |part: fn(&Subject) -> GuestNanos| subjects.values().map(part).sum::<GuestNanos>();
    if sum(|subject| subject.unknown) > GuestNanos(0) {
        return Vec::new();
    }
    let (inside, total) = (sum(|subject| subject.inside), sum(|subject| subject.total));
    let longest = subjects.values().map(|subject| subject.longest).max();
    let amounts = [
        Amount::nanos(inside),
        Amount::nanos(longest.unwrap_or_default()),
        Amount::percent(inside, total),
    ];
    let names = State::NUMBERS.into_iter().map(str::to_owned);
    names.zip(amounts).collect()
}

/// Tells of a stretch that is over, if it is too long.
fn tell_long(state: &State, offenders: &mut Offenders, label: &str, stretch: Stretch) {
    if is_long(state, stretch.length()) {
        let length = Amount::nanos(stretch.length());
        offenders.add(Some(stretch.start), || {
            format!("{label} {} for {length}", state.name)
        });
    }
}

fn is_long(state: &State, length: GuestNanos) -> bool {
    state.longest.is_some_and(|longest| length > longest)
}

fn judge_one(state: &State, subject: &Subject) -> Verdict {
    let mut verdict = match is_long(state, subject.longest) {
        true => Verdict::Failed,
        false if is_long(state, subject.longest_perhaps) => Verdict::Unknown,
        false => Verdict::Passed,
    };
    let most = GuestNanos(subject.inside.0.saturating_add(subject.unknown.0));
    let limits = [(state.limits.at_least, None), (None, state.limits.at_most)];
    for (low, high) in limits {
        let Some(limit) = low.or(high) else { continue };
        let amount = |time| match limit.unit {
            Unit::Percent => Amount::percent(time, subject.total),
            Unit::Things | Unit::Nanos => Amount::nanos(time),
        };
        let of_limit = Bounds { low, high }.judge(amount(subject.inside), Some(amount(most)));
        verdict = worse(verdict, of_limit);
    }
    verdict
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Failed, _) | (_, Verdict::Failed) => Verdict::Failed,
        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
        (Verdict::Passed, Verdict::Passed) => Verdict::Passed,
    }
}

fn describe(state: &State, subject: &Subject) -> String {
    let share = Amount::percent(subject.inside, subject.total);
    let (inside, total) = (Amount::nanos(subject.inside), Amount::nanos(subject.total));
    format!("{} for {inside} of {total} ({share})", state.name)
}

fn expected(state: &State) -> String {
    let longest = state.longest.map(|longest| {
        format!(
            "{} for at most {} at a stretch",
            state.name,
            Amount::nanos(longest)
        )
    });
    let limits = (state.limits != Limits::default())
        .then(|| format!("{} for {}", state.name, state.limits.describe(None)));
    let parts: Vec<String> = longest.into_iter().chain(limits).collect();
    parts.join(", ")
}

fn found(state: &State, subjects: &BTreeMap<usize, Subject>) -> String {
    let longest = subjects.values().map(|subject| subject.longest).max();
    let longest = Amount::nanos(longest.unwrap_or_default());
    let mut all = subjects.values();
    match (all.next(), all.next()) {
        (None, _) => match state.of {
            Who::Cpu(_) => "no such CPU".to_owned(),
            Who::Threads { .. } => "no such thread".to_owned(),
        },
        (Some(only), None) => {
            format!(
                "{}: {}, longest {longest}",
                only.label,
                describe(state, only)
            )
        }
        (Some(_), Some(_)) => {
            let inside: GuestNanos = subjects.values().map(|subject| subject.inside).sum();
            let inside = Amount::nanos(inside);
            format!(
                "{} of them {} for {inside}, longest {longest}",
                subjects.len(),
                state.name
            )
        }
    }
}
