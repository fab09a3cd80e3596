//! Where documents lead: their links to other documents and files of the project, and the headings behind a `#`.

use std::path::{Path, PathBuf};

use crate::kernels::project_dir;

/// Directories that hold what was built or fetched.
const NOT_OURS: [&str; 3] = ["target", "node_modules", "build"];

/// All documents of the project (`*.md`), sorted.
///
/// # Panics
/// When the project's directories cannot be read.
#[must_use]
pub fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&project_dir(), &mut found);
    found.sort();
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir)
        .expect("a directory")
        .map_while(Result::ok)
    {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The links of a document that lead nowhere, each as a sentence.
///
/// Looked at are links and pictures (`[text](target)`) to anything but the network, and names of documents in
/// backquotes, which may be relative to the document or to the top of the project.
///
/// # Panics
/// When the document cannot be read.
#[must_use]
pub fn dead_links(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).expect("a document");
    let dir = document.parent().expect("a file lies in a directory");
    let mut dead = Vec::new();
    for (line, prose) in prose_lines(&text) {
        for target in targets(prose) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                document.to_owned()
            } else {
                dir.join(file)
            };
            if !path.exists() {
                dead.push(format!("{}:{line}: no file {target}", document.display()));
            } else if !heading.is_empty() && !headings(&path).iter().any(|known| known == heading) {
                dead.push(format!(
                    "{}:{line}: no heading {target}",
                    document.display()
                ));
            }
        }
        for name in quoted_documents(prose) {
            if !dir.join(name).exists() && !project_dir().join(name).exists() {
                dead.push(format!("{}:{line}: no document {name}", document.display()));
            }
        }
    }
    dead
}

/// Lines that are not in a block of code, numbered from 1.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}

/// What links of a line lead to, but for the network.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// Names of documents in backquotes.
fn quoted_documents(line: &str) -> impl Iterator<Item = &str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.ends_with(".md") && !code.contains(['*', ' ']))
}

/// The headings of a document as links name them: small letters, words joined by hyphens.
fn headings(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap_or_default();
    prose_lines(&text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| slug(line.trim_start_matches('#').trim()))
        .collect()
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{dead_links, slug};

    #[test]
    fn what_leads_nowhere_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let document = dir.path().join("a.md");
        let text = "# One, two\n[b](b.md) [here](#one-two) [net](https://c.md)\n\
                    [d](#three) `e.md`\n```\n[f](f.md)\n```\n";
        std::fs::write(&document, text).unwrap();
        let dead = dead_links(&document);
        let ends: Vec<&str> = dead
            .iter()
            .filter_map(|sentence| sentence.split_once("a.md:"))
            .map(|(_, rest)| rest)
            .collect();
        assert_eq!(
            ends,
            [
                "2: no file b.md",
                "3: no heading #three",
                "3: no document e.md"
            ]
        );
    }

    #[test]
    fn a_heading_is_named_as_in_a_browser() {
        assert_eq!(slug("`[[count]]`: how often?"), "count-how-often");
    }
}
