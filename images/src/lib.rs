//! Images of guests from recipes: a tree of files in memory, laid from directories, archives and packages, and written as
//! an ext4 file system or as a cpio archive for the kernel.
//!
//! Invariant: needs no root, never follows a link on the host, and the same inputs give the same bytes: order, times,
//! UUIDs are fixed. Runs e2fsprogs for file systems, apt by the project's scripts for packages; knows nothing of QEMU.

mod archive;
mod build;
mod catalogue;
mod cpio;
mod directory;
mod disk_content;
mod error;
mod ext4;
mod ext4_reader;
mod host;
mod initramfs;
mod inputs;
mod modules;
mod path;
mod project;
mod recipe;
mod spool;
mod tree;

pub use build::{Built, Wishes, build, build_once, is_kernel_path};
pub use catalogue::{KnownKernel, RecipeFile, known_kernels, recipes};
pub use disk_content::DiskContent;
pub use error::ImageError;
pub use ext4_reader::Ext4Reader;
pub use host::{cache_dir, find_program, installed_program, user_prefix};
pub use initramfs::write_initramfs;
pub use inputs::digest_of_file;
pub use modules::ModuleStore;
pub use project::Project;
pub use recipe::Recipe;

/// The time of every file in every image, in seconds since 1970: 2026-01-01, when the guests' clocks start too.
const EPOCH_SECONDS: u64 = 1_767_225_600;
