/* exercise packetstorm [COUNT]: a process storm-out sends datagrams over the loopback interface as fast as it can, and
 * storm-in takes them; what does not fit into its socket is lost, which UDP does not tell the sender. */
#include "exercise.h"
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { PORT = 4000, SIZE = 512 };

static int count = 2000;

static void send_all(const struct sockaddr_in *to) {
  static char bytes[SIZE];
  call_me("storm-out");
  int from = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  for (int i = 0; i < count; i++) {
    memcpy(bytes, &i, sizeof i);
    check(sendto(from, bytes, SIZE, 0, (const void *)to, sizeof *to) == SIZE, "a datagram is sent");
  }
}

/* How many datagrams the socket had no room for. */
static unsigned lost_by(int socket) {
  unsigned about[SK_MEMINFO_VARS] = {0};
  socklen_t size = sizeof about;
  must(getsockopt(socket, SOL_SOCKET, SO_MEMINFO, about, &size), "getsockopt");
  return about[SK_MEMINFO_DROPS];
}

int packetstorm(int argc, char **argv) {
  if (argc > 0) count = atoi(argv[0]);
  char bytes[SIZE];
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  /* The storm is over when nothing has come for so long. */
  struct timeval silence = {.tv_usec = 200000};
  int room = 65536, taken = 0, last = -1;
  call_me("storm-in");
  int to = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  must(setsockopt(to, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), "setsockopt");
  must(setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence), "setsockopt");
  must(bind(to, (void *)&here, sizeof here), "bind");
  pid_t sender = (pid_t)must(fork(), "fork");
  if (sender == 0) {
    send_all(&here);
    _exit(0);
  }
  while (recv(to, bytes, SIZE, 0) == SIZE) {
    int number;
    memcpy(&number, bytes, sizeof number);
    check(number > last, "datagrams come in the order in which they were sent");
    last = number;
    taken++;
    /* Slower than the sender, or there would be no storm. */
    work_micros(60);
  }
  check(errno == EAGAIN, "the storm ends with silence");
  int status;
  must(waitpid(sender, &status, 0), "waitpid");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "all datagrams were sent");
  unsigned lost = lost_by(to);
  printf("packetstorm: %d datagrams were sent, %d came, %u were lost\n", count, taken, lost);
  check(taken + (int)lost == count, "each datagram came or was lost");
  return 0;
}
