//! Every event on every kernel of the matrix: which hook was chosen, or why there is none.

use std::fmt::Write as _;

use expect_test::expect_file;
use guest_symbols::Kernel;
use guesttrace_events::EventTable;
use plan_compiler::{Compiled, Resolution, Selection, compile};

/// A kernel of the matrix, when it was fetched; its vmlinux is left aside, so that the image alone is tested.
fn compiled(name: &str) -> Option<(Kernel, Compiled)> {
    let files = guesttrace_tests::kernel(name)?;
    let image = std::fs::read(files.vmlinuz).unwrap();
    let kernel = Kernel::from_bytes(Some(&image), None).unwrap();
    let compiled = compile(&kernel, &EventTable::builtin(), &Selection::parse("all")).unwrap();
    Some((kernel, compiled))
}

/// Hooks, and how many places they stand for; addresses would change with every build of the kernel.
fn describe(resolutions: &[Resolution]) -> String {
    let mut text = String::new();
    for resolution in resolutions {
        write!(text, "{}[{}]:", resolution.event, resolution.site).unwrap();
        for (index, (hook, outcome)) in resolution.candidates.iter().enumerate() {
            match outcome {
                Ok(addrs) => {
                    assert_eq!(resolution.chosen, Some(index));
                    write!(text, " {hook} x{}", addrs.len()).unwrap();
                }
                Err(reason) if resolution.chosen.is_none_or(|chosen| index < chosen) => {
                    write!(text, " {hook} ({reason})").unwrap();
                }
                Err(_) => {}
            }
        }
        text.push('\n');
        for note in &resolution.notes {
            let note: Vec<_> = note
                .split_whitespace()
                .map(|word| {
                    if word.contains("0xffffffff8") {
                        "..."
                    } else {
                        word
                    }
                })
                .collect();
            writeln!(text, "    not covered: {}", note.join(" ")).unwrap();
        }
    }
    text
}

macro_rules! on_kernel {
    ($test:ident, $name:literal) => {
        #[test]
        fn $test() {
            let Some((_, compiled)) = compiled($name) else {
                guesttrace_tests::skip!("kernel {} was not fetched", $name)
            };
            expect_file![concat!("kernels/", $name, ".txt")]
                .assert_eq(&describe(&compiled.resolutions));
        }
    };
}

on_kernel!(debian_12, "6.1-amd64");
on_kernel!(debian_12_cloud, "6.1-cloud-amd64");
on_kernel!(debian_13, "6.12-amd64");
