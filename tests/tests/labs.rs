//! The labs for courses: their commands work, their rules hold for a recording, and right answers are right.
//!
//! `UPDATE_EXPECT=1` writes the answers of the reference recordings into `key.toml` and `teacher.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use guesttrace_tests::{Desk, dead_links, guests_wanted, guesttrace, project_dir, skip};

const BEGIN: &str = "<!-- answers:begin -->\n";
const END: &str = "<!-- answers:end -->";

/// A question of a lab, as its rules ask it.
#[derive(Debug)]
struct Question {
    key: String,
    text: String,
    points: i64,
}

/// A lab's directory, relative to the project's.
#[derive(Debug)]
struct Lab {
    dir: String,
    questions: Vec<Question>,
}

impl Lab {
    fn path(&self, file: &str) -> PathBuf {
        project_dir().join(&self.dir).join(file)
    }

    fn text(&self, file: &str) -> String {
        let path = self.path(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn table(&self, file: &str) -> toml::Table {
        let table = self.text(file).parse::<toml::Table>();
        table.unwrap_or_else(|error| panic!("{}/{file}: {error}", self.dir))
    }

    /// The trace that its first command records: `lab04.bin` of lab 04.
    fn trace(&self) -> String {
        let name = self.dir.rsplit('/').next().unwrap();
        format!("lab{}.bin", &name[..2])
    }
}

fn labs() -> Vec<Lab> {
    let entries = std::fs::read_dir(project_dir().join("docs/labs")).unwrap();
    let mut labs: Vec<Lab> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| format!("docs/labs/{}", entry.file_name().to_string_lossy()))
        .filter(|dir| {
            dir.rsplit('/')
                .next()
                .unwrap()
                .starts_with(|letter: char| letter.is_ascii_digit())
        })
        .map(|dir| Lab {
            dir,
            questions: Vec::new(),
        })
        .collect();
    labs.sort_by(|one, other| one.dir.cmp(&other.dir));
    for lab in &mut labs {
        let rules = lab.table("rules.toml");
        let questions = rules["answer"].as_array().unwrap().iter();
        lab.questions = questions
            .map(|asked| Question {
                key: asked["key"].as_str().unwrap().to_owned(),
                text: asked["question"].as_str().unwrap().to_owned(),
                points: asked
                    .get("points")
                    .map_or(1, |points| points.as_integer().unwrap()),
            })
            .collect();
    }
    labs
}

#[test]
fn each_lab_is_whole() {
    let labs = labs();
    assert_eq!(labs.len(), 10);
    for lab in &labs {
        let readme = lab.text("README.md");
        let mut rest = readme.as_str();
        for Question { key, text, points } in &lab.questions {
            let line = format!("\n- `{key}` ({points}): {text}\n");
            let at = rest.find(&line);
            let at = at.unwrap_or_else(|| panic!("{}: no line in its place: {line}", lab.dir));
            rest = &rest[at + line.len() - 1..];
        }
        for file in ["answers.toml", "key.toml"] {
            let table = lab.table(file);
            let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
            let mut asked: Vec<&str> = lab
                .questions
                .iter()
                .map(|asked| asked.key.as_str())
                .collect();
            keys.sort_unstable();
            asked.sort_unstable();
            assert_eq!(keys, asked, "{}/{file}", lab.dir);
            let is_empty = table.values().all(|value| value.as_str() == Some(""));
            assert_eq!(is_empty, file == "answers.toml", "{}/{file}", lab.dir);
        }
        assert!(
            readme.matches("![").count() >= 1,
            "{} has no picture",
            lab.dir
        );
        for file in ["README.md", "teacher.md"] {
            assert_eq!(dead_links(&lab.path(file)), Vec::<String>::new());
        }
    }
    let mut pictures = Vec::new();
    for lab in &labs {
        let entries = std::fs::read_dir(lab.path("")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        pictures.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "png")));
    }
    for picture in pictures {
        let bytes = std::fs::metadata(&picture).unwrap().len();
        assert!(bytes <= 150_000, "{} has {bytes} bytes", picture.display());
    }
}

#[test]
fn labs_can_be_done() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let labs = labs();
    let left: Mutex<Vec<&Lab>> = Mutex::new(labs.iter().rev().collect());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // The lock is given back before the lab begins.
                while let Some(lab) = { left.lock().unwrap().pop() } {
                    do_lab(lab);
                }
            });
        }
    });
}

/// Does a lab as a student would, and hands in the reference answers.
fn do_lab(lab: &Lab) {
    let unused = project_dir().join("analyzer/tests/golden/first_program.script");
    let mut desk = Desk::new(&unused);
    let documents = [
        format!("{}/README.md", lab.dir),
        format!("{}/teacher.md", lab.dir),
    ];
    desk.work_through(&documents.each_ref().map(String::as_str));
    let trace = desk.dir().join(lab.trace());
    let truths = graded(lab, &trace, &lab.path("answers.toml")).truths;
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        renew(lab, &truths);
    }
    let right = desk.dir().join("right.toml");
    let lines = truths
        .iter()
        .map(|(key, truth)| format!("{key} = {}\n", written(truth)));
    std::fs::write(&right, lines.collect::<String>()).unwrap();
    let Graded { text, status, .. } = graded(lab, &trace, &right);
    assert_eq!(status, 0, "{}: right answers are not\n{text}", lab.dir);

    let key = lab.table("key.toml");
    for (name, truth) in &truths {
        let told = key[name]
            .as_str()
            .map_or_else(|| key[name].to_string(), str::to_owned);
        assert!(
            are_near(&told, written(truth).trim_matches('"')),
            "{}/key.toml: {name} is {told}, the trace says {truth}; UPDATE_EXPECT=1 renews it",
            lab.dir
        );
    }

    // Each answer made wrong, all at once: none may count.
    let wrong = desk.dir().join("wrong.toml");
    let lines = key.keys().map(|key| format!("{key} = \"no such thing\"\n"));
    std::fs::write(&wrong, lines.collect::<String>()).unwrap();
    let Graded { points, status, .. } = graded(lab, &trace, &wrong);
    assert_eq!((points, status), (0, 1), "{}", lab.dir);
    let table = answer_table(lab, &key);
    assert!(
        lab.text("teacher.md").contains(&table),
        "{}: teacher.md is stale:\n{table}",
        lab.dir
    );
}

/// What `check` says of answers.
struct Graded {
    text: String,
    status: i32,
    points: u64,
    /// The right answers, by key.
    truths: BTreeMap<String, String>,
}

fn graded(lab: &Lab, trace: &Path, answers: &Path) -> Graded {
    let output = Command::new(guesttrace())
        .arg("check")
        .arg(trace)
        .arg(lab.path("rules.toml"))
        .arg("--answers")
        .arg(answers)
        .args(["--show-answers", "--format", "json"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let report: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{}: {error}\n{complaints}", lab.dir));
    let rules = report["rules"].as_array().unwrap().iter();
    let truths = rules
        .filter(|rule| rule["kind"] == "answer")
        .map(|rule| {
            let truth = rule["expected"].as_str().unwrap();
            let truth = truth.split(", within").next().unwrap();
            (rule["name"].as_str().unwrap().to_owned(), truth.to_owned())
        })
        .collect();
    let broken: Vec<&serde_json::Value> = report["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| !matches!(rule["verdict"].as_str(), Some("passed" | "right")))
        .collect();
    Graded {
        text: format!("{broken:#?}"),
        status: output.status.code().unwrap_or(-1),
        points: report["points"].as_u64().unwrap(),
        truths,
    }
}

/// Whether two answers are the same, or numbers that differ by a fifth at most, as another build of the guest may.
fn are_near(one: &str, other: &str) -> bool {
    let split = |text: &str| {
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        Some((number.parse::<f64>().ok()?, unit.to_owned()))
    };
    match (split(one), split(other)) {
        (Some((one, unit)), Some((other, of_other))) if unit == of_other => {
            (one - other).abs() * 5.0 <= other
        }
        _ => one == other,
    }
}

/// A truth as people write it: times and percentages with four digits.
fn written(truth: &str) -> String {
    let Some((number, unit)) = truth.split_once(' ') else {
        return match truth.parse::<u64>() {
            Ok(number) => number.to_string(),
            Err(_) => format!("\"{truth}\""),
        };
    };
    match (number.parse::<f64>(), unit) {
        (Ok(number), "s" | "ms" | "us" | "ns" | "%") => {
            let whole = number.trunc().to_string().len();
            format!("\"{number:.*}{unit}\"", 4_usize.saturating_sub(whole))
        }
        _ => format!("\"{truth}\""),
    }
}

/// Writes the right answers into the reference answers and the teacher's page.
fn renew(lab: &Lab, truths: &BTreeMap<String, String>) {
    let mut lines = String::new();
    for line in lab.text("key.toml").lines() {
        let key = line.split(" = ").next().unwrap_or_default();
        let _ = match truths.get(key) {
            Some(truth) => writeln!(lines, "{key} = {}", written(truth)),
            None => writeln!(lines, "{line}"),
        };
    }
    std::fs::write(lab.path("key.toml"), &lines).unwrap();
    let page = lab.text("teacher.md");
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("teacher.md marks the answers");
    let (_, after) = rest
        .split_once(END)
        .expect("teacher.md marks the answers' end");
    let table = answer_table(lab, &lines.parse().unwrap());
    std::fs::write(
        lab.path("teacher.md"),
        format!("{before}{BEGIN}{table}{END}{after}"),
    )
    .unwrap();
}

/// The right answers as a table.
fn answer_table(lab: &Lab, key: &toml::Table) -> String {
    let mut table = "\n| key | points | answer |\n|---|---|---|\n".to_owned();
    for Question {
        key: name, points, ..
    } in &lab.questions
    {
        let answer = match &key[name] {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let _ = writeln!(table, "| `{name}` | {points} | {answer} |");
    }
    let sum: i64 = lab.questions.iter().map(|asked| asked.points).sum();
    let _ = writeln!(table, "| | {sum} | |\n");
    table
}
