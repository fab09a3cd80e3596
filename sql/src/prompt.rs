//! The prompt: queries over several lines until a semicolon, and commands that begin with a point.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper};
use tokio::runtime::Runtime;

use crate::describe::table_text;
use crate::failure::report;
use crate::output::{Format, Sink, write};
use crate::session::{Session, kind_of};

const HELP: &str = "\
SELECT ...;      runs a query, which may have several lines and ends with a semicolon
.tables          lists the tables; .tables PART only those with PART in their name
.schema TABLE    lists the columns of a table with what they mean
.format FORMAT   table, csv or json
.help            this
.quit            ends, as Ctrl-D does
docs/sql.md has the tables that every trace has, functions, and ten questions with their queries.
";

/// Reads queries until there are no more.
///
/// # Errors
/// When the terminal cannot be used or results cannot be written.
pub fn prompt(
    session: &Session,
    runtime: &Runtime,
    format: Format,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<()> {
    let mut editor: Editor<Words, FileHistory> = Editor::new()?;
    editor.set_helper(Some(Words::new(session)));
    let history = history_file();
    if let Some(path) = &history {
        // There may be none yet.
        let _ = editor.load_history(path);
    }
    let mut format = format;
    loop {
        let line = match editor.readline("sql> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // Without a history the prompt still works.
        let _ = editor.add_history_entry(line);
        if let Some(command) = line.strip_prefix('.') {
            if !obey(session, runtime, command, &mut format, out, talk)? {
                break;
            }
            continue;
        }
        for query in statements(line) {
            let done = runtime.block_on(async {
                let results = session.query(query).await?;
                write(results, format, Sink::Stream(&mut *out)).await
            });
            match done {
                Ok(rows) if format == Format::Table => writeln!(talk, "{rows} rows")?,
                Ok(_) => {}
                Err(error) => drop(report(&error, talk)),
            }
        }
        if let Some(opened) = session.opened() {
            for damage in opened.take_damage() {
                writeln!(talk, "warning: {damage}")?;
            }
        }
    }
    if let Some(path) = &history {
        let made = path
            .parent()
            .is_none_or(|dir| fs::create_dir_all(dir).is_ok());
        if !made || editor.save_history(path).is_err() {
            writeln!(talk, "the history could not be kept in {}", path.display())?;
        }
    }
    Ok(())
}

/// Does what a command says; whether the prompt goes on.
fn obey(
    session: &Session,
    runtime: &Runtime,
    command: &str,
    format: &mut Format,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<bool> {
    let mut words = command.split_whitespace();
    match (words.next().unwrap_or_default(), words.next()) {
        ("quit" | "exit" | "q", _) => return Ok(false),
        ("help", _) => out.write_all(HELP.as_bytes())?,
        ("tables", part) => {
            let part = part.unwrap_or_default();
            for name in session
                .table_names()
                .iter()
                .filter(|name| name.contains(part))
            {
                writeln!(out, "{name}")?;
            }
        }
        ("schema", Some(name)) => {
            show_schema(session, runtime, name.trim_end_matches(';'), out, talk)?
        }
        ("schema", None) => writeln!(talk, "name a table: .schema threads")?,
        ("format", Some("table")) => *format = Format::Table,
        ("format", Some("csv")) => *format = Format::Csv,
        ("format", Some("json")) => *format = Format::Json,
        ("format", _) => writeln!(talk, "the formats are table, csv and json")?,
        (other, _) => writeln!(talk, "there is no command .{other}\nhint: .help lists them")?,
    }
    out.flush()?;
    Ok(true)
}

fn show_schema(
    session: &Session,
    runtime: &Runtime,
    name: &str,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<()> {
    let mut tables = session.tables().iter();
    if let Some(table) = tables.find(|table| table.name == name) {
        out.write_all(table_text(table).as_bytes())?;
        return Ok(());
    }
    // The tables of a directory have their comments in their files.
    let provider = runtime.block_on(
        session
            .context
            .table_provider(datafusion::common::TableReference::bare(name)),
    );
    match provider {
        Ok(provider) => {
            for field in provider.schema().fields() {
                let comment = field.metadata().get(crate::column::COMMENT_KEY);
                let comment = comment.map_or("", String::as_str);
                let kind = kind_of(field.data_type());
                writeln!(out, "  {:24}  {kind:7}  {comment}", field.name())?;
            }
        }
        Err(_) => writeln!(talk, "there is no table {name}\nhint: .tables lists them")?,
    }
    Ok(())
}

/// The queries in a text; a semicolon in quotes ends none.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let mut quote: Option<char> = None;
    let parts = text.split(move |character| {
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            _ => {}
        }
        quote.is_none() && character == ';'
    });
    parts.map(str::trim).filter(|query| !query.is_empty())
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("guesttrace/sql_history"))
}

/// Completes names of tables and columns, and knows when a query is complete.
struct Words(Vec<String>);

impl Words {
    fn new(session: &Session) -> Self {
        let mut words = session.table_names();
        for table in session.tables() {
            words.extend(table.columns.iter().map(|column| column.name.clone()));
        }
        words.extend([".tables", ".schema ", ".format ", ".help", ".quit"].map(str::to_owned));
        words.extend(
            [
                "SELECT ",
                "FROM ",
                "WHERE ",
                "GROUP BY ",
                "ORDER BY ",
                "LIMIT ",
            ]
            .map(str::to_owned),
        );
        words.sort();
        words.dedup();
        Self(words)
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or(line);
        let is_word =
            |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
        let start = before
            .rfind(|character| !is_word(character))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let begun = &before[start..];
        let fits = |word: &&String| {
            let head = word.get(..begun.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(begun))
        };
        let found = self.0.iter().filter(fits).map(|word| Pair {
            display: word.clone(),
            replacement: word.clone(),
        });
        Ok((start, found.collect()))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_whole = text.is_empty() || text.starts_with('.') || text.ends_with(';');
        Ok(if is_whole {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_semicolon_in_quotes_ends_no_query() {
        let split: Vec<&str> = statements("SELECT ';' AS \"a;b\"; SELECT 2;").collect();
        assert_eq!(split, ["SELECT ';' AS \"a;b\"", "SELECT 2"]);
    }
}
