//! Documents: the chapter of tables is the program's, the queries in them work, and so do the commands' words.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod support;

use std::fs;
use std::process::Command;

use guesttrace_sql::{Format, document};
use guesttrace_tests::project_dir;
use support::{Sql, golden, trace};

const BEGIN: &str = "<!-- tables:begin -->\n";
const END: &str = "<!-- tables:end -->";

#[test]
fn the_chapter_of_tables_is_the_programs() {
    let path = project_dir().join("docs/sql.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("docs/sql.md marks the chapter");
    let (found, after) = rest.split_once(END).expect("docs/sql.md marks its end");
    let expected = format!("\n{}\n", document());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert!(
            found == expected,
            "docs/sql.md is stale: UPDATE_EXPECT=1 cargo test renews it"
        );
    }
}

/// The queries of a document.
fn queries(document: &str) -> Vec<String> {
    let text = fs::read_to_string(project_dir().join(document)).unwrap();
    let blocks = text.split("```sql\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_ten_questions_have_answers() {
    let sql = Sql::of(trace("kernel_services"));
    let queries = queries("docs/sql.md");
    assert_eq!(queries.len(), 10);
    let mut answers = String::new();
    for query in queries {
        let answer = sql.text(&query, Format::Table);
        answers += &query;
        answers += "\n";
        answers += &answer.unwrap_or_else(|error| panic!("{query}: {error:#}"));
        answers += "\n";
    }
    golden("questions.txt", &answers);
}

#[test]
fn help() {
    let mut text = String::new();
    for verb in [
        &["--help"][..],
        &["sql", "--help"],
        &["query", "--help"],
        &["export", "--help"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_guesttrace-sql"))
            .args(verb)
            .output()
            .unwrap();
        assert!(output.status.success());
        text += &format!(
            "$ guesttrace-sql {}\n{}\n",
            verb.join(" "),
            String::from_utf8(output.stdout).unwrap()
        );
    }
    golden("help.txt", &text);
}
