//! Directories of exported tables: `DIR/run=NAME/TABLE.parquet` for several traces, `DIR/TABLE.parquet` for one.
//!
//! Files are looked at when a query names their table, by the query engine's own reader.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use crate::failure::Failure;

/// Beginning of the names of directories that hold a trace each.
const RUN: &str = "run=";
const EXTENSION: &str = ".parquet";

/// A directory of exported tables.
#[derive(Debug)]
pub(crate) struct Dataset {
    dir: PathBuf,
    is_partitioned: bool,
    tables: BTreeSet<String>,
    context: OnceLock<ContextOf>,
}

struct ContextOf(SessionContext);

impl std::fmt::Debug for ContextOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContextOf")
    }
}

impl Dataset {
    /// Finds the tables of a directory.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir
            .canonicalize()
            .with_context(|| format!("cannot read {}", dir.display()))?;
        let mut tables = BTreeSet::new();
        let mut is_partitioned = false;
        for name in names_in(&dir)? {
            if name.starts_with(RUN) {
                is_partitioned = true;
                tables.extend(table_files(&dir.join(name))?);
            }
        }
        if !is_partitioned {
            tables = table_files(&dir)?.collect();
        }
        if tables.is_empty() {
            let text = format!("{} has no tables in it", dir.display());
            let hint = "fill it with: guesttrace-sql export TRACE -o DIR/run=NAME";
            return Err(Failure::usage(text, hint).into());
        }
        Ok(Self {
            dir,
            is_partitioned,
            tables,
            context: OnceLock::new(),
        })
    }

    /// Says what its queries run in.
    pub(crate) fn attach(&self, context: &SessionContext) {
        // Only the first call counts, and there is only one.
        let _ = self.context.set(ContextOf(context.clone()));
    }

    async fn listing(&self, name: &str, context: &SessionContext) -> Result<ListingTable> {
        let url = ListingTableUrl::parse(format!("{}/", self.dir.display()))?;
        // The end of the whole path is compared, so the name of the file can be asked for.
        let mut options = ListingOptions::new(Arc::new(ParquetFormat::default()))
            .with_file_extension(format!("/{name}{EXTENSION}"))
            .with_target_partitions(context.state().config().target_partitions());
        if self.is_partitioned {
            let run = (RUN.trim_end_matches('=').to_owned(), DataType::Utf8);
            options = options.with_table_partition_cols(vec![run]);
        }
        let schema = options.infer_schema(&context.state(), &url).await?;
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(schema);
        ListingTable::try_new(config)
    }
}

fn names_in(dir: &Path) -> anyhow::Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    };
    read().with_context(|| format!("cannot read the directory {}", dir.display()))
}

fn table_files(dir: &Path) -> anyhow::Result<impl Iterator<Item = String> + use<>> {
    let names = names_in(dir)?.into_iter();
    Ok(names.filter_map(|name| {
        let table = name.strip_suffix(EXTENSION)?;
        (!table.starts_with('.')).then(|| table.to_owned())
    }))
}

#[async_trait]
impl SchemaProvider for Dataset {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_names(&self) -> Vec<String> {
        self.tables.iter().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(ContextOf(context)) = self.context.get() else {
            return Ok(None);
        };
        if !self.tables.contains(name) {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.listing(name, context).await?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains(name)
    }
}
