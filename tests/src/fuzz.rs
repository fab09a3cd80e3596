//! Chance for fuzz tests, the same in every run: a case that fails is told by its number and fails again.

/// Runs a fuzz test: as many cases as `GUESTTRACE_FUZZ_CASES` says, else 300.
///
/// # Panics
/// As the case does; its number is printed before.
pub fn fuzz(case: impl FnMut(&mut Chance)) {
    fuzz_usually(300, case);
}

/// As [`fuzz`], with another number of cases when none is asked for: for cases that take their time.
///
/// # Panics
/// As [`fuzz`].
pub fn fuzz_usually(cases: u64, mut case: impl FnMut(&mut Chance)) {
    for number in 0..case_count(cases) {
        let told = TellOnPanic(number);
        case(&mut Chance::new(number));
        drop(told);
    }
}

fn case_count(usual: u64) -> u64 {
    let wanted = std::env::var("GUESTTRACE_FUZZ_CASES").ok();
    wanted.map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("GUESTTRACE_FUZZ_CASES is no number: {text}"))
    })
}

struct TellOnPanic(u64);

impl Drop for TellOnPanic {
    #[allow(
        clippy::print_stderr,
        reason = "the line is for the person who runs the tests"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fuzz case {} failed", self.0);
        }
    }
}

/// A stream of numbers that follows from its seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.number() % end).expect("less than a usize")
    }

    /// Whether something happens that does so once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }

    /// Damages bytes as disks, cut copies and malice do: flips, overwritten numbers, lost, doubled and moved pieces.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return bytes.push(self.byte());
            }
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.byte(),
                2 => bytes.truncate(at),
                3 => {
                    let wild =
                        *self.pick(&[0, 1, 0x7f, u32::MAX.into(), 1 << 31, 1 << 63, u64::MAX]);
                    let width = *self.pick(&[1, 2, 4, 8]);
                    let end = (at + width).min(bytes.len());
                    bytes[at..end].copy_from_slice(&u64::to_le_bytes(wild)[..end - at]);
                }
                4 => {
                    let end = at + self.below((bytes.len() - at).min(64));
                    bytes.drain(at..end);
                }
                5 => {
                    let end = at + self.below((bytes.len() - at).min(64));
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let from = self.below(bytes.len());
                    let length = self.below(256).min(bytes.len() - at.max(from));
                    bytes.copy_within(from..from + length, at);
                }
            }
        }
    }

    /// A text of those words, with and without spaces, now and then with a character of its own.
    pub fn text(&mut self, words: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..self.below(24) {
            if self.once_in(12) {
                text.push(
                    char::from_u32(u32::try_from(self.below(0x3000)).unwrap_or(0)).unwrap_or('?'),
                );
            }
            text.push_str(words[self.below(words.len())]);
            if self.once_in(2) {
                text.push(' ');
            }
        }
        text
    }
}

/// Spreads the bits of a number.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// Most memory that this process has had, in bytes.
///
/// # Panics
/// When the kernel does not say.
#[must_use]
pub fn memory_bytes_most() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("/proc/self/status has VmHWM in KiB") << 10
}
