//! Tables of a trace as the query engine sees them: it asks for columns, conditions and a limit, and gets batches of rows.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use analyzer::sources::Trace;

use crate::column::schema_of;
use crate::constraints::Constraints;
use crate::opened::Opened;
use crate::tables::{Table, Wish};

/// Batches that may wait for the query engine.
const BATCHES_WAITING: usize = 2;

/// A table of a trace.
#[derive(Debug)]
pub(crate) struct TraceTable {
    opened: Arc<Opened>,
    table: Arc<Table>,
    schema: SchemaRef,
}

impl TraceTable {
    pub(crate) fn new(opened: Arc<Opened>, table: Arc<Table>) -> Self {
        let schema = Arc::new(schema_of(&table.columns));
        Self {
            opened,
            table,
            schema,
        }
    }

    /// The order of its rows, as far as it is certain: clocks of other tracers may go back.
    fn ordering(&self, columns: &[usize]) -> Option<LexOrdering> {
        self.table.events()?;
        let Trace::Own(_) = self.opened.trace else {
            return None;
        };
        let time = self.table.column("time_ns")?;
        let index = columns.iter().position(|column| *column == time)?;
        let expr = Arc::new(ColumnExpr::new("time_ns", index));
        let ascending = SortOptions {
            descending: false,
            nulls_first: false,
        };
        LexOrdering::new([PhysicalSortExpr::new(expr, ascending)])
    }
}

#[async_trait]
impl TableProvider for TraceTable {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match (self.table.events(), self.table.end_column()) {
            (Some(_), _) if Constraints::understands(filter) => TableProviderFilterPushDown::Exact,
            // It only says how far the trace has to be read.
            (None, Some(end)) if Constraints::bounds(filter, end) => {
                TableProviderFilterPushDown::Inexact
            }
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.table.columns.len()).collect(),
        };
        let ordering = self.ordering(&columns);
        let schema = Arc::new(self.schema.project(&columns)?);
        let constraints = match self.table.end_column() {
            Some(end) => Constraints::of(filters, end),
            None => Constraints::default(),
        };
        let part = Part {
            opened: Arc::clone(&self.opened),
            table: Arc::clone(&self.table),
            schema: Arc::clone(&schema),
            wish: Wish {
                columns,
                constraints,
                limit: limit.unwrap_or(usize::MAX),
            },
        };
        let plan = StreamingTableExec::try_new(
            schema,
            vec![Arc::new(part)],
            None,
            ordering,
            false,
            limit,
        )?;
        Ok(Arc::new(plan))
    }
}

/// The rows that one query wants.
struct Part {
    opened: Arc<Opened>,
    table: Arc<Table>,
    schema: SchemaRef,
    wish: Wish,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.table.name, self.wish.constraints)
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_WAITING);
        let (opened, table) = (Arc::clone(&self.opened), Arc::clone(&self.table));
        let (wish, sender) = (self.wish.clone(), builder.tx());
        builder.spawn_blocking(move || {
            // Nobody is left to send to when the query has all that it wants.
            let mut take = |batch| sender.blocking_send(Ok(batch)).is_ok();
            let scanned = table.scan(&opened, &wish, &mut take);
            scanned.map_err(|error| DataFusionError::External(Box::new(error)))
        });
        builder.build()
    }
}
