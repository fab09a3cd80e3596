/* exercise forktree: a tree of processes. Each above the leaves has two children, waits for both and adds up how many
 * there are below it; a process is named after its depth. */
#include "exercise.h"
#include <sys/wait.h>

enum { DEPTH = 4 };

/* Returns the number of processes in this part of the tree; each tells its own to its parent by its exit status. */
static int grow(int depth) {
  call_me("tree-%d", depth);
  if (depth == DEPTH) {
    work_micros(2000);
    return 1;
  }
  for (int child = 0; child < 2; child++)
    if (must(fork(), "fork") == 0) _exit(grow(depth + 1));
  int processes = 1;
  for (int child = 0; child < 2; child++) {
    int status;
    must(wait(&status), "wait");
    check(WIFEXITED(status), "a child ends by itself");
    processes += WEXITSTATUS(status);
  }
  return processes;
}

int forktree(int argc, char **argv) {
  (void)argc, (void)argv;
  int status;
  if (must(fork(), "fork") == 0) _exit(grow(0));
  must(wait(&status), "wait");
  int expected = (2 << DEPTH) - 1;
  check(WIFEXITED(status) && WEXITSTATUS(status) == expected, "every process of the tree was counted");
  printf("forktree: %d processes, all waited for\n", expected);
  return 0;
}
