//! Where output goes.

use std::io::{self, Write};

/// The outputs of a verb.
pub(crate) struct Console<'a> {
    /// For results.
    pub(crate) out: &'a mut dyn Write,
    /// For talk: warnings, progress.
    pub(crate) talk: &'a mut dyn Write,
    /// Columns of the terminal that shows the results, if one does.
    pub(crate) width: Option<u16>,
}

/// Standard output, whose errors say so.
pub(crate) struct Results<W>(pub(crate) W);

impl<W: Write> Write for Results<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(of_results)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(of_results)
    }
}

/// The same kind of error, by which a reader that has had enough is known, in more words.
fn of_results(error: io::Error) -> io::Error {
    let text = format!("cannot write the results: {error}\nhint: is the disk full?");
    io::Error::new(error.kind(), text)
}
