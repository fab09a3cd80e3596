/* exercise ipc: System V message queue, semaphore and shared memory; a Unix socket pair; UDP on loopback. */
#include "exercise.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct message {
  long type;
  char text[16];
};

/* The child waits for the semaphore, then answers through shared memory and the queue. */
static void answer(int queue, int semaphore, char *shared) {
  struct sembuf down = {0, -1, 0};
  struct message reply = {2, "answer"};
  must(semop(semaphore, &down, 1), "semop");
  strcpy(shared, "written by the child");
  must(msgsnd(queue, &reply, sizeof reply.text, 0), "msgsnd");
  _exit(0);
}

static int system_v(void) {
  int queue = (int)must(msgget(IPC_PRIVATE, 0600), "msgget");
  int semaphore = (int)must(semget(IPC_PRIVATE, 1, 0600), "semget");
  int memory = (int)must(shmget(IPC_PRIVATE, 8192, 0600), "shmget");
  char *shared = shmat(memory, NULL, 0);
  struct sembuf up = {0, 1, 0};
  struct message got;
  pid_t child = (pid_t)must(fork(), "fork");
  if (child == 0) answer(queue, semaphore, shared);
  usleep(2000);
  must(semop(semaphore, &up, 1), "semop");
  must(msgrcv(queue, &got, sizeof got.text, 2, 0), "msgrcv");
  must(waitpid(child, NULL, 0), "waitpid");
  int same = strcmp(shared, "written by the child");
  shmdt(shared);
  must(shmctl(memory, IPC_RMID, NULL), "shmctl");
  must(semctl(semaphore, 0, IPC_RMID), "semctl");
  must(msgctl(queue, IPC_RMID, NULL), "msgctl");
  return same == 0 ? 0 : 1;
}

static int unix_sockets(void) {
  int pair[2];
  char byte = 'p';
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  pid_t child = (pid_t)must(fork(), "fork");
  for (int i = 0; i < 10; i++) {
    if (child == 0) {
      must(read(pair[1], &byte, 1), "read");
      must(write(pair[1], &byte, 1), "write");
    } else {
      must(write(pair[0], &byte, 1), "write");
      must(read(pair[0], &byte, 1), "read");
    }
  }
  if (child == 0) _exit(0);
  must(waitpid(child, NULL, 0), "waitpid");
  return 0;
}

static int datagrams(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(5353), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char text[32] = "a datagram";
  int receiver = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  int sender = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  must(bind(receiver, (struct sockaddr *)&here, sizeof here), "bind");
  must(sendto(sender, text, sizeof text, 0, (struct sockaddr *)&here, sizeof here), "sendto");
  must(recv(receiver, text, sizeof text, 0), "recv");
  return 0;
}

int ipc(int argc, char **argv) {
  (void)argc, (void)argv;
  return system_v() || unix_sockets() || datagrams();
}
