//! A row at every scale, against doing the same the long way.

use guesttrace_view::index::{Kind, Piece, StateId, States, Timeline, WHOLE};
use proptest::prelude::*;

/// Lengths of spans from a nanosecond to minutes, with what is done in each.
fn spans() -> impl Strategy<Value = Vec<(u64, StateId)>> {
    let length = (0u32..36).prop_flat_map(|bits| 1u64..(2 << bits));
    let state = 0..u16::try_from(Kind::ALL.len()).expect("there are few kinds");
    prop::collection::vec((length, state), 1..3000)
}

fn timeline(spans: &[(u64, StateId)]) -> (Timeline, Vec<(u64, u64, StateId)>) {
    let states = States::default();
    let mut timeline = Timeline::default();
    let mut all = Vec::new();
    let mut at = 0;
    for (length, state) in spans {
        timeline.push(at, at + length, *state, &states);
        all.push((at, at + length, *state));
        at += length;
    }
    (timeline, all)
}

fn pieces(timeline: &Timeline, times: (u64, u64), nanos: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    timeline.pieces(times, nanos, None, &States::default(), |piece| {
        pieces.push(piece)
    });
    pieces
}

/// So many thousandths of a length.
fn permille(length: u64, part: u64) -> u64 {
    u64::try_from(u128::from(length) * u128::from(part) / 1000).expect("lengths are short")
}

fn busy(pieces: &[Piece]) -> f64 {
    let busy = pieces
        .iter()
        .map(|piece| piece.length() as f64 * f64::from(piece.part) / f64::from(WHOLE));
    busy.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_finest_scale_is_what_happened(spans in spans()) {
        let (timeline, all) = timeline(&spans);
        let found: Vec<(u64, u64, StateId)> = pieces(&timeline, (0, timeline.end), 0)
            .iter()
            .map(|piece| (piece.start, piece.end, piece.busy))
            .collect();
        prop_assert_eq!(found, all);
    }

    #[test]
    fn every_scale_is_a_partition_bounded_by_pixels(
        spans in spans(), from in 0..1000u64, part in 0..1000u64, width in 1u64..3000,
    ) {
        let (timeline, _) = timeline(&spans);
        let from = permille(timeline.end, from);
        let to = from + 1 + permille(timeline.end - from, part);
        let nanos = (to - from) / width;
        let pieces = pieces(&timeline, (from, to), nanos);
        prop_assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
        prop_assert!(pieces.iter().all(|piece| piece.start < piece.end));
        prop_assert!(pieces.first().is_some_and(|piece| piece.start <= from));
        prop_assert!(pieces.last().is_some_and(|piece| piece.end >= to.min(timeline.end)));
        // No two in a row are both too short to be seen: two for each pixel, and one that sticks out at each end.
        if nanos > 0 {
            prop_assert!(pieces.windows(2).all(|pair| pair[0].length().max(pair[1].length()) >= nanos));
            prop_assert!(pieces.len() as u64 <= 2 * width + 4, "{} for {width} pixels", pieces.len());
        }
    }

    #[test]
    fn busy_time_is_the_same_at_every_scale(spans in spans(), bits in 0u32..40) {
        let (timeline, _) = timeline(&spans);
        let exact = busy(&pieces(&timeline, (0, timeline.end), 0));
        let coarse = pieces(&timeline, (0, timeline.end), 1 << bits);
        // A part is kept in 65,535ths of its piece.
        let apart = (exact - busy(&coarse)).abs();
        prop_assert!(apart <= timeline.end as f64 * 16.0 / f64::from(WHOLE) + 1.0, "{apart} of {exact}");
    }

    #[test]
    fn sums_are_exact(spans in spans(), one in 0..1100u64, other in 0..1100u64) {
        let (timeline, all) = timeline(&spans);
        let at = |part| permille(timeline.end, part);
        let (from, to) = (at(one.min(other)), at(one.max(other)));
        let (sums, begun) = timeline.sums_of((from, to), &States::default());
        for (kind, sum) in Kind::ALL.iter().zip(sums) {
            let of_kind = all.iter().filter(|(.., state)| *state == u16::from(kind.number()));
            let own: u64 = of_kind.map(|(start, end, _)| end.min(&to).saturating_sub(*start.max(&from))).sum();
            prop_assert_eq!(sum, own, "{}", kind.name());
        }
        prop_assert_eq!(begun, all.iter().filter(|(start, ..)| (from..to).contains(start)).count() as u64);
    }

    #[test]
    fn a_time_finds_its_span_and_its_neighbours(spans in spans(), part in 0..1000u64) {
        let (timeline, all) = timeline(&spans);
        let at = permille(timeline.end, part);
        let own = all.iter().find(|(start, end, _)| (*start..*end).contains(&at)).copied();
        prop_assert_eq!(timeline.at(at), own);
        let next = all.iter().find(|(start, ..)| *start > at).map(|(start, ..)| *start);
        prop_assert_eq!(timeline.next_start(at), next);
        let previous = all.iter().rfind(|(start, ..)| *start < at).map(|(start, ..)| *start);
        prop_assert_eq!(timeline.previous_start(at), previous);
    }
}

#[test]
fn what_is_between_spans_is_nothing_and_what_overlaps_is_cut() {
    let states = States::default();
    let mut timeline = Timeline::default();
    let (user, irq) = (States::plain(Kind::User), States::plain(Kind::Irq));
    timeline.push(10, 20, user, &states);
    timeline.push(15, 30, irq, &states);
    timeline.push(5, 25, user, &states);
    let found: Vec<(u64, u64, StateId)> = pieces(&timeline, (0, 100), 0)
        .iter()
        .map(|piece| (piece.start, piece.end, piece.busy))
        .collect();
    let nothing = States::plain(Kind::Nothing);
    assert_eq!(found, [(0, 10, nothing), (10, 20, user), (20, 30, irq)]);
}

#[test]
fn a_state_that_goes_on_is_drawn_up_to_now() {
    let states = States::default();
    let mut timeline = Timeline::default();
    timeline.push(0, 10, States::plain(Kind::User), &states);
    let mut ends = Vec::new();
    let open = Some((States::plain(Kind::WaitTime), 1000));
    timeline.pieces((0, 1000), 0, open, &states, |piece| {
        ends.push((piece.end, piece.part))
    });
    assert_eq!(ends, [(10, WHOLE), (1000, 0)]);
}
