/* exercise race: two threads hand items over, and the consumer's wake-up can get lost. Wrong on purpose. */
#include "exercise.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

enum { item_count = 50000 };
static struct {
  unsigned made, taken, lost;
  unsigned sleeping; /* 1 while the consumer sleeps, or is about to */
} queue;

static void run_on(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  must(sched_setaffinity(0, sizeof cpus, &cpus), "sched_setaffinity");
}

/* The mistake: it looks whether there is an item, and only then says that it sleeps. An item that is made between the two
   wakes nobody, and nobody makes another one before this one is taken. */
static void *consume(void *argument) {
  const struct timespec patience = {.tv_nsec = 50000000};
  int log = (int)must(open("/dev/null", O_WRONLY), "/dev/null");
  (void)argument;
  must(prctl(PR_SET_NAME, "consumer"), "prctl");
  run_on(0);
  while (queue.taken < item_count && queue.lost == 0) {
    if (__atomic_load_n(&queue.made, __ATOMIC_SEQ_CST) == queue.taken) {
      must(write(log, "empty\n", 6), "write");
      __atomic_store_n(&queue.sleeping, 1, __ATOMIC_SEQ_CST);
      if (syscall(SYS_futex, &queue.sleeping, FUTEX_WAIT_PRIVATE, 1, &patience, NULL, 0) < 0 && errno == ETIMEDOUT)
        queue.lost++;
      __atomic_store_n(&queue.sleeping, 0, __ATOMIC_SEQ_CST);
    } else {
      __atomic_fetch_add(&queue.taken, 1, __ATOMIC_SEQ_CST);
    }
  }
  return NULL;
}

static void produce(void) {
  run_on((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  while (queue.made < item_count && queue.lost == 0) {
    if (__atomic_load_n(&queue.taken, __ATOMIC_SEQ_CST) != queue.made) {
      sched_yield();
      continue;
    }
    __atomic_fetch_add(&queue.made, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&queue.sleeping, 0, __ATOMIC_SEQ_CST))
      must(syscall(SYS_futex, &queue.sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "futex");
  }
}

int race(int argc, char **argv) {
  (void)argc, (void)argv;
  pthread_t consumer;
  if (pthread_create(&consumer, NULL, consume, NULL)) return 1;
  must(prctl(PR_SET_NAME, "producer"), "prctl");
  produce();
  pthread_join(consumer, NULL);
  printf("race: %u items made, %u taken, %u wake-ups lost\n", queue.made, queue.taken, queue.lost);
  return 0;
}
