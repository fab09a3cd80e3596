//! Puts the page's modules behind one another as one script, and its styles as one: what imports from another comes
//! behind it. The rules that make this possible are in `web/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=web");
    let web = Path::new("web");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("app.js"), script(&files(web, "js")?))?;
    let styles = files(web, "css")?;
    // What all pages look like comes first, so that a page can say otherwise.
    let (first, rest): (Vec<_>, Vec<_>) = styles.iter().partition(|(name, _)| *name == "theme.css");
    let texts = first.into_iter().chain(rest).map(|(_, text)| text.as_str());
    fs::write(out.join("app.css"), texts.collect::<String>())
}

/// Names and texts of the files with that ending.
fn files(directory: &Path, ending: &str) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|own| own == ending) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.insert(name.into_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

fn script(modules: &BTreeMap<String, String>) -> String {
    let mut out = String::from("'use strict';\n");
    let mut done = Vec::new();
    for name in modules.keys() {
        add(name, modules, &mut done, &mut out);
    }
    out
}

/// Adds a module behind those that it imports from.
fn add<'a>(
    name: &'a str,
    modules: &'a BTreeMap<String, String>,
    done: &mut Vec<&'a str>,
    out: &mut String,
) {
    if done.contains(&name) {
        return;
    }
    done.push(name);
    let text = modules
        .get(name)
        .unwrap_or_else(|| panic!("a module imports from {name}, which is not in view/web"));
    for line in text.lines() {
        if let Some(other) = imported(line) {
            add(other, modules, done, out);
        }
    }
    for line in text.lines().filter(|line| imported(line).is_none()) {
        out.push_str(line.strip_prefix("export ").unwrap_or(line));
        out.push('\n');
    }
}

/// The module that a line imports from.
fn imported(line: &str) -> Option<&str> {
    let (_, from) = line.strip_prefix("import ")?.split_once(" from './")?;
    from.strip_suffix("';")
}
