//! Makes recordings several at a time, and judges each run as soon as all of its recordings are there.
//!
//! Runs of the same key share their recordings.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::cache::Cache;
use crate::judge::{Made, has_same_bytes, is_made, judge, trouble};
use crate::key::{Digests, key};
use crate::outcome::{Check, RunOutcome, Verdict};
use crate::recipe::Recipe;
use crate::recording::{Ending, Recording};
use crate::suite::{Run, Suite};
use crate::tools::Tools;
use crate::workshop::Workshop;

/// After so many that could not be made, the rest of a run's recordings is not tried.
const TROUBLES_MAX: usize = 3;

/// A run whose guest is there, or the reason why it is not.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The run.
    pub run: Run,
    /// How to record it, and the key of that.
    pub recipe: Result<(Recipe, String), String>,
}

/// How a suite is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The suite.
    pub suite: PathBuf,
    /// Recordings at a time.
    pub jobs: usize,
    /// Where recordings are kept.
    pub cache: Option<Cache>,
    /// Where artifacts go.
    pub artifacts: Artifacts,
    /// A directory for the recordings under way.
    pub work: PathBuf,
}

/// What happens meanwhile.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// A recording begins.
    Begun {
        /// The run.
        run: &'a str,
    },
    /// A recording ended.
    Recorded {
        /// The run.
        run: &'a str,
        /// So many did.
        done: u32,
        /// Of so many.
        of: u32,
    },
    /// A run was judged.
    Judged(&'a RunOutcome),
    /// Something went wrong that changes no verdict.
    Trouble(&'a str),
}

/// Builds what the runs need and finds their keys.
#[must_use]
pub fn prepare(suite: &Suite, workshop: &mut Workshop, tools: &Tools<'_>) -> Vec<Prepared> {
    let mut digests = Digests::default();
    let mut prepare = |run: &Run| {
        let recipe = Recipe::of(run, suite.dir(), workshop)?;
        let key = key(&recipe, &tools.identity, suite.dir(), &mut digests)?;
        Ok::<_, crate::WorkshopError>((recipe, key))
    };
    let mut all = Vec::new();
    for run in &suite.runs {
        if tools.is_interrupted() {
            break;
        }
        all.push(Prepared {
            run: run.clone(),
            recipe: prepare(run).map_err(|error| error.to_string()),
        });
    }
    all
}

/// Makes and judges all runs; the outcomes are in their order.
///
/// # Errors
/// When the work directory cannot be used.
pub fn execute(
    prepared: &[Prepared],
    settings: &Settings,
    tools: &Tools<'_>,
    tell: &(dyn Fn(News<'_>) + Sync),
) -> io::Result<Vec<RunOutcome>> {
    let suite_dir = settings.suite.parent().unwrap_or(Path::new("."));
    let worker = Worker {
        prepared,
        settings,
        tools,
        tell,
        suite_dir: if suite_dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            suite_dir
        },
        groups: groups(prepared, &settings.work)?,
        queue: Mutex::default(),
        outcomes: Mutex::new(vec![None; prepared.len()]),
    };
    worker.begin();
    thread::scope(|scope| {
        for _ in 0..settings.jobs.max(1) {
            scope.spawn(|| worker.work());
        }
    });
    if let Some(Err(error)) = settings.cache.as_ref().map(Cache::shrink) {
        tell(News::Trouble(&error.to_string()));
    }
    let outcomes = lock(&worker.outcomes).drain(..).collect::<Vec<_>>();
    let outcomes = outcomes.into_iter().zip(prepared);
    Ok(outcomes
        .map(|(outcome, prepared)| {
            outcome.unwrap_or_else(|| unmade(&prepared.run, "interrupted before it was judged"))
        })
        .collect())
}

/// Runs that share their recordings.
#[derive(Debug)]
struct Group {
    key: String,
    recipe: Recipe,
    timeout: Duration,
    recordings: u32,
    /// Places in the list of runs.
    members: Vec<usize>,
    dir: PathBuf,
    state: Mutex<State>,
}

/// How far a group is.
#[derive(Debug, Default)]
struct State {
    done: u32,
    identical: u32,
    first: Option<Recording>,
    other: Option<PathBuf>,
    /// The first that could not be made.
    unmade: Option<Recording>,
    troubles: Vec<String>,
    wall: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Task {
    /// Record once more.
    Record { group: usize, number: u32 },
    /// All is there.
    Judge { group: usize },
}

struct Worker<'a> {
    prepared: &'a [Prepared],
    settings: &'a Settings,
    tools: &'a Tools<'a>,
    tell: &'a (dyn Fn(News<'_>) + Sync),
    suite_dir: &'a Path,
    groups: Vec<Group>,
    queue: Mutex<VecDeque<Task>>,
    outcomes: Mutex<Vec<Option<RunOutcome>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn groups(prepared: &[Prepared], work: &Path) -> io::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for (place, Prepared { run, recipe }) in prepared.iter().enumerate() {
        let Ok((recipe, key)) = recipe else { continue };
        if let Some(group) = groups.iter_mut().find(|group| group.key == *key) {
            group.members.push(place);
            group.recordings = group.recordings.max(run.holds.same);
            group.timeout = group.timeout.max(run.timeout);
            continue;
        }
        let dir = work.join(groups.len().to_string());
        fs::create_dir_all(&dir)?;
        groups.push(Group {
            key: key.clone(),
            recipe: recipe.clone(),
            timeout: run.timeout,
            recordings: run.holds.same,
            members: vec![place],
            dir,
            state: Mutex::default(),
        });
    }
    Ok(groups)
}

fn unmade(run: &Run, why: &str) -> RunOutcome {
    RunOutcome {
        name: run.name.clone(),
        line: run.line,
        key: None,
        checks: vec![Check::unmade("the run is made", why)],
        is_cached: false,
        recordings: 0,
        facts: None,
        wall: None,
        artifacts: None,
        trace: None,
        divergence: None,
    }
}

impl Worker<'_> {
    /// Says which runs cannot be, and queues the others: first each run's first recording.
    fn begin(&self) {
        for (place, prepared) in self.prepared.iter().enumerate() {
            if let Err(why) = &prepared.recipe {
                let why = why.replace("\nhint: ", "; ");
                self.finish(place, unmade(&prepared.run, &why));
            }
        }
        let mut queue = lock(&self.queue);
        let mut more = VecDeque::new();
        for (group, item) in self.groups.iter().enumerate() {
            if self.take_cached(item) {
                queue.push_back(Task::Judge { group });
                continue;
            }
            queue.push_back(Task::Record { group, number: 0 });
            more.extend((1..item.recordings).map(|number| Task::Record { group, number }));
        }
        queue.append(&mut more);
    }

    fn take_cached(&self, group: &Group) -> bool {
        let cache = self.settings.cache.as_ref();
        let entry = cache.and_then(|cache| cache.take(&group.key, group.recordings, &group.dir));
        let Some(entry) = entry else { return false };
        let mut state = lock(&group.state);
        let wall = Duration::from_millis(entry.wall_ms);
        *state = State {
            identical: entry.identical,
            first: Some(Recording {
                dir: group.dir.clone(),
                ending: Ending::Status(entry.status),
                wall,
            }),
            wall,
            ..State::default()
        };
        true
    }

    fn work(&self) {
        while !self.tools.is_interrupted() {
            let task = lock(&self.queue).pop_front();
            match task {
                None => return,
                Some(Task::Judge { group }) => self.judge(group, true),
                Some(Task::Record { group, number }) => self.record(group, number),
            }
        }
    }

    fn record(&self, place: usize, number: u32) {
        let Some(group) = self.groups.get(place) else {
            return;
        };
        let run = self.name(group);
        if lock(&group.state).troubles.len() < TROUBLES_MAX {
            (self.tell)(News::Begun { run });
            let dir = group.dir.join(format!("r{number}"));
            let made = fs::create_dir_all(&dir).and_then(|()| {
                Recording::make(
                    &group.recipe,
                    group.timeout,
                    self.suite_dir,
                    &dir,
                    self.tools,
                )
            });
            let mut state = lock(&group.state);
            match made {
                Ok(recording) => state.take(recording),
                Err(error) => state.troubles.push(error.to_string()),
            }
        }
        let mut state = lock(&group.state);
        state.done += 1;
        let (done, of) = (state.done, group.recordings);
        drop(state);
        (self.tell)(News::Recorded { run, done, of });
        if done == of && !self.tools.is_interrupted() {
            self.judge(place, false);
        }
    }

    /// The name of a group's first run.
    fn name<'a>(&'a self, group: &Group) -> &'a str {
        let first = group
            .members
            .first()
            .and_then(|place| self.prepared.get(*place));
        first.map_or("", |prepared| &prepared.run.name)
    }

    fn judge(&self, place: usize, is_cached: bool) {
        let Some(group) = self.groups.get(place) else {
            return;
        };
        let made = lock(&group.state).made(is_cached);
        let mut is_expected = false;
        let mut is_reproducible = false;
        for place in &group.members {
            let Some(Prepared { run, .. }) = self.prepared.get(*place) else {
                continue;
            };
            let mut outcome = match &made {
                Ok(made) => judge(run, made, &self.settings.suite, &group.dir, self.tools),
                Err(why) => unmade(run, why),
            };
            outcome.key = Some(group.key.clone());
            if let Ok(made) = &made {
                is_expected |= made.recording.ending == Ending::Status(run.holds.status);
                is_reproducible |= outcome.facts.is_some_and(|facts| facts.is_reproducible);
                self.keep_artifacts(&mut outcome, made);
            }
            self.finish(*place, outcome);
        }
        let cache = self.settings.cache.as_ref().filter(|_| !is_cached);
        if let (Some(cache), Ok(made)) = (cache, &made)
            // What the host had a part in may be otherwise the next time.
            && is_expected
            && is_reproducible
            && matches!(made.recording.ending, Ending::Status(0 | 1))
            && made.identical == made.recordings
        {
            let Recording { dir, wall, ending } = &made.recording;
            let status = i32::from(*ending == Ending::Status(1));
            if let Err(error) = cache.put(&group.key, status, *wall, made.identical, dir) {
                (self.tell)(News::Trouble(&error.to_string()));
            }
        }
    }

    fn keep_artifacts(&self, outcome: &mut RunOutcome, made: &Made) {
        let artifacts = &self.settings.artifacts;
        if outcome.verdict() == Verdict::Passed && !artifacts.of_all {
            // Those of an earlier failure would be taken for this run's.
            let _ = artifacts.forget(&outcome.name);
            return;
        }
        match artifacts.keep(outcome, made, self.tools) {
            Ok(dir) => outcome.artifacts = Some(dir),
            Err(error) => {
                let dir = artifacts.dir.join(&outcome.name);
                let dir = dir.display();
                let told = format!("cannot keep all artifacts in {dir}: {error}");
                (self.tell)(News::Trouble(&told));
            }
        }
    }

    fn finish(&self, place: usize, outcome: RunOutcome) {
        (self.tell)(News::Judged(&outcome));
        if let Some(slot) = lock(&self.outcomes).get_mut(place) {
            *slot = Some(outcome);
        }
    }
}

impl State {
    /// Takes a recording that ended; of those that are the same only one stays.
    fn take(&mut self, recording: Recording) {
        self.wall = self.wall.max(recording.wall);
        if !is_made(recording.ending) {
            self.troubles.push(trouble(&recording));
            self.unmade.get_or_insert(recording);
            return;
        }
        let Some(first) = &self.first else {
            self.identical = 1;
            self.first = Some(recording);
            return;
        };
        let same = match (first.trace(), recording.trace()) {
            (Some(a), Some(b)) => first.ending == recording.ending && is_same(&a, &b),
            (None, None) => first.ending == recording.ending,
            _ => false,
        };
        if same {
            self.identical += 1;
        } else if self.other.is_none() {
            self.other = recording.trace().or_else(|| first.trace());
            return;
        }
        // There is no need of it, and no harm in it.
        let _ = fs::remove_dir_all(&recording.dir);
    }

    fn made(&mut self, is_cached: bool) -> Result<Made, String> {
        let recording = self.first.take().or_else(|| self.unmade.take());
        let Some(mut recording) = recording else {
            let why = self.troubles.first().cloned();
            return Err(why.unwrap_or_else(|| "there is no recording".to_owned()));
        };
        recording.wall = self.wall;
        let recordings = if is_cached { self.identical } else { self.done };
        Ok(Made {
            recording,
            recordings,
            identical: self.identical,
            other: self.other.take(),
            troubles: std::mem::take(&mut self.troubles),
            is_cached,
        })
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    has_same_bytes(a, b).unwrap_or(false)
}
