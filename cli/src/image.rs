//! `guesttrace image`: root file systems from recipes, and what there is to make guests of.

use std::path::PathBuf;
use std::process::ExitCode;

use analyzer::report::{Cell, column};
use anyhow::Result;
use clap::{Args, Subcommand};
use guest_images::{Built, Project, Recipe, Wishes, build, known_kernels, recipes};
use serde_json::json;

use crate::console::Console;
use crate::list::{List, Row, rows};
use crate::report::Format;

/// Build root file systems from recipes, or list recipes, kernels and workloads
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    Build(BuildArgs),
    List(ImageListArgs),
}

/// Build a root file system, and an initial ramdisk for a kernel with modules
///
/// A recipe is a small TOML file: a directory, a tar archive, Debian packages or the project's own guest, what is laid
/// over it, and a kernel (images/README.md). The same recipe gives the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
guesttrace image build debian\n  \
guesttrace image build my.toml -o my --kernel 6.12-amd64\n  \
guesttrace image build guest --with trace-cmd")]
struct BuildArgs {
    /// Recipe: a file, or the name of one that comes along
    #[arg(value_name = "RECIPE")]
    recipe: String,
    /// Directory for rootfs.img and initrd.cpio [default: images/build/image/NAME]
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kernel instead of the recipe's: a name of `image list`, linux-image-RELEASE[=VERSION][/SUITE] of Debian, or a path
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Directory with that kernel's modules, as /lib/modules/RELEASE
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Program of this host for the project's own guest, with its libraries, or "compiler"; repeatable
    #[arg(long, value_name = "TOOL")]
    with: Vec<String>,
    /// Say only what went wrong
    #[arg(long, short)]
    quiet: bool,
}

/// List recipes that come along, kernels that are known by name, and workloads
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace image list\n  guesttrace image list '6.*' --format json\n\nJSON is one object a line."
)]
struct ImageListArgs {
    /// Only what has such a name; `*` and `?` are wildcards
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &ImageArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    match &args.verb {
        ImageVerb::Build(args) => run_build(args, console)?,
        ImageVerb::List(args) => list()?.write(args.pattern.as_deref(), args.format, console)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_build(args: &BuildArgs, console: &mut Console<'_>) -> Result<()> {
    let recipe = Recipe::find(&args.recipe)?;
    let wishes = Wishes {
        out: args.out.clone(),
        kernel: args.kernel.clone(),
        modules: args.modules.clone(),
        with: args.with.clone(),
    };
    let built = build(&recipe, &wishes, &Project::find())?;
    for note in &built.notes {
        writeln!(console.talk, "guesttrace: {note}")?;
    }
    if !args.quiet {
        let (names, rootfs) = (built.names, built.rootfs.display());
        writeln!(
            console.talk,
            "guesttrace: {rootfs} has {names} files; it boots by:"
        )?;
        writeln!(console.out, "{}", boot_line(&built))?;
    }
    Ok(())
}

/// The command that boots an image.
fn boot_line(built: &Built) -> String {
    let kernel = built.kernel.as_ref();
    let kernel = kernel.map_or("bzImage".to_owned(), |path| path.display().to_string());
    let mut line = format!(
        "guesttrace record --trace out.bin --kernel {kernel} --rootfs {}",
        built.rootfs.display()
    );
    if let Some(initrd) = &built.initrd {
        line += &format!(" --initrd {}", initrd.display());
    }
    line
}

fn list() -> Result<List> {
    let text = |text: &str| Cell::Text(text.to_owned());
    let row = |kind: &str, name: &str, state: Option<&str>, doc: &str| Row {
        cells: vec![
            text(kind),
            text(name),
            state.map_or(Cell::Absent, text),
            text(doc),
        ],
        object: json!({ "kind": kind, "name": name, "doc": doc }),
    };
    let mut rows: Vec<Row> = Vec::new();
    for recipe in recipes()? {
        rows.push(row("recipe", recipe.name, None, &recipe.about));
    }
    for kernel in known_kernels(&Project::find()) {
        let state = kernel.fetched.as_deref().unwrap_or("not fetched");
        let mut row = row("kernel", kernel.name, Some(state), kernel.about);
        row.object["suite"] = json!(kernel.suite);
        row.object["release"] = json!(kernel.fetched);
        rows.push(row);
    }
    for workload in rows::workloads().rows {
        let text = |key: &str| workload.object[key].as_str().unwrap_or_default().to_owned();
        rows.push(row("workload", &text("name"), None, &text("doc")));
    }
    Ok(List {
        columns: vec![
            column("kind", "Kind"),
            column("name", "Name"),
            column("release", "Fetched"),
            column("doc", "What"),
        ],
        rows,
    })
}
