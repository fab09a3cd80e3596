//! The catalogue of workloads: the trace of each keeps its own rules and breaks those of others, and the table of
//! `images/README.md` says what there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use guesttrace_tests::{Run, guests_wanted, guesttrace, project_dir, record, skip};
use serde_json::Value;

const BEGIN: &str = "<!-- catalogue:begin -->\n";
const END: &str = "<!-- catalogue:end -->";
const KERNEL: &str = "6.1-amd64";
/// Those that take longest come first, so that no CPU of this machine is left with one of them at the end.
const LONGEST: [&str; 6] = ["compile", "ftp", "yield", "compress", "archive", "mix"];
/// How much guest time and events may differ from the table, where the guest is built by other tools: one part in so many.
const TOLERANCE: u64 = 5;

/// A workload that has rules.
struct Recipe {
    name: String,
    /// First line of the workload: what it does.
    what: String,
    /// First line of its rules: what its trace must show.
    shows: String,
    /// Options of `guesttrace record` that the workload asks for.
    options: Vec<String>,
}

impl Recipe {
    fn read(rules: &Path) -> Self {
        let name = rules.file_stem().expect("a name").to_string_lossy();
        let path = project_dir().join("images/workloads").join(&*name);
        let workload = std::fs::read_to_string(path).expect("each file of rules has a workload");
        let rules = std::fs::read_to_string(rules).expect("a file of rules");
        let options = workload
            .lines()
            .find_map(|line| line.strip_prefix("# record with: "))
            .unwrap_or("");
        Self {
            name: name.into_owned(),
            what: comment(&workload),
            shows: comment(&rules),
            options: options.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn rules(&self) -> PathBuf {
        let name = format!("{}.toml", self.name);
        project_dir().join("images/rules").join(name)
    }

    fn record(&self) -> Run {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        record(KERNEL, &self.name, &options)
    }

    /// What `record` has to say of it: a guest that panics has failed.
    fn status(&self) -> i32 {
        i32::from(self.name == "panic")
    }

    /// The part of its row that needs no recording.
    fn row(&self) -> String {
        let options = self.options.join(" ");
        let options = if options.is_empty() {
            options
        } else {
            format!("`{options}`")
        };
        format!(
            "| `{}` | {} | {} | {options} |",
            self.name, self.what, self.shows
        )
    }
}

/// The sentence that a file begins with.
fn comment(text: &str) -> String {
    let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
    let first = first.expect("the first line is a comment");
    assert!(first.ends_with('.'), "not a sentence: {first}");
    assert!(!first.contains('|'), "no cell of a table: {first}");
    first.to_owned()
}

/// Every workload that has rules, in the order of their names.
fn recipes() -> Vec<Recipe> {
    let entries = std::fs::read_dir(project_dir().join("images/rules")).expect("images/rules");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| Recipe::read(path)).collect()
}

/// What was measured of a recording.
#[derive(Clone, Copy)]
struct Size {
    millis: u64,
    events: u64,
}

impl Size {
    fn of(trace: &Path) -> Self {
        let (_, info) = json(&["info", &trace.to_string_lossy()]);
        let number = |key: &str| info["trace"][key].as_u64().expect("a number");
        Self {
            millis: number("duration_ns") / 1_000_000,
            events: number("records"),
        }
    }

    /// The end of a row.
    fn cells(self) -> String {
        let tenths = self.millis / 100;
        format!(" {}.{} s | {} |", tenths / 10, tenths % 10, self.events)
    }

    /// What a row says, to a tenth of a second.
    fn read(row: &str) -> Self {
        let mut cells = row.trim_end_matches('|').rsplit('|');
        let mut number = || {
            let cell = cells.next()?;
            cell.replace(|letter: char| !letter.is_ascii_digit(), "")
                .parse::<u64>()
                .ok()
        };
        let (events, tenths) = (number(), number());
        Self {
            millis: 100 * tenths.expect("guest time"),
            events: events.expect("a number of events"),
        }
    }

    /// Whether what a row says is this, or nearly.
    fn is_near(self, told: Self) -> bool {
        let near = |found: u64, told: u64| found.abs_diff(told) <= told / TOLERANCE;
        near(self.millis, told.millis) && near(self.events, told.events)
    }
}

/// Exit status and output of a command of the program that writes JSON.
fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(guesttrace())
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .expect("guesttrace can be started");
    let value = serde_json::from_slice(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    (
        output.status.code(),
        value.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {complaints}")),
    )
}

/// Exit status of `check`, how many rules the trace breaks, and what it says of those that it does not keep.
fn judge(trace: &Path, rules: &Path) -> (Option<i32>, u64, String) {
    let (status, verdicts) = json(&["check", &trace.to_string_lossy(), &rules.to_string_lossy()]);
    let mut said = String::new();
    for rule in verdicts["rules"].as_array().expect("a list") {
        if rule["verdict"] != "passed" {
            let _ = writeln!(said, "{}: {rule:#}", rules.display());
        }
    }
    let failed = verdicts["failed"].as_u64().expect("a number");
    (status, failed, said)
}

/// Complains unless the trace keeps the rules of its workload.
fn keeps(recipe: &Recipe, run: &Run) {
    let name = &recipe.name;
    assert_eq!(
        run.status,
        recipe.status(),
        "{name}\n{}\n{}",
        run.complaints,
        run.console
    );
    let (status, _, said) = judge(&run.trace, &recipe.rules());
    assert_eq!(status, Some(0), "{said}");
}

/// Complains unless a trace breaks the rules of a workload that it is not of; not having their events is not enough.
fn breaks(recipe: &Recipe, trace: &Path) {
    let (status, failed, _) = judge(trace, &recipe.rules());
    let name = &recipe.name;
    assert_eq!(status, Some(1), "the rules of {name}");
    assert!(failed > 0, "the rules of {name} hold for another workload");
}

/// Records and judges all but `boot`, as many at a time as there are CPUs; `boot` is its recipe and recording.
fn judge_all(recipes: &[Recipe], boot: (&Recipe, &Run)) -> BTreeMap<String, Size> {
    let mut left: Vec<&Recipe> = recipes
        .iter()
        .filter(|recipe| recipe.name != boot.0.name)
        .collect();
    // The last is taken first.
    left.sort_by_key(|recipe| LONGEST.contains(&recipe.name.as_str()));
    let left = Mutex::new(left);
    let sizes = Mutex::new(BTreeMap::from([(
        boot.0.name.clone(),
        Size::of(&boot.1.trace),
    )]));
    let next = || left.lock().expect("no thread panics with it").pop();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(recipe) = next() {
                    let run = recipe.record();
                    keeps(recipe, &run);
                    breaks(recipe, &boot.1.trace);
                    breaks(boot.0, &run.trace);
                    let size = Size::of(&run.trace);
                    let mut sizes = sizes.lock().expect("no thread panics with it");
                    sizes.insert(recipe.name.clone(), size);
                }
            });
        }
    });
    sizes.into_inner().expect("no thread panics with it")
}

/// The document around its table, and the table's rows.
fn table() -> (String, Vec<String>, String) {
    let text = std::fs::read_to_string(project_dir().join("images/README.md")).expect("a document");
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the table's beginning is marked");
    let (rows, after) = rest.split_once(END).expect("the table's end is marked");
    let rows = rows.lines().skip(2).map(str::to_owned).collect();
    (before.to_owned(), rows, after.to_owned())
}

fn write_table(recipes: &[Recipe], sizes: &BTreeMap<String, Size>) {
    let (before, _, after) = table();
    let mut rows = String::from(
        "| workload | what it does | what its trace must show | recorded with | guest time | events |\n\
         |---|---|---|---|---|---|\n",
    );
    for recipe in recipes {
        let _ = writeln!(rows, "{}{}", recipe.row(), sizes[&recipe.name].cells());
    }
    let text = format!("{before}{BEGIN}{rows}{END}{after}");
    std::fs::write(project_dir().join("images/README.md"), text)
        .expect("the document can be written");
}

#[test]
fn the_table_names_every_workload_that_has_rules() {
    let (_, rows, _) = table();
    let recipes = recipes();
    let expected: Vec<String> = recipes.iter().map(Recipe::row).collect();
    assert_eq!(
        rows.len(),
        expected.len(),
        "images/README.md is stale: UPDATE_EXPECT=1 GUESTTRACE_E2E=1 cargo test --release --test catalogue renews it"
    );
    for (row, expected) in rows.iter().zip(&expected) {
        let expected = format!("{expected}{}", Size::read(row).cells());
        assert_eq!(row, &expected);
    }
}

#[test]
fn every_trace_keeps_its_own_rules_and_breaks_others() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let recipes = recipes();
    let boot = recipes.iter().find(|recipe| recipe.name == "boot");
    let boot = boot.expect("the workload boot has rules");
    let booted = boot.record();
    keeps(boot, &booted);
    let sizes = judge_all(&recipes, (boot, &booted));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return write_table(&recipes, &sizes);
    }
    for row in table().1 {
        let (name, _) = row
            .trim_start_matches("| `")
            .split_once('`')
            .expect("a name");
        let size = sizes[name];
        assert!(
            size.is_near(Size::read(&row)),
            "{row}\nis now\n{}",
            size.cells()
        );
    }
}
