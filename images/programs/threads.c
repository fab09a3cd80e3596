/* exercise threads: threads that contend for a lock and wait for each other (clone, futex), vfork with exec, wait. */
#include "exercise.h"
#include <pthread.h>
#include <sys/wait.h>

enum { thread_count = 3, turn_count = 20 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;

/* Each thread waits for its turn, so every turn is a futex wait, a wake and a switch of threads. */
static void *take_turns(void *argument) {
  int self = (int)(long)argument;
  pthread_mutex_lock(&lock);
  while (turn < thread_count * turn_count) {
    if (turn % thread_count != self) {
      pthread_cond_wait(&turned, &lock);
      continue;
    }
    turn++;
    pthread_cond_broadcast(&turned);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

int threads(int argc, char **argv) {
  (void)argc, (void)argv;
  pthread_t thread[thread_count];
  for (long i = 0; i < thread_count; i++)
    if (pthread_create(&thread[i], NULL, take_turns, (void *)i)) return 1;
  for (int i = 0; i < thread_count; i++) pthread_join(thread[i], NULL);

  int status;
  pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(127);
  }
  must(waitpid(child, &status, 0), "waitpid");
  return turn == thread_count * turn_count && status == 0 ? 0 : 1;
}
