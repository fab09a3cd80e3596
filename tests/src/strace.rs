//! The log of `strace -f -X raw -e quiet=none -o FILE`, as the workload `strace` prints it.
//!
//! With `-X raw` constants are numbers; what else strace decodes (strings, structures, sets of signals) is not compared.

use std::collections::BTreeMap;

/// What strace saw, in the order of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strace {
    /// System calls, in the order in which their threads entered them.
    pub calls: Vec<StracedCall>,
    /// Thread and number of each signal that was delivered. A tracer is not told of SIGKILL.
    pub signals: Vec<(u64, i64)>,
}

/// A system call as strace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StracedCall {
    /// The thread.
    pub tid: u64,
    /// Whether it is a call of the 32-bit kind.
    pub is_compat: bool,
    /// Name; `syscall_0x270f` for a number that has none.
    pub name: String,
    /// Position and value of each argument that strace prints as a number.
    pub numbers: Vec<(usize, i64)>,
    /// How many arguments strace prints, decoded ones included.
    pub argument_count: usize,
    /// What it returned, with errors negative; `None` when strace prints `?` alone.
    pub result: Option<i64>,
    /// The text of the line, for messages.
    pub text: String,
}

/// Reads the log that is on a guest's console.
///
/// # Panics
/// On a line that is not understood.
#[must_use]
pub fn strace(console: &str) -> Strace {
    let mut reader = Reader::default();
    let lines = console.lines().map(|line| line.trim_end_matches('\r'));
    for line in lines
        .skip_while(|line| *line != "== strace ==")
        .skip(1)
        .take_while(|line| *line != "== end of strace ==")
    {
        let (tid, text) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("no thread: {line}"));
        let tid = tid.parse().unwrap_or_else(|_| panic!("no thread: {line}"));
        reader.read(tid, text.trim_start());
    }
    reader.strace
}

#[derive(Default)]
struct Reader {
    strace: Strace,
    compat: BTreeMap<u64, bool>,
    /// The call that each thread is in: its place in the list, and its text up to where another thread interrupted it.
    unfinished: BTreeMap<u64, (usize, String)>,
}

impl Reader {
    fn read(&mut self, tid: u64, text: &str) {
        if let Some(signal) = text.strip_prefix("--- SIG") {
            let (_, number) = signal.split_once("{si_signo=").expect("a signal's number");
            let digits = number.split([',', '}']).next().and_then(number_of);
            self.strace
                .signals
                .push((tid, digits.expect("a signal's number")));
        } else if text.starts_with("[ Process PID=") {
            self.compat.insert(tid, text.contains(" in 32 bit mode"));
        } else if let Some(rest) = text.strip_prefix("<... ") {
            let (_, rest) = rest.split_once(" resumed>").expect("strace's own words");
            let (index, begun) = self.unfinished.remove(&tid).expect("a call to resume");
            // A thread that is killed inside a call leaves it like this.
            let rest = rest.strip_prefix(" <unfinished ...>").unwrap_or(rest);
            self.finish(index, &(begun + rest));
        } else if !text.starts_with("+++ ") && !text.starts_with("--- stopped by ") {
            let index = self.strace.calls.len();
            self.strace.calls.push(StracedCall {
                tid,
                is_compat: self.compat.get(&tid).is_some_and(|compat| *compat),
                name: text.split('(').next().unwrap_or_default().to_owned(),
                numbers: Vec::new(),
                argument_count: 0,
                result: None,
                text: text.to_owned(),
            });
            match text.strip_suffix(" <unfinished ...>") {
                Some(begun) => {
                    self.unfinished.insert(tid, (index, begun.to_owned()));
                }
                None => self.finish(index, text),
            }
        }
    }

    fn finish(&mut self, index: usize, text: &str) {
        let call = &mut self.strace.calls[index];
        let (_, rest) = text
            .split_once('(')
            .unwrap_or_else(|| panic!("no call: {text}"));
        let (arguments, result) = arguments(rest);
        let result = result.trim_start().strip_prefix("= ");
        let result = result.unwrap_or_else(|| panic!("no result: {text}"));
        call.numbers = numbers(&call.name, &arguments);
        call.argument_count = arguments.len();
        call.result = result_of(result);
        text.clone_into(&mut call.text);
    }
}

/// The arguments up to the closing parenthesis, and what follows it.
fn arguments(text: &str) -> (Vec<&str>, &str) {
    let (mut depth, mut start, mut arguments) = (0_usize, 0, Vec::new());
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b',' if depth == 0 => {
                let argument = text[start..at].trim();
                if byte == b',' || !argument.is_empty() {
                    arguments.push(argument);
                }
                start = at + 1;
                if byte == b')' {
                    return (arguments, &text[start..]);
                }
            }
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    panic!("no end of the arguments: {text}");
}

/// Arguments that are numbers, with their places in the call.
fn numbers(name: &str, arguments: &[&str]) -> Vec<(usize, i64)> {
    let printed = arguments.iter().copied().enumerate();
    printed
        .filter_map(|(position, argument)| {
            let (place, text) = match name {
                "clone" => clone_argument(argument)?,
                "futex" => (futex_place(position, arguments), argument),
                _ => (position, argument),
            };
            Some((place, number_of(text)?))
        })
        .collect()
}

/// Place and text of an argument of `clone`; strace names them, as their order depends on the architecture.
fn clone_argument(argument: &str) -> Option<(usize, &str)> {
    let (name, text) = argument.split_once('=')?;
    let order = ["flags", "child_stack", "parent_tid", "child_tidptr", "tls"];
    let place = order.iter().position(|known| *known == name)?;
    Some((place, text))
}

/// Place of an argument of `futex`: strace leaves out what the operation does not use before the mask of bits.
fn futex_place(position: usize, arguments: &[&str]) -> usize {
    const FUTEX_WAIT_BITSET: i64 = 9;
    const FUTEX_WAKE_BITSET: i64 = 10;
    let operation = arguments.get(1).and_then(|operation| number_of(operation));
    match (operation.map(|operation| operation & 0x7f), position) {
        (Some(FUTEX_WAIT_BITSET), 4) | (Some(FUTEX_WAKE_BITSET), 3) => 5,
        _ => position,
    }
}

/// The value of numbers joined by `|`: decimal, `0x...`, octal with a leading 0, `NULL`.
fn number_of(text: &str) -> Option<i64> {
    text.split('|').try_fold(0, |joined, part| {
        let number = if part == "NULL" {
            0
        } else if let Some(digits) = part.strip_prefix("0x") {
            u64::from_str_radix(digits, 16).ok()?.cast_signed()
        } else if part.len() > 1 && part.starts_with('0') {
            i64::from_str_radix(part, 8).ok()?
        } else {
            part.parse().ok()?
        };
        Some(joined | number)
    })
}

/// `0x1000`, `-1 ENOENT (No such file or directory)`, `? ERESTARTSYS (...)`, `?`.
fn result_of(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace();
    let first = words.next();
    match (first, words.next().filter(|word| word.starts_with('E'))) {
        (Some("-1" | "?"), Some(name)) => Some(-errno(name)),
        (Some("?"), None) => None,
        (Some(number), _) => {
            Some(number_of(number).unwrap_or_else(|| panic!("not a result: {text}")))
        }
        (None, _) => panic!("no result"),
    }
}

/// `include/uapi/asm-generic/errno-base.h`, `errno.h`, and `include/linux/errno.h` of the kernel.
fn errno(name: &str) -> i64 {
    const NUMBERS: [(&str, i64); 24] = [
        ("EPERM", 1),
        ("ENOENT", 2),
        ("ESRCH", 3),
        ("EINTR", 4),
        ("EIO", 5),
        ("EBADF", 9),
        ("ECHILD", 10),
        ("EAGAIN", 11),
        ("ENOMEM", 12),
        ("EACCES", 13),
        ("EFAULT", 14),
        ("EEXIST", 17),
        ("ENOTDIR", 20),
        ("EINVAL", 22),
        ("ENOTTY", 25),
        ("ESPIPE", 29),
        ("EPIPE", 32),
        ("ENOSYS", 38),
        ("ENETUNREACH", 101),
        ("ETIMEDOUT", 110),
        ("ERESTARTSYS", 512),
        ("ERESTARTNOINTR", 513),
        ("ERESTARTNOHAND", 514),
        ("ERESTART_RESTARTBLOCK", 516),
    ];
    NUMBERS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no number for {name}"))
        .1
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = r#"noise
== strace ==
7   openat(-100, "a), (\"b", 0x241|0x8, 0666) = 3
7   wait4(-1,  <unfinished ...>
8   [ Process PID=8 runs in 32 bit mode. ]
8   pause() = ? ERESTARTNOHAND (To be restarted if no handler)
8   --- SIGCHLD {si_signo=17, si_code=0x1} ---
7   <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = -1 ECHILD (No child processes)
7   clone(child_stack=NULL, flags=0x1200000|17, child_tidptr=0x10) = 9
9   nanosleep({tv_sec=1, tv_nsec=0},  <unfinished ...>
9   <... nanosleep resumed> <unfinished ...>) = ?
9   +++ killed by SIGKILL +++
== end of strace ==
noise"#;

    #[test]
    fn a_log_is_read_call_by_call() {
        let strace = strace(CONSOLE);
        let told: Vec<_> = strace
            .calls
            .iter()
            .map(|call| {
                let numbers = call.numbers.as_slice();
                (
                    call.tid,
                    call.is_compat,
                    call.name.as_str(),
                    numbers,
                    call.result,
                )
            })
            .collect();
        let open = [(0, -100), (2, 0x249), (3, 0o666)];
        let wait = [(0, -1), (2, 0), (3, 0)];
        let clone = [(1, 0), (0, 0x120_0011), (3, 16)];
        assert_eq!(
            told,
            [
                (7, false, "openat", open.as_slice(), Some(3)),
                (7, false, "wait4", &wait, Some(-10)),
                (8, true, "pause", &[], Some(-514)),
                (7, false, "clone", &clone, Some(9)),
                (9, false, "nanosleep", &[], None),
            ]
        );
        assert_eq!(strace.signals, [(8, 17)]);
    }
}
