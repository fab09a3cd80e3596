//! Events of the user's own that are wrong: the message names the place, what is wrong there and what there is.

use std::fmt::Write as _;

use expect_test::expect_file;
use guest_symbols::Kernel;
use guesttrace_events::EventTable;
use plan_compiler::{ProbeSpec, Selection, add_probe, compile};

const KERNEL: &str = "6.1-amd64";

const PROBES: [&str; 26] = [
    "do_sys_openat3",
    "do_filp_open+1",
    "0x1234",
    "sched_switch=do_filp_open",
    "fs/open.c:1200 a=%rdi",
    "x=do_filp_open p=pathname->nam",
    "do_filp_open p=pathnam->name",
    "do_filp_open p=zzz",
    "do_filp_open p=current->pidd",
    "do_filp_open p=pathname->inode",
    "do_filp_open p=pathname.name",
    "do_filp_open p=*pathname",
    "do_filp_open p",
    "do_filp_open p=1 +",
    "do_filp_open p=string(user, pathname->name",
    "do_filp_open+5 a=dfd",
    "do_filp_open e=elapsed",
    "do_idle+5 c=caller",
    "do_filp_open p=%rdj",
    "do_filp_open p=strng(pathname)",
    "do_filp_open p=percpu(runqueue)",
    "do_filp_open p=cpu_number",
    "do_idle p=((struct task_strct *)current)->pid",
    "do_filp_open p=container_of(pathname, struct filename, nam)",
    "do_filp_open n:string=dfd",
    "do_filp_open n:enum:nosuch=dfd",
];

const SELECTIONS: [&str; 7] = [
    "shed",
    "sched,irqq",
    "tracepoint:sched:sched_swich",
    "tracepoint:block:sched_switch",
    "tracepoint:block_rq_isue",
    "tracepoint:nosuch:*",
    "tracepoint:bridge:br_fdb_add",
];

/// A row without a fault.
const ROW: &str = r#"category = "mine"

[[event]]
name = "my_open"
doc = "A file is about to be opened by its path."
hooks = ["entry:do_filp_open"]
bind = ["task = current"]
when = "task->tgid == task->pid"
fields = [
  { name = "path",  type = "string", fetch = "pathname->name", doc = "the path" },
  { name = "flags", type = "hex",    fetch = "op->open_flag",  doc = "how it is opened" },
]
"#;

/// Text of the row, and a fault to put in its place.
const FAULTS: [(&str, &str); 9] = [
    ("pathname->name", "pathname->nam"),
    ("task->tgid ==", "task->tgidd =="),
    ("op->open_flag", "op->open_flag +"),
    ("entry:do_filp_open", "entry:do_filp_opem"),
    ("type = \"hex\"", "type = \"u16\""),
    ("doc = \"the path\"", "doc = \"\""),
    ("task = current", "task : current"),
    ("my_open", "sched_switch"),
    ("when =", "wen ="),
];

/// Why there is no plan for a table and a selection.
fn refused(kernel: &Kernel, table: &EventTable, selection: &str) -> String {
    match compile(kernel, table, &Selection::parse(selection)) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn refused_probe(kernel: &Kernel, probe: &str) -> String {
    let mut table = EventTable::builtin();
    let spec = match ProbeSpec::parse(probe) {
        Ok(spec) => spec,
        Err(error) => return error.to_string(),
    };
    match add_probe(&mut table, kernel, &spec) {
        Ok(name) => refused(kernel, &table, &name),
        Err(error) => error.to_string(),
    }
}

fn refused_row(kernel: &Kernel, row: &str) -> String {
    let mut table = EventTable::builtin();
    match table.add("mine.toml", row) {
        Ok(()) => refused(kernel, &table, "mine.toml"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_fault_is_shown_where_it_is() {
    let Some(files) = guesttrace_tests::kernel(KERNEL) else {
        guesttrace_tests::skip!("kernel {KERNEL} was not fetched");
    };
    let image = std::fs::read(files.vmlinuz).expect("a fetched kernel has an image");
    let kernel = Kernel::from_bytes(Some(&image), None).expect("a kernel of the matrix");
    let mut text = String::new();
    for probe in PROBES {
        let complaint = refused_probe(&kernel, probe);
        let _ = writeln!(text, "--probe '{probe}'\n{complaint}\n");
    }
    for selection in SELECTIONS {
        let complaint = refused(&kernel, &EventTable::builtin(), selection);
        let _ = writeln!(text, "--events '{selection}'\n{complaint}\n");
    }
    assert_eq!(refused_row(&kernel, ROW), "taken");
    for (right, wrong) in FAULTS {
        assert!(ROW.contains(right), "{right}");
        let complaint = refused_row(&kernel, &ROW.replace(right, wrong));
        let _ = writeln!(text, "{right} -> {wrong}\n{complaint}\n");
    }
    expect_file!["wrong_events.txt"].assert_eq(&text);
}
