//! Probes and selections written by chance: a plan that can run, or an error with its place, never a panic.

use guest_symbols::Kernel;
use guesttrace_events::EventTable;
use guesttrace_tests::{Chance, fuzz};
use plan_compiler::{ProbeSpec, Selection, add_probe, compile};

/// Words of the language and of the kernel, so that many texts are nearly right.
const WORDS: &[&str] = &[
    "current",
    "p",
    "->",
    ".",
    "*",
    "&",
    "(",
    ")",
    "[",
    "]",
    "+",
    "-",
    "<<",
    ">>",
    "<",
    "==",
    "!=",
    "&&",
    "||",
    "!",
    "~",
    "?",
    ":",
    ",",
    "/",
    "%",
    "%rdi",
    "%cr3",
    "%rsp",
    "0",
    "1",
    "0xffffffffffffffff",
    "-1",
    "64",
    "pid",
    "comm",
    "tgid",
    "filename",
    "how",
    "dfd",
    "flags",
    "string(user, ",
    "string(kernel, ",
    "bytes(",
    "either(",
    "percpu(",
    "(u8)",
    "(s32)",
    "(struct task_struct *)",
    "(struct list_head *)",
    "(u64 *)",
    "sizeof",
    "missing",
    "init_task",
    "real_parent",
    "signal",
    "files",
    "fdt",
    "fd",
    "mm",
    "exe_file",
    "f_path",
    "dentry",
    "d_name",
    "name",
    "\"",
    "'",
    "caller",
    "stack(kernel)",
];
const PROBES: &[&str] = &[
    "do_sys_openat2 path=string(user,filename) flags=how->flags",
    "vfs_read count=count pos=*pos name=string(kernel, file->f_path.dentry->d_name.name)",
    "opens=do_sys_openat2+0 who=string(kernel, current->comm) parent=current->real_parent->tgid",
    "do_sys_openat2%return ret=%rax",
    "try_to_wake_up p->pid p->comm state cpu=percpu(cpu_number)",
    "0xffffffff81000000 r=%rsp",
];

fn kernel() -> Option<Kernel> {
    let files = guesttrace_tests::kernel("6.1-amd64")?;
    let image = std::fs::read(files.vmlinuz).expect("a fetched kernel has an image");
    Some(Kernel::from_bytes(Some(&image), None).expect("a kernel of the matrix"))
}

/// An expression that is right in most cases.
fn expression(chance: &mut Chance, depth: usize) -> String {
    let leaves = [
        "p->pid",
        "state",
        "current->tgid",
        "%rsp",
        "5",
        "0xffff",
        "p->real_parent->pid",
        "wake_flags",
        "(u64)p",
        "*(u32 *)p",
        "percpu(cpu_number)",
        "p->comm[3]",
        "&p->signal",
        "sizeof(struct task_struct)",
    ];
    if depth == 0 || chance.once_in(4) {
        return (*chance.pick(&leaves)).to_owned();
    }
    let mut part = || expression(chance, depth - 1);
    let (a, b) = (part(), part());
    let operators = [
        "+", "-", "*", "&", "|", "^", "<<", ">>", "<", "==", "&&", "||",
    ];
    match chance.below(5) {
        0 => format!("({a} ? {b} : {a})"),
        1 => format!("either({a}, {b})"),
        2 => format!("(u16)({a})"),
        _ => format!("({a} {} {b})", chance.pick(&operators)),
    }
}

fn probe(chance: &mut Chance) -> String {
    match chance.below(6) {
        4..6 => {
            let (a, b) = (expression(chance, 3), expression(chance, 5));
            format!("try_to_wake_up a={a} b={b}")
        }
        0 => chance.text(WORDS),
        1 => format!("do_sys_openat2 x={}", chance.text(WORDS)),
        2 => format!(
            "try_to_wake_up p={} q={}",
            chance.text(WORDS),
            chance.text(WORDS)
        ),
        _ => {
            let mut bytes = chance.pick(PROBES).as_bytes().to_vec();
            chance.damage(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

#[test]
fn fuzz_probes() {
    let Some(kernel) = kernel() else {
        guesttrace_tests::skip!("kernel 6.1-amd64 was not fetched")
    };
    let mut outcomes = [0, 0, 0];
    let mut plans = 0;
    fuzz(|chance| {
        let text = probe(chance);
        let spec = match ProbeSpec::parse(&text) {
            Ok(spec) => spec,
            Err(error) => {
                outcomes[0] += 1;
                return assert!(!error.to_string().is_empty());
            }
        };
        let mut table = EventTable::builtin();
        match add_probe(&mut table, &kernel, &spec) {
            Err(error) => {
                outcomes[1] += 1;
                assert!(!error.to_string().is_empty());
            }
            // A whole plan takes its time; a few show that a row that was taken can be compiled.
            Ok(name) => {
                outcomes[2] += 1;
                if plans < 10 {
                    plans += 1;
                    let compiled = compile(&kernel, &table, &Selection::parse(&name));
                    if let Ok(compiled) = compiled {
                        compiled.plan.validate().expect("what is compiled can run");
                    }
                }
            }
        }
    });
    assert!(outcomes.iter().all(|count| *count > 5), "{outcomes:?}");
}

#[test]
fn fuzz_deep_expressions() {
    let Some(kernel) = kernel() else {
        guesttrace_tests::skip!("kernel 6.1-amd64 was not fetched")
    };
    fuzz(|chance| {
        let piece = *chance.pick(&[
            "(",
            "!",
            "-",
            "~",
            "*",
            "&",
            "1+",
            "1?",
            "p->",
            "(u8)",
            "string(user,",
            "[",
        ]);
        let text = piece.repeat(1 + chance.below(3000));
        for text in [
            format!("try_to_wake_up x={text}1"),
            format!("try_to_wake_up x=p{text}"),
        ] {
            if let Ok(spec) = ProbeSpec::parse(&text) {
                let _ = add_probe(&mut EventTable::builtin(), &kernel, &spec);
            }
        }
    });
}

#[test]
fn fuzz_selections() {
    let words = [
        "all",
        "core",
        "none",
        "-",
        ",",
        "*",
        "?",
        "sched",
        "sched_*",
        "tracepoint:",
        "tracepoint:sched:*",
        ":",
        "**",
        "syscall",
        "-irq",
        "\u{0}",
        "a",
        "tracepoint:*:*",
    ];
    let table = EventTable::builtin();
    fuzz(|chance| {
        let text = chance.text(&words);
        match Selection::parse(&text).rows(&table) {
            Ok(rows) => assert!(rows.len() <= table.events().len()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let stars = "*".repeat(chance.below(300)) + "a";
        let _ = Selection::parse(&stars).rows(&table);
    });
}
