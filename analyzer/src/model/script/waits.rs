//! Why threads wait, and what ends that.

use expect_test::expect;

use super::check;

#[test]
fn a_wait_for_a_device_is_ended_by_its_request() {
    check(
        "0 switch 0 R 7; 1 named_call 0 read; 2 queue 64 4096; 3 issue 64 4096; 4 switch 7 D 0; \
         9 irq 33 kernel;          10 complete 64 1024; 11 complete 66 3072; 12 waking 7; 13 irq_end 33; 14 switch 0 R 7; 15 ret 0 100; 16 end",
        expect![[r#"
            7: running_unknown 1, syscall 3, blocked 8, runnable 2, syscall 1, user 1
            cpu 0: running_unknown 1, syscall 3, idle 5, irq 4, idle 1, syscall 1, user 1
            Irq { vector: 33 } took 4
            syscall 0 took 14 = 100
            request 64 of Some(7): 4096 bytes, Some(9) after queue, Some(8) after issue
            7 waited for file, ended by request
        "#]],
    );
}

#[test]
fn what_a_softirq_was_about_is_still_known_after_an_interrupt_in_it() {
    check(
        "0 switch 0 R 7; 1 named_call 7 poll; 2 switch 7 S 0; 3 irq 33 kernel; 4 softirq 3; 5 packet 60; \
         6 irq 34 kernel; 7 irq_end 34; 8 waking 7; 9 softirq_end 3; 10 irq_end 33; 11 switch 0 R 7; 12 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, blocked 6, runnable 3, syscall 1
            cpu 0: running_unknown 1, syscall 1, idle 1, irq 1, softirq 2, irq 1, softirq 2, irq 1, idle 1, syscall 1
            Irq { vector: 34 } took 1
            Softirq { vec: 3 } took 5
            Irq { vector: 33 } took 7
            7 waited for poll, ended by packet
        "#]],
    );
}

#[test]
fn sleep_is_ended_by_its_timer() {
    check(
        "0 switch 0 R 7; 1 named_call 35 nanosleep; 2 switch 7 S 0; 20 irq 35 kernel; 21 timer 99; 22 waking 7; \
         23 timer_end; 24 irq_end 35; 25 switch 0 R 7; 26 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, blocked 20, runnable 3, syscall 1
            cpu 0: running_unknown 1, syscall 1, idle 18, irq 4, idle 1, syscall 1
            Irq { vector: 35 } took 4
            7 waited for time, ended by timer
        "#]],
    );
}

#[test]
fn a_thread_that_wakes_in_its_own_name_ends_the_wait() {
    check(
        "0 switch 0 R 7; 0@1 switch 0 R 8; 1 named_call 202 futex; 2 switch 7 S 0; 3@1 named_call 202 futex; 4@1 waking 7; \
         5 switch 0 R 7; 6 ret 202 0; 7 irq 32 user; 8 switch 7 R 0; 9 switch 0 R 7; 10 end",
        expect![[r#"
            7: running_unknown 1, syscall 1, blocked 2, runnable 1, syscall 1, user 1, irq 1, runnable 1, irq 1
            8: running_unknown 3, syscall 7
            cpu 0: running_unknown 1, syscall 1, idle 3, syscall 1, user 1, irq 1, idle 1, irq 1
            cpu 1: running_unknown 3, syscall 7
            syscall 202 took 5 = 0
            7 waited for futex, ended by thread
        "#]],
    );
}
