//! Makes a data set as a fleet of boots would: DIR/run=NNNN with the tables `thread_states` and `trace`.
//!
//! usage: cargo run --release --example fleet_data -- DIR RUNS ROWS
//!
//! RUNS boots with ROWS rows of `thread_states` in all; from one boot on, which is printed, udevd's waits for the disk
//! take twice as long. The same arguments give the same files.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use guesttrace_sql::tables::{Table, fixed_tables};

/// Boots with the same revision follow each other.
const BOOTS_OF_REVISION: usize = 4;
/// So often udevd waits for the disk.
const ROWS_BETWEEN_WAITS: u64 = 50;
/// Rows that are made at once.
const BATCH_ROWS: usize = 1 << 16;
const COMMS: [&str; 12] = [
    "swapper/0",
    "systemd",
    "udevd",
    "kworker/0:1",
    "kworker/1:2",
    "sh",
    "insmod",
    "journald",
    "ksoftirqd/0",
    "mount",
    "dbus-daemon",
    "jbd2/sda1-8",
];
const CALLS: [&str; 6] = ["read", "openat", "epoll_wait", "write", "wait4", "futex"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, runs, rows] = &arguments[..] else {
        return Err("usage: fleet_data DIR RUNS ROWS".into());
    };
    let (runs, rows): (usize, usize) = (runs.parse()?, rows.parse()?);
    let culprit = runs * 5 / 8;
    let states = table("thread_states")?;
    for run in 0..runs {
        let place = Path::new(dir).join(format!("run={run:05}"));
        fs::create_dir_all(&place)?;
        let mut chance = Chance(0x5eed + run as u64);
        let own_rows = rows / runs + usize::from(run < rows % runs);
        let mut boot = Boot {
            now: 0,
            rows: 0,
            slow: if run >= culprit { 2 } else { 1 },
        };
        let schema = Arc::new(states.schema());
        let mut writer = writer(&place.join("thread_states.parquet"), &schema)?;
        let mut left = own_rows;
        while left > 0 {
            let count = left.min(BATCH_ROWS);
            writer.write(&boot.batch(&schema, count, &mut chance)?)?;
            left -= count;
        }
        writer.close()?;
        write_trace(&place, run, boot.now)?;
    }
    let revision = revision(culprit);
    writeln!(
        std::io::stdout(),
        "the waits double in run {culprit:05}, revision {revision}"
    )?;
    Ok(())
}

fn table(name: &str) -> Result<Table, String> {
    let mut tables = fixed_tables().into_iter();
    tables
        .find(|table| table.name == name)
        .ok_or_else(|| format!("no table {name}"))
}

fn writer(path: &Path, schema: &Arc<Schema>) -> Result<ArrowWriter<File>, Box<dyn Error>> {
    let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    Ok(ArrowWriter::try_new(
        File::create(path)?,
        Arc::clone(schema),
        Some(properties),
    )?)
}

/// The table of the trace itself, with the label that tells the revision.
fn write_trace(dir: &Path, run: usize, duration: i64) -> Result<(), Box<dyn Error>> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Arc::new(Schema::new(vec![
        text("file"),
        Field::new("duration_ns", DataType::Int64, true),
        text("kernel"),
        text("revision"),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![format!("{run:05}.bin")])),
        Arc::new(Int64Array::from(vec![duration])),
        Arc::new(StringArray::from(vec!["6.1.0"])),
        Arc::new(StringArray::from(vec![revision(run)])),
    ];
    let mut writer = writer(&dir.join("trace.parquet"), &schema)?;
    writer.write(&RecordBatch::try_new(schema, columns)?)?;
    writer.close()?;
    Ok(())
}

fn revision(run: usize) -> String {
    let mut chance = Chance((run / BOOTS_OF_REVISION) as u64);
    format!("{:012x}", chance.next() >> 16)
}

/// Numbers by chance, the same ones for the same seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A boot while its rows are made.
struct Boot {
    now: i64,
    rows: u64,
    /// By how much udevd's waits for the disk are longer than they should be.
    slow: i64,
}

/// The columns that vary, by row.
#[derive(Default)]
struct Columns {
    begin: Vec<i64>,
    end: Vec<i64>,
    thread: Vec<i64>,
    comm: Vec<&'static str>,
    state: Vec<&'static str>,
    cpu: Vec<Option<i64>>,
    what: Vec<Option<&'static str>>,
    waited_for: Vec<Option<&'static str>>,
    ended_by: Vec<Option<&'static str>>,
    waker: Vec<Option<i64>>,
}

impl Boot {
    fn batch(
        &mut self,
        schema: &Arc<Schema>,
        count: usize,
        chance: &mut Chance,
    ) -> Result<RecordBatch, Box<dyn Error>> {
        let mut columns = Columns::default();
        for _ in 0..count {
            self.row(&mut columns, chance)?;
        }
        let length = columns
            .begin
            .iter()
            .zip(&columns.end)
            .map(|(begin, end)| end - begin);
        let length: Vec<i64> = length.collect();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for field in schema.fields() {
            arrays.push(match field.name().as_str() {
                "begin_ns" => Arc::new(Int64Array::from(columns.begin.clone())),
                "end_ns" => Arc::new(Int64Array::from(columns.end.clone())),
                "duration_ns" => Arc::new(Int64Array::from(length.clone())),
                "thread" | "tid" | "pid" => Arc::new(Int64Array::from(columns.thread.clone())),
                "comm" => Arc::new(StringArray::from(columns.comm.clone())),
                "state" => Arc::new(StringArray::from(columns.state.clone())),
                "cpu" => Arc::new(Int64Array::from(columns.cpu.clone())),
                "what" => Arc::new(StringArray::from(columns.what.clone())),
                "waited_for" => Arc::new(StringArray::from(columns.waited_for.clone())),
                "ended_by" | "ended_by_what" => {
                    Arc::new(StringArray::from(columns.ended_by.clone()))
                }
                "waker_tid" => Arc::new(Int64Array::from(columns.waker.clone())),
                other => return Err(format!("no data for the column {other}").into()),
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
    }

    /// Adds a row, of about the mix that boots of the guests have.
    fn row(&mut self, columns: &mut Columns, chance: &mut Chance) -> Result<(), Box<dyn Error>> {
        let thread = chance.below(COMMS.len() as u64);
        let comm = COMMS[usize::try_from(thread)?];
        self.now += i64::try_from(chance.below(4000))?;
        let (state, length) = match chance.below(10) {
            0..3 => ("user", chance.below(40_000)),
            3..6 => ("syscall", chance.below(12_000)),
            6 => ("runnable", chance.below(9_000)),
            7 => ("irq", chance.below(5_000)),
            _ => ("blocked", 20_000 + chance.below(400_000)),
        };
        let is_wait = state == "blocked";
        let ended_by = ["request", "thread", "timer", "packet"][usize::try_from(chance.below(4))?];
        let mut length = i64::try_from(length)?;
        let mut row = (comm, state, is_wait, ended_by);
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_BETWEEN_WAITS) {
            row = ("udevd", "blocked", true, "request");
            length = self.slow * i64::try_from(200_000 + chance.below(20_000))?;
        } else if row == ("udevd", "blocked", true, "request") {
            row.3 = "thread";
        }
        let (comm, state, is_wait, ended_by) = row;
        columns.begin.push(self.now);
        columns.end.push(self.now + length);
        columns.thread.push(i64::try_from(thread)?);
        columns.comm.push(comm);
        columns.state.push(state);
        let cpu = i64::try_from(chance.below(4))?;
        columns
            .cpu
            .push((!is_wait && state != "runnable").then_some(cpu));
        let call = CALLS[usize::try_from(chance.below(CALLS.len() as u64))?];
        columns.what.push((state == "syscall").then_some(call));
        columns.waited_for.push(is_wait.then_some("file"));
        columns.ended_by.push(is_wait.then_some(ended_by));
        columns.waker.push(is_wait.then_some(cpu + 100));
        Ok(())
    }
}
