/* exercise contention: four threads count to the same number, first with everything they do inside one lock (coarse-0 to
 * coarse-3), then with only the counting inside (fine-0 to fine-3). */
#include "exercise.h"
#include <pthread.h>

enum { THREADS = 4, TURNS = 100, WORK = 500 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int counter;
static int is_fine;

static void *count(void *argument) {
  call_me("%s-%ld", is_fine ? "fine" : "coarse", (long)argument);
  for (int i = 0; i < TURNS; i++) {
    if (is_fine) work_micros(WORK);
    pthread_mutex_lock(&lock);
    int seen = counter;
    if (!is_fine) work_micros(WORK);
    counter = seen + 1;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void run_threads(void) {
  pthread_t threads[THREADS];
  counter = 0;
  for (long i = 0; i < THREADS; i++)
    check(pthread_create(&threads[i], NULL, count, (void *)i) == 0, "a thread can be made");
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  check(counter == THREADS * TURNS, "no count is lost");
}

int contention(int argc, char **argv) {
  (void)argc, (void)argv;
  phase("coarse");
  run_threads();
  is_fine = 1;
  phase("fine");
  run_threads();
  phase("end");
  printf("contention: twice %d threads counted to %d\n", THREADS, THREADS * TURNS);
  return 0;
}
