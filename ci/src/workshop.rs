//! Kernels and images by name or recipe: fetched and built when a run needs them, once for the same inputs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use guest_images::{
    ImageError, Project, Recipe, Wishes, build_once, is_kernel_path, known_kernels, recipes,
};
use sha2::{Digest as _, Sha256};

/// The kernel that the project's own guest is built beside for a kernel of the user's own.
const USUAL_KERNEL: &str = "6.1-amd64";
/// Of the digest that tells directories of images apart.
const DIGEST_DIGITS: usize = 12;

/// Where guests come from.
#[derive(Debug)]
pub struct Workshop {
    project: Option<Project>,
    /// What has been built or could not be, by image and kernel.
    images: BTreeMap<(String, String), Result<Laid, String>>,
}

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laid {
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) rootfs: Option<PathBuf>,
    pub(crate) disk: Option<String>,
}

/// A kernel or image that is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// A name, and no directory in which names are known.
    #[error(
        "{what} is a name, and there is no directory images with build.sh above the suite or the program\nhint: name the directory as images = \"PATH\" at the top of the suite, or a file with a slash in its path"
    )]
    NoImages {
        /// Such as `the kernel 6.1-amd64`.
        what: String,
    },
    /// An image that nobody builds.
    #[error(
        "no image is known as \"{name}\"\nhint: there are {known} and \"guest+TOOL\"; a recipe or a directory of your own has a slash in its path"
    )]
    UnknownImage {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A kernel that Debian does not have.
    #[error(
        "no kernel is known as \"{name}\"\nhint: there are {known} and linux-image-RELEASE; a kernel of your own has a slash in its path"
    )]
    UnknownKernel {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Neither the run nor its image says which kernel.
    #[error(
        "neither the run nor the image {image} names a kernel\nhint: kernel = \"{USUAL_KERNEL}\""
    )]
    NoKernel {
        /// The image.
        image: String,
    },
    /// A directory that holds no image.
    #[error("{} holds neither initrd.cpio nor rootfs.img", path.display())]
    NoImage {
        /// The directory.
        path: PathBuf,
    },
    /// A kernel that was not fetched.
    #[error(transparent)]
    Kernel(#[from] ImageError),
    /// An image that was not built.
    #[error("{told}")]
    Build {
        /// Why.
        told: String,
    },
    /// A file of the guest that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Workshop {
    /// The directory that the suite names, or the one nearest above it, or above the program, or the installation's.
    #[must_use]
    pub fn find(named: Option<&Path>, suite_dir: &Path, program: &Path) -> Self {
        let suite_dir = std::path::absolute(suite_dir).unwrap_or_else(|_| suite_dir.to_owned());
        let above = suite_dir.ancestors().chain(program.ancestors());
        let has_script = |dir: &PathBuf| dir.join("build.sh").is_file();
        let near = above.map(|dir| dir.join("images")).find(has_script);
        let images = named.map(Path::to_owned).or(near);
        let near = images.map(|images| {
            let images = std::path::absolute(&images).unwrap_or(images);
            Project::at(&images)
        });
        Self {
            project: near.or_else(Project::installed),
            images: BTreeMap::new(),
        }
    }

    /// The kernel of that name, fetched if it is not there.
    pub(crate) fn kernel(&self, name: &str) -> Result<PathBuf, WorkshopError> {
        let project = self.project(&format!("the kernel {name}"))?;
        let known: Vec<_> = known_kernels(project)
            .iter()
            .map(|kernel| kernel.name)
            .collect();
        let is_laid = project.kernel_dir(name).join("vmlinuz").is_file();
        let base = name.strip_suffix("-dbg").unwrap_or(name);
        if !is_laid && !known.contains(&base) && !name.starts_with("linux-image-") {
            return Err(WorkshopError::UnknownKernel {
                name: name.to_owned(),
                known: known.join(", "),
            });
        }
        Ok(project.fetch_kernel(name)?)
    }

    /// The kernel that an image is for, where its recipe says so.
    pub(crate) fn kernel_of(image: &str, dir: &Path) -> Result<Option<String>, WorkshopError> {
        if image.contains('/') && !dir.join(image).is_file() {
            return Ok(None);
        }
        Ok(recipe(image, dir)?.0.kernel())
    }

    /// The image of that name or recipe for a kernel, built if the same was not built before.
    ///
    /// For a kernel of the user's own the project's guest is its initramfs alone: no modules of it are known.
    pub(crate) fn image(
        &mut self,
        image: &str,
        dir: &Path,
        kernel: &str,
    ) -> Result<Laid, WorkshopError> {
        let key = (image.to_owned(), kernel.to_owned());
        if let Some(made) = self.images.get(&key) {
            return made.clone().map_err(|told| WorkshopError::Build { told });
        }
        let made = self.build(image, dir, kernel);
        let known = made.as_ref().map(Laid::clone);
        self.images.insert(key, known.map_err(ToString::to_string));
        made
    }

    fn build(&self, image: &str, dir: &Path, kernel: &str) -> Result<Laid, WorkshopError> {
        let (recipe, with) = recipe(image, dir)?;
        let project = self.project(&format!("the image {image}"))?;
        let is_own_kernel = is_kernel_path(kernel);
        let is_named_guest = !image.contains('/') && recipe.is_guest();
        let kernel_wished = match (is_own_kernel, is_named_guest) {
            (true, true) => USUAL_KERNEL.to_owned(),
            (true, false) => dir.join(kernel).display().to_string(),
            (false, _) => kernel.to_owned(),
        };
        let wishes = Wishes {
            out: (!is_named_guest).then(|| place(project, image, dir, kernel)),
            kernel: Some(kernel_wished),
            with,
            ..Wishes::default()
        };
        let mut laid = Laid::of_dir(&build_once(&recipe, &wishes, project)?)?;
        if is_named_guest && is_own_kernel {
            // None of its modules fits.
            laid.disk = Some("initramfs".to_owned());
        }
        Ok(laid)
    }

    fn project(&self, what: &str) -> Result<&Project, WorkshopError> {
        let missing = || WorkshopError::NoImages {
            what: what.to_owned(),
        };
        self.project.as_ref().ok_or_else(missing)
    }
}

/// The recipe of an image, and the programs that are to be in it besides.
fn recipe(image: &str, dir: &Path) -> Result<(Recipe, Vec<String>), WorkshopError> {
    if image.contains('/') {
        let path = dir.join(image);
        return Ok((Recipe::find(&path.to_string_lossy())?, Vec::new()));
    }
    let mut parts = image.split('+');
    let name = parts.next().unwrap_or_default();
    let tools: Vec<String> = parts.map(str::to_owned).collect();
    let recipes = recipes()?;
    let is_known = recipes.iter().any(|known| known.name == name);
    if !is_known || (!tools.is_empty() && name != "guest") {
        let known: Vec<_> = recipes
            .iter()
            .map(|known| format!("{:?}", known.name))
            .collect();
        return Err(WorkshopError::UnknownImage {
            name: image.to_owned(),
            known: known.join(", "),
        });
    }
    Ok((Recipe::find(name)?, tools))
}

/// Where an image of a suite goes: one place for each recipe and kernel.
fn place(project: &Project, image: &str, dir: &Path, kernel: &str) -> PathBuf {
    let path = Path::new(image);
    let recipe = if image.contains('/') {
        dir.join(path)
    } else {
        path.to_owned()
    };
    let recipe = recipe.canonicalize().unwrap_or(recipe);
    let kernel_place = if is_kernel_path(kernel) {
        dir.join(kernel)
    } else {
        PathBuf::from(kernel)
    };
    let told = format!("{}\n{}", recipe.display(), kernel_place.display());
    let digest = format!("{:x}", Sha256::digest(told));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{}", digest.get(..DIGEST_DIGITS).unwrap_or_default());
    project.build_dir().join("suites").join(name)
}

impl Laid {
    /// What lies in a directory that `guesttrace image build` filled.
    pub(crate) fn of_dir(dir: &Path) -> Result<Self, WorkshopError> {
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        let (initrd, rootfs) = (file("initrd.cpio"), file("rootfs.img"));
        if initrd.is_none() && rootfs.is_none() {
            let path = dir.to_owned();
            return Err(WorkshopError::NoImage { path });
        }
        let disk = std::fs::read_to_string(dir.join("disk")).ok();
        let disk = disk.map(|disk| disk.trim().to_owned());
        Ok(Self {
            initrd,
            rootfs,
            disk,
        })
    }
}
