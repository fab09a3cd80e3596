//! Texts of the kernel that a trace.dat carries: names of threads and of addresses.

use crate::model::Tid;
use crate::sources::foreign::KnownThread;

/// Names of threads: `12 kworker/0:1` in each line.
pub(super) fn threads(cmdlines: &[u8]) -> Vec<KnownThread> {
    let line = |line: &[u8]| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (tid, comm) = line.split_at(space);
        let tid = std::str::from_utf8(tid).ok()?.parse().ok()?;
        Some(KnownThread {
            tid: Tid(tid),
            pid: None,
            comm: comm.get(1..)?.to_vec(),
        })
    };
    lines(cmdlines).filter_map(line).collect()
}

/// Names of addresses: `ffffffff81000000 T _text`, followed by a module.
pub(super) fn kallsyms(text: &[u8], symbols: &mut Vec<(u64, String)>) {
    for line in lines(text) {
        let mut words = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let mut word = || std::str::from_utf8(words.next()?).ok();
        let (Some(addr), Some(_), Some(name)) = (word(), word(), word()) else {
            continue;
        };
        // A kernel that hides addresses writes zeros.
        if let Ok(addr) = u64::from_str_radix(addr, 16)
            && addr != 0
        {
            symbols.push((addr, name.to_owned()));
        }
    }
}

/// Texts that events refer to by their address: `0xffffffff81000000 : "rcu_sched"`.
pub(super) fn printk(text: &[u8], symbols: &mut Vec<(u64, String)>) {
    for line in lines(text) {
        let line = String::from_utf8_lossy(line);
        let Some((addr, text)) = line.split_once(" : ") else {
            continue;
        };
        let digits = addr.trim().trim_start_matches("0x");
        let length = text.trim().trim_matches('"').len() as u64;
        if let Ok(addr) = u64::from_str_radix(digits, 16) {
            symbols.push((addr, text.trim().to_owned()));
            symbols.push((addr.saturating_add(length + 1), String::new()));
        }
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n' || *byte == 0)
        .filter(|line| !line.is_empty())
}

/// Events that a kernel says it lost in a buffer: overwritten before they were read, or dropped.
pub(super) fn lost(statistics: &str) -> u64 {
    let count = |line: &str| {
        let (name, count) = line.split_once(':')?;
        let is_loss = ["overrun", "commit overrun", "dropped events"].contains(&name.trim());
        is_loss.then(|| count.trim().parse::<u64>().ok()).flatten()
    };
    statistics
        .lines()
        .filter_map(count)
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_line_by_line() {
        let threads = threads(b"12 kworker/0:1 x\n\nx y\n7\n8 \n-1 z\n");
        let names: Vec<_> = threads
            .iter()
            .map(|thread| (thread.tid.0, &thread.comm[..]))
            .collect();
        assert_eq!(names, [(12, &b"kworker/0:1 x"[..]), (8, b"")]);
        let mut symbols = Vec::new();
        kallsyms(
            b"ffff8100 T _text\n0 A zero\nffff8200 t local\t[module]\nbad",
            &mut symbols,
        );
        printk(b"0xffff9100 : \"a : b\"\n", &mut symbols);
        let names: Vec<_> = symbols
            .iter()
            .map(|(addr, name)| (*addr, &name[..]))
            .collect();
        let expected = [
            (0xffff_8100, "_text"),
            (0xffff_8200, "local"),
            (0xffff_9100, "\"a : b\""),
            (0xffff_9106, ""),
        ];
        assert_eq!(names, expected);
        assert_eq!(
            lost("CPU: 0\nentries: 9\noverrun: 3\ncommit overrun: 0\ndropped events: 4\n"),
            7
        );
    }
}
