//! Traces of Perfetto against a walker of its own, in another language.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use expect_test::expect;

use super::lines::{Shown, read, shown};
use super::made;
use super::{output_of, sample};

#[test]
fn a_trace_of_perfetto_has_what_another_walker_finds() {
    let Some(path) = sample("android.perfetto-trace") else {
        guesttrace_tests::skip!("no foreign sample trace android.perfetto-trace");
    };
    let walker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel_files/perfetto.py");
    let told = output_of(Command::new("python3").arg(walker).arg(&path));
    let (lines, _) = read(&path);
    let mut by_event: BTreeMap<String, u64> = BTreeMap::new();
    for line in &lines {
        *by_event.entry(line.event.clone()).or_default() += 1;
    }
    let mut sums = Vec::new();
    for line in &lines {
        let number = |name: &str| {
            let field = line.fields.iter().find(|(field, _)| field == name);
            match field.map(|(_, shown)| shown) {
                Some(Shown::Number(number)) => i128::from(number.cast_signed()),
                _ => 0,
            }
        };
        sums.push((
            line.ticks,
            line.cpu,
            number("prev_pid") + number("pid") + number("state"),
        ));
    }
    sums.sort_unstable();
    let sum = { sums.iter().enumerate() }.fold(0_i128, |sum, (index, (ticks, cpu, number))| {
        (sum * 31 + i128::from(*ticks) + i128::from(*cpu) + number + index as i128) % 1_000_000_007
    });
    let counts: String = by_event
        .iter()
        .map(|(event, count)| format!("{event} {count}\n"))
        .collect();
    assert_eq!(format!("{counts}sum {sum}\n"), told);
}

#[test]
fn events_in_lists_and_in_columns_are_one_stream() {
    let plain = shown(&made::perfetto(None));
    expect![[r#"
        2000 0 11 sched_switch
          prev_comm=one prev_pid=11 prev_prio=? prev_state=1
          next_comm=two next_pid=12 next_prio=?
        2100 1 0 sched_switch
          prev_comm=? prev_pid=? prev_prio=? prev_state=0
          next_comm=three next_pid=21 next_prio=120
        2200 1 21 sched_waking
          comm=four pid=22 prio=120 success=?
          target_cpu=1
        2400 1 21 sched_switch
          prev_comm=three prev_pid=21 prev_prio=120 prev_state=1
          next_comm=four next_pid=22 next_prio=120
        2500 0 12 sys_enter
          id=257 args0=3 args1=2147418112 args2=0
          args3=? args4=? args5=?
        2600 0 12 own_event
          level=9
        2700 0 12 ftrace_event_999
          field3=5
        2800 0 12 described
          count=4 label=name
        3000 1 22 sched_switch
          prev_comm=four prev_pid=22 prev_prio=120 prev_state=256
          next_comm=three next_pid=21 next_prio=120
        lost on 1: None
    "#]]
    .assert_eq(&plain);
    for packing in [50, 133] {
        assert_eq!(shown(&made::perfetto(Some(packing))), plain);
    }
}
