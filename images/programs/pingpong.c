/* exercise pingpong [ROUNDS]: two threads, ping and pong, that pass a ball to and fro through two pipes. Each sleeps until
 * the other has written. */
#include "exercise.h"
#include <pthread.h>

static int rounds = 1000;
static int to_pong[2], to_ping[2];

static void pass(int to, int ball) { check(write(to, &ball, sizeof ball) == sizeof ball, "a pipe takes the ball"); }

static int take(int from) {
  int ball = -1;
  check(read(from, &ball, sizeof ball) == sizeof ball, "a pipe gives the ball");
  return ball;
}

static void *pong(void *unused) {
  (void)unused;
  call_me("pong");
  for (int i = 0; i < rounds; i++) pass(to_ping[1], take(to_pong[0]) + 1);
  return NULL;
}

static void *ping(void *unused) {
  (void)unused;
  call_me("ping");
  int ball = 0;
  for (int i = 0; i < rounds; i++) {
    pass(to_pong[1], ball);
    ball = take(to_ping[0]);
  }
  check(ball == rounds, "the ball was passed as often as it should");
  return NULL;
}

int pingpong(int argc, char **argv) {
  if (argc > 0) rounds = atoi(argv[0]);
  must(pipe(to_pong), "pipe");
  must(pipe(to_ping), "pipe");
  pthread_t other, one;
  check(pthread_create(&other, NULL, pong, NULL) == 0, "a thread can be made");
  check(pthread_create(&one, NULL, ping, NULL) == 0, "a thread can be made");
  pthread_join(one, NULL);
  pthread_join(other, NULL);
  printf("pingpong: the ball went to and fro %d times\n", rounds);
  return 0;
}
