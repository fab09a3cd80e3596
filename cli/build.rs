//! Makes a table of the images' workloads: their names, and the sentences that their scripts begin with.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory = Path::new("../images/workloads");
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut workloads = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let script = fs::read_to_string(entry.path())?;
        let sentence = script.lines().next().unwrap_or_default();
        let name = entry.file_name().to_string_lossy().into_owned();
        workloads.push((name, sentence.trim_start_matches('#').trim().to_owned()));
    }
    workloads.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("workloads.rs"), format!("&{workloads:#?}"))
}
