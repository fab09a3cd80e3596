//! What comes along: recipes, and the kernels of Debian that are known by name.

use crate::error::Result;
use crate::project::Project;
use crate::recipe::Recipe;

const KERNELS: &str = include_str!("../kernels.txt");
const RECIPES: &[(&str, &str)] = &[
    ("busybox", include_str!("../recipes/busybox.toml")),
    ("debian", include_str!("../recipes/debian.toml")),
    ("guest", include_str!("../recipes/guest.toml")),
];

/// A recipe that comes along.
#[derive(Clone, Debug)]
pub struct RecipeFile {
    /// By which it is built.
    pub name: &'static str,
    /// Its sentence.
    pub about: String,
    /// The recipe as text.
    pub text: &'static str,
}

/// A kernel of Debian.
#[derive(Clone, Debug)]
pub struct KnownKernel {
    /// Short name, such as `6.1-amd64`.
    pub name: &'static str,
    /// Of which Debian.
    pub suite: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What `uname -r` says in it, when it was fetched.
    pub fetched: Option<String>,
}

/// The recipes that come along.
///
/// # Errors
/// When one is none, which a test rules out.
pub fn recipes() -> Result<Vec<RecipeFile>> {
    let read = |(name, text): &(&'static str, &'static str)| {
        let recipe = Recipe::parse(name, text, None)?;
        Ok(RecipeFile {
            name,
            about: recipe.about().to_owned(),
            text,
        })
    };
    RECIPES.iter().map(read).collect()
}

/// The kernels that are known by name, and whether they were fetched.
#[must_use]
pub fn known_kernels(project: &Project) -> Vec<KnownKernel> {
    let lines = KERNELS.lines().filter(|line| !line.starts_with('#'));
    let known = lines.filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let (suite, rest) = rest.trim_start().split_once(' ')?;
        let (_, about) = rest.trim_start().split_once(' ')?;
        let release = std::fs::read_to_string(project.kernel_dir(name).join("release")).ok();
        Some(KnownKernel {
            name,
            suite,
            about: about.trim_start(),
            fetched: release.map(|text| text.trim().to_owned()),
        })
    });
    known.collect()
}
