//! Files of version 6 of machines that nobody here has: other byte orders and sizes, lost events, several buffers.

use std::path::Path;
use std::process::Command;

use super::lines::read;
use super::output_of;

/// How numbers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) is_big_endian: bool,
    pub(crate) long_bytes: usize,
}

pub(crate) const PAGE: usize = 4096;

impl Machine {
    pub(crate) fn number(self, number: u64, bytes: usize) -> Vec<u8> {
        if self.is_big_endian {
            number.to_be_bytes()[8 - bytes..].to_vec()
        } else {
            number.to_le_bytes()[..bytes].to_vec()
        }
    }

    /// The first word of an event.
    fn word(self, kind: u32, delta: u32) -> Vec<u8> {
        let word = if self.is_big_endian {
            kind << 27 | delta
        } else {
            delta << 5 | kind
        };
        self.number(word.into(), 4)
    }

    fn text(self, text: &str, bytes: usize) -> Vec<u8> {
        [
            self.number(text.len() as u64, bytes),
            text.as_bytes().to_vec(),
        ]
        .concat()
    }

    /// The start of an event's data.
    fn common(self, id: u64, tid: u64) -> Vec<u8> {
        [self.number(id, 2), vec![0, 0], self.number(tid, 4)].concat()
    }

    pub(crate) fn switch(self, delta: u32, prev: u64, state: u64, next: u64) -> Vec<u8> {
        let comm = |name: &[u8]| {
            let mut comm = name.to_vec();
            comm.resize(16, 0);
            comm
        };
        let data = [
            self.common(7, prev),
            comm(b"one"),
            self.number(prev, 4),
            self.number(120, 4),
            self.number(state, self.long_bytes),
            comm(b"another"),
            self.number(next, 4),
            self.number(98, 4),
        ]
        .concat();
        let words = u32::try_from(data.len() / 4).unwrap();
        [self.word(words, delta), data].concat()
    }

    /// A text that is longer than the first word can say.
    fn print(self, delta: u32, tid: u64, text: &str) -> Vec<u8> {
        let mut data = [
            self.common(5, tid),
            self.number(0xc000_1234, self.long_bytes),
        ]
        .concat();
        data.extend(text.as_bytes());
        data.push(0);
        data.resize(data.len().next_multiple_of(4), 0);
        let length = self.number(data.len() as u64 + 4, 4);
        [self.word(0, delta), length, data].concat()
    }

    fn page(self, stamp: u64, missed: Option<Option<u64>>, events: &[Vec<u8>]) -> Vec<u8> {
        let events = events.concat();
        let flags = match missed {
            None => 0,
            Some(None) => 1 << 31,
            Some(Some(_)) => 3 << 30,
        };
        let mut page = self.number(stamp, 8);
        page.extend(self.number(events.len() as u64 | flags, self.long_bytes));
        page.extend(events);
        if let Some(Some(count)) = missed {
            page.extend(self.number(count, self.long_bytes));
        }
        page.resize(PAGE, 0);
        page
    }

    fn formats(self) -> [(&'static str, String); 2] {
        let long = self.long_bytes;
        let common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
            \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";
        let print = format!(
            "name: print\nID: 5\nformat:\n{common}\tfield:unsigned long ip;\toffset:8;\tsize:{long};\tsigned:0;\n\
            \tfield:char buf[];\toffset:{};\tsize:0;\tsigned:0;\n\nprint fmt: \"%ps: %s\", (void *)REC->ip, REC->buf\n",
            8 + long
        );
        let next = 32 + long;
        let switch = format!(
            "name: sched_switch\nID: 7\nformat:\n{common}\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:1;\n\
            \tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n\
            \tfield:int prev_prio;\toffset:28;\tsize:4;\tsigned:1;\n\
            \tfield:long prev_state;\toffset:32;\tsize:{long};\tsigned:1;\n\
            \tfield:char next_comm[16];\toffset:{next};\tsize:16;\tsigned:1;\n\
            \tfield:pid_t next_pid;\toffset:{};\tsize:4;\tsigned:1;\n\
            \tfield:int next_prio;\toffset:{};\tsize:4;\tsigned:1;\n\n\
            print fmt: \"prev_state=%s%s\", REC->prev_state ? \"S\" : \"R\", REC->prev_state & 2048 ? \"+\" : \"\"\n",
            next + 16,
            next + 20
        );
        [("ftrace", print), ("sched", switch)]
    }

    /// What a file says of its kernel: the start of version 6, or what perf.data has of it.
    pub(crate) fn texts(self, version: &str) -> Vec<u8> {
        let long = self.long_bytes;
        let mut file = [b"\x17\x08\x44tracing", version.as_bytes(), b"\0"].concat();
        file.push(u8::from(self.is_big_endian));
        file.push(u8::try_from(long).unwrap());
        file.extend(self.number(PAGE as u64, 4));
        let header = format!(
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
            \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
            \tfield: char data;\toffset:{};\tsize:{};\tsigned:1;\n",
            8 + long,
            PAGE - 8 - long
        );
        file.extend([b"header_page\0".to_vec(), self.text(&header, 8)].concat());
        let event = "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n";
        file.extend([b"header_event\0".to_vec(), self.text(event, 8)].concat());
        let [(_, print), (system, switch)] = self.formats();
        file.extend([self.number(1, 4), self.text(&print, 8)].concat());
        file.extend(
            [
                self.number(1, 4),
                system.as_bytes().to_vec(),
                vec![0],
                self.number(1, 4),
            ]
            .concat(),
        );
        file.extend(self.text(&switch, 8));
        file.extend(self.text("c0001000 T here\nc0002000 T there\n", 4));
        file.extend(self.text("", 4));
        file.extend(self.text("11 one\n12 another\n", 8));
        file
    }

    /// A file of two CPUs.
    pub(crate) fn file(self) -> Vec<u8> {
        let mut file = self.texts("6");
        file.extend(self.number(2, 4));
        file.extend(b"options  \0");
        let clock = "[local] global";
        file.extend([self.number(4, 2), self.text(clock, 4)].concat());
        file.extend([self.number(0, 2), b"flyrecord\0".to_vec()].concat());
        let places = file.len() + 32;
        let start = places.next_multiple_of(PAGE);
        let cpus = self.pages();
        let mut offset = start;
        for pages in &cpus {
            file.extend(
                [
                    self.number(offset as u64, 8),
                    self.number(pages.len() as u64, 8),
                ]
                .concat(),
            );
            offset += pages.len();
        }
        file.resize(start, 0);
        file.extend(cpus.concat());
        file
    }

    fn pages(self) -> [Vec<u8>; 2] {
        let extend = [self.word(30, 5), self.number(2, 4)].concat();
        let discarded = [self.word(29, 4), self.number(8, 4), vec![0; 4]].concat();
        let stamp = [self.word(31, 9), self.number(1000, 4)].concat();
        let long_text = "x".repeat(150);
        let first = [
            self.page(
                5_000_000,
                None,
                &[
                    self.switch(0, 11, 1, 12),
                    extend,
                    self.switch(3, 12, 0x800, 11),
                    discarded,
                    self.print(6, 11, &long_text),
                ],
            ),
            self.page(
                900_000_000,
                Some(Some(77)),
                &[self.switch(0, 11, 0, 0), self.switch(10, 0, 0, 12)],
            ),
        ];
        let second = [
            self.page(
                5_000_100,
                None,
                &[self.print(0, 0, "hello"), stamp, self.switch(2, 0, 0, 11)],
            ),
            self.page(140_000_000_000, Some(None), &[self.print(0, 11, "end")]),
        ];
        [first.concat(), second.concat()]
    }
}

/// What `trace-cmd report` says of a file, without what depends on its version.
fn reported(path: &Path) -> Vec<String> {
    let report = output_of(
        Command::new("trace-cmd")
            .args(["report", "-t", "-R", "-i"])
            .arg(path),
    );
    report
        .lines()
        .filter(|line| line.contains('['))
        .map(str::to_owned)
        .collect()
}

#[test]
fn files_of_all_byte_orders_and_sizes_are_read() {
    for (is_big_endian, long_bytes) in [(false, 8), (false, 4), (true, 8), (true, 4)] {
        let machine = Machine {
            is_big_endian,
            long_bytes,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.dat");
        std::fs::write(&path, machine.file()).unwrap();
        let (lines, losses) = read(&path);
        let told = reported(&path);
        let dropped = told.iter().filter(|line| line.contains("DROPPED")).count();
        assert_eq!(losses, [(0, Some(77)), (1, None)], "{machine:?}");
        assert_eq!(dropped, losses.len(), "{told:#?}");
        assert!(
            told.iter().any(|line| line.contains("[77 EVENTS DROPPED]")),
            "{told:#?}"
        );
        let told: Vec<&String> = told
            .iter()
            .filter(|line| !line.contains("DROPPED"))
            .collect();
        assert_eq!(lines.len(), 8, "{machine:?}");
        for (line, told) in lines.iter().zip(&told) {
            let time = format!(
                "{}.{:09}:",
                line.ticks / 1_000_000_000,
                line.ticks % 1_000_000_000
            );
            let place = format!("[{:03}]", line.cpu);
            let event = format!(" {}:", line.event);
            let thread = format!("-{} ", line.tid);
            for part in [&time, &place, &event, &thread] {
                assert!(
                    told.contains(part.as_str()),
                    "{machine:?}: {part:?} is not in {told}, {line:?}"
                );
            }
            if let Some((_, super::lines::Shown::Number(next))) =
                line.fields.iter().find(|(name, _)| name == "next_pid")
            {
                assert!(told.contains(&format!("next_pid={next} ")), "{told}");
            }
        }
    }
}
