/* What the parts of `exercise` share. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Each part is a subcommand: it gets the arguments after its name and returns the exit status. */
int accounts(int argc, char **argv);
int burn(int argc, char **argv);
int compat(int argc, char **argv);
int contention(int argc, char **argv);
int desktop(int argc, char **argv);
int diskpattern(int argc, char **argv);
int export(int argc, char **argv);
int faults(int argc, char **argv);
int files(int argc, char **argv);
int forktree(int argc, char **argv);
int ftp(int argc, char **argv);
int hostile(int argc, char **argv);
int identities(int argc, char **argv);
int inversion(int argc, char **argv);
int ipc(int argc, char **argv);
int keyboard(int argc, char **argv);
int library(int argc, char **argv);
int packetstorm(int argc, char **argv);
int philosophers(int argc, char **argv);
int pingpong(int argc, char **argv);
int producer(int argc, char **argv);
int race(int argc, char **argv);
int signals(int argc, char **argv);
int snapshot(int argc, char **argv);
int swap(int argc, char **argv);
int sysvipc(int argc, char **argv);
int table(int argc, char **argv);
int threads(int argc, char **argv);
int timers(int argc, char **argv);
int traps(int argc, char **argv);
int type(int argc, char **argv);
int waits(int argc, char **argv);

/* One event that the trace has to hold: its name, then fields as the trace tells them. */
#define expect(...) printf("expect " __VA_ARGS__), putchar('\n')

/* The part of `table` that makes 32-bit calls. */
void calls32(void);

/* A workload whose calls fail would be a poor witness: the first failure ends the program. */
static inline long must(long result, const char *what) {
  if (result < 0) {
    fprintf(stderr, "exercise: %s: %s\n", what, strerror(errno));
    exit(1);
  }
  return result;
}

/* Ends the program when what it has seen is not what has to be. */
static inline void check(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "exercise: it does not hold that %s\n", what);
  exit(1);
}

/* Names the running thread for a trace, as printf would, in at most 15 characters. */
void call_me(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Begins a phase in the kernel's log, which a trace shows as a marker. */
void phase(const char *name);
/* Computes until the running thread has used so much more time of a CPU. */
void work_micros(long micros);
/* Time on the clock that only goes forward. */
long now_micros(void);
