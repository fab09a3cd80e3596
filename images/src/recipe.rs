//! Recipes: small TOML files that say what an image is made of.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::build::is_kernel_path;
use crate::catalogue;
use crate::error::{ImageError, Result};
use crate::path::GuestPath;

const RECIPE_BYTES_MAX: u64 = 1 << 20;
const LABEL_BYTES_MAX: usize = 16;
const SIZE_MIB: std::ops::RangeInclusive<u64> = 8..=65_536;
const SUITE: &str = "bookworm";

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(crate) name: String,
    /// Its file, for messages.
    pub(crate) origin: String,
    /// What relative paths of the host begin at.
    pub(crate) dir: PathBuf,
    pub(crate) text: RecipeText,
    pub(crate) source: Source,
}

/// Where the root file system comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Directory(PathBuf),
    Tar(PathBuf),
    Packages {
        suite: String,
        packages: Vec<String>,
    },
    Guest,
}

/// A recipe as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeText {
    about: String,
    from: FromText,
    /// Directories that are laid over it.
    #[serde(default)]
    pub(crate) overlay: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) file: Vec<FileText>,
    /// What is left out: paths, with * for any part of a name.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    pub(crate) size_mib: Option<u64>,
    pub(crate) label: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) modules: Option<PathBuf>,
    #[serde(default)]
    pub(crate) kernel_modules: bool,
    pub(crate) init: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromText {
    directory: Option<PathBuf>,
    tar: Option<PathBuf>,
    packages: Option<Vec<String>>,
    suite: Option<String>,
    guest: Option<bool>,
    #[serde(default)]
    with: Vec<String>,
}

/// A file of the recipe's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileText {
    pub(crate) path: String,
    pub(crate) text: Option<String>,
    pub(crate) from: Option<PathBuf>,
    pub(crate) link: Option<String>,
    /// In octal, as chmod takes it.
    pub(crate) mode: Option<String>,
    #[serde(default)]
    pub(crate) uid: u32,
    #[serde(default)]
    pub(crate) gid: u32,
}

impl Recipe {
    /// Reads a recipe: a file, or the name of one that comes along.
    ///
    /// # Errors
    /// When there is none, or it cannot be followed.
    pub fn find(name: &str) -> Result<Self> {
        if let Some(known) = catalogue::recipes()?
            .into_iter()
            .find(|known| known.name == name)
        {
            return Self::parse(name, known.text, None);
        }
        let path = Path::new(name);
        let data = std::fs::metadata(path)
            .ok()
            .ok_or_else(|| ImageError::Unknown {
                what: "recipe",
                name: name.to_owned(),
                hint: "`guesttrace image list` names those that come along; any other is a file",
            })?;
        if !data.is_file() || data.len() > RECIPE_BYTES_MAX {
            return Err(refused(name, "a recipe is a file of at most 1 MiB"));
        }
        let text =
            std::fs::read_to_string(path).map_err(ImageError::io("read the recipe", path))?;
        Self::parse(name, &text, Some(path))
    }

    /// Reads the text of a recipe; `path` is where it was read from.
    pub(crate) fn parse(origin: &str, text: &str, path: Option<&Path>) -> Result<Self> {
        let parsed: std::result::Result<RecipeText, toml::de::Error> = toml::from_str(text);
        let text = parsed.map_err(|error| refused(origin, error.to_string().trim_end()))?;
        let source = source(origin, &text.from)?;
        check(origin, &text)?;
        let stem = path
            .and_then(Path::file_stem)
            .map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            name: stem.unwrap_or_else(|| origin.to_owned()),
            origin: origin.to_owned(),
            dir: path
                .and_then(Path::parent)
                .unwrap_or(Path::new(""))
                .to_owned(),
            source,
            text,
        })
    }

    /// Its sentence.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.text.about
    }

    /// The kernel that it is for: a name, or the path of a file.
    #[must_use]
    pub fn kernel(&self) -> Option<String> {
        let kernel = self.text.kernel.as_ref()?;
        Some(if is_kernel_path(kernel) {
            self.host_path(Path::new(kernel)).display().to_string()
        } else {
            kernel.clone()
        })
    }

    /// Whether it makes the project's own guest, which programs of this host can be added to.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        matches!(self.source, Source::Guest)
    }

    /// Programs of this host that go into the project's own guest.
    pub(crate) fn tools(&self) -> &[String] {
        &self.text.from.with
    }

    /// A file of the host that the recipe names.
    pub(crate) fn host_path(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    pub(crate) fn refused(&self, reason: impl AsRef<str>) -> ImageError {
        refused(&self.origin, reason.as_ref())
    }
}

fn refused(origin: &str, reason: &str) -> ImageError {
    ImageError::Recipe {
        recipe: origin.to_owned(),
        reason: reason.to_owned(),
    }
}

fn source(origin: &str, from: &FromText) -> Result<Source> {
    let one = "`from` needs one of directory, tar, packages, guest = true";
    if from.suite.is_some() && from.packages.is_none() {
        return Err(refused(origin, "`suite` goes with packages"));
    }
    if !from.with.is_empty() && from.guest != Some(true) {
        return Err(refused(origin, "`with` goes with guest = true"));
    }
    Ok(
        match (&from.directory, &from.tar, &from.packages, from.guest) {
            (Some(path), None, None, None) => Source::Directory(path.clone()),
            (None, Some(path), None, None) => Source::Tar(path.clone()),
            (None, None, Some(packages), None) => {
                let suite = from.suite.clone().unwrap_or_else(|| SUITE.to_owned());
                let plain = |name: &str| {
                    !name.is_empty()
                        && name.len() < 200
                        && name
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.=:~".contains(&byte))
                        && !name.starts_with(['-', '.'])
                };
                let strange = packages.iter().chain([&suite]).find(|name| !plain(name));
                if let Some(name) = strange {
                    return Err(refused(
                        origin,
                        &format!("{name:?} is no name of a package or suite"),
                    ));
                }
                if packages.is_empty() || packages.len() > 1000 {
                    return Err(refused(origin, "`packages` has from 1 to 1000 names"));
                }
                Source::Packages {
                    suite,
                    packages: packages.clone(),
                }
            }
            (None, None, None, Some(true)) => Source::Guest,
            _ => return Err(refused(origin, one)),
        },
    )
}

/// What every recipe has to keep, whatever it is made of.
fn check(origin: &str, text: &RecipeText) -> Result<()> {
    let refused = |reason: String| refused(origin, &reason);
    if let Some(size) = text.size_mib
        && !SIZE_MIB.contains(&size)
    {
        let (least, most) = (SIZE_MIB.start(), SIZE_MIB.end());
        return Err(refused(format!(
            "size_mib is {size}: it can be from {least} to {most}"
        )));
    }
    let label = text.label.as_deref().unwrap_or("guest");
    if label.len() > LABEL_BYTES_MAX
        || label.chars().any(char::is_control)
        || label.starts_with('-')
    {
        return Err(refused(format!(
            "label {label:?}: it can have up to {LABEL_BYTES_MAX} bytes"
        )));
    }
    if text.kernel_modules && text.kernel.is_none() {
        return Err(refused("kernel_modules = true needs a kernel".to_owned()));
    }
    let paths = text
        .file
        .iter()
        .map(|file| &file.path)
        .chain(&text.without)
        .chain(&text.init);
    for path in paths {
        let parsed = GuestPath::parse_absolute(path.as_bytes()).map_err(refused)?;
        if parsed.as_bytes().is_empty() {
            return Err(refused(format!("{path:?} names nothing in the image")));
        }
    }
    for file in &text.file {
        let given = [
            file.text.is_some(),
            file.from.is_some(),
            file.link.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let path = &file.path;
            return Err(refused(format!(
                "the file {path} needs one of text, from, link"
            )));
        }
        mode(file).map_err(refused)?;
    }
    Ok(())
}

/// The permissions of a file of a recipe.
pub(crate) fn mode(file: &FileText) -> std::result::Result<u32, String> {
    let text = file.mode.as_deref().unwrap_or("644");
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| {
        format!(
            "mode {text:?} of {}: it is octal, such as \"755\"",
            file.path
        )
    })
}

/// Whether a path fits a pattern, in which * stands for any part of a name.
pub(crate) fn fits(pattern: &GuestPath, path: &GuestPath) -> bool {
    pattern.names().count() == path.names().count()
        && pattern
            .names()
            .zip(path.names())
            .all(|(pattern, name)| name_fits(pattern, name))
}

fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let at = rest
            .windows(part.len().max(1))
            .position(|window| window.starts_with(part));
        match at {
            _ if part.is_empty() => {}
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits_text(pattern: &str, path: &str) -> bool {
        let parse = |text: &str| GuestPath::parse_absolute(text.as_bytes()).unwrap();
        fits(&parse(pattern), &parse(path))
    }

    #[test]
    fn a_star_is_any_part_of_one_name() {
        assert!(fits_text("/usr/share/doc", "usr/share/doc"));
        assert!(fits_text(
            "/lib/modules/*/kernel/drivers/gpu",
            "lib/modules/6.1.0/kernel/drivers/gpu"
        ));
        assert!(fits_text(
            "/boot/vm*z-*amd64",
            "boot/vmlinuz-6.1.0-13-amd64"
        ));
        assert!(!fits_text(
            "/boot/vm*z-*amd64",
            "boot/vmlinuz-6.1.0-13-amd64x"
        ));
        assert!(!fits_text("/usr/*", "usr/share/doc"));
        assert!(!fits_text("/ab*ba", "aba"));
    }

    #[test]
    fn a_recipe_that_cannot_be_followed_says_why() {
        let check = |text: &str, expected: &str| {
            let error = Recipe::parse("r.toml", text, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("about = 'x'\n[from]\n", "`from` needs one of");
        check(
            "about = 'x'\nfrom = { tar = 'a', directory = 'b' }",
            "`from` needs one of",
        );
        check(
            "about = 'x'\nfrom = { guest = true }\nsise_mib = 3",
            "unknown field `sise_mib`",
        );
        check(
            "about = 'x'\nfrom = { guest = true }\nsize_mib = 3",
            "it can be from 8",
        );
        check(
            "about = 'x'\nfrom = { packages = ['-o=x'] }",
            "is no name of a package",
        );
        check(
            "about = 'x'\nfrom = { guest = true }\nlabel = 'far too long for ext4'",
            "up to 16 bytes",
        );
        check(
            "about = 'x'\nfrom = { tar = 'a' }\ninit = '../../sh'",
            "leads out of the image",
        );
        check(
            "about = 'x'\nfrom = { tar = 'a' }\nfile = [{ path = '/a' }]",
            "one of text, from, link",
        );
        check(
            "about = 'x'\nfrom = { tar = 'a' }\nfile = [{ path = '/a', text = '', mode = '9' }]",
            "it is octal",
        );
    }
}
