//! Numbers in a row: grown in memory, or looked at where a file is mapped.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use trace_format::Mapping;

/// A column of numbers.
#[derive(Clone, Debug)]
pub enum Column<T> {
    /// Grows.
    Owned(Vec<T>),
    /// Part of a file, whose place and length were checked.
    Mapped(Arc<Mapping>, Range<usize>),
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T: Pod> Column<T> {
    /// The numbers in those bytes of a file; `None` where they are not whole or not aligned.
    #[must_use]
    pub fn mapped(file: &Arc<Mapping>, bytes: Range<usize>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(file.get(bytes.clone())?).ok()?;
        Some(Self::Mapped(Arc::clone(file), bytes))
    }

    /// Adds a number. A mapped column is brought into memory first.
    pub fn push(&mut self, value: T) {
        match self {
            Self::Owned(values) => {
                // A large index must not need twice its memory while it grows.
                if values.len() == values.capacity() {
                    values.reserve_exact((values.len() / 4).max(4));
                }
                values.push(value);
            }
            Self::Mapped(..) => {
                let mut values = self.to_vec();
                values.push(value);
                *self = Self::Owned(values);
            }
        }
    }
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Mapped(file, bytes) => file
                .get(bytes.clone())
                .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
                .unwrap_or(&[]),
        }
    }
}
