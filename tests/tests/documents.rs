//! Documents that are made from the sources, or whose commands have to work.

use std::fmt::Write as _;
use std::path::PathBuf;

use guesttrace_events::{EventRow, EventTable};
use guesttrace_tests::{Desk, dead_links, documents, guests_wanted, project_dir, record, skip};

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

#[test]
fn the_commands_of_documents_work() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    // scripts/test.sh has recorded what the first command of the README records.
    let known = std::env::var_os("GUESTTRACE_EXPORT_TRACE").map(PathBuf::from);
    let recorded = known.is_none().then(|| record("6.1-amd64", "mix", &[]));
    let trace = known.or_else(|| recorded.as_ref().map(|run| run.trace.clone()));
    let mut desk = Desk::new(&trace.expect("one of the two"));
    let documents = documents_to_follow();
    let names: Vec<&str> = documents.iter().map(String::as_str).collect();
    let commands = desk.work_through(&names);
    assert!(commands >= 100, "the documents have {commands} commands");
}

/// Those that readers follow from top to bottom, in the order in which they meet them.
fn documents_to_follow() -> Vec<String> {
    let project = project_dir();
    let guide = documents().into_iter().filter_map(|path| {
        let name = path.strip_prefix(&project).ok()?;
        name.starts_with("docs/guide")
            .then(|| name.to_string_lossy().into_owned())
    });
    let first = ["README.md", "docs/guide/README.md"].map(str::to_owned);
    let last = ["cookbook", "faq", "recording"].map(|name| format!("docs/{name}.md"));
    first.into_iter().chain(guide).chain(last).collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let documents = documents();
    assert!(documents.len() >= 20, "only {documents:?}");
    let dead: Vec<String> = documents.iter().flat_map(|path| dead_links(path)).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}
