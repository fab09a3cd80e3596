//! perf.data: samples, other records, losses; compressed, and not.

use expect_test::expect;

use super::lines::shown;
use super::made;

#[test]
fn samples_and_other_records_are_events() {
    let plain = shown(&made::perf(false));
    expect![[r#"
        2000 0 11 sched_switch
          prev_comm=one prev_pid=0 prev_prio=120 prev_state=1
          next_comm=another next_pid=11 next_prio=98 callchain=001000000080ffff002000000080ffff
        2500 1 11 fork
          pid=12 ppid=11 tid=12 ptid=11
        3000 1 11 sched_switch
          prev_comm=one prev_pid=11 prev_prio=120 prev_state=1
          next_comm=another next_pid=12 next_prio=98 callchain=001000000080ffff002000000080ffff
        3500 1 11 mmap
          pid=11 tid=11 addr=4096 len=8192
          pgoff=0 filename=/bin/one
        4500 0 11 cpu-clock
          ip=-140737488351232 period=1 addr=? callchain=001000000080ffff002000000080ffff
        4600 1 11 switch_out
          tid=11 next_pid=12 next_tid=12 preempted=0
        5000 1 11 exit
          pid=12 ppid=11 tid=12 ptid=11
        5100 1 11 perf_record
          type=17 data=01000000000000000200000000000000
        lost on 1: Some(9)
    "#]]
    .assert_eq(&plain);
    assert_eq!(shown(&made::perf(true)), plain);
}
