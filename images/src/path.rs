//! Names of files in a guest.

use std::fmt;

/// As Linux has it.
const NAME_BYTES_MAX: usize = 255;
/// Half of what Linux takes: a line of debugfs has 8192 bytes, and each could be a quotation mark, which is doubled.
pub(crate) const PATH_BYTES_MAX: usize = 2048;

/// A path from a guest's root, without a slash before or behind: the root is empty. Ordered by bytes, parents first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GuestPath(Vec<u8>);

impl GuestPath {
    /// The root.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// Reads a path as archives have it, "./usr/bin"; the error is the reason why it is refused.
    pub(crate) fn parse(path: &[u8]) -> Result<Self, String> {
        if path.first() == Some(&b'/') {
            return Err(format!("{} is absolute", show(path)));
        }
        Self::parse_absolute(path)
    }

    /// Reads a path in which a slash at the beginning means nothing, as in recipes.
    pub(crate) fn parse_absolute(path: &[u8]) -> Result<Self, String> {
        if path.len() > PATH_BYTES_MAX {
            return Err(format!("a path has {} bytes", path.len()));
        }
        let mut whole = Self::root();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(format!("{} leads out of the image", show(path))),
                name => whole = whole.join(name)?,
            }
        }
        Ok(whole)
    }

    /// The entry of that name in this directory.
    pub(crate) fn join(&self, name: &[u8]) -> Result<Self, String> {
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("a name has {} bytes", name.len()));
        }
        // A file system could have them, but neither debugfs nor people can be told.
        if name.iter().any(|byte| byte.is_ascii_control()) {
            return Err(format!("{} has control characters in its name", show(name)));
        }
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Ok(Self(path))
    }

    /// The directory that it is in; the root's is the root.
    pub(crate) fn parent(&self) -> Self {
        let end = self.0.iter().rposition(|byte| *byte == b'/');
        Self(self.0.get(..end.unwrap_or(0)).unwrap_or_default().to_vec())
    }

    /// Its last name; empty for the root.
    pub(crate) fn name(&self) -> &[u8] {
        self.0
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The names on the way.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
    }

    /// Without a slash at the beginning.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is that directory or something below it.
    pub(crate) fn is_below(&self, directory: &Self) -> bool {
        directory.0.is_empty()
            || self.0 == directory.0
            || (self.0.starts_with(&directory.0) && self.0.get(directory.0.len()) == Some(&b'/'))
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", show(&self.0))
    }
}

/// Bytes for people.
pub(crate) fn show(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes));
    text.escape_debug().to_string()
}
