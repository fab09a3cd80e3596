//! From a recipe to an image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{ImageError, Result};
use crate::ext4::expect_success;
use crate::modules::ModuleStore;
use crate::path::GuestPath;
use crate::project::Project;
use crate::recipe::{self, FileText, Recipe, Source};
use crate::spool::Spool;
use crate::tree::{Inode, Kind, Tree};
use crate::{archive, cpio, directory, ext4, initramfs, inputs};

/// What all files that a recipe names may have, before anything is left out.
const MIB_MAX: u64 = 8192;
const LABEL: &str = "guest";
/// Beside an image: the digests of what it was made of.
const INPUTS: &str = "inputs";
/// Directories that Debian's packages expect to be links since Debian 12, which no package makes.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];
/// What every kernel and init want to find.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// What the user wants other than the recipe says.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Where the image goes.
    pub out: Option<PathBuf>,
    /// Another kernel: a name of Debian's, or a path.
    pub kernel: Option<String>,
    /// Its modules.
    pub modules: Option<PathBuf>,
    /// More programs of this host for the project's own guest.
    pub with: Vec<String>,
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The root file system.
    pub rootfs: PathBuf,
    /// The initial ramdisk, for a kernel with modules.
    pub initrd: Option<PathBuf>,
    /// The kernel of the recipe.
    pub kernel: Option<PathBuf>,
    /// The directory of its modules, where there is one.
    pub modules: Option<PathBuf>,
    /// Names in the image.
    pub names: usize,
    /// What it lacks, a sentence each.
    pub notes: Vec<String>,
}

/// Builds an image. Every file of it is written under another name and then renamed.
///
/// # Errors
/// When the recipe cannot be followed: what it names is not there, or does not fit, or a program that is needed fails.
pub fn build(recipe: &Recipe, wishes: &Wishes, project: &Project) -> Result<Built> {
    let kernel = GuestKernel::find(recipe, wishes, project)?;
    let out = place(recipe, wishes, project)?;
    let _lock = lock(&out)?;
    let made_of = kernel.inputs(recipe, wishes, project)?;
    build_into(&out, recipe, wishes, project, kernel, &made_of)
}

/// Builds an image unless the same inputs were built there before, and says in which directory it is.
///
/// # Errors
/// As those of [`build`].
pub fn build_once(recipe: &Recipe, wishes: &Wishes, project: &Project) -> Result<PathBuf> {
    let kernel = GuestKernel::find(recipe, wishes, project)?;
    let out = place(recipe, wishes, project)?;
    // Whoever else builds it now is waited for, and then there is nothing to do.
    let _lock = lock(&out)?;
    let made_of = kernel.inputs(recipe, wishes, project)?;
    let lists = inputs::digest_of_lists(recipe, project)?;
    let is_there = out.join("rootfs.img").is_file();
    let is_of =
        |inputs: &str| fs::read_to_string(out.join(INPUTS)).is_ok_and(|text| text == inputs);
    if !is_there || !is_of(&inputs_text(&made_of, &lists)) {
        build_into(&out, recipe, wishes, project, kernel, &made_of)?;
    }
    Ok(out)
}

fn inputs_text(made_of: &str, lists: &str) -> String {
    format!("{made_of}\n{lists}\n")
}

/// The directory of an image, which is made.
fn place(recipe: &Recipe, wishes: &Wishes, project: &Project) -> Result<PathBuf> {
    let out = wishes
        .out
        .clone()
        .unwrap_or_else(|| usual_place(recipe, wishes, project));
    fs::create_dir_all(&out).map_err(ImageError::io("make the directory", &out))?;
    Ok(out)
}

/// Held by the one who builds there.
fn lock(out: &Path) -> Result<fs::File> {
    let dir = fs::File::open(out).map_err(ImageError::io("open", out))?;
    dir.lock().map_err(ImageError::io("lock", out))?;
    Ok(dir)
}

fn build_into(
    out: &Path,
    recipe: &Recipe,
    wishes: &Wishes,
    project: &Project,
    kernel: GuestKernel,
    made_of: &str,
) -> Result<Built> {
    let work = tempfile::Builder::new().prefix(".build.").tempdir_in(out);
    let work = work.map_err(ImageError::io("write into", out))?;
    let mut building = Building {
        recipe,
        wishes,
        project,
        work: work.path(),
        spool: Spool::new(&work.path().join("files"), MIB_MAX << 20)?,
        beside: Vec::new(),
        guest: None,
    };
    let mut tree = building.source()?;
    building.lay_over(&mut tree, &kernel)?;
    let image = work.path().join("rootfs.img");
    let label = recipe.text.label.as_deref().unwrap_or(LABEL);
    ext4::write(&tree, &image, recipe.text.size_mib, label, work.path())?;
    let notes = building.write_initrd(&tree, &kernel)?;
    let path = work.path().join(INPUTS);
    // By now the lists have been read that were not there before.
    let lists = inputs::digest_of_lists(recipe, project)?;
    fs::write(&path, inputs_text(made_of, &lists)).map_err(ImageError::io("write", &path))?;
    building.publish(out)?;
    let made = |name: &str| Some(out.join(name)).filter(|path| path.exists());
    Ok(Built {
        rootfs: out.join("rootfs.img"),
        initrd: made("initrd.cpio"),
        kernel: kernel.path,
        modules: kernel.modules,
        names: tree.iter().count(),
        notes,
    })
}

/// As scripts and tests expect it for the project's own guest: one for each kernel and choice of tools.
fn usual_place(recipe: &Recipe, wishes: &Wishes, project: &Project) -> PathBuf {
    let kernel = wishes.kernel.as_ref().or(recipe.text.kernel.as_ref());
    let named = kernel.filter(|name| !is_kernel_path(name));
    match (&recipe.source, named) {
        (Source::Guest, Some(kernel)) => {
            let tools = recipe.tools().iter().chain(&wishes.with);
            let tools: String = tools.map(|tool| format!("+{tool}")).collect();
            project
                .build_dir()
                .join("guest")
                .join(format!("{kernel}{tools}").replace('/', "_"))
        }
        _ => project.build_dir().join("image").join(&recipe.name),
    }
}

/// Whether a kernel is written as a file, and not as a name.
#[must_use]
pub fn is_kernel_path(kernel: &str) -> bool {
    kernel.starts_with(['/', '.']) || (kernel.contains('/') && !kernel.starts_with("linux-image-"))
}

/// The kernel of an image.
struct GuestKernel {
    path: Option<PathBuf>,
    release: String,
    modules: Option<PathBuf>,
}

impl GuestKernel {
    fn find(recipe: &Recipe, wishes: &Wishes, project: &Project) -> Result<Self> {
        let modules = match (&wishes.modules, &recipe.text.modules) {
            (Some(dir), _) => Some(dir.clone()),
            (None, Some(dir)) => Some(recipe.host_path(dir)),
            (None, None) => None,
        };
        let path = match (&wishes.kernel, &recipe.text.kernel) {
            (Some(kernel), _) if is_kernel_path(kernel) => Some(PathBuf::from(kernel)),
            (None, Some(kernel)) if is_kernel_path(kernel) => {
                Some(recipe.host_path(Path::new(kernel)))
            }
            // The modules are those of another kernel, which the user has.
            (None, Some(_)) if wishes.modules.is_some() => None,
            (Some(name), _) | (None, Some(name)) => Some(project.fetch_kernel(name)?),
            (None, None) => None,
        };
        let release = match &path {
            Some(path) => {
                let bytes = fs::read(path).map_err(ImageError::io("read the kernel", path))?;
                guest_symbols::release_of_bzimage(&bytes)
                    .unwrap_or_default()
                    .to_owned()
            }
            None => String::new(),
        };
        Ok(Self {
            modules: modules.or_else(|| project.modules_of(&release)),
            path,
            release,
        })
    }

    /// What an image for it would be made of.
    fn inputs(&self, recipe: &Recipe, wishes: &Wishes, project: &Project) -> Result<String> {
        let tools = recipe.tools().iter().chain(&wishes.with);
        let tools: Vec<String> = tools.cloned().collect();
        let modules = self.modules.as_deref();
        inputs::digest(recipe, project, &tools, &self.release, modules)
    }

    /// Its modules: those that were named, those that the image brings along, those that were fetched.
    fn store(&self, tree: &Tree, named: bool) -> Result<Option<ModuleStore>> {
        if !named && let Some(store) = ModuleStore::in_tree(tree, &self.release) {
            return Ok(Some(store));
        }
        self.modules
            .as_deref()
            .map(ModuleStore::in_directory)
            .transpose()
    }
}

struct Building<'a> {
    recipe: &'a Recipe,
    wishes: &'a Wishes,
    project: &'a Project,
    work: &'a Path,
    spool: Spool,
    /// Other files that go beside the image.
    beside: Vec<&'static str>,
    /// The project's own guest without and with tools, which its initial ramdisk has too.
    guest: Option<(Tree, Tree)>,
}

impl Building<'_> {
    fn source(&mut self) -> Result<Tree> {
        let recipe = self.recipe;
        match &recipe.source {
            Source::Directory(dir) => directory::read(&recipe.host_path(dir), &mut self.spool),
            Source::Tar(path) => {
                let mut tree = Tree::new();
                archive::add_file(&mut tree, &recipe.host_path(path), &mut self.spool)?;
                Ok(tree)
            }
            Source::Packages { suite, packages } => self.unpack(suite, packages),
            Source::Guest => {
                let dir = self.work.join("guest");
                let tools = recipe
                    .tools()
                    .iter()
                    .chain(&self.wishes.with)
                    .map(String::as_ref);
                let arguments = std::iter::once(dir.as_os_str()).chain(tools);
                self.project.run("stage-guest.sh", arguments)?;
                for name in ["calls", "yield"] {
                    let path = dir.join(name);
                    fs::rename(&path, self.work.join(name))
                        .map_err(ImageError::io("move", &path))?;
                    self.beside.push(name);
                }
                let base = directory::read(&dir.join("base"), &mut self.spool)?;
                let mut whole = base.clone();
                let tools = directory::read(&dir.join("tools"), &mut self.spool)?;
                whole
                    .overlay(&tools)
                    .map_err(|reason| recipe.refused(reason))?;
                self.guest = Some((base, whole.clone()));
                Ok(whole)
            }
        }
    }

    /// Fetches packages and unpacks them; none of their scripts is run.
    fn unpack(&mut self, suite: &str, packages: &[String]) -> Result<Tree> {
        let mut tree = Tree::new();
        for name in MERGED {
            self.put(
                &mut tree,
                &format!("usr/{name}"),
                Inode::new(Kind::Directory, 0o755),
            )?;
            let link = Kind::Symlink(format!("usr/{name}").into_bytes());
            self.put(&mut tree, name, Inode::new(link, 0o777))?;
        }
        let dir = self.work.join("packages.d");
        let arguments = [suite.as_ref(), dir.as_os_str()].into_iter();
        self.project.run(
            "fetch-packages.sh",
            arguments.chain(packages.iter().map(String::as_ref)),
        )?;
        let unreadable = || ImageError::io("read the directory", &dir);
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&dir).map_err(unreadable())? {
            files.push(entry.map_err(unreadable())?.path());
        }
        files.sort();
        let mut list = String::new();
        for file in files {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let mut child = Command::new("dpkg-deb")
                .arg("--fsys-tarfile")
                .arg(&file)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|source| ImageError::Missing {
                    program: "dpkg-deb".to_owned(),
                    source,
                })?;
            let added = match child.stdout.take() {
                Some(out) => archive::add(&mut tree, &name, out, &mut self.spool),
                None => Ok(()),
            };
            let output = child
                .wait_with_output()
                .map_err(ImageError::io("read", &file))?;
            added?;
            expect_success("dpkg-deb", &output)?;
            let mut parts = name.splitn(3, '_');
            if let (Some(name), Some(version)) = (parts.next(), parts.next()) {
                list += &format!("{name}={}\n", version.replace("%3a", ":"));
            }
        }
        let path = self.work.join("packages");
        fs::write(&path, list).map_err(ImageError::io("write", &path))?;
        self.beside.push("packages");
        Ok(tree)
    }

    /// What the recipe lays over its source, and takes away.
    fn lay_over(&mut self, tree: &mut Tree, kernel: &GuestKernel) -> Result<()> {
        let recipe = self.recipe;
        if recipe.text.kernel_modules {
            let dir = kernel
                .modules
                .as_ref()
                .filter(|_| !kernel.release.is_empty());
            let dir = dir.ok_or_else(|| {
                recipe.refused("kernel_modules = true: the kernel's modules are not known")
            })?;
            let modules = directory::read(dir, &mut self.spool)?;
            let place = format!("lib/modules/{}", kernel.release);
            let prefix =
                GuestPath::parse(place.as_bytes()).map_err(|reason| recipe.refused(reason))?;
            let moved = modules
                .below_prefix(&prefix)
                .map_err(|reason| recipe.refused(reason))?;
            tree.overlay(&moved)
                .map_err(|reason| recipe.refused(reason))?;
        }
        for dir in &recipe.text.overlay {
            let over = directory::read(&recipe.host_path(dir), &mut self.spool)?;
            tree.overlay(&over)
                .map_err(|reason| recipe.refused(reason))?;
        }
        let parse = |text: &String| GuestPath::parse_absolute(text.as_bytes());
        let unwanted: std::result::Result<Vec<GuestPath>, String> =
            recipe.text.without.iter().map(parse).collect();
        let unwanted = unwanted.map_err(|reason| recipe.refused(reason))?;
        tree.remove(|path| unwanted.iter().any(|pattern| recipe::fits(pattern, path)));
        for file in &recipe.text.file {
            let inode = self.own_file(file)?;
            self.put(tree, &file.path, inode)?;
        }
        if let Some(init) = &recipe.text.init {
            let target = parse(init).map_err(|reason| recipe.refused(reason))?;
            if tree.lookup(&target).is_none() {
                return Err(recipe.refused(format!("init: there is no {target} in the image")));
            }
            if target.as_bytes() != b"sbin/init" {
                let link = Kind::Symlink([b"/", target.as_bytes()].concat());
                self.put(tree, "sbin/init", Inode::new(link, 0o777))?;
            }
        }
        for name in MOUNT_POINTS {
            let path = GuestPath::root()
                .join(name.as_bytes())
                .map_err(|reason| recipe.refused(reason))?;
            if tree.get(&path).is_none() {
                let mode = if name == "tmp" { 0o1777 } else { 0o755 };
                self.put(tree, name, Inode::new(Kind::Directory, mode))?;
            }
        }
        Ok(())
    }

    fn own_file(&mut self, file: &FileText) -> Result<Inode> {
        let origin = &self.recipe.origin;
        let kind = match (&file.text, &file.from, &file.link) {
            (Some(text), _, _) => Kind::File(self.spool.put(origin, text.as_bytes())?),
            (None, Some(path), _) => {
                let path = self.recipe.host_path(path);
                let mut source = fs::File::open(&path).map_err(ImageError::io("read", &path))?;
                let length = source
                    .metadata()
                    .map_err(ImageError::io("read", &path))?
                    .len();
                Kind::File(self.spool.take(origin, &mut source, length)?)
            }
            (None, None, link) => Kind::Symlink(link.clone().unwrap_or_default().into_bytes()),
        };
        let mode = recipe::mode(file).map_err(|reason| self.recipe.refused(reason))?;
        Ok(Inode {
            uid: file.uid,
            gid: file.gid,
            ..Inode::new(kind, mode)
        })
    }

    fn put(&self, tree: &mut Tree, path: &str, inode: Inode) -> Result<()> {
        let path = GuestPath::parse_absolute(path.as_bytes());
        let put = path.and_then(|path| tree.add(&path, inode));
        put.map_err(|reason| self.recipe.refused(reason))
    }

    /// The initial ramdisk, where the kernel has modules; that of the project's own guest can do without a disk.
    fn write_initrd(&mut self, tree: &Tree, kernel: &GuestKernel) -> Result<Vec<String>> {
        let named = self.wishes.modules.is_some() || self.recipe.text.modules.is_some();
        let Some(store) = kernel.store(tree, named)? else {
            return Ok(Vec::new());
        };
        let out = self.work.join("initrd.cpio");
        let notes = match self.guest.take() {
            None => initramfs::write_initramfs(&store, &out)?,
            Some((base, whole)) => {
                let has_sd = initramfs::has_sd(&store);
                let mut tree = if has_sd { base } else { whole };
                let staged = self.work.join("modules");
                fs::create_dir_all(&staged).map_err(ImageError::io("make", &staged))?;
                let notes = initramfs::lay(&mut tree, &store, &mut self.spool, &staged)?;
                cpio::write(&tree, &out)?;
                let disk = self.work.join("disk");
                let text = if has_sd { "sd\n" } else { "initramfs\n" };
                fs::write(&disk, text).map_err(ImageError::io("write", &disk))?;
                self.beside.push("disk");
                notes
            }
        };
        Ok(notes)
    }

    /// Gives what was made its names; the initial ramdisk and the digests come last, for they say that all is there.
    fn publish(&self, out: &Path) -> Result<()> {
        for name in [INPUTS, "initrd.cpio"] {
            let path = out.join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(ImageError::io("replace", &path))?;
            }
        }
        for name in ["rootfs.img"]
            .iter()
            .chain(&self.beside)
            .chain(&["initrd.cpio", INPUTS])
        {
            let made = self.work.join(name);
            if made.exists() {
                fs::rename(&made, out.join(name)).map_err(ImageError::io("rename", &made))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_are_built_once() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("etc")).unwrap();
        // As that of the sources is, which are built beside themselves.
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let path = dir.path().join("r.toml");
        let text = "about = 'x'\nsize_mib = 16\nfrom = { directory = 'files' }";
        let project = Project::at(dir.path());
        let built = |host: &str, text: &str| {
            fs::write(files.join("etc/host"), host).unwrap();
            let recipe = Recipe::parse("r.toml", text, Some(&path)).unwrap();
            let out = build_once(&recipe, &Wishes::default(), &project).unwrap();
            let image = out.join("rootfs.img").metadata().unwrap();
            image.modified().unwrap()
        };
        let first = built("one", text);
        assert_eq!(built("one", text), first, "nothing changed");
        let second = built("two", text);
        assert_ne!(second, first, "a file of the recipe did");
        assert_eq!(built("two", text), second);
        let third = built("two", &format!("{text}\nlabel = 'other'"));
        assert_ne!(third, second, "the recipe did");
        fs::remove_file(dir.path().join("build/image/r/rootfs.img")).unwrap();
        assert_ne!(built("two", text), third, "it was gone");
    }
}
