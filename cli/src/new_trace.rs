//! Writing a trace that is made from others: under another name until it is complete, and never over its source.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use trace_format::partial_path;

use crate::Usage;
use crate::failure::WRITABLE_HINT;
use crate::record::check_trace;

/// Creates `output` and has it written; nothing is left of it when that fails.
///
/// # Errors
/// When it is one of the sources, which are mapped meanwhile, is no plain file, or cannot be written.
pub(crate) fn write<T>(
    sources: &[&Path],
    output: &Path,
    fill: impl FnOnce(BufWriter<File>) -> Result<(BufWriter<File>, T)>,
) -> Result<T> {
    let is_output = |source: &&&Path| match (source.canonicalize(), output.canonicalize()) {
        (Ok(source), Ok(output)) => source == output,
        _ => false,
    };
    if let Some(source) = sources.iter().find(is_output) {
        let usage = Usage::new(format!(
            "{} cannot take the place of its source",
            source.display()
        ));
        return Err(usage.hint("name another file with -o").into());
    }
    check_trace(output)?;
    let partial = &partial_path(output);
    let create = || -> Result<T> {
        let out = BufWriter::new(File::create(partial).context(WRITABLE_HINT)?);
        let (out, done) = fill(out)?;
        out.into_inner()?.sync_all()?;
        fs::rename(partial, output)?;
        Ok(done)
    };
    create()
        .inspect_err(|_| {
            // What is wrong was said; a rest that cannot be removed is no further fault.
            let _ = fs::remove_file(partial);
        })
        .with_context(|| format!("cannot write {}", output.display()))
}
