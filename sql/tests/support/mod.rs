//! Traces to query, and queries whose results are lists of texts.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
#![allow(dead_code, reason = "each test uses a part of this")]

#[path = "../../../analyzer/tests/support/synthetic.rs"]
pub(crate) mod synthetic;

use analyzer::sources::Trace;
use guesttrace_sql::{Format, Limits, Opened, Session, Sink, write};
use guesttrace_tests::project_dir;
use tokio::runtime::Runtime;
use trace_format::TraceFile;

pub(crate) const SCRIPTS: [&str; 3] = ["first_program", "kernel_services", "lost_records"];

/// Holds a text against a file, or renews the file where `UPDATE_EXPECT` is set.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = project_dir().join("sql/tests/golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        expected == text,
        "{} is stale (UPDATE_EXPECT=1 renews it):\n{text}",
        path.display()
    );
}

/// A trace after a script of the analyzer's tests.
pub(crate) fn bytes(script: &str) -> Vec<u8> {
    let path = project_dir().join(format!("analyzer/tests/golden/{script}.script"));
    synthetic::trace(&std::fs::read_to_string(path).unwrap(), 7)
}

pub(crate) fn trace(script: &str) -> Trace {
    Trace::Own(TraceFile::from_bytes(bytes(script)).unwrap())
}

/// A session with a runtime to run its queries in.
pub(crate) struct Sql {
    pub(crate) session: Session,
    pub(crate) runtime: Runtime,
}

impl Sql {
    pub(crate) fn of(trace: Trace) -> Self {
        Self::with(trace, Limits::default())
    }

    pub(crate) fn with(trace: Trace, limits: Limits) -> Self {
        let opened = Opened::new(trace, "test.bin");
        Self::of_session(Session::of_trace(opened, limits).unwrap())
    }

    pub(crate) fn of_session(session: Session) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).thread_stack_size(16 << 20);
        Self {
            session,
            runtime: runtime.build().unwrap(),
        }
    }

    /// The result in a format, or what is wrong.
    pub(crate) fn text(&self, query: &str, format: Format) -> anyhow::Result<String> {
        let mut out = Vec::new();
        self.runtime.block_on(async {
            let results = self.session.query(query).await?;
            write(results, format, Sink::Stream(&mut out)).await
        })?;
        Ok(String::from_utf8(out)?)
    }

    /// The rows of a result, cells as they are in CSV.
    #[track_caller]
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<String>> {
        let text = self.text(query, Format::Csv);
        let text = text.unwrap_or_else(|error| panic!("{query}: {error:#}"));
        let cells = |line: &str| line.split(',').map(str::to_owned).collect();
        text.lines().skip(1).map(cells).collect()
    }

    /// The only cell of a result, a number.
    #[track_caller]
    pub(crate) fn number(&self, query: &str) -> i64 {
        let rows = self.rows(query);
        let [row] = &rows[..] else {
            panic!("{query}: {rows:?}")
        };
        row[0].parse().unwrap()
    }

    /// The message and the hint of a query that fails, with the status.
    #[track_caller]
    pub(crate) fn complaint(&self, query: &str) -> String {
        let error = self.text(query, Format::Csv).unwrap_err();
        let mut talk = Vec::new();
        let status = guesttrace_sql::report(&error, &mut talk);
        format!("{}({status})\n", String::from_utf8(talk).unwrap())
    }
}
