//! Tracepoints as events: what is recorded of each, whatever else is.

use std::fmt::Write as _;

use expect_test::expect_file;
use guest_symbols::Kernel;
use guesttrace_events::{EventTable, TRACEPOINT_ID_FIRST};
use plan_compiler::{Compiled, Selection, compile};
use probe_plan::Program;
use trace_format::EventSchema;

const KERNEL: &str = "6.1-amd64";

fn compiled(kernel: &Kernel, selection: &str) -> Compiled {
    compile(kernel, &EventTable::builtin(), &Selection::parse(selection)).expect("a plan")
}

/// The event of that name, with its programs at all its places.
fn event<'a>(compiled: &'a Compiled, name: &str) -> (&'a EventSchema, Vec<&'a Program>) {
    let plan = &compiled.plan;
    let event = plan.schema.event_named(name).expect("an event");
    let sites = plan.sites.iter().filter(|site| site.event == event.id);
    let programs = sites.map(|site| &plan.programs[site.program as usize]);
    (event, programs.collect())
}

#[test]
fn an_event_is_the_same_under_every_selection() {
    let Some(files) = guesttrace_tests::kernel(KERNEL) else {
        guesttrace_tests::skip!("kernel {KERNEL} was not fetched");
    };
    let image = std::fs::read(files.vmlinuz).expect("a fetched kernel has an image");
    let kernel = Kernel::from_bytes(Some(&image), None).expect("a kernel of the matrix");
    let all = compiled(&kernel, "core,tracepoint:*:*");
    let own = all.plan.schema.events.iter();
    let own = own.filter(|event| event.id.0 >= TRACEPOINT_ID_FIRST);
    assert!(own.clone().count() > 600);
    assert!(own.clone().all(|event| event.name.contains(':')));
    let mut text = String::new();
    for name in [
        "sched:sched_switch",
        "sched:sched_process_exec",
        "block:block_rq_issue",
        "net:netif_receive_skb",
        "mmap_lock:mmap_lock_released",
        "none:pelt_cfs_tp",
    ] {
        let few = compiled(&kernel, &format!("none,tracepoint:{name}"));
        assert_eq!(event(&all, name), event(&few, name), "{name}");
        let (event, _) = event(&all, name);
        let _ = writeln!(text, "{name}, category {}: {}", event.category, event.doc);
        for field in &event.fields {
            let _ = writeln!(text, "  {} {:?}: {}", field.name, field.kind, field.doc);
        }
    }
    expect_file!["tracepoint_events.txt"].assert_eq(&text);
    let without = compiled(
        &kernel,
        "none,tracepoint:block:*,-tracepoint:block:block_rq_*",
    );
    let names = without
        .plan
        .schema
        .events
        .iter()
        .map(|event| event.name.as_str());
    let names: Vec<&str> = names.filter(|name| name.contains(':')).collect();
    assert!(names.contains(&"block:block_bio_queue") && !names.contains(&"block:block_rq_issue"));
}
