/* exercise desktop DIRECTORY: a user at work: a display server, several clients of it with timers and documents, and
 * somebody who types. Every request to the server carries the sum of its bytes, and how many there are is known. */
#include "exercise.h"
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

enum { CLIENTS = 6, KEYS = 300, TICKS = 375, PIXELS_MAX = 240, BURST = 6000, SAVE_EVERY = 60 };

struct request {
  uint32_t length, sum;
  unsigned char pixels[PIXELS_MAX];
};

static uint32_t sum_of(const unsigned char *bytes, uint32_t length) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < length; i++) sum = sum * 31 + bytes[i];
  return sum;
}

/* Some computing, as for the layout of a line, then a picture for the server, which answers. */
static void draw(int server, uint32_t *state) {
  struct request request = {.length = 16 + *state % (PIXELS_MAX - 16)};
  for (int i = 0; i < BURST; i++) *state = *state * 1664525 + 1013904223;
  for (uint32_t i = 0; i < request.length; i++) request.pixels[i] = (unsigned char)(*state >> i % 24);
  request.sum = sum_of(request.pixels, request.length);
  uint32_t answer = 0;
  must(write(server, &request, sizeof request), "write to the server");
  must(read(server, &answer, sizeof answer), "read from the server");
  if (answer != request.sum) must(-1, "answer of the server");
}

/* Writes the document anew, as an editor does. */
static void save(int self, uint32_t state) {
  char name[32], next[32], line[64];
  snprintf(name, sizeof name, "document-%d", self);
  snprintf(next, sizeof next, "document-%d.new", self);
  int file = (int)must(open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600), "open");
  for (int i = 0; i < 20; i++) {
    int length = snprintf(line, sizeof line, "line %d of client %d: %u\n", i, self, (unsigned)(state + (uint32_t)i));
    must(write(file, line, (size_t)length), "write");
  }
  must(fsync(file), "fsync");
  must(close(file), "close");
  must(rename(next, name), "rename");
}

/* Draws at each tick of its timer and for each key. */
static void client(int self, int server, int keyboard) {
  uint32_t state = (uint32_t)self;
  int ticks = 0, keys = 0;
  int timer = (int)must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd_create");
  struct timespec period = {0, 4000000 + 1700000 * self};
  struct itimerspec when = {period, period};
  must(timerfd_settime(timer, 0, &when, NULL), "timerfd_settime");
  while (ticks < TICKS || keys < KEYS) {
    struct pollfd polled[] = {{ticks < TICKS ? timer : -1, POLLIN, 0}, {keys < KEYS ? keyboard : -1, POLLIN, 0}};
    must(poll(polled, 2, -1), "poll");
    if (polled[0].revents & POLLIN) {
      uint64_t expired = 0;
      must(read(timer, &expired, sizeof expired), "read of the timer");
      for (; expired > 0 && ticks < TICKS; expired--, ticks++) draw(server, &state);
    }
    if (polled[1].revents & POLLIN) {
      char key;
      if (must(read(keyboard, &key, 1), "read of a key") == 0) must(-1, "end of the keyboard");
      draw(server, &state);
      if (++keys % SAVE_EVERY == 0) save(self, state);
    }
  }
  _exit(0);
}

/* Presses keys for one client after the other, now fast, now slow. */
static void typist(const int *keyboards) {
  for (int i = 0; i < KEYS * CLIENTS; i++) {
    usleep((useconds_t)(500 + i * 37 % 2500));
    must(write(keyboards[i % CLIENTS], "k", 1), "write of a key");
  }
  _exit(0);
}

/* Answers until all clients have gone; prints and returns how many pictures it has drawn. */
static int serve(const int *clients) {
  int drawn = 0, open_count = CLIENTS;
  struct pollfd polled[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) polled[i] = (struct pollfd){clients[i], POLLIN, 0};
  while (open_count > 0) {
    must(poll(polled, CLIENTS, -1), "poll");
    for (int i = 0; i < CLIENTS; i++) {
      struct request request;
      if (!polled[i].revents) continue;
      if (must(read(polled[i].fd, &request, sizeof request), "read of a request") == 0) {
        polled[i].fd = -1;
        open_count--;
        continue;
      }
      uint32_t sum = request.length <= PIXELS_MAX ? sum_of(request.pixels, request.length) : 0;
      must(write(polled[i].fd, &sum, sizeof sum), "write of an answer");
      drawn += sum == request.sum;
    }
  }
  return drawn;
}

int desktop(int argc, char **argv) {
  int servers[CLIENTS], keyboards[CLIENTS], failed = 0, status;
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  for (int i = 0; i < CLIENTS; i++) {
    int socket[2], keys[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket), "socketpair");
    must(pipe(keys), "pipe");
    if (must(fork(), "fork") == 0) {
      for (int other = 0; other < i; other++) close(servers[other]), close(keyboards[other]);
      close(socket[0]), close(keys[1]);
      client(i, socket[1], keys[0]);
    }
    close(socket[1]), close(keys[0]);
    servers[i] = socket[0], keyboards[i] = keys[1];
  }
  if (must(fork(), "fork") == 0) {
    for (int i = 0; i < CLIENTS; i++) close(servers[i]);
    typist(keyboards);
  }
  int drawn = serve(servers);
  while (wait(&status) > 0) failed += status != 0;
  printf("desktop: %d clients, %d pictures, %d processes failed\n", CLIENTS, drawn, failed);
  return drawn == CLIENTS * (KEYS + TICKS) && failed == 0 ? 0 : 1;
}
