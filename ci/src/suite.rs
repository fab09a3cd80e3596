//! A suite: runs, each a guest to boot and what has to hold of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use crate::fault::{Problem, SuiteError};
use crate::matrix::{Place, places};
use crate::own_rules;
use crate::raw::{RawRun, RawSuite, line_at};

/// No suite that people write is longer.
const TEXT_BYTES_MAX: usize = 1 << 20;
const RUNS_MAX: usize = 1000;
const SAME_MAX: u32 = 1_000_000;
const NAME_CHARS_MAX: usize = 100;
const SMP_MAX: u32 = 64;
const MEMORY_MIB_MIN: u64 = 64;
/// What a run may take, unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Options of `record` that are the suite's own business.
const OWN_OPTIONS: &[&str] = &[
    "--trace",
    "--serial",
    "--quiet",
    "--timeout",
    "--control",
    "--session",
    "--max-file-size",
    "--native",
    "--no-plugin",
    "--dry-run",
    "--kernel",
    "--initrd",
    "--rootfs",
    "--events",
    "--smp",
    "--append",
    "--workload",
];

/// A suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its file.
    pub path: PathBuf,
    /// The project's `images` directory, if the suite names one.
    pub images: Option<PathBuf>,
    /// In the order of the file, matrices unfolded.
    pub runs: Vec<Run>,
}

/// A guest to boot and what has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique in the suite, and a file name.
    pub name: String,
    /// Line of the run in its file, from 1.
    pub line: usize,
    /// What is booted.
    pub guest: Guest,
    /// Longest that it may take, on the host.
    pub timeout: Duration,
    /// What has to hold.
    pub holds: Holds,
}

/// What is booted, and how it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guest {
    /// A name that `images/fetch-kernel.sh` knows, or a path, which has a slash.
    pub kernel: Option<String>,
    /// Kernel image with DWARF.
    pub vmlinux: Option<String>,
    /// A recipe that comes along, `guest+TOOL`, or the path of a recipe or a directory, which has a slash.
    pub image: Option<String>,
    /// Goes before the image's.
    pub initrd: Option<String>,
    /// Goes before the image's.
    pub rootfs: Option<String>,
    /// As `record --disk` takes it.
    pub disk: Option<String>,
    /// As `record --boot` takes it.
    pub boot: Option<String>,
    /// As `record --workload` takes it.
    pub workload: Option<String>,
    /// As `record --events` takes it.
    pub events: Option<String>,
    /// Number of CPUs.
    pub smp: Option<u32>,
    /// MiB.
    pub memory: Option<u64>,
    /// More kernel command line.
    pub append: Option<String>,
    /// More options of `record`.
    pub options: Vec<String>,
}

/// What has to hold of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Exit status of `record`.
    pub status: i32,
    /// So many recordings have to be the same bytes.
    pub same: u32,
    /// Files of rules.
    pub rules: Vec<PathBuf>,
    /// The text of the suite's own rules.
    pub own_rules: Option<String>,
    /// A trace that was good.
    pub golden: Option<PathBuf>,
    /// What of it has to be the same.
    pub compare: Compare,
    /// Longest that the guest may run, in its own time.
    pub max_guest: Option<Duration>,
    /// Longest that a recording may take.
    pub max_wall: Option<Duration>,
}

/// What of a golden trace has to be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// Everything.
    #[default]
    All,
    /// Events of these names, as `events --event` takes them.
    Events(String),
    /// Nothing: rules measure from it.
    Nothing,
}

impl Suite {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or what is wrong in it and where.
    pub fn read(path: &Path) -> Result<Self, SuiteError> {
        let unreadable = |source| SuiteError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > TEXT_BYTES_MAX as u64 {
            let problem = Problem::TooLong {
                max: TEXT_BYTES_MAX,
            };
            return Err(SuiteError::wrong(path, 1, problem));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, path)
    }

    /// Reads the text of the file `path`.
    ///
    /// # Errors
    /// What is wrong in it and where.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SuiteError> {
        let wrong = |(line, problem)| SuiteError::wrong(path, line, problem);
        if text.len() > TEXT_BYTES_MAX {
            let max = TEXT_BYTES_MAX;
            return Err(wrong((1, Problem::TooLong { max })));
        }
        let raw = RawSuite::parse(text).map_err(wrong)?;
        let reader = Reader { text, path };
        reader.check_defaults(&raw.defaults).map_err(wrong)?;
        let mut runs: Vec<Run> = Vec::new();
        let mut names = BTreeSet::new();
        for item in raw.run {
            let line = line_at(text, &item.span());
            for run in reader.runs(item, &raw.defaults).map_err(wrong)? {
                if runs.len() == RUNS_MAX {
                    return Err(wrong((line, Problem::TooMany { max: RUNS_MAX })));
                }
                if !names.insert(run.name.clone()) {
                    return Err(wrong((line, Problem::Again { name: run.name })));
                }
                runs.push(run);
            }
        }
        if runs.is_empty() {
            return Err(wrong((1, Problem::Empty)));
        }
        Ok(Self {
            path: path.to_owned(),
            images: raw.images.map(|images| reader.beside(&images)),
            runs,
        })
    }

    /// The directory that its paths are relative to.
    #[must_use]
    pub fn dir(&self) -> &Path {
        dir_of(&self.path)
    }
}

/// The directory of a file; never empty.
fn dir_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Reads runs of a text.
struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

/// A run of which something is wrong.
struct Subject<'a> {
    name: &'a str,
    line: usize,
    text: &'a str,
}

impl Subject<'_> {
    /// That the value of a key cannot be used.
    fn wrong(&self, key: &str, told: impl Into<String>) -> (usize, Problem) {
        let is_key = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        // Of the run, or else of the defaults.
        let lines = self.text.lines().enumerate();
        let own = |(index, line): &(usize, &str)| {
            index + 1 > self.line && line.trim_start().starts_with("[[run]]")
        };
        let end = lines
            .clone()
            .find(own)
            .map_or(usize::MAX, |(index, _)| index);
        let in_run = lines.clone().take(end).skip(self.line - 1);
        let of_run = in_run.into_iter().find(|(_, line)| is_key(line));
        let found = of_run.or_else(|| lines.clone().find(|(_, line)| is_key(line)));
        let problem = Problem::Value {
            key: key.to_owned(),
            run: self.name.to_owned(),
            told: told.into(),
        };
        (found.map_or(self.line, |(index, _)| index + 1), problem)
    }
}

impl Reader<'_> {
    fn beside(&self, path: &str) -> PathBuf {
        dir_of(self.path).join(path)
    }

    fn check_defaults(&self, defaults: &RawRun) -> Result<(), (usize, Problem)> {
        let section = self.text.find("[defaults").unwrap_or(0);
        let line = line_at(self.text, &(section..section));
        for (is_there, key) in [
            (defaults.name.is_some(), "name"),
            (defaults.matrix.is_some(), "matrix"),
        ] {
            if is_there {
                return Err((line, Problem::NoDefault { key }));
            }
        }
        Ok(())
    }

    /// The runs of a section: one, or one for each place of its matrix.
    fn runs(&self, item: Spanned<RawRun>, defaults: &RawRun) -> Result<Vec<Run>, (usize, Problem)> {
        let line = line_at(self.text, &item.span());
        let mut raw = item.into_inner().over(defaults);
        let name = raw.name.take().ok_or((line, Problem::Nameless))?;
        let matrix = raw.matrix.take().unwrap_or_default();
        let places = places(&matrix, RUNS_MAX).ok_or((line, Problem::TooMany { max: RUNS_MAX }))?;
        let mut runs = Vec::new();
        for place in places {
            let mut raw = raw.clone();
            place.apply(&mut raw);
            let subject = Subject {
                name: &name,
                line,
                text: self.text,
            };
            let name = place.name(&name, &raw);
            runs.push(self.run(name, raw, &place, &subject)?);
        }
        Ok(runs)
    }

    fn run(
        &self,
        name: String,
        raw: RawRun,
        place: &Place,
        subject: &Subject<'_>,
    ) -> Result<Run, (usize, Problem)> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if name.is_empty()
            || name.len() > NAME_CHARS_MAX
            || name.starts_with('.')
            || !name.chars().all(is_plain)
        {
            let told = format!(
                "has to be 1 to {NAME_CHARS_MAX} letters, digits and . _ + -, for files are called after it"
            );
            return Err(subject.wrong("name", told));
        }
        let time = |key, text: &Option<String>| match text {
            Some(text) => read_time(text).map(Some).ok_or_else(|| {
                subject.wrong(key, "has to be a time such as \"1.5s\" or \"400ms\"")
            }),
            None => Ok(None),
        };
        let own_rules = own_rules::text(&raw, self.text);
        let fill = |text: &str| self.beside(&place.fill(text, &raw, &name));
        let golden = raw.golden.as_deref().map(fill);
        let holds = Holds {
            status: raw.status.unwrap_or(0),
            same: raw.same.unwrap_or(1),
            rules: raw.rules.iter().map(|path| fill(path)).collect(),
            own_rules,
            compare: match raw.compare.as_deref() {
                None | Some("all") => Compare::All,
                Some("none") => Compare::Nothing,
                Some(events) => Compare::Events(events.to_owned()),
            },
            max_guest: time("max_guest", &raw.max_guest)?,
            max_wall: time("max_wall", &raw.max_wall)?,
            golden,
        };
        let timeout = time("timeout", &raw.timeout)?.unwrap_or(TIMEOUT);
        let guest = guest(raw);
        check(&guest, &holds, timeout, subject)?;
        Ok(Run {
            name,
            line: subject.line,
            guest,
            timeout,
            holds,
        })
    }
}

fn guest(raw: RawRun) -> Guest {
    Guest {
        kernel: raw.kernel,
        vmlinux: raw.vmlinux,
        image: raw.image,
        initrd: raw.initrd,
        rootfs: raw.rootfs,
        disk: raw.disk,
        boot: raw.boot,
        workload: raw.workload,
        events: raw.events,
        smp: raw.smp,
        memory: raw.memory,
        append: raw.append,
        options: raw.options,
    }
}

/// Refuses what no run can be.
fn check(
    guest: &Guest,
    holds: &Holds,
    timeout: Duration,
    subject: &Subject<'_>,
) -> Result<(), (usize, Problem)> {
    if !(1..=SAME_MAX).contains(&holds.same) {
        return Err(subject.wrong("same", format!("has to be from 1 to {SAME_MAX}")));
    }
    if !matches!(holds.status, 0 | 1 | 4) {
        let told = "has to be 0 (ends well), 1 (panics or fails) or 4 (runs into its time-out)";
        return Err(subject.wrong("status", told));
    }
    if timeout < Duration::from_secs(1) {
        return Err(subject.wrong("timeout", "has to be at least \"1s\""));
    }
    if guest.smp.is_some_and(|smp| !(1..=SMP_MAX).contains(&smp)) {
        return Err(subject.wrong("smp", format!("has to be from 1 to {SMP_MAX}")));
    }
    if guest.memory.is_some_and(|memory| memory < MEMORY_MIB_MIN) {
        return Err(subject.wrong("memory", format!("has to be at least {MEMORY_MIB_MIN} MiB")));
    }
    if guest.kernel.is_none() && guest.image.is_none() {
        return Err(subject.wrong(
            "kernel",
            "is missing: a name such as \"6.1-amd64\", a path with a slash, or an image whose recipe has one",
        ));
    }
    let named = |option: &String| {
        let name = option.split('=').next().unwrap_or("");
        OWN_OPTIONS.contains(&name) || option == "--"
    };
    if let Some(option) = guest.options.iter().find(|option| named(option)) {
        let told = format!("cannot have {option}: the suite has a key for it or sees to it itself");
        return Err(subject.wrong("options", told));
    }
    Ok(())
}

/// Reads a time such as `1.5s`.
fn read_time(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 5] = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("ns", 1e-9),
        ("min", 60.0),
        ("s", 1.0),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let number = number.trim();
    if number.is_empty() || !number.chars().all(is_number) {
        return None;
    }
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}
