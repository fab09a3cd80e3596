/* exercise snapshot NAME FILE...: reads the kernel's counters with nothing else in between, then prints them.
 *
 * Everything that could disturb comes before the first mark (opening, page faults) or after the last (printing). As the
 * real-time thread of highest priority it is not switched away from between the marks either; interrupts still come. */
#include "exercise.h"
#include <fcntl.h>
#include <sched.h>

enum { files_max = 16, bytes_max = 1 << 16 };
static char text[files_max][bytes_max];
static size_t length[files_max];

static void mark(int kmsg, const char *name, const char *suffix) {
  char line[128];
  int bytes = snprintf(line, sizeof line, "guesttrace: mark %s-counters%s\n", name, suffix);
  must(write(kmsg, line, (size_t)bytes), "/dev/kmsg");
}

int snapshot(int argc, char **argv) {
  const char *name = argc > 0 ? argv[0] : "now";
  int count = argc - 1, file[files_max];
  if (count < 1 || count > files_max) {
    fprintf(stderr, "usage: exercise snapshot NAME FILE...\n");
    return 2;
  }
  int kmsg = (int)must(open("/dev/kmsg", O_WRONLY), "/dev/kmsg");
  for (int i = 0; i < count; i++) file[i] = (int)must(open(argv[i + 1], O_RDONLY), argv[i + 1]);
  memset(text, 1, sizeof text);
  struct sched_param first = {.sched_priority = 99};
  must(sched_setscheduler(0, SCHED_FIFO, &first), "sched_setscheduler");

  mark(kmsg, name, "");
  for (int i = 0; i < count; i++) {
    long got;
    while (length[i] < bytes_max && (got = must(read(file[i], text[i] + length[i], bytes_max - length[i]), argv[i + 1])) > 0)
      length[i] += (size_t)got;
  }
  mark(kmsg, name, "-end");

  struct sched_param usual = {0};
  must(sched_setscheduler(0, SCHED_OTHER, &usual), "sched_setscheduler");
  printf("== counters %s ==\n", name);
  for (int i = 0; i < count; i++) {
    printf("== %s ==\n", argv[i + 1]);
    fwrite(text[i], 1, length[i], stdout);
  }
  printf("== end of counters %s ==\n", name);
  return 0;
}
