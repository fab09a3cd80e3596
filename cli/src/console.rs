//! Where output goes.

use std::io::Write;

/// The outputs of a verb.
pub(crate) struct Console<'a> {
    /// For results.
    pub(crate) out: &'a mut dyn Write,
    /// For talk: warnings, progress.
    pub(crate) talk: &'a mut dyn Write,
    /// Columns of the terminal that shows the results, if one does.
    pub(crate) width: Option<u16>,
}
