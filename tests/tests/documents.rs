//! Documents that are made from the sources, or whose commands have to work.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use guesttrace_events::{EventRow, EventTable};
use guesttrace_tests::{guests_wanted, guesttrace, project_dir, record, skip};

const BEGIN: &str = "<!-- events:begin -->\n";
const END: &str = "<!-- events:end -->";

/// The event chapter of `FORMAT.md`, from the table.
fn event_chapter(table: &EventTable) -> String {
    let mut text = String::from(
        "\nThis chapter is made from `events/linux/`; `UPDATE_EXPECT=1 cargo test -p guesttrace-tests` renews it.\n",
    );
    let mut category = "";
    for event in table.events().iter().filter(|event| !event.retired) {
        if event.category != category {
            category = &event.category;
            let _ = write!(text, "\n### {category}\n");
        }
        describe(event, &mut text);
    }
    text.push('\n');
    text
}

fn describe(event: &EventRow, text: &mut String) {
    let ltt = event
        .ltt
        .as_ref()
        .map(|name| format!(", LTT's `{name}`"))
        .unwrap_or_default();
    let _ = write!(
        text,
        "\n**`{}`** (id {}{ltt}): {}\n",
        event.name, event.id, event.doc
    );
    if event.fields.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\n| field | type | unit | meaning |\n|---|---|---|---|\n"
    );
    for field in &event.fields {
        let unit = field.unit.as_deref().unwrap_or("");
        let _ = writeln!(
            text,
            "| `{}` | {} | {unit} | {} |",
            field.name, field.field_type, field.doc
        );
    }
}

#[test]
fn the_event_chapter_is_the_event_table() {
    let path: PathBuf = project_dir().join("FORMAT.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("FORMAT.md marks the chapter");
    let (found, after) = rest
        .split_once(END)
        .expect("FORMAT.md marks the chapter's end");
    let expected = event_chapter(&EventTable::builtin());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert!(
            found == expected,
            "FORMAT.md is stale: UPDATE_EXPECT=1 cargo test -p guesttrace-tests renews it"
        );
    }
}

/// The commands of a document's `sh` blocks that a shell would run.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project_dir().join(document)).expect("a document");
    let blocks = text
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_readme_tour_works() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let run = record("6.1-amd64", "mix", &[]);
    assert_eq!(run.status, 0, "{}", run.complaints);
    let path = std::env::join_paths(
        guesttrace()
            .parent()
            .map(PathBuf::from)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let tour: Vec<String> = commands("README.md")
        .into_iter()
        .filter(|command| command.starts_with("guesttrace "))
        .collect();
    assert!(tour.len() >= 10, "the tour is {tour:?}");
    for command in tour {
        let words = command.replace("out.bin", &run.trace.to_string_lossy());
        let output = Command::new("sh")
            .arg("-c")
            .arg(&words)
            .env("PATH", &path)
            .current_dir(project_dir())
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {complaints}");
        assert!(!output.stdout.is_empty(), "{command} prints nothing");
    }
}
