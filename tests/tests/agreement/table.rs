//! The comparisons, and the document that keeps them.

use std::fmt::Write as _;

/// One comparison.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) guest: u64,
    pub(crate) ours: u64,
    /// How far ours may be off, and why.
    pub(crate) allowed: u64,
    pub(crate) why: &'static str,
}

impl Row {
    pub(crate) fn exact(what: impl Into<String>, guest: u64, ours: u64) -> Self {
        let (what, allowed, why) = (what.into(), 0, "0");
        Self {
            what,
            guest,
            ours,
            allowed,
            why,
        }
    }

    pub(crate) fn near(
        what: impl Into<String>,
        guest: u64,
        ours: u64,
        allowed: u64,
        why: &'static str,
    ) -> Self {
        let what = what.into();
        Self {
            what,
            guest,
            ours,
            allowed,
            why,
        }
    }
}

/// Spaces between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

const HEAD: &str = "# Agreement with the guest's own numbers

Workload `accounts` on Debian's 6.1 kernel, one CPU, deterministic.
It is what reports say of it, and what the guest's kernel and its tools say of the same run.
`UPDATE_EXPECT=1 GUESTTRACE_E2E=1 cargo test --release -p guesttrace-tests --test agreement` renews the table.
The test fails when a difference is larger than its last column allows.
Where the kernel counts, that is 0.
Where it looks at its clock at another place of a switch than the tracepoint is, or samples at ticks,
the column says how much.

";

/// The document, and of each row what does not depend on the run.
pub(crate) fn document(table: &[Row]) -> (String, Vec<String>) {
    let mut text = HEAD.to_owned();
    text.push_str(
        "| what | the guest | guesttrace | difference | allowed |\n|---|---:|---:|---:|---|\n",
    );
    let is_shown = |row: &&Row| row.guest != 0 || row.ours != 0;
    for row in table.iter().filter(is_shown) {
        let difference = i128::from(row.ours) - i128::from(row.guest);
        let sign = if difference < 0 { "-" } else { "" };
        let difference = grouped(u64::try_from(difference.abs()).expect("two numbers of 64 bits"));
        let (guest, ours) = (grouped(row.guest), grouped(row.ours));
        let _ = writeln!(
            text,
            "| {} | {guest} | {ours} | {sign}{difference} | {} |",
            row.what, row.why
        );
    }
    let exact = table.iter().filter(|row| row.allowed == 0).count();
    let hidden = table.len() - table.iter().filter(is_shown).count();
    let _ = write!(
        text,
        "\n{} numbers are compared, {exact} of them have to be equal; {hidden} that are 0 on both sides are not shown.\n",
        table.len()
    );
    let names = table.iter();
    let names = names.map(|row| format!("| {} | {} |", row.what, row.why));
    (text, names.collect())
}
