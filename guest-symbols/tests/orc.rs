//! ORC tables of real kernels: in order, dense, and right where the code says what must be.

use guest_symbols::{Kernel, LinkAddr, OrcKind, OrcRegister, OrcRule};
use guesttrace_tests::{kernel, skip};

/// Kernels that every checkout tests; the others only where they were fetched.
const REQUIRED: [&str; 2] = ["6.1-amd64", "6.12-amd64"];
const OTHERS: [&str; 3] = ["5.10-amd64", "6.1-cloud-amd64", "7.2-amd64"];

fn read(name: &str) -> Option<Kernel> {
    let files = kernel(name)?;
    let bytes = std::fs::read(files.vmlinuz).expect("the kernel is readable");
    Some(Kernel::from_vecs(Some(bytes), None).expect("a kernel"))
}

fn rule_at(kernel: &Kernel, addr: LinkAddr) -> OrcRule {
    let entries = &kernel.orc().expect("ORC tables").entries;
    let after = entries.partition_point(|entry| entry.addr <= addr);
    entries[after - 1].rule
}

fn check(name: &str, kernel: &Kernel) {
    let entries = &kernel.orc().expect("ORC tables").entries;
    assert!(entries.len() > 100_000, "{name}: {} entries", entries.len());
    assert!(entries.is_sorted_by_key(|entry| entry.addr));
    let symbols = kernel.symbols();
    // Before the first instruction of a C function its return address is on top of the stack.
    let on_top = OrcRule {
        sp: OrcRegister::Sp,
        sp_offset: 8,
        bp: OrcRegister::Undefined,
        bp_offset: 0,
        kind: OrcKind::Call,
    };
    for function in ["do_exit", "vfs_read", "kfree", "do_syscall_64", "schedule"] {
        let start = symbols.address(function).expect("a function");
        assert_eq!(rule_at(kernel, start), on_top, "{name}: {function}");
    }
    // A push of a register (55, 53, 41 5x) puts it one word further.
    let (mut pushes, mut others) = (0, Vec::new());
    for symbol in symbols
        .iter()
        .filter(|symbol| matches!(symbol.kind, 't' | 'T'))
    {
        // Behind the place for ftrace's call.
        let code = kernel.read(symbol.addr, 8).unwrap_or_default();
        let [0xe8 | 0x0f, _, _, _, _, a, b, _] = code else {
            continue;
        };
        let bytes = match (a, b) {
            (0x55 | 0x53, _) => 1,
            (0x41, 0x54..=0x57) => 2,
            _ => continue,
        };
        let behind = rule_at(kernel, LinkAddr(symbol.addr.0 + 5 + bytes));
        let is_right = behind.sp == OrcRegister::Sp && behind.sp_offset == 16;
        // With a frame pointer in the making it is rbp that is found there.
        let is_saved =
            *a != 0x55 || behind.bp == OrcRegister::PreviousSp && behind.bp_offset == -16;
        if is_right && is_saved && behind.kind == OrcKind::Call {
            pushes += 1;
        } else {
            others.push(symbol.name);
        }
    }
    assert!(
        pushes > 4_000 && others.len() < 20,
        "{name}: {pushes}, not {others:?}"
    );
    // A system call comes from where the registers of user space are; a kernel thread from nowhere.
    let kinds = |kind| {
        entries
            .iter()
            .filter(|entry| entry.rule.kind == kind)
            .count()
    };
    let entry = symbols
        .address("entry_SYSCALL_64_after_hwframe")
        .expect("the entry");
    let inside = (0..0x100).map(|offset| rule_at(kernel, LinkAddr(entry.0 + offset)));
    assert!(
        inside.clone().any(|rule| rule.kind == OrcKind::Registers),
        "{name}"
    );
    for kind in [
        OrcKind::EndOfStack,
        OrcKind::Registers,
        OrcKind::InterruptFrame,
    ] {
        assert!(
            (1..5000).contains(&kinds(kind)),
            "{name}: {} of {kind:?}",
            kinds(kind)
        );
    }
}

#[test]
fn tables_agree_with_the_code() {
    let mut checked = 0;
    for name in REQUIRED.iter().chain(&OTHERS) {
        match read(name) {
            Some(kernel) => {
                check(name, &kernel);
                checked += 1;
            }
            None if REQUIRED.contains(name) => skip!("kernel {name} was not fetched"),
            None => {}
        }
    }
    assert!(checked > 0);
}
