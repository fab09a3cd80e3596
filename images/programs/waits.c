/* exercise waits: each way of waiting for time or for data: nanosleep, interval timer, poll, select, epoll, timerfd. */
#include "exercise.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

static void on_alarm(int number) { (void)number; }

/* Waits for the descriptor in every way; none has data, so each ends by its time-out. */
static void wait_in_vain(int descriptor) {
  struct pollfd polled = {.fd = descriptor, .events = POLLIN};
  must(poll(&polled, 1, 5), "poll");
  fd_set set;
  FD_ZERO(&set);
  FD_SET(descriptor, &set);
  struct timeval five_milliseconds = {0, 5000};
  must(select(descriptor + 1, &set, NULL, NULL, &five_milliseconds), "select");
}

int waits(int argc, char **argv) {
  (void)argc, (void)argv;
  struct timespec pause_time = {0, 3000000};
  must(nanosleep(&pause_time, NULL), "nanosleep");

  signal(SIGALRM, on_alarm);
  struct itimerval soon = {.it_value = {0, 4000}};
  must(setitimer(ITIMER_REAL, &soon, NULL), "setitimer");
  pause();

  int ends[2];
  must(pipe(ends), "pipe");
  wait_in_vain(ends[0]);

  int timer = (int)must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd_create");
  struct itimerspec when = {.it_value = {0, 6000000}};
  must(timerfd_settime(timer, 0, &when, NULL), "timerfd_settime");
  int epoll = (int)must(epoll_create1(0), "epoll_create1");
  struct epoll_event event = {.events = EPOLLIN};
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event), "epoll_ctl");
  return must(epoll_wait(epoll, &event, 1, 1000), "epoll_wait") == 1 ? 0 : 1;
}
