/* exercise timers: each way of being told that time has passed, by a process that is named after it: nanosleep, setitimer,
 * timerfd, timer_create, and sleeps whose timers the kernel may put off a little or a lot (timer slack). */
#include "exercise.h"
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

enum { TURNS = 10, PERIOD = 5000 };

static const struct timespec period = {0, PERIOD * 1000};
static const struct itimerspec every_period = {{0, PERIOD * 1000}, {0, PERIOD * 1000}};
static volatile sig_atomic_t alarms;

static void on_alarm(int number) {
  (void)number;
  alarms++;
}

static void by_nanosleep(void) {
  for (int i = 0; i < TURNS; i++) must(nanosleep(&period, NULL), "nanosleep");
}

/* Waits in a way that no signal can come too early for. */
static void await_alarms(void) {
  sigset_t alarm_only, before;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  must(sigprocmask(SIG_BLOCK, &alarm_only, &before), "sigprocmask");
  while (alarms < TURNS) sigsuspend(&before);
}

static void by_itimer(void) {
  struct itimerval every = {{0, PERIOD}, {0, PERIOD}};
  signal(SIGALRM, on_alarm);
  must(setitimer(ITIMER_REAL, &every, NULL), "setitimer");
  await_alarms();
}

static void by_posix_timer(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  signal(SIGALRM, on_alarm);
  must(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
  must(timer_settime(timer, 0, &every_period, NULL), "timer_settime");
  await_alarms();
  must(timer_delete(timer), "timer_delete");
}

static void by_timerfd(void) {
  int timer = (int)must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd_create");
  must(timerfd_settime(timer, 0, &every_period, NULL), "timerfd_settime");
  for (unsigned long long times = 0, now; times < TURNS; times += now)
    check(read(timer, &now, sizeof now) == sizeof now, "a timer can be read");
}

/* Returns how late the sleeps ended, all together, in microseconds. */
static long sleep_with_slack(unsigned long nanoseconds) {
  must(prctl(PR_SET_TIMERSLACK, nanoseconds), "prctl");
  long before = now_micros();
  by_nanosleep();
  return now_micros() - before - TURNS * PERIOD;
}

static void with_little_slack(void) { check(sleep_with_slack(1) < TURNS * 1000, "without slack sleeps end in time"); }

static void with_much_slack(void) {
  check(sleep_with_slack(4000000) > TURNS * 1000, "with slack the kernel lets sleeps end together with something else");
}

static void in_a_process(const char *name, void (*wait_for_time)(void)) {
  int status;
  if (must(fork(), "fork") == 0) {
    call_me("%s", name);
    wait_for_time();
    _exit(0);
  }
  must(wait(&status), "wait");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "each process ends well");
}

int timers(int argc, char **argv) {
  (void)argc, (void)argv;
  in_a_process("nanosleep", by_nanosleep);
  in_a_process("itimer", by_itimer);
  in_a_process("posix-timer", by_posix_timer);
  in_a_process("timerfd", by_timerfd);
  in_a_process("slack-little", with_little_slack);
  in_a_process("slack-much", with_much_slack);
  printf("timers: each came as often as it should\n");
  return 0;
}
