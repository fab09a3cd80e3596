/* exercise inversion: three threads with real-time priorities on one CPU. low holds a lock that high wants, and mid, which
 * wants no lock at all, keeps low from running: high waits for mid. Then the same with a lock that lends low the priority
 * of high as long as high waits (PTHREAD_PRIO_INHERIT); the threads are then called low-pi, mid-pi and high-pi. */
#include "exercise.h"
#include <pthread.h>
#include <sched.h>

enum { HOLD = 20000, MID_WORK = 150000, HIGH_STARTS = 5000, MID_STARTS = 10000 };

static pthread_mutex_t lock;
static int inherits;
static long high_waited;

static void begin(const char *name) {
  call_me("%s%s", name, inherits ? "-pi" : "");
}

static void *low(void *unused) {
  (void)unused;
  begin("low");
  pthread_mutex_lock(&lock);
  work_micros(HOLD);
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void *mid(void *unused) {
  (void)unused;
  begin("mid");
  usleep(MID_STARTS);
  work_micros(MID_WORK);
  return NULL;
}

static void *high(void *unused) {
  (void)unused;
  begin("high");
  usleep(HIGH_STARTS);
  long before = now_micros();
  pthread_mutex_lock(&lock);
  high_waited = now_micros() - before;
  pthread_mutex_unlock(&lock);
  return NULL;
}

static pthread_t start(void *(*run)(void *), int priority) {
  pthread_t thread;
  pthread_attr_t attributes;
  struct sched_param urgency = {.sched_priority = priority};
  pthread_attr_init(&attributes);
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  pthread_attr_setschedparam(&attributes, &urgency);
  check(pthread_create(&thread, &attributes, run, NULL) == 0, "a real-time thread can be made");
  return thread;
}

/* Returns how long high waited for the lock, in microseconds. */
static long run_once(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  check(pthread_mutexattr_setprotocol(&attributes, inherits ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE) == 0,
        "there are locks that inherit priorities");
  pthread_mutex_init(&lock, &attributes);
  pthread_t threads[] = {start(high, 30), start(mid, 20), start(low, 10)};
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  return high_waited;
}

int inversion(int argc, char **argv) {
  (void)argc, (void)argv;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  must(sched_setaffinity(0, sizeof first, &first), "sched_setaffinity");
  long plain = run_once();
  inherits = 1;
  long inherited = run_once();
  printf("inversion: high waited %ld us for the lock, and %ld us for one that inherits priorities\n", plain, inherited);
  check(plain > MID_WORK, "high waits until mid has done its work");
  check(inherited < HOLD + MID_STARTS, "high waits no longer than low holds the lock that inherits priorities");
  return 0;
}
