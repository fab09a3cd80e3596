/* exercise philosophers: five at a round table, with a fork between any two. Each thinks and eats in turn, and eats with the
 * forks on both sides. As each takes the fork of the lower number first, they never all wait for each other. */
#include "exercise.h"
#include <pthread.h>

enum { PHILOSOPHERS = 5, MEALS = 20, THINKING = 1000, EATING = 2000 };

static pthread_mutex_t forks[PHILOSOPHERS];
static int meals[PHILOSOPHERS];

/* Thinking is computing, and eating is sleeping: each meal is one call of clock_nanosleep, which a trace can count. */
static void *philosopher(void *argument) {
  int self = (int)(long)argument;
  int other = (self + 1) % PHILOSOPHERS;
  int first = self < other ? self : other, second = self < other ? other : self;
  call_me("philosopher-%d", self);
  for (int meal = 0; meal < MEALS; meal++) {
    work_micros(THINKING);
    pthread_mutex_lock(&forks[first]);
    pthread_mutex_lock(&forks[second]);
    meals[self]++;
    usleep(EATING);
    pthread_mutex_unlock(&forks[second]);
    pthread_mutex_unlock(&forks[first]);
  }
  return NULL;
}

int philosophers(int argc, char **argv) {
  (void)argc, (void)argv;
  /* Should they wait for each other for ever, the guest shall not. */
  alarm(20);
  pthread_t threads[PHILOSOPHERS];
  for (int i = 0; i < PHILOSOPHERS; i++) pthread_mutex_init(&forks[i], NULL);
  for (long i = 0; i < PHILOSOPHERS; i++)
    check(pthread_create(&threads[i], NULL, philosopher, (void *)i) == 0, "a thread can be made");
  for (int i = 0; i < PHILOSOPHERS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < PHILOSOPHERS; i++) check(meals[i] == MEALS, "everybody ate as often as he should");
  printf("philosophers: %d of them ate %d times each\n", PHILOSOPHERS, MEALS);
  return 0;
}
