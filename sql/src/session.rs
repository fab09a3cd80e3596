//! What queries run in: the tables, the functions, the limits.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::column::{Column, Kind};
use crate::dataset::Dataset;
use crate::functions::{functions, functions_of};
use crate::opened::Opened;
use crate::provider::TraceTable;
use crate::rows::{Cell, Rows};
use crate::tables::{ABOUT, Table, tables};

const CATALOG: &str = "guesttrace";
const SCHEMA: &str = "public";

/// Longest query: the engine follows expressions into their depth, and the stack of a thread has an end.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// What queries may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory for what a query has to keep, in MiB; sorting and grouping go to temporary files beyond that.
    pub memory_mib: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism();
        Self {
            memory_mib: 1024,
            threads: threads.map_or(1, usize::from),
        }
    }
}

/// Tables to be queried.
pub struct Session {
    pub(crate) context: SessionContext,
    subject: Subject,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

enum Subject {
    Trace(Arc<Opened>, Vec<Arc<Table>>),
    Dataset(Arc<Dataset>),
}

impl Session {
    /// For the tables of a trace.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub fn of_trace(opened: Opened, limits: Limits) -> Result<Self> {
        let opened = Arc::new(opened);
        let provider = MemorySchemaProvider::new();
        let all = tables(opened.trace.schema()).into_iter().map(Arc::new);
        let all: Vec<Arc<Table>> = all.collect();
        for table in &all {
            let rows = TraceTable::new(Arc::clone(&opened), Arc::clone(table));
            provider.register_table(table.name.clone(), Arc::new(rows))?;
        }
        provider.register_table(ABOUT.to_owned(), Arc::new(about(&all)?))?;
        let context = context(limits, Arc::new(provider))?;
        for function in functions_of(&opened) {
            context.register_udf(function);
        }
        Ok(Self {
            context,
            subject: Subject::Trace(opened, all),
        })
    }

    /// For a directory that exports have written.
    ///
    /// # Errors
    /// When there are no files of tables in it.
    pub fn of_dataset(dir: &Path, limits: Limits) -> anyhow::Result<Self> {
        let dataset = Arc::new(Dataset::open(dir)?);
        let provider: Arc<dyn SchemaProvider> = Arc::<Dataset>::clone(&dataset);
        let context = context(limits, provider)?;
        dataset.attach(&context);
        Ok(Self {
            context,
            subject: Subject::Dataset(dataset),
        })
    }

    /// The trace, unless it is a directory.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        match &self.subject {
            Subject::Trace(opened, _) => Some(opened),
            Subject::Dataset(_) => None,
        }
    }

    pub(crate) fn shared(&self) -> Option<Arc<Opened>> {
        match &self.subject {
            Subject::Trace(opened, _) => Some(Arc::clone(opened)),
            Subject::Dataset(_) => None,
        }
    }

    /// The tables of a trace.
    pub(crate) fn tables(&self) -> &[Arc<Table>] {
        match &self.subject {
            Subject::Trace(_, tables) => tables,
            Subject::Dataset(_) => &[],
        }
    }

    /// Names of the tables.
    #[must_use]
    pub fn table_names(&self) -> Vec<String> {
        match &self.subject {
            Subject::Trace(_, tables) => tables.iter().map(|table| table.name.clone()).collect(),
            Subject::Dataset(dataset) => dataset.table_names(),
        }
    }

    /// Begins a query.
    ///
    /// # Errors
    /// When it cannot be understood or started.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        let query = sql.trim().trim_end_matches(';');
        if query.is_empty() {
            return Err(DataFusionError::Plan("the query is empty".to_owned()));
        }
        if query.len() > QUERY_BYTES_MAX {
            let limit = QUERY_BYTES_MAX >> 10;
            return Err(DataFusionError::Plan(format!(
                "the query is longer than {limit} KiB; a long list can be a file: CREATE EXTERNAL TABLE"
            )));
        }
        self.context.sql(query).await?.execute_stream().await
    }
}

/// What the columns of all tables mean, as a table itself: the standard has no place for comments.
fn about(tables: &[Arc<Table>]) -> Result<MemTable> {
    let column = |name: &str, comment: &str| Column {
        name: name.to_owned(),
        kind: Kind::Text,
        unit: None,
        comment: comment.to_owned(),
    };
    let columns = [
        column("table_name", "the table"),
        column("column_name", "the column"),
        column("type", "what its cells hold"),
        column("unit", "unit of a quantity"),
        column("comment", "what it means"),
    ];
    let mut rows = Rows::new(&columns, &[0, 1, 2, 3, 4]);
    for table in tables {
        for column in &table.columns {
            rows.add(|index| match index {
                0 => Cell::text(table.name.as_str()),
                1 => Cell::text(column.name.as_str()),
                2 => Cell::text(column.kind.sql_name()),
                3 => column.unit.as_deref().map_or(Cell::Null, Cell::text),
                _ => Cell::text(column.comment.as_str()),
            });
        }
    }
    let batch = rows.take()?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}

fn context(limits: Limits, tables: Arc<dyn SchemaProvider>) -> Result<SessionContext> {
    let bytes = limits.memory_mib.saturating_mul(1 << 20);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
        .build_arc()?;
    let config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_target_partitions(limits.threads)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let catalog = context
        .catalog(CATALOG)
        .ok_or_else(|| DataFusionError::Internal("no catalog".to_owned()))?;
    catalog.register_schema(SCHEMA, tables)?;
    for function in functions() {
        context.register_udf(function);
    }
    Ok(context)
}

/// Name of a type as the columns of tables have it.
pub(crate) fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => Kind::Int.sql_name(),
        DataType::Boolean => Kind::Bool.sql_name(),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            Kind::Text.sql_name()
        }
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => Kind::Bytes.sql_name(),
        _ => "other",
    }
}
