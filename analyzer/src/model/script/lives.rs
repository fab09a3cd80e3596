//! How threads begin, become other programs and end.

use expect_test::expect;

use super::check;

#[test]
fn child_of_clone_returns_from_its_parents_call() {
    check(
        "0 switch 0 R 7; 1 call 56; 2 fork 7 9; 3 new 9; 4 ret 56 9; 5 switch 7 R 9; 6 ret 56 0; 8 switch 9 S 7; 9 end",
        expect![[r#"
            7: running_unknown 1, syscall 3, user 1, runnable 3, user 1
            9: blocked 1, runnable 2, syscall 1, user 2, blocked 1
            cpu 0: running_unknown 1, syscall 3, user 1, syscall 1, user 3
            syscall 56 took 3 = 9
            syscall 56 took 4 = 0
            9 waited for start, ended by thread
        "#]],
    );
}

#[test]
fn exec_and_exit_never_return_to_their_caller() {
    check(
        "0 switch 0 R 7; 1 call 59; 2 exec 7; 3 ret 59; 4 call 231; 5 exit 7; 6 switch 7 X 0; 9 end",
        expect![[r#"
            7: running_unknown 1, syscall 2, user 1, syscall 2
            cpu 0: running_unknown 1, syscall 2, user 1, syscall 2, idle 3
            syscall 59 took 2 = 0
        "#]],
    );
}

#[test]
fn exec_of_a_second_thread_takes_the_leaders_number() {
    check(
        "0 switch 0 R 7; 1 call 56; 2 fork 7 8; 2 new 8; 3 ret 56 8; 4 call 202; 5 switch 7 S 8; 6 ret 56; 7 call 59; \
         8 exec 7 8; 9 ret 59; 10 switch 7 S 0; 11 end",
        expect![[r#"
            7: running_unknown 1, syscall 2, user 1, syscall 1, blocked 3
            7: syscall 2, user 1, blocked 1
            8: runnable 3, syscall 1, user 1
            cpu 0: running_unknown 1, syscall 2, user 1, syscall 2, user 1, syscall 2, user 1, idle 1
            syscall 56 took 2 = 8
            syscall 56 took 4 = 0
            syscall 59 took 2 = 0
        "#]],
    );
}

#[test]
fn kernel_thread_that_becomes_a_program_returns_from_no_call() {
    check(
        "0 boot; 1 fork 0 1; 2 new 1; 3 switch 0 R 1; 4 exec 1; 6 ret 59; 8 call 1; 9 ret 1; 10 end",
        expect![[r#"
            1: blocked 1, runnable 1, kernel 1, kernel 2, user 2, syscall 1, user 1
            cpu 0: kernel 6, user 2, syscall 1, user 1
            syscall 1 took 1 = 0
            1 waited for start, ended by thread
        "#]],
    );
    check(
        "0 boot; 1 fork 0 1; 2 new 1; 3 switch 0 R 1; 4 exec 1; 6 trap 14 user; 7 trap_end 14; 10 end",
        expect![[r#"
            1: blocked 1, runnable 1, kernel 1, kernel 2, trap 1, user 3
            cpu 0: kernel 6, trap 1, user 3
            Trap { vector: 14 } took 1
            1 waited for start, ended by thread
        "#]],
    );
}

#[test]
fn number_of_a_dead_thread_is_given_to_another() {
    check(
        "0 switch 0 R 7; 2 exit 7; 3 switch 7 X 8; 4 fork 8 7; 5 new 7; 6 switch 8 S 7; 8 end",
        expect![[r#"
            7: running_unknown 3
            7: blocked 1, runnable 1, running_unknown 2
            8: unknown 3, running_unknown 3, blocked 2
            cpu 0: running_unknown 8
            7 waited for start, ended by thread
        "#]],
    );
}
