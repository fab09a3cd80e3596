//! Every event on every kernel of the matrix: which hook was chosen, or why there is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::expect_file;
use guest_symbols::Kernel;
use guesttrace_events::EventTable;
use plan_compiler::{Compiled, Resolution, Selection, compile};
use probe_plan::{LinkAddr, Plan};

/// The plan for a kernel of the matrix, when it was fetched; its vmlinux is left aside: the image alone must do.
fn compiled(name: &str) -> Option<Compiled> {
    let files = guesttrace_tests::kernel(name)?;
    let image = std::fs::read(files.vmlinuz).expect("a fetched kernel has an image");
    let kernel =
        Kernel::from_bytes(Some(&image), None).expect("the image of a kernel of the matrix");
    Some(
        compile(&kernel, &EventTable::builtin(), &Selection::parse("all"))
            .expect("the built-in table"),
    )
}

/// Hooks, and how many places they stand for; addresses would change with every build of the kernel.
fn describe(resolutions: &[Resolution]) -> String {
    resolutions.iter().map(describe_one).collect()
}

fn describe_one(resolution: &Resolution) -> String {
    let mut text = format!("{}[{}]:", resolution.event, resolution.site);
    for (index, (hook, outcome)) in resolution.candidates.iter().enumerate() {
        match outcome {
            Ok(addrs) => {
                assert_eq!(resolution.chosen, Some(index));
                text += &format!(" {hook} x{}", addrs.len());
            }
            Err(reason) if resolution.chosen.is_none_or(|chosen| index < chosen) => {
                text += &format!(" {hook} ({reason})");
            }
            Err(_) => {}
        }
    }
    text.push('\n');
    for note in &resolution.notes {
        let mut words = String::new();
        for word in note.split_whitespace() {
            let is_address = word.starts_with("0xffffffff8");
            let _ = write!(words, " {}", if is_address { "..." } else { word });
        }
        text += &format!("    not covered:{words}\n");
    }
    text
}

/// What the recorder relies on besides [`Plan::validate`], which `compile` has run.
fn check_plan(plan: &Plan) {
    let reread = Plan::from_bytes(&plan.to_bytes().expect("a plan")).expect("the plan read back");
    assert!(reread == *plan);
    assert!(plan.direct_map_base.is_some() && plan.loaded.is_some());
    assert_eq!(plan.module_hooks.len(), 2, "where modules come and go");
    assert!(plan.symbols.is_sorted_by_key(|symbol| symbol.addr));
    let in_image = |addr: LinkAddr| {
        plan.image
            .iter()
            .any(|part| (part.addr.0..part.addr.0 + part.bytes.len() as u64).contains(&addr.0))
    };
    for site in &plan.sites {
        assert!(in_image(site.addr), "{site:?}");
    }
    // What masks and late starts rest on is there on every kernel.
    assert_eq!((plan.contexts.len(), plan.births.len()), (7, 1));
    let walks: Vec<_> = plan.walks.iter().map(|walk| walk.inner.len()).collect();
    assert_eq!(walks, [2], "processes, of each its threads and files");
    assert!(plan.thread.is_some());
    // The switch belongs to the thread that leaves, what comes after it to the one that arrives.
    let id = |name: &str| plan.schema.event_named(name).expect("a core event").id;
    let (switch, context) = (id("sched_switch"), id("thread_context"));
    let at = plan
        .sites
        .iter()
        .find(|site| site.event == switch)
        .expect("a site")
        .addr;
    let order: Vec<_> = plan
        .sites
        .iter()
        .filter(|site| site.addr == at)
        .map(|site| site.event)
        .collect();
    assert_eq!(order, [switch, context]);
}

macro_rules! on_kernel {
    ($test:ident, $name:literal) => {
        #[test]
        fn $test() {
            let Some(compiled) = compiled($name) else {
                guesttrace_tests::skip!("kernel {} was not fetched", $name)
            };
            expect_file![concat!("kernels/", $name, ".txt")]
                .assert_eq(&describe(&compiled.resolutions));
            check_plan(&compiled.plan);
        }
    };
}

on_kernel!(debian_11, "5.10-amd64");
on_kernel!(debian_12, "6.1-amd64");
on_kernel!(debian_12_cloud, "6.1-cloud-amd64");
on_kernel!(debian_13, "6.12-amd64");
on_kernel!(debian_13_backports, "7.2-amd64");

/// Where objdump sees a function return or jump to the start of another one.
fn exits_by_objdump(vmlinux: &std::path::Path, function: &str) -> Option<Vec<u64>> {
    let text = guesttrace_tests::objdump(vmlinux, function)?;
    let is_exit = |code: &str| {
        let mut words = code.split_whitespace();
        match words.next() {
            Some("ret" | "retq") => true,
            Some("jmp") => {
                code.ends_with('>') && !code.contains('+') && !code.contains("indirect_thunk")
            }
            _ => false,
        }
    };
    let exits = text.lines().filter_map(|line| {
        let (addr, code) = line.trim().split_once(":\t")?;
        is_exit(code.trim()).then(|| u64::from_str_radix(addr, 16).ok())?
    });
    Some(exits.collect())
}

/// Neither symbols with sizes nor a disassembler of ours took part in what is compared with.
#[test]
fn functions_are_left_where_objdump_says() {
    let name = "6.1-cloud-amd64";
    let vmlinux = guesttrace_tests::kernel(name).and_then(|files| files.vmlinux);
    let (Some(vmlinux), Some(compiled)) = (vmlinux, compiled(name)) else {
        guesttrace_tests::skip!("kernel {name} was not fetched with its vmlinux")
    };
    let mut found: BTreeMap<&str, &[LinkAddr]> = BTreeMap::new();
    for resolution in &compiled.resolutions {
        for (hook, outcome) in &resolution.candidates {
            if let (Some(function), Ok(addrs)) = (hook.strip_prefix("return:"), outcome) {
                found.insert(function, addrs);
            }
        }
    }
    assert!(found.len() > 30);
    // One run of objdump takes half a second of a 590 MB file; these have several exits, tail jumps and conditions.
    for function in [
        "exc_page_fault",
        "exc_int3",
        "exc_nmi",
        "common_interrupt",
        "__kthread_create_on_node",
    ] {
        let mut addrs: Vec<u64> = found[function].iter().map(|addr| addr.0).collect();
        addrs.sort_unstable();
        let Some(expected) = exits_by_objdump(&vmlinux, function) else {
            guesttrace_tests::skip!("objdump is not installed")
        };
        assert_eq!(addrs, expected, "{function}");
    }
}
