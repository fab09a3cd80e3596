//! Columns of tables: their names, types and comments.

use datafusion::arrow::datatypes::{DataType, Field, Schema};

/// What a cell holds. All numbers are signed 64-bit numbers, which every engine that reads the files knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Int,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells hold.
    pub kind: Kind,
    /// Unit of a quantity, such as `ns`.
    pub unit: Option<String>,
    /// One sentence.
    pub comment: String,
}

/// Where the comment of a column is in the metadata of a field, where Spark looks for it too.
pub(crate) const COMMENT_KEY: &str = "comment";
const UNIT_KEY: &str = "unit";

impl Kind {
    /// Type of the cells.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// Name of the type in SQL.
    #[must_use]
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::Int => "BIGINT",
            Self::Bool => "BOOLEAN",
            Self::Text => "VARCHAR",
            Self::Bytes => "BINARY",
        }
    }
}

impl Column {
    fn field(&self) -> Field {
        let comment = (COMMENT_KEY.to_owned(), self.comment.clone());
        let unit = self.unit.iter();
        let unit = unit.map(|unit| (UNIT_KEY.to_owned(), unit.clone()));
        let field = Field::new(&self.name, self.kind.data_type(), true);
        field.with_metadata(unit.chain([comment]).collect())
    }
}

/// The columns as the query engine knows them.
pub(crate) fn schema_of<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Schema {
    let fields = columns.into_iter().map(Column::field);
    Schema::new(fields.collect::<Vec<Field>>())
}

/// Gives every name only once, whatever the case of its letters: some engines do not tell `A` from `a`.
pub(crate) fn unique_name(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}
