//! The text of a filter, understood but not yet tied to a schema.

use trace_format::Schema;

use crate::bind;
use crate::bound::BoundFilter;
use crate::error::FilterError;
use crate::expr::Expr;
use crate::operand::When;
use crate::parser;

/// A filter whose grammar is right; its names are not looked up yet.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) text: String,
    pub(crate) expr: Expr,
}

impl Filter {
    /// Understands a text.
    ///
    /// # Errors
    /// Says where the text breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let expr = parser::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            expr,
        })
    }

    /// Looks up the names in a schema.
    ///
    /// # Errors
    /// Says where a name is used that no event has, or a test that no event can pass by the types of its fields.
    pub fn bind(&self, schema: &Schema) -> Result<BoundFilter, FilterError> {
        bind::bind(self, schema, When::Afterwards)
    }

    /// Looks up the names for use while a guest runs: `current.uid` and its like are known.
    ///
    /// # Errors
    /// As [`Filter::bind`].
    pub fn bind_for_recording(&self, schema: &Schema) -> Result<BoundFilter, FilterError> {
        bind::bind(self, schema, When::Recording)
    }

    /// The words of the text that may be names, in order: of events, of fields, of values.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        self.expr.collect_words(&mut words);
        words
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
