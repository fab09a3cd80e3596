//! "Did you mean": the nearest of several names.

/// More slips than that make another name.
const SLIPS_MAX: usize = 3;

/// The candidate that is nearest to `name`, when one is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let limit = (name.chars().count() / 3).clamp(1, SLIPS_MAX);
    candidates
        .into_iter()
        .filter(|candidate| may_be_near(name, candidate, limit))
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Whether the letters, in whatever order, differ little: much cheaper than the distance, for whole symbol tables.
fn may_be_near(a: &str, b: &str, limit: usize) -> bool {
    if a.len().abs_diff(b.len()) > limit {
        return false;
    }
    let mut surplus = [0_i32; 256];
    a.bytes().for_each(|byte| surplus[usize::from(byte)] += 1);
    b.bytes().for_each(|byte| surplus[usize::from(byte)] -= 1);
    let (mut more, mut less) = (0, 0);
    for count in surplus {
        more += count.max(0).unsigned_abs();
        less += count.min(0).unsigned_abs();
    }
    // Letters beyond ASCII count as several: then there is no suggestion, which is no loss.
    usize::try_from(more.max(less)).is_ok_and(|letters| letters <= limit)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut cost = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["pid", "tgid", "prio", "sched_switch", "sched_waking"];
        assert_eq!(nearest("pidd", names).as_deref(), Some("pid"));
        assert_eq!(
            nearest("shced_switch", names).as_deref(),
            Some("sched_switch")
        );
        assert_eq!(nearest("comm", names), None);
    }
}
