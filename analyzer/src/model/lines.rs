//! What interrupts are called: a vector by the device's line behind it, a line by the driver that handles it.

use std::collections::BTreeMap;

/// Names beyond so many are not kept: a trace that has more of them makes them up.
const NAMES_MAX: usize = 1 << 12;

/// Names of vectors and lines, as far as they were seen.
#[derive(Debug, Default)]
pub struct Lines {
    vectors: BTreeMap<u64, Vector>,
    handlers: BTreeMap<i64, Vec<u8>>,
}

#[derive(Debug, Default)]
struct Vector {
    name: Vec<u8>,
    line: Option<i64>,
    /// CPUs give vectors out by themselves: one may stand for several lines.
    is_ambiguous: bool,
}

impl Lines {
    /// Name of a vector.
    #[must_use]
    pub fn vector_name(&self, vector: u64) -> Option<&[u8]> {
        let name = &self.vectors.get(&vector)?.name;
        (!name.is_empty()).then_some(name)
    }

    /// The device's line that a vector stands for, if it is one and always the same.
    #[must_use]
    pub fn line_of(&self, vector: u64) -> Option<i64> {
        let vector = self.vectors.get(&vector)?;
        vector.line.filter(|_| !vector.is_ambiguous)
    }

    /// Name of the driver that handles a line.
    #[must_use]
    pub fn handler_name(&self, line: i64) -> Option<&[u8]> {
        self.handlers.get(&line).map(Vec::as_slice)
    }

    pub(super) fn entered(&mut self, vector: u64, line: Option<i64>, name: Option<&[u8]>) {
        if self.vectors.len() >= NAMES_MAX && !self.vectors.contains_key(&vector) {
            return;
        }
        let known = self.vectors.entry(vector).or_default();
        if known.name.is_empty()
            && let Some(name) = name
        {
            known.name.extend_from_slice(name);
        }
        if let Some(line) = line.filter(|line| *line >= 0) {
            known.is_ambiguous |= known.line.is_some_and(|known| known != line);
            known.line = Some(line);
        }
    }

    pub(super) fn handled(&mut self, line: i64, name: Option<&[u8]>) {
        if let Some(name) = name
            && self.handlers.len() < NAMES_MAX
            && !self.handlers.contains_key(&line)
        {
            self.handlers.insert(line, name.to_owned());
        }
    }
}
