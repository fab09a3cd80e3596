/* exercise library DIRECTORY: the same lines written to two files, by one process with a system call for each, by another
 * with the C library, whose buffer it is that goes to the kernel. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/wait.h>

enum { LINES = 2000 };

static int line_of(char *line, size_t size, int number) { return snprintf(line, size, "line %d of the file\n", number); }

static void by_calls(const char *path) {
  call_me("by-calls");
  char line[64];
  int file = (int)must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), path);
  for (int i = 0; i < LINES; i++) {
    int length = line_of(line, sizeof line, i);
    check(write(file, line, (size_t)length) == length, "a line is written whole");
  }
  must(close(file), "close");
}

static void by_library(const char *path) {
  call_me("by-library");
  char line[64];
  FILE *file = fopen(path, "w");
  if (!file) must(-1, path);
  for (int i = 0; i < LINES; i++) {
    line_of(line, sizeof line, i);
    check(fputs(line, file) >= 0, "a line is written");
  }
  check(fclose(file) == 0, "the last lines are written");
}

static void in_a_process(void (*write_lines)(const char *), const char *path) {
  int status;
  if (must(fork(), "fork") == 0) {
    write_lines(path);
    _exit(0);
  }
  must(wait(&status), "wait");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the file was written");
}

int library(int argc, char **argv) {
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  in_a_process(by_calls, "by-calls");
  in_a_process(by_library, "by-library");
  return 0;
}
