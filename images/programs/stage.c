/* What parts of `exercise` use to be recognised in a trace, and to take time. */
#include "exercise.h"
#include <stdarg.h>
#include <time.h>

void call_me(const char *format, ...) {
  char name[16];
  va_list values;
  va_start(values, format);
  check(vsnprintf(name, sizeof name, format, values) < (int)sizeof name, "a thread's name is short enough");
  va_end(values);
  must(prctl(PR_SET_NAME, name), "prctl");
}

void phase(const char *name) {
  FILE *log = fopen("/dev/kmsg", "w");
  if (!log) must(-1, "/dev/kmsg");
  fprintf(log, "guesttrace: mark phase-%s", name);
  check(fclose(log) == 0, "the kernel takes a line for its log");
}

static long micros_of(clockid_t clock) {
  struct timespec now;
  must(clock_gettime(clock, &now), "clock_gettime");
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void work_micros(long micros) {
  long end = micros_of(CLOCK_THREAD_CPUTIME_ID) + micros;
  /* Between two looks at the clock, which is a system call, lies some computing. */
  while (micros_of(CLOCK_THREAD_CPUTIME_ID) < end)
    for (volatile int i = 0; i < 2000; i++) continue;
}

long now_micros(void) { return micros_of(CLOCK_MONOTONIC); }
