//! What two traces say differently of themselves.

use trace_format::Header;

/// What the headers say differently, a sentence each.
pub(super) fn header_differences(a: &Header, b: &Header) -> Vec<String> {
    let pairs = [
        ("kernel", &a.kernel.banner, &b.kernel.banner),
        ("build id", &a.kernel.build_id, &b.kernel.build_id),
        (
            "command line",
            &a.kernel.command_line,
            &b.kernel.command_line,
        ),
        ("producer", &a.producer, &b.producer),
    ];
    let mut found: Vec<String> = pairs
        .iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what}: {a:?} against {b:?}"))
        .collect();
    if a.machine != b.machine {
        let arguments = |header: &Header| header.machine.qemu_arguments.join(" ");
        found.push(format!(
            "machine: {} against {}",
            arguments(a),
            arguments(b)
        ));
    }
    if a.clock != b.clock {
        found.push(format!(
            "clock: {:?} against {:?}",
            a.clock.mode, b.clock.mode
        ));
    }
    if a.digests != b.digests {
        let names = |from: &Header, other: &Header| -> Vec<String> {
            let only = from
                .digests
                .iter()
                .filter(|item| !other.digests.contains(item));
            only.map(|(role, _)| role.clone()).collect()
        };
        let mut roles = [names(a, b), names(b, a)].concat();
        roles.sort();
        roles.dedup();
        found.push(format!("contents of: {}", roles.join(", ")));
    }
    let only = |from: &Header, other: &Header| -> Vec<String> {
        let events = from.schema.events.iter();
        let only = events.filter(|event| !other.schema.events.contains(event));
        only.map(|event| event.name.clone()).collect()
    };
    for (side, events) in [("A", only(a, b)), ("B", only(b, a))] {
        if !events.is_empty() {
            found.push(format!(
                "events as only {side} has them: {}",
                events.join(", ")
            ));
        }
    }
    found
}
