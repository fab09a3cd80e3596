//! What a question says behind its `?`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use analyzer::model::{GuestNanos, Span};

use crate::answer::Refusal;

/// Names and values, decoded, in their order.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    stop: Arc<AtomicBool>,
}

impl Query {
    /// Takes pairs of name and value.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self {
            pairs,
            stop: Arc::default(),
        }
    }

    /// Set when nobody waits for the answer any more: what takes long then ends.
    #[must_use]
    pub fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// The first value of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of that name.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let pairs = self.pairs.iter();
        pairs.filter_map(move |(own, value)| (own == name).then_some(value.as_str()))
    }

    /// A whole number; `None` when it is not said.
    ///
    /// # Errors
    /// When it is said and no whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let malformed =
            |_| Refusal::malformed(format!("{name} is {text:?}, which is no whole number"));
        text.parse().map(Some).map_err(malformed)
    }

    /// A whole number that has to be said.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, name: &str) -> Result<u64, Refusal> {
        self.number(name)?
            .ok_or_else(|| Refusal::malformed(format!("{name} is not said")))
    }

    /// The times from `from` to `to`; all times where they are not said.
    ///
    /// # Errors
    /// When one is no number, or they are the wrong way round.
    pub fn span(&self) -> Result<Span, Refusal> {
        let start = self.number("from")?.map_or(Span::ALL.start, GuestNanos);
        let end = self.number("to")?.map_or(Span::ALL.end, GuestNanos);
        if start > end {
            return Err(Refusal::malformed("from is later than to"));
        }
        Ok(Span { start, end })
    }
}
