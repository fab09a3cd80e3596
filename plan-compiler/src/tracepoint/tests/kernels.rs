//! The tracepoints of stock kernels, as their bzImage alone tells them.

use std::collections::{BTreeMap, HashSet};

use expect_test::{Expect, expect};
use guest_symbols::{Kernel, Tracepoint, TracepointSite};
use guesttrace_tests::skip;

use super::super::{list_tracepoints, recover_site, tracepoint_arguments};
use super::formula;

fn open(name: &str) -> Option<(Kernel, String)> {
    let files = guesttrace_tests::kernel(name)?;
    let image = std::fs::read(&files.vmlinuz).unwrap();
    Some((
        Kernel::from_bytes(Some(&image), None).unwrap(),
        files.release,
    ))
}

/// All arguments of at least so many tracepoints in a hundred are known at each site that runs while they are off.
const COMPLETE_PERCENT_MIN: usize = 94;

/// Checks the whole kernel for what must hold of every site, and that few are missed.
fn check_kernel(name: &str) {
    let Some((kernel, _)) = open(name) else {
        skip!("no kernel {name}")
    };
    let (mut with_sites, mut complete) = (0, 0);
    let mut reasons = BTreeMap::<String, BTreeMap<&str, usize>>::new();
    for tracepoint in kernel
        .tracepoints()
        .unwrap()
        .iter()
        .filter(|tracepoint| !tracepoint.sites.is_empty())
    {
        with_sites += 1;
        let arguments = tracepoint_arguments(&kernel, tracepoint).expect("a stock kernel has BTF");
        let found: Vec<_> = tracepoint
            .sites
            .iter()
            .map(|site| (site, recover_site(&kernel, tracepoint, site)))
            .collect();
        let nested: HashSet<u64> = found
            .iter()
            .filter_map(|site| site.1.as_ref().ok())
            .flat_map(|site| site.nested.clone())
            .collect();
        let mut whole = true;
        for (site, result) in &found {
            let missing = match result {
                Ok(found) => {
                    assert_eq!(
                        found.arguments.len(),
                        arguments.len(),
                        "{}",
                        tracepoint.name
                    );
                    found.arguments.iter().find_map(|ops| ops.as_ref().err())
                }
                Err(why) => Some(why),
            };
            if let Some(why) = missing.filter(|_| !nested.contains(&site.code.0)) {
                whole = false;
                let why = why.to_string();
                let kind = why.split(" at 0x").next().unwrap().to_owned();
                *reasons
                    .entry(kind)
                    .or_default()
                    .entry(&tracepoint.name)
                    .or_default() += 1;
            }
        }
        complete += usize::from(whole);
    }
    println!("{name}: {complete} of {with_sites} tracepoints with sites are complete; {reasons:?}");
    assert!(with_sites > 400, "only {with_sites} tracepoints with sites");
    assert!(
        complete * 100 >= with_sites * COMPLETE_PERCENT_MIN,
        "{complete} of {with_sites}; {reasons:?}"
    );
}

#[test]
fn nearly_all_tracepoints_of_6_1() {
    check_kernel("6.1-amd64");
}

#[test]
fn nearly_all_tracepoints_of_6_1_cloud() {
    check_kernel("6.1-cloud-amd64");
}

#[test]
fn nearly_all_tracepoints_of_6_12() {
    check_kernel("6.12-amd64");
}

/// The build whose code was read by hand, with `objdump -d`, for the expectations below.
const READ_BY_HAND: &str = "6.1.0-56-cloud-amd64";

/// Checks each site of `tracepoint` that lies in `function`.
fn check_site(kernel: &Kernel, tracepoint: &str, function: &str, expected: &Expect) {
    let found = kernel
        .tracepoints()
        .unwrap()
        .iter()
        .find(|found| found.name == tracepoint)
        .unwrap();
    let arguments = tracepoint_arguments(kernel, found).unwrap();
    let inside = |site: &&TracepointSite| {
        kernel
            .symbols()
            .at(site.code)
            .is_some_and(|at| at.0.name == function)
    };
    let shown: Vec<String> = found
        .sites
        .iter()
        .filter(inside)
        .map(|site| show(kernel, found, site))
        .collect();
    let names: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.name.as_str())
        .collect();
    expected.assert_eq(&format!("({})\n{}", names.join(", "), shown.join("\n")));
}

fn show(kernel: &Kernel, tracepoint: &Tracepoint, site: &TracepointSite) -> String {
    let found = recover_site(kernel, tracepoint, site).unwrap();
    let arguments: Vec<String> = found
        .arguments
        .iter()
        .map(|ops| {
            ops.as_ref()
                .map_or_else(|_| "?".to_owned(), |ops| formula(ops))
        })
        .collect();
    let condition = found.condition.map(|ops| format!(" if {}", formula(&ops)));
    arguments.join(", ") + &condition.unwrap_or_default()
}

#[test]
fn sites_read_by_hand() {
    let Some((kernel, release)) = open("6.1-cloud-amd64") else {
        skip!("no kernel 6.1-cloud-amd64")
    };
    if release != READ_BY_HAND {
        skip!("the code of {release} was not read by hand");
    }
    let check = |tracepoint, function, expected: Expect| {
        check_site(&kernel, tracepoint, function, &expected)
    };
    check(
        "sched_switch",
        "__schedule",
        expect![[r#"
        (preempt, prev, next, prev_state)
        u32[rbp-0x44], r13, r12, u32[rbp-0x48]"#]],
    );
    check(
        "sched_waking",
        "try_to_wake_up",
        expect![[r#"
        (p)
        rbx
        rbx"#]],
    );
    check(
        "mm_page_alloc",
        "__alloc_pages",
        expect![[r#"
        (page, order, gfp_flags, migratetype)
        r14, u32(rbp), u32(r13), u32[rsp+0x18]"#]],
    );
    check(
        "block_rq_issue",
        "blk_mq_start_request",
        expect![[r#"
        (rq)
        rbx"#]],
    );
    check(
        "irq_handler_entry",
        "__handle_irq_event_percpu",
        expect![[r#"
        (irq, action)
        u32(r13), rbx"#]],
    );
    check(
        "ext4_da_write_begin",
        "ext4_da_write_begin",
        expect![[r#"
        (inode, pos, len)
        rbp, r12, u32(r13)"#]],
    );
    // Three arguments on the stack, one of them computed.
    check(
        "mm_vmscan_lru_isolate",
        "isolate_lru_folios",
        expect![[r#"
        (highest_zoneidx, order, nr_requested, nr_scanned, nr_skipped, nr_taken, isolate_mode, lru)
        rsi, u32(s8(rdi)), u64[rsp+0x8], r15, r9, u64[rsp+0x10], u32(((u1((u8(rax)>>0x5))^0x1)<<0x1)), r13"#]],
    );
    // Through a helper that makes the path of the memory cgroup, which cannot be had while it is off.
    check(
        "mmap_lock_acquire_returned",
        "map_vdso",
        expect![[r#"
        (mm, memcg_path, write, success)
        r13, ?, 0x1, !u32(rax)"#]],
    );
    // Behind a warning, a lock and the tracing of idle CPUs, which a tracepoint that runs there calls itself.
    check(
        "console",
        "printk_sprint",
        expect![[r#"
        (text, len)
        rbx, rbp"#]],
    );
    // Fires only for an allocator.
    check(
        "mem_connect",
        "xdp_rxq_info_reg_mem_model",
        expect![[r#"
        (xa, rxq)
        rax, rbx if (rax ? 0x1 : 0x0)
        rax, rbx"#]],
    );
}

#[test]
fn list_says_what_it_knows_and_why_not() {
    let Some((kernel, _)) = open("6.1-amd64") else {
        skip!("no kernel 6.1-amd64")
    };
    let list = list_tracepoints(&kernel).unwrap();
    let shown = |name: &str| {
        let found = list.iter().find(|report| report.name == name).unwrap();
        let arguments = found.arguments.as_ref().map_or_else(
            || "unknown".to_owned(),
            |arguments| {
                arguments
                    .iter()
                    .map(|(name, c_type)| format!("{c_type} {name}"))
                    .collect::<Vec<_>>()
                    .join("; ")
            },
        );
        format!("{:?} {arguments} {:?}", found.system, found.reason)
    };
    expect![[r#"Some("sched") bool preempt; struct task_struct * prev; struct task_struct * next; unsigned int prev_state None"#]].assert_eq(&shown("sched_switch"));
    expect![[r#"Some("raw_syscalls") struct pt_regs * regs; long int id None"#]]
        .assert_eq(&shown("sys_enter"));
    expect![[r#"Some("mmap_lock") struct mm_struct * mm; bool write Some("187 of 187 sites: argument memcg_path: it points to a buffer that is filled only when the tracepoint is on")"#]].assert_eq(&shown("mmap_lock_released"));
    expect![[r#"Some("net") struct sk_buff * skb Some("1 of 2 sites: it may fire several times at one run of the nop (the call at 0xffffffff817dfd7b is in a loop)")"#]].assert_eq(&shown("netif_receive_skb_list_entry"));
}
