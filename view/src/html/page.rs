//! The file itself: a policy that lets nothing run and nothing be fetched but what is in it, the page, the blocks.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::pack::base64;
use crate::bundle::{PAGE, SCRIPT, STYLE};

/// What the page names its style and its script by.
const STYLE_LINK: &str = "<link rel=\"stylesheet\" href=\"app.css\">";
const SCRIPT_LINK: &str = "<script src=\"app.js\"></script>";

/// A file under way.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
    /// What comes behind the blocks.
    rest: String,
}

impl<'a> Page<'a> {
    /// Writes what comes before the blocks.
    pub(super) fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        // What would end the element early is the same to the script, and to the style, with a backslash.
        let script = SCRIPT
            .replace("</script", "<\\/script")
            .replace("<!--", "<\\!--");
        let style = STYLE.replace("</", "<\\/");
        let policy = format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{}'; \
             style-src '{}'; img-src data: blob:; base-uri 'none'; form-action 'none'\">",
            hash(&script),
            hash(&style)
        );
        let style = format!("{policy}\n<style>{style}</style>");
        let page = PAGE.replacen(STYLE_LINK, &style, 1);
        let (head, rest) = page.split_once(SCRIPT_LINK).unwrap_or((&page, ""));
        let rest = format!("<script>{script}</script>{rest}");
        let mut begun = Self {
            out,
            bytes: 0,
            rest,
        };
        begun.write(head.as_bytes())?;
        Ok(begun)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    /// Writes a block.
    pub(super) fn block(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(7));
        packed.write_all(bytes)?;
        let text = base64(&packed.finish()?);
        // An element of a type that no browser runs: its text is data.
        let start = format!("<script type=\"application/octet-stream\" id=\"data-{name}\">");
        self.write(start.as_bytes())?;
        self.write(text.as_bytes())?;
        self.write(b"</script>\n")
    }

    /// Writes the rest; how many bytes the file has.
    pub(super) fn end(mut self) -> io::Result<u64> {
        let rest = std::mem::take(&mut self.rest);
        self.write(rest.as_bytes())?;
        Ok(self.bytes)
    }
}

/// What a policy calls a text that may be run.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}
