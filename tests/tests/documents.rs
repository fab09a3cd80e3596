//! Documents that are made from the sources, or whose commands have to work.

use std::fmt::Write as _;
use std::path::PathBuf;

use guesttrace_events::{EventRow, EventTable};
use guesttrace_tests::project_dir;

const BEGIN: &str = "<!-- events:begin -->\n";
const END: &str = "<!-- events:end -->";

/// The event chapter of `FORMAT.md`, from the table.
fn event_chapter(table: &EventTable) -> String {
    let mut text = String::from("\nThis chapter is made from `events/linux/`; `UPDATE_EXPECT=1 cargo test -p guesttrace-tests` renews it.\n");
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
    let ltt = event.ltt.as_ref().map(|name| format!(", LTT's `{name}`")).unwrap_or_default();
    let _ = write!(text, "\n**`{}`** (id {}{ltt}): {}\n", event.name, event.id, event.doc);
    if event.fields.is_empty() {
        return;
    }
    let _ = write!(text, "\n| field | type | unit | meaning |\n|---|---|---|---|\n");
    for field in &event.fields {
        let unit = field.unit.as_deref().unwrap_or("");
        let _ = writeln!(text, "| `{}` | {} | {unit} | {} |", field.name, field.field_type, field.doc);
    }
}

#[test]
fn the_event_chapter_is_the_event_table() {
    let path: PathBuf = project_dir().join("FORMAT.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("FORMAT.md marks the chapter");
    let (found, after) = rest.split_once(END).expect("FORMAT.md marks the chapter's end");
    let expected = event_chapter(&EventTable::builtin());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert!(found == expected, "FORMAT.md is stale: UPDATE_EXPECT=1 cargo test -p guesttrace-tests renews it");
    }
}
