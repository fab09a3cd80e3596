//! Rows on their way to the query engine: gathered in columns, handed over a batch at a time.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;

use crate::column::{Column, Kind, schema_of};

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// Not known, or not there.
    Null,
    /// A number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> Cell<'a> {
    /// A number without sign; 2^63 and more become the negative number of the same bits.
    pub(crate) fn unsigned(number: u64) -> Self {
        Self::Int(number.cast_signed())
    }

    /// A number, if there is one.
    pub(crate) fn maybe(number: Option<u64>) -> Self {
        number.map_or(Self::Null, Self::unsigned)
    }

    /// Text.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// An address or mask.
    pub(crate) fn hex(number: u64) -> Self {
        Self::Text(format!("{number:#x}").into())
    }

    /// Bytes of the guest as text; what is no text becomes `\xNN`, as in JSON.
    pub(crate) fn guest(bytes: &'a [u8]) -> Self {
        Self::Text(guest_text(bytes))
    }
}

/// Bytes of the guest as text.
pub(crate) fn guest_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.into()
}

/// Rows of a table, of which only some columns are wanted.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    /// Positions in the table of the columns that are wanted.
    columns: Vec<usize>,
    cells: Vec<Cells>,
    len: usize,
}

#[derive(Debug)]
enum Cells {
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

impl Rows {
    pub(crate) fn new(table: &[Column], wanted: &[usize]) -> Self {
        let columns = wanted.iter().filter_map(|index| table.get(*index));
        Self {
            schema: Arc::new(schema_of(columns.clone())),
            cells: columns.map(|column| Cells::new(column.kind)).collect(),
            columns: wanted.to_vec(),
            len: 0,
        }
    }

    /// Adds a row, whose cells are asked for by their position in the table.
    #[inline]
    pub(crate) fn add<'a>(&mut self, cell: impl Fn(usize) -> Cell<'a>) {
        for (cells, column) in self.cells.iter_mut().zip(&self.columns) {
            cells.push(cell(*column));
        }
        self.len += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The rows, which are here no longer.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.len));
        self.len = 0;
        let arrays = self.cells.iter_mut().map(Cells::take).collect();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

impl Cells {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Bytes => Self::Bytes(BinaryBuilder::new()),
        }
    }

    /// A cell of another kind than its column is as good as none.
    #[inline]
    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Int(cells), Cell::Int(number)) => cells.append_value(number),
            (Self::Int(cells), _) => cells.append_null(),
            (Self::Bool(cells), Cell::Bool(value)) => cells.append_value(value),
            (Self::Bool(cells), _) => cells.append_null(),
            (Self::Text(cells), Cell::Text(text)) => cells.append_value(text),
            (Self::Text(cells), _) => cells.append_null(),
            (Self::Bytes(cells), Cell::Bytes(bytes)) => cells.append_value(bytes),
            (Self::Bytes(cells), _) => cells.append_null(),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int(cells) => Arc::new(cells.finish()),
            Self::Bool(cells) => Arc::new(cells.finish()),
            Self::Text(cells) => Arc::new(cells.finish()),
            Self::Bytes(cells) => Arc::new(cells.finish()),
        }
    }
}
