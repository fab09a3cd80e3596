//! Traces of other tracers, whatever their format: lanes become one stream, events get their threads, losses and clocks
//! that go backward are told.

#![allow(
    clippy::unwrap_used,
    reason = "tests end where something is not as expected"
)]

use std::collections::BTreeMap;

use analyzer::model::{Alias, CpuId, FieldSource, Pid, Tid};
use analyzer::report::{Options, ReportFormat, report_named};
use analyzer::sources::foreign::{
    Description, Foreign, ForeignTrace, Head, KnownThread, Lane, LaneLoss, Step,
};
use analyzer::sources::{
    Clock, Fields, Finding, Item, NamedTrace, Range, Several, SeveralError, Trace, TraceError,
};
use trace_format::{EventId, EventSchema, FieldKind, FieldSchema, Schema, Value};

/// A trace that a test wrote down.
#[derive(Debug)]
struct Scripted {
    description: Description,
    lanes: Vec<Vec<Line>>,
}

/// What a lane has.
#[derive(Clone, Debug)]
enum Line {
    Event(Head, Vec<Value<'static>>),
    Loss(LaneLoss),
}

struct ScriptedLane<'t> {
    lines: &'t [Line],
    position: usize,
}

impl ForeignTrace for Scripted {
    fn description(&self) -> &Description {
        &self.description
    }

    fn lanes(&self, _: &Range) -> Result<Vec<Box<dyn Lane + '_>>, TraceError> {
        let lane = |lines| -> Box<dyn Lane + '_> { Box::new(ScriptedLane { lines, position: 0 }) };
        Ok(self.lanes.iter().map(|lines| lane(&lines[..])).collect())
    }
}

impl Lane for ScriptedLane<'_> {
    fn advance(&mut self) -> Result<Step, TraceError> {
        let line = self.lines.get(self.position);
        self.position += 1;
        Ok(match line {
            None => Step::End,
            Some(Line::Event(head, _)) => Step::Event(*head),
            Some(Line::Loss(loss)) => Step::Loss(*loss),
        })
    }

    fn fields(&self) -> Fields<'_> {
        match &self.lines[self.position - 1] {
            Line::Event(_, values) => Fields::Plain(values),
            Line::Loss(_) => Fields::Plain(&[]),
        }
    }

    fn findings(&self) -> &[Finding] {
        &[]
    }
}

const SWITCH: u16 = 0;
const CALL: u16 = 1;

/// A tracer with names of its own: `switch` from a thread in a state to another, `call` of a number.
fn description() -> Description {
    let field = |name: &str, kind| FieldSchema {
        name: name.to_owned(),
        kind,
        unit: None,
        doc: String::new(),
    };
    let event = |id, name: &str, fields| EventSchema {
        id: EventId(id),
        name: name.to_owned(),
        category: "test".to_owned(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields,
    };
    let switch = vec![
        field("from", FieldKind::Unsigned),
        field("state", FieldKind::Unsigned),
        field("to", FieldKind::Unsigned),
        field("to_name", FieldKind::Text),
    ];
    let schema = Schema {
        events: vec![
            event(SWITCH, "switch", switch),
            event(CALL, "call", vec![field("what", FieldKind::Unsigned)]),
        ],
        enums: Vec::new(),
    };
    let mut description = Description {
        format: "scripted trace".to_owned(),
        schema,
        clock: Clock {
            first_tsc: 1000,
            tsc_hz: 1_000_000_000,
        },
        last_ticks: 2000,
        threads: vec![KnownThread {
            tid: Tid(11),
            pid: Some(Pid(10)),
            comm: b"worker".to_vec(),
        }],
        ..Description::default()
    };
    let alias = |is: &str, fields: &[(&str, usize)]| Alias {
        is: is.to_owned(),
        fields: { fields.iter() }
            .map(|(name, index)| ((*name).to_owned(), FieldSource::plain(*index)))
            .collect(),
    };
    let of_switch = [
        ("prev_pid", 0),
        ("prev_state", 1),
        ("next_pid", 2),
        ("next_comm", 3),
    ];
    description
        .aliases
        .insert(EventId(SWITCH), alias("sched_switch", &of_switch));
    description
        .aliases
        .insert(EventId(CALL), alias("syscall_entry", &[("nr", 0)]));
    description
}

fn head(ticks: u64, cpu: u32, event: u16, tid: Option<u32>) -> Head {
    Head {
        ticks,
        cpu: CpuId(cpu),
        event: EventId(event),
        tid: tid.map(Tid),
        pid: None,
    }
}

fn switch(ticks: u64, cpu: u32, from: u64, to: u64, name: &'static str) -> Line {
    let number = Value::Number;
    let values = vec![
        number(from),
        number(1),
        number(to),
        Value::Bytes(name.as_bytes()),
    ];
    Line::Event(head(ticks, cpu, SWITCH, None), values)
}

fn call(ticks: u64, cpu: u32, tid: Option<u32>) -> Line {
    Line::Event(head(ticks, cpu, CALL, tid), vec![Value::Number(1)])
}

fn trace(lanes: Vec<Vec<Line>>) -> Trace {
    trace_of(description(), lanes)
}

fn trace_of(description: Description, lanes: Vec<Vec<Line>>) -> Trace {
    Trace::Foreign(Foreign::new(Box::new(Scripted { description, lanes })))
}

/// Each item as a line: time, CPU, event, thread.
fn lines(trace: &Trace, range: &Range) -> (Vec<String>, Vec<Finding>) {
    let mut stream = trace.stream(range).unwrap();
    let mut lines = Vec::new();
    while let Some(item) = stream.next_item().unwrap() {
        lines.push(match item {
            Item::Loss(loss) => format!(
                "{} {} lost {:?} since {:?}",
                loss.at.0, loss.cpu, loss.count, loss.since
            ),
            Item::Record(record) => {
                let name = &trace.schema().event(record.event).unwrap().name;
                let context = record.context;
                let comm = String::from_utf8_lossy(&context.comm);
                let (at, cpu, tid, pid) = (record.at.0, record.cpu, context.tid, context.pid);
                format!("{at} {cpu} {name} {comm}:{pid}/{tid}")
            }
        });
    }
    (lines, stream.damage())
}

#[test]
fn lanes_become_one_stream_whose_events_have_their_threads() {
    let trace = trace(vec![
        vec![
            switch(1000, 0, 0, 11, "worker"),
            call(1200, 0, None),
            switch(1300, 0, 11, 12, "other"),
            call(1400, 0, None),
        ],
        vec![call(1100, 1, Some(12)), call(1250, 1, Some(12))],
    ]);
    let (lines, damage) = lines(&trace, &Range::default());
    let expected = [
        "0 0 switch swapper/0:0/0",
        // The first event of CPU 1 says who runs there.
        "100 1 thread_context :12/12",
        "100 1 call :12/12",
        // What is known of a thread is told before its first event.
        "200 0 thread_context worker:10/11",
        "200 0 call worker:10/11",
        "250 1 call :12/12",
        "300 0 switch worker:10/11",
        "400 0 call other:12/12",
    ];
    assert_eq!(lines, expected);
    assert_eq!(damage, []);
}

#[test]
fn what_the_kernel_does_in_the_name_of_the_thread_that_it_leaves_is_that_threads() {
    let trace = trace(vec![vec![
        call(1000, 0, Some(12)),
        switch(1100, 0, 12, 11, "worker"),
        call(1101, 0, Some(12)),
        call(1200, 0, Some(11)),
        // Now it runs again, although no change to it was seen.
        call(1300, 0, Some(12)),
    ]]);
    let expected = [
        "0 0 thread_context :12/12",
        "0 0 call :12/12",
        "100 0 switch :12/12",
        "101 0 call :12/12",
        "200 0 thread_context worker:10/11",
        "200 0 call worker:10/11",
        "300 0 thread_context :12/12",
        "300 0 call :12/12",
    ];
    assert_eq!(lines(&trace, &Range::default()).0, expected);
}

#[test]
fn losses_and_clocks_that_go_backward_are_told() {
    let loss = Line::Loss(LaneLoss {
        cpu: CpuId(0),
        ticks: 1200,
        count: Some(7),
    });
    let trace = trace(vec![vec![
        call(1100, 0, Some(11)),
        loss,
        call(1300, 0, None),
        call(1250, 0, Some(11)),
        call(1400, 9000, None),
    ]]);
    let (lines, damage) = lines(&trace, &Range::default());
    let expected = [
        "100 0 thread_context worker:10/11",
        "100 0 call worker:10/11",
        "200 0 lost Some(7) since Some(GuestNanos(100))",
        "300 0 call worker:10/11",
        // After a loss it is said again who runs.
        "300 0 thread_context worker:10/11",
        "300 0 call worker:10/11",
    ];
    assert_eq!(lines, expected);
    let names: BTreeMap<&str, Option<u64>> = { damage.iter() }
        .map(|finding| (finding.name.as_str(), finding.count))
        .collect();
    assert_eq!(
        names,
        BTreeMap::from([("clock_backward", Some(1)), ("cpu_impossible", Some(1))])
    );
}

#[test]
fn a_range_begins_with_what_is_known_then() {
    let trace = trace(vec![vec![
        switch(1000, 0, 0, 11, "worker"),
        call(1200, 0, None),
        call(1300, 0, None),
        call(1400, 0, None),
    ]]);
    let range = Range {
        tscs: 1300..=1300,
        ..Range::default()
    };
    assert_eq!(lines(&trace, &range).0, ["300 0 call worker:10/11"]);
}

#[test]
fn reports_are_those_of_any_trace() {
    let trace = trace(vec![vec![
        switch(1000, 0, 0, 11, "worker"),
        call(1200, 0, None),
        switch(1300, 0, 11, 0, "swapper/0"),
        switch(1400, 0, 0, 11, "worker"),
    ]]);
    let report = report_named("processes")
        .unwrap()
        .make(&trace, &Options::default())
        .unwrap();
    let mut json = Vec::new();
    report.write(ReportFormat::Json, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let row = &json["processes"][0];
    assert_eq!(
        (&row["pid"], &row["comm"]),
        (&10.into(), &"worker".into()),
        "{json:#}"
    );
}

/// A trace with one call by thread 11 on CPU 0 at its very start, of a machine, that began at a time of day.
fn call_on(machine: &str, start_nanos: Option<i128>, offset: Option<i64>) -> NamedTrace {
    let description = Description {
        machine: Some(machine.to_owned()),
        // The clock's tick 1000 is the start.
        epoch_nanos: start_nanos.map(|start| start - 1000),
        cpu_count: 2,
        ..description()
    };
    NamedTrace {
        name: machine.to_owned(),
        trace: trace_of(description, vec![vec![call(1000, 0, Some(11))]]),
        offset,
    }
}

#[test]
fn traces_of_one_machine_are_one_and_those_of_two_are_told_apart() {
    let parts = vec![
        call_on("here", Some(5_000_000), None),
        call_on("there", Some(5_000_300), None),
        call_on("here", Some(5_000_100), None),
    ];
    let all = Trace::Several(Several::new(parts).unwrap());
    let expected = [
        "0 0 thread_context worker:10/11",
        "0 0 call worker:10/11",
        "100 0 thread_context worker:10/11",
        "100 0 call worker:10/11",
        // Of the other machine are CPUs from 2 on, and threads from 4194304 on.
        "300 2 thread_context worker:4194314/4194315",
        "300 2 call worker:4194314/4194315",
    ];
    assert_eq!(lines(&all, &Range::default()).0, expected);
    let later = Range {
        tscs: 100..=200,
        ..Range::default()
    };
    assert_eq!(lines(&all, &later).0, expected[2..4]);
    assert_eq!((all.cpu_count(), all.duration().0), (4, 1300));
    let report = report_named("processes").unwrap();
    let report = report.make(&all, &Options::default()).unwrap();
    let mut json = Vec::new();
    report.write(ReportFormat::Json, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let pids: Vec<_> = { json["processes"].as_array().unwrap().iter() }
        .map(|row| row["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(pids, [10, 4_194_314], "{json:#}");
}

#[test]
fn traces_without_a_time_of_day_need_an_offset() {
    let parts = vec![call_on("a", None, None), call_on("b", None, None)];
    assert_eq!(
        Several::new(parts).unwrap_err(),
        SeveralError::NoTime("b".to_owned())
    );
    let parts = vec![call_on("a", None, None), call_on("b", None, Some(-250))];
    let all = Trace::Several(Several::new(parts).unwrap());
    let (lines, _) = lines(&all, &Range::default());
    assert_eq!(lines[1], "0 2 call worker:4194314/4194315");
    assert_eq!(lines[3], "250 0 call worker:10/11");
}
