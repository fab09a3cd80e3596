/* exercise producer: a producer and two consumers of numbers, with room for eight between them: who finds it full, or empty,
 * sleeps until another has taken from it or added to it. */
#include "exercise.h"
#include <pthread.h>

enum { ROOM = 8, ITEMS = 400, CONSUMERS = 2, LAST = -1 };

static struct {
  pthread_mutex_t lock;
  pthread_cond_t has_items, has_room;
  int items[ROOM], count, most;
} buffer = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_items = PTHREAD_COND_INITIALIZER, .has_room = PTHREAD_COND_INITIALIZER};

static void put(int item) {
  pthread_mutex_lock(&buffer.lock);
  while (buffer.count == ROOM) pthread_cond_wait(&buffer.has_room, &buffer.lock);
  buffer.items[buffer.count++] = item;
  if (buffer.count > buffer.most) buffer.most = buffer.count;
  pthread_cond_signal(&buffer.has_items);
  pthread_mutex_unlock(&buffer.lock);
}

static int take(void) {
  pthread_mutex_lock(&buffer.lock);
  while (buffer.count == 0) pthread_cond_wait(&buffer.has_items, &buffer.lock);
  int item = buffer.items[0];
  memmove(buffer.items, buffer.items + 1, (size_t)--buffer.count * sizeof item);
  pthread_cond_signal(&buffer.has_room);
  pthread_mutex_unlock(&buffer.lock);
  return item;
}

static void *produce(void *unused) {
  (void)unused;
  call_me("producer");
  /* Slower than who consumes in the first half, faster in the second. */
  for (int i = 1; i <= ITEMS; i++) {
    work_micros(i <= ITEMS / 2 ? 800 : 100);
    put(i);
  }
  for (int i = 0; i < CONSUMERS; i++) put(LAST);
  return NULL;
}

static void *consume(void *argument) {
  call_me("consumer-%ld", (long)argument);
  long sum = 0;
  for (int item; (item = take()) != LAST; sum += item) work_micros(300);
  return (void *)sum;
}

int producer(int argc, char **argv) {
  (void)argc, (void)argv;
  pthread_t one, others[CONSUMERS];
  long sum = 0;
  for (long i = 0; i < CONSUMERS; i++)
    check(pthread_create(&others[i], NULL, consume, (void *)i) == 0, "a thread can be made");
  check(pthread_create(&one, NULL, produce, NULL) == 0, "a thread can be made");
  pthread_join(one, NULL);
  for (int i = 0; i < CONSUMERS; i++) {
    void *part;
    pthread_join(others[i], &part);
    sum += (long)part;
  }
  check(sum == (long)ITEMS * (ITEMS + 1) / 2, "each item was consumed once");
  check(buffer.most == ROOM, "the room was used up");
  printf("producer: %d items were consumed\n", ITEMS);
  return 0;
}
