//! Questions that a trace knows the answer of.

use analyzer::check::{CheckFormat, Rules, check};
use expect_test::{Expect, expect};
use guesttrace_tests::fuzz;

use super::{check_rules, open, script, synthetic};

const QUESTIONS: &str = r#"
[[count]]
name = "the program was started"
events = 'event == sched_process_exec'
equals = 1

[[answer]]
key = "forks"
question = "How many processes are made?"
points = 2
events = 'event == sched_process_fork'

[[answer]]
key = "program"
question = "Which program is started?"
events = 'event == sched_process_exec'
field = "filename"

[[answer]]
key = "exec_at"
question = "When?"
events = 'event == sched_process_exec'
field = "time"

[[answer]]
key = "child"
question = "Which thread is it that write is called by?"
events = 'event == syscall_entry && name == "write"'
field = "tid"

[[answer]]
key = "write_takes"
question = "How long is write on its way?"
begin = 'event == syscall_entry && name == "write"'
end = 'event == syscall_exit'

[[answer]]
key = "blocked"
question = "How long does process 1 wait?"
tid = 1
state = "blocked"
tolerance = "1us"

[[answer]]
key = "worst"
question = "Which call takes longest?"
report = "syscalls"
table = "calls"
column = "name"

[[answer]]
key = "calls"
question = "How many calls of wait4 are there?"
report = "syscalls"
table = "calls"
row = { name = "wait4" }
column = "count"

[[answer]]
key = "why"
question = "Why: (a) a page fault, (b) a child?"
answer = "b"
"#;

fn graded(answers: &str, are_shown: bool, format: CheckFormat) -> String {
    let mut rules = Rules::parse(QUESTIONS).unwrap();
    if let Err(error) = rules.take_answers(answers) {
        return format!("error: {error}\n");
    }
    let trace = open(&script("first_program"));
    let mut report = check(&trace, &rules, None, &synthetic::schema()).unwrap();
    report.findings.clear();
    if !are_shown {
        report.hide_truths();
    }
    let mut out = Vec::new();
    report.write(format, "rules.toml", &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check_answers(answers: &str, expected: Expect) {
    expected.assert_eq(&graded(answers, false, CheckFormat::Text));
}

const RIGHT: &str = "forks = 3\nprogram = '/sbin/init'\nexec_at = '6us'\nchild = 3\nwrite_takes = '2us'\n\
                     blocked = '5.9 us'\nworst = 'WAIT4'\ncalls = '1'\nwhy = ' B '\n";

#[test]
fn answers_are_held_against_the_trace() {
    check_answers(
        RIGHT,
        expect![[r#"
        passed  the program was started
        right   forks (2 points)
        right   program (1 point)
        right   exec_at (1 point)
        right   child (1 point)
        unknown write_takes (1 point)
                How long is write on its way?
                found    2us
                because  an event lacks a field that decides
        right   blocked (1 point)
        right   worst (1 point)
        right   calls (1 point)
        right   why (1 point)
        1 rules: 1 passed, 0 failed, 0 unknown
        9 answers: 8 right, 0 wrong, 0 missing, 1 unknown
        9 of 10 points
    "#]],
    );
    check_answers(
        "forks = 4\nprogram = '/bin/init'\nexec_at = 6\nwrite_takes = '2.1us'\nblocked = '6us'\nwhy = ''",
        expect![[r#"
            passed  the program was started
            wrong   forks (2 points)
                    How many processes are made?
                    found    4
            wrong   program (1 point)
                    Which program is started?
                    found    /bin/init
            wrong   exec_at (1 point)
                    When?
                    found    6
                    because  a time is asked for, such as "1.5ms"
            missing child (1 point)
                    Which thread is it that write is called by?
            unknown write_takes (1 point)
                    How long is write on its way?
                    found    2.1us
                    because  an event lacks a field that decides
            right   blocked (1 point)
            missing worst (1 point)
                    Which call takes longest?
            missing calls (1 point)
                    How many calls of wait4 are there?
            missing why (1 point)
                    Why: (a) a page fault, (b) a child?
            1 rules: 1 passed, 0 failed, 0 unknown
            9 answers: 1 right, 3 wrong, 4 missing, 1 unknown
            1 of 10 points
        "#]],
    );
}

#[test]
fn the_truth_is_told_on_request() {
    expect![[r#"
        kind,name,verdict,points,points_max,expected,found,reason
        count,the program was started,passed,,,exactly 1,1,
        answer,forks,wrong,0,2,3,2,
        answer,program,missing,0,1,/sbin/init,,
        answer,exec_at,missing,0,1,"6 us, within 1 %",,
        answer,child,missing,0,1,3,,
        answer,write_takes,missing,0,1,-,,
        answer,blocked,missing,0,1,"5.8 us, within 1 us",,
        answer,worst,missing,0,1,wait4,,
        answer,calls,missing,0,1,1,,
        answer,why,missing,0,1,b,,
    "#]]
    .assert_eq(&graded("forks = 2", true, CheckFormat::Csv));
    let json = graded("forks = 2", false, CheckFormat::Json);
    assert!(json.contains("\"points_max\": 10"), "{json}");
    assert!(!json.contains("/sbin/init"), "{json}");
    let junit = graded("forks = 2", false, CheckFormat::Junit);
    assert!(junit.contains("failures=\"9\""), "{junit}");
}

#[test]
fn without_answers_nothing_is_asked() {
    check_rules(
        QUESTIONS,
        expect![[r#"
        passed  the program was started
        1 rules: 1 passed, 0 failed, 0 unknown
    "#]],
    );
}

#[test]
fn what_is_no_file_of_answers() {
    check_answers(
        "forks = ",
        expect![[r#"
        error: line 1: string values must be quoted, expected literal string
        hint: a line of answers is key = "text" or key = 12
    "#]],
    );
    check_answers(
        "forks = [3]",
        expect![[r#"
        error: "forks" has to be text in quotes or a number, this is array
    "#]],
    );
    check_answers(
        "fork = 3",
        expect![[r#"
        error: there is no question "fork"; did you mean "forks"?
        hint: the questions are forks, program, exec_at, child, write_takes, blocked, worst, calls, why
    "#]],
    );
    check_answers(
        &"#".repeat(70_000),
        expect![[r#"
        error: the file has more than 65536 bytes
    "#]],
    );
    let mut rules = Rules::parse("[[never]]\nevents = 'event == tick'").unwrap();
    assert!(rules.take_answers("forks = 3").is_err());
}

#[test]
fn wrong_questions_say_what_is_wrong_and_where() {
    check_rules(
        "[[answer]]\nevents = 'event == tick'",
        expect![[r#"
        error: line 1: [[answer]] needs "key"
          [[answer]]
          ^^^^^^^^^^
        hint: the name of the answer in a file of answers
    "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'",
        expect![[r#"
        error: line 1: [[answer]] needs "answer"
          [[answer]]
          ^^^^^^^^^^
        hint: where the truth comes from: "answer", "events", "begin", "state" or "report"
    "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a b'\nanswer = 'x'",
        expect![[r#"
        error: line 2: "key" has to be a name of letters, digits and underscores
          key = 'a b'
                ^^^^^
    "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'\nevents = 'event == tick'\ncolumn = 'x'",
        expect![[r#"
            error: line 4: "events" and "column" do not go together
              column = 'x'
                       ^^^
        "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'\nanswer = 'x'\n[[answer]]\nkey = 'a'\nanswer = 'y'",
        expect![[r#"
            error: line 5: two questions have the key "a"
              key = 'a'
                    ^^^
        "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'\nstate = 'blocked'\ntid = 1\nof = 'half'",
        expect![[r#"
            error: line 5: there is no number of a state "half"
              of = 'half'
                   ^^^^^^
            hint: there are total, longest, share
        "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'\nanswer = 'x'\npoints = 100000",
        expect![[r#"
            error: line 4: "points" has to be at most 1000
              points = 100000
                       ^^^^^^
        "#]],
    );
    check_rules(
        "[[answer]]\nkey = 'a'\nevents = 'event == tick'\nfield = 'x y'",
        expect![[r#"
            error: line 4: "field" has to name something that the events have, such as "tid" or "sched_waking.pid"
              field = 'x y'
                      ^^^^^
        "#]],
    );
}

#[test]
fn fuzz_answers() {
    let mut understood = 0;
    fuzz(|chance| {
        let mut bytes = RIGHT.as_bytes().to_vec();
        chance.damage(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        understood += usize::from(!graded(&text, true, CheckFormat::Csv).starts_with("error"));
    });
    assert!(understood > 0, "no answer survived");
}
