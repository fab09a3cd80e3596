/* exercise signals: what becomes of signals. A process called sender sends them to one called receiver, which has handlers,
 * blocks some for a while, is stopped and goes on, and is killed at last. */
#include "exercise.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ASKED = 20, BURST = 10 };

static volatile sig_atomic_t asked, queued, queued_sum;

/* Written to by the receiver when it is where the sender wants it to be. */
static int reached[2];

static void on_asked(int number) {
  (void)number;
  asked++;
}

static void on_queued(int number, siginfo_t *info, void *unused) {
  (void)number, (void)unused;
  queued++;
  queued_sum += info->si_value.sival_int;
}

static void say_reached(void) { must(write(reached[1], "", 1), "write"); }

static void await_reached(void) {
  char byte;
  check(read(reached[0], &byte, 1) == 1, "the receiver is there");
}

/* Signals one by one, each when the one before it was taken. */
static void receive_questions(sigset_t *all) {
  sigset_t before;
  must(sigprocmask(SIG_BLOCK, all, &before), "sigprocmask");
  for (int i = 0; i < ASKED; i++) {
    say_reached();
    sigsuspend(&before);
  }
  check(asked == ASKED, "each signal that was awaited is taken");
}

/* Many while they are blocked: those of a number below 32 become one, the others wait in a queue. */
static void receive_burst(sigset_t *all) {
  sigset_t pending, usr2;
  asked = 0;
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  say_reached();
  /* The last one, for which there is no handler. */
  must(sigwaitinfo(&usr2, NULL), "sigwaitinfo");
  must(sigpending(&pending), "sigpending");
  check(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN), "signals that are blocked are pending");
  must(sigprocmask(SIG_UNBLOCK, all, NULL), "sigprocmask");
  check(queued == BURST, "signals in a queue all come");
  check(asked == 1, "a signal that is pending is not pending twice");
  check(queued_sum == BURST * (BURST - 1) / 2, "signals in a queue keep their values");
}

static sigjmp_buf back;

static void on_trouble(int number) { siglongjmp(back, number); }

/* Signals of its own making: a pipe that nobody reads, an address that is not there. */
static void make_trouble(void) {
  int ends[2];
  signal(SIGPIPE, on_trouble);
  signal(SIGSEGV, on_trouble);
  must(pipe(ends), "pipe");
  must(close(ends[0]), "close");
  volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int number = sigsetjmp(back, 1);
  if (number == 0) check(write(ends[1], "", 1) < 0, "nobody reads from the pipe");
  if (number == SIGPIPE) *nowhere = 1;
  check(number == SIGSEGV, "a pipe that nobody reads and an address where nothing is are signals");
}

static void receive(void) {
  sigset_t all;
  struct sigaction with_value = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO};
  call_me("receiver");
  sigemptyset(&all);
  sigaddset(&all, SIGUSR1);
  sigaddset(&all, SIGUSR2);
  sigaddset(&all, SIGRTMIN);
  signal(SIGUSR1, on_asked);
  must(sigaction(SIGRTMIN, &with_value, NULL), "sigaction");
  receive_questions(&all);
  receive_burst(&all);
  make_trouble();
  say_reached();
  /* Stopped, and woken again, and killed in here. */
  for (;;) pause();
}

static void await_state(pid_t receiver, int options, const char *what) {
  int status;
  must(waitpid(receiver, &status, options), "waitpid");
  int holds = options == WUNTRACED ? WIFSTOPPED(status) : options == WCONTINUED ? WIFCONTINUED(status)
                                                        : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  check(holds, what);
}

int signals(int argc, char **argv) {
  (void)argc, (void)argv;
  call_me("sender");
  must(pipe(reached), "pipe");
  pid_t receiver = (pid_t)must(fork(), "fork");
  if (receiver == 0) receive();
  /* A receiver that ends early must not leave the sender waiting. */
  must(close(reached[1]), "close");

  for (int i = 0; i < ASKED; i++) {
    await_reached();
    must(kill(receiver, SIGUSR1), "kill");
  }
  await_reached();
  for (int i = 0; i < BURST; i++) {
    must(kill(receiver, SIGUSR1), "kill");
    must(sigqueue(receiver, SIGRTMIN, (union sigval){.sival_int = i}), "sigqueue");
  }
  must(kill(receiver, SIGUSR2), "kill");
  await_reached();
  must(kill(receiver, SIGSTOP), "kill");
  await_state(receiver, WUNTRACED, "the receiver is stopped");
  must(kill(receiver, SIGCONT), "kill");
  await_state(receiver, WCONTINUED, "the receiver goes on");
  must(kill(receiver, SIGKILL), "kill");
  await_state(receiver, 0, "the receiver is killed");
  printf("signals: all were taken as they should\n");
  return 0;
}
