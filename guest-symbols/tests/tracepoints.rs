//! Tracepoints of real kernels: their nops are in the code, their systems and prototypes are the kernel's own.

use std::collections::BTreeSet;

use guest_symbols::{Kernel, Tracepoint, Type};
use guesttrace_tests::{kernel, skip};

/// Kernels that every checkout tests; the others only where they were fetched.
const REQUIRED: [&str; 3] = ["6.1-amd64", "6.1-cloud-amd64", "6.12-amd64"];
const OTHERS: [&str; 3] = ["5.10-amd64", "6.1-rt-amd64", "7.2-amd64"];

fn read(name: &str) -> Option<Kernel> {
    let files = kernel(name)?;
    let bytes = std::fs::read(files.vmlinuz).expect("the kernel is readable");
    Some(Kernel::from_vecs(Some(bytes), None).expect("a kernel"))
}

/// Nops and jumps that `arch_static_branch` leaves: two or five bytes, a jump where the key is on from the start.
fn is_branch(code: &[u8]) -> bool {
    code.starts_with(&[0x0f, 0x1f, 0x44, 0, 0])
        || code.starts_with(&[0x66, 0x90])
        || matches!(code[0], 0xe9 | 0xeb)
}

fn check(name: &str, kernel: &Kernel) {
    let tracepoints = kernel.tracepoints().expect("tracepoints");
    let symbols = kernel.symbols();
    let mut sites = 0;
    for it in tracepoints {
        assert!(
            symbols
                .address(&format!("__tracepoint_{}", it.name))
                .is_some()
        );
        for site in &it.sites {
            let code = kernel.read(site.code, 5).expect("code");
            assert!(
                is_branch(code),
                "{name}: {} at {}: {code:02x?}",
                it.name,
                site.code
            );
            // The branch leads elsewhere in the function, or to its cold part.
            let owner = |addr| {
                symbols
                    .at(addr)
                    .map(|(symbol, _)| symbol.name.trim_end_matches(".cold"))
                    .unwrap_or_default()
            };
            assert_eq!(owner(site.code), owner(site.target), "{name}: {}", it.name);
            sites += 1;
        }
    }
    assert!(sites > 900, "{name}: only {sites} sites");
    let names: BTreeSet<&str> = tracepoints.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names.len(), tracepoints.len(), "{name}: a name twice");
    let known = |test: fn(&Tracepoint) -> bool| {
        tracepoints.iter().filter(|it| test(it)).count() * 100 / tracepoints.len()
    };
    assert!(
        known(|it| it.prototype.is_some()) >= 95,
        "{name}: {}% prototypes",
        known(|it| it.prototype.is_some())
    );
    assert!(
        known(|it| it.system.is_some()) >= 90,
        "{name}: {}% systems",
        known(|it| it.system.is_some())
    );
    check_switch(kernel, tracepoints);
}

fn check_switch(kernel: &Kernel, tracepoints: &[Tracepoint]) {
    let systems = [
        "sched_switch sched",
        "irq_handler_entry irq",
        "softirq_raise irq",
        "sys_enter raw_syscalls",
        "block_rq_issue block",
    ];
    for (name, system) in systems.iter().filter_map(|it| it.split_once(' ')) {
        let it = tracepoints
            .iter()
            .find(|it| it.name == name)
            .expect("the tracepoint");
        assert_eq!(it.system.as_deref(), Some(system));
        assert!(!it.sites.is_empty(), "{name}");
    }
    let switch = tracepoints
        .iter()
        .find(|it| it.name == "sched_switch")
        .expect("sched_switch");
    let types = kernel.types();
    let Some(Type::Function { params, .. }) = switch.prototype.map(|id| types.get(id)) else {
        panic!("no prototype")
    };
    let params: Vec<String> = params.iter().map(|(_, id)| types.c_name(*id)).collect();
    let truth = [
        "void *",
        "bool",
        "struct task_struct *",
        "struct task_struct *",
    ];
    assert_eq!(params[..4], truth);
}

#[test]
fn tracepoints_stand_on_nops() {
    for name in REQUIRED {
        let Some(kernel) = read(name) else {
            skip!("kernel {name} was not fetched")
        };
        check(name, &kernel);
    }
    for (name, kernel) in OTHERS.iter().filter_map(|name| Some((name, read(name)?))) {
        check(name, &kernel);
    }
}

#[test]
fn counts_are_those_measured_by_hand() {
    let Some(kernel) = read("6.1-cloud-amd64") else {
        skip!("kernel 6.1-cloud-amd64 was not fetched")
    };
    if kernel.identity().build_id != "3b43fad5034874490492495d552c0af6a5fab235" {
        // A later build has other counts, which nobody measured.
        return;
    }
    let tracepoints = kernel.tracepoints().unwrap();
    let with_sites = tracepoints.iter().filter(|it| !it.sites.is_empty()).count();
    let sites: usize = tracepoints.iter().map(|it| it.sites.len()).sum();
    assert_eq!((tracepoints.len(), with_sites, sites), (693, 663, 1555));
}
