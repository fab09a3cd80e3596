//! Files of perf and of Perfetto with a little of everything, made here.

use super::written::Machine;

const MACHINE: Machine = Machine {
    is_big_endian: false,
    long_bytes: 8,
};

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A record of perf.
fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(body.len() + 8).unwrap();
    [
        &kind.to_le_bytes()[..],
        &misc.to_le_bytes(),
        &size.to_le_bytes(),
        body,
    ]
    .concat()
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// What samples of both events have: id, ip, thread, time, CPU, period, call stack, data.
const SAMPLE: u64 = 1 << 16 | 1 | 2 | 4 | 128 | 256 | 32 | 1024;

fn sample(id: u64, time: u64, cpu: u32, raw: &[u8]) -> Vec<u8> {
    let mut body = words(&[
        id,
        0xffff_8000_0000_1000,
        pair(11, 11),
        time,
        pair(cpu, 0),
        1,
    ]);
    body.extend(words(&[
        3,
        u64::MAX - 127,
        0xffff_8000_0000_1000,
        0xffff_8000_0000_2000,
    ]));
    body.extend(u32::try_from(raw.len()).unwrap().to_le_bytes());
    body.extend(raw);
    record(9, 1, &body)
}

/// What other records have at their end.
fn end(time: u64, cpu: u32) -> Vec<u8> {
    words(&[pair(11, 11), time, pair(cpu, 0), 1])
}

/// Records of a file: threads, a switch on each of two CPUs, a loss, in two rounds.
fn records() -> Vec<Vec<u8>> {
    let with_end =
        |kind, misc, body: &[u8], time| record(kind, misc, &[body, &end(time, 1)].concat());
    let switch = |delta, prev, next| MACHINE.switch(delta, prev, 1, next)[4..].to_vec();
    let comm = [words(&[pair(11, 11)]), b"one\0\0\0\0\0".to_vec()].concat();
    let fork = words(&[pair(12, 11), pair(12, 11), 2_500]);
    let map = [
        words(&[pair(11, 11), 0x1000, 0x2000, 0, 0, 0, 0, 0]),
        b"/bin/one".to_vec(),
        words(&[0]),
    ]
    .concat();
    vec![
        with_end(3, 0, &comm, 0),
        with_end(7, 0, &fork, 2_500),
        sample(1, 3_000, 1, &switch(0, 11, 12)),
        sample(1, 2_000, 0, &switch(0, 0, 11)),
        record(68, 0, &[]),
        with_end(10, 0, &map, 3_500),
        with_end(2, 0, &words(&[1, 9]), 4_000),
        sample(2, 4_500, 0, &[]),
        record(68, 0, &[]),
        with_end(15, 1 << 13, &words(&[pair(12, 12)]), 4_600),
        with_end(4, 0, &words(&[pair(12, 11), pair(12, 11), 5_000]), 5_000),
        with_end(17, 0, &words(&[1, 2]), 5_100),
    ]
}

/// `struct perf_event_attr` of a tracepoint, or of the clock of the CPU.
fn attr(kind: u32, config: u64) -> Vec<u8> {
    let flags = 1 << 18 | 1 << 13 | 1 << 9;
    let mut attr = [kind.to_le_bytes(), 128_u32.to_le_bytes()].concat();
    attr.extend(words(&[config, 1, SAMPLE, 4, flags]));
    attr.resize(128, 0);
    attr
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize((text.len() + 1).next_multiple_of(64), 0);
    [
        &u32::try_from(bytes.len()).unwrap().to_le_bytes()[..],
        &bytes,
    ]
    .concat()
}

/// A perf.data; its records compressed, or not.
pub(crate) fn perf(is_compressed: bool) -> Vec<u8> {
    let records = records();
    let data = if is_compressed {
        let packed = records.split(|record| record[0] == 68).map(|round| {
            let packed = zstd::encode_all(&round.concat()[..], 1).unwrap();
            [record(81, 0, &packed), record(68, 0, &[])].concat()
        });
        packed.collect::<Vec<_>>().concat()
    } else {
        records.concat()
    };
    let descriptions = {
        let one = |kind, config, id: u64, name: &str| {
            [
                attr(kind, config),
                1_u32.to_le_bytes().to_vec(),
                text(name),
                words(&[id]),
            ]
            .concat()
        };
        let head = [2_u32.to_le_bytes(), 128_u32.to_le_bytes()].concat();
        [
            head,
            one(2, 7, 1, "sched:sched_switch"),
            one(1, 0, 2, "cpu-clock"),
        ]
        .concat()
    };
    let features = [
        (1, MACHINE.texts("0.6")),
        (3, text("machine")),
        (6, text("x86_64")),
        (12, descriptions),
    ];
    let ids = 104;
    let attrs = ids + 16;
    let data_at = attrs + 2 * 144;
    let table_at = data_at + data.len();
    let mut file = b"PERFILE2".to_vec();
    file.extend(words(&[
        104,
        144,
        attrs as u64,
        288,
        data_at as u64,
        data.len() as u64,
        0,
        0,
    ]));
    file.extend(words(&[1 << 1 | 1 << 3 | 1 << 6 | 1 << 12, 0, 0, 0]));
    file.extend(words(&[1, 2]));
    for (index, (kind, config)) in [(2, 7), (1, 0)].into_iter().enumerate() {
        file.extend(attr(kind, config));
        file.extend(words(&[(ids + 8 * index) as u64, 8]));
    }
    file.extend(data);
    let mut at = table_at + 16 * features.len();
    for (_, content) in &features {
        file.extend(words(&[at as u64, content.len() as u64]));
        at += content.len();
    }
    for (_, content) in features {
        file.extend(content);
    }
    file
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7F).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    [
        varint(field << 3 | 2),
        varint(bytes.len() as u64),
        bytes.to_vec(),
    ]
    .concat()
}

fn packed(field: u64, numbers: &[u64]) -> Vec<u8> {
    let all: Vec<u8> = numbers.iter().flat_map(|number| varint(*number)).collect();
    bytes(field, &all)
}

fn event(ticks: u64, tid: u64, kind: u64, body: &[u8]) -> Vec<u8> {
    bytes(
        2,
        &[number(1, ticks), number(2, tid), bytes(kind, body)].concat(),
    )
}

/// A trace of Perfetto: events of two CPUs, one of them in columns; the second part compressed, or not.
pub(crate) fn perfetto(packing: Option<u64>) -> Vec<u8> {
    let switch = [
        bytes(1, b"one"),
        number(2, 11),
        number(4, 1),
        bytes(5, b"two"),
        number(6, 12),
    ]
    .concat();
    let call = [number(1, 257), packed(2, &[3, 0x7fff_0000, 0])].concat();
    let generic = {
        let field = bytes(2, &[bytes(1, b"level"), number(4, 9)].concat());
        [bytes(1, b"own_event"), field].concat()
    };
    let first = [
        number(1, 0),
        event(2_000, 11, 4, &switch),
        event(2_500, 12, 329, &call),
        event(2_600, 12, 327, &generic),
        event(2_700, 12, 999, &number(3, 5)),
        event(
            2_800,
            12,
            70_000,
            &[number(1, 4), bytes(2, b"name")].concat(),
        ),
    ];
    let described = [
        bytes(1, b"described"),
        bytes(
            2,
            &[bytes(1, b"count"), number(3, 1), number(5, 4)].concat(),
        ),
        bytes(
            2,
            &[bytes(1, b"label"), number(3, 2), number(5, 9)].concat(),
        ),
    ];
    let descriptor = bytes(
        11,
        &[
            number(1, 70_000),
            bytes(2, &described.concat()),
            bytes(3, b"own"),
        ]
        .concat(),
    );
    let compact = [
        packed(1, &[2_100, 300, 600]),
        packed(2, &[0, 1, 0x100]),
        packed(3, &[21, 22, 21]),
        packed(4, &[120, 120, 120]),
        bytes(5, b"three"),
        bytes(5, b"four"),
        packed(6, &[0, 1, 0]),
        packed(7, &[2_200]),
        packed(8, &[22]),
        packed(9, &[1]),
        packed(10, &[120]),
        packed(11, &[1]),
        packed(12, &[0]),
    ];
    let second = [number(1, 1), number(3, 1), bytes(4, &compact.concat())];
    let uname = [bytes(1, b"Linux"), bytes(3, b"6.6.0"), bytes(4, b"x86_64")].concat();
    let tree = [
        bytes(
            1,
            &[number(1, 11), number(2, 1), bytes(3, b"/bin/one")].concat(),
        ),
        bytes(
            2,
            &[number(1, 12), number(3, 11), bytes(2, b"worker")].concat(),
        ),
    ];
    let clocks = [
        [number(1, 1), number(2, 1_000_000)].concat(),
        [number(1, 6), number(2, 1_000)].concat(),
    ];
    let clocks: Vec<u8> = clocks.iter().flat_map(|clock| bytes(1, clock)).collect();
    let packet = |parts: Vec<u8>| bytes(1, &parts);
    let head = [
        packet(bytes(45, &bytes(1, &uname))),
        packet(bytes(2, &tree.concat())),
        packet(bytes(6, &clocks)),
    ];
    let bundles = [
        packet(bytes(1, &[first.concat(), descriptor].concat())),
        packet(bytes(1, &second.concat())),
    ];
    let bundles = match packing {
        None => bundles.concat(),
        Some(field @ 50) => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &bundles.concat()).unwrap();
            packet(bytes(field, &encoder.finish().unwrap()))
        }
        Some(field) => packet(bytes(
            field,
            &zstd::encode_all(&bundles.concat()[..], 1).unwrap(),
        )),
    };
    [head.concat(), bundles].concat()
}
