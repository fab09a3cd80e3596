/* What the parts of `exercise` share. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each part is a subcommand: it gets the arguments after its name and returns the exit status. */
int accounts(int argc, char **argv);
int burn(int argc, char **argv);
int compat(int argc, char **argv);
int desktop(int argc, char **argv);
int export(int argc, char **argv);
int files(int argc, char **argv);
int ftp(int argc, char **argv);
int hostile(int argc, char **argv);
int identities(int argc, char **argv);
int ipc(int argc, char **argv);
int keyboard(int argc, char **argv);
int snapshot(int argc, char **argv);
int table(int argc, char **argv);
int threads(int argc, char **argv);
int traps(int argc, char **argv);
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
