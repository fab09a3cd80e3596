//! Which kernel an image is.

use crate::bytes::{find, text_at};
use crate::elf::Sections;
use crate::symbols::SymbolTable;

/// What tells one kernel build from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// As `uname -r` prints it; empty when the image does not say.
    pub release: String,
    /// The line `Linux version ...` that the kernel prints first; empty when the image does not have it.
    pub banner: String,
    /// GNU build id in hex; empty when the build left none.
    pub build_id: String,
}

const BANNER_START: &str = "Linux version ";

impl Identity {
    pub(crate) fn read(file: &[u8], sections: &Sections, symbols: Option<&SymbolTable>) -> Self {
        let banner = symbols
            .and_then(|symbols| symbols.address("linux_banner"))
            .and_then(|addr| sections.rest(file, addr))
            .and_then(|bytes| text_at(bytes, 0))
            .filter(|text| text.starts_with(BANNER_START))
            .or_else(|| search_banner(file, sections));
        let banner = banner.unwrap_or_default().trim_end().to_owned();
        let release = banner
            .strip_prefix(BANNER_START)
            .and_then(|rest| rest.split_whitespace().next());
        Self {
            release: release.unwrap_or_default().to_owned(),
            build_id: sections.build_id(file).unwrap_or_default(),
            banner,
        }
    }
}

/// Without symbols: the first such text that goes on with a version number.
fn search_banner<'f>(file: &'f [u8], sections: &Sections) -> Option<&'f str> {
    sections
        .loaded()
        .filter(|section| !section.is_code)
        .find_map(|section| {
            let mut bytes = file.get(section.file.clone())?;
            loop {
                let at = find(bytes, BANNER_START.as_bytes())?;
                let text = text_at(bytes, at)?;
                if text
                    .as_bytes()
                    .get(BANNER_START.len())
                    .is_some_and(u8::is_ascii_digit)
                {
                    return Some(text);
                }
                bytes = bytes.get(at + 1..)?;
            }
        })
}
