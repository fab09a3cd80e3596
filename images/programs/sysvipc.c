/* exercise sysvipc: System V IPC. Clients send requests through a message queue to a server, which answers by the client's
 * number; all of them count in shared memory that a semaphore guards. */
#include "exercise.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

enum { CLIENTS = 3, REQUESTS = 40, FOR_SERVER = 1 };

struct message {
  long type;
  struct {
    long sender;
    int number;
  } body;
};

static int queue, semaphore;
static volatile int *counter;

static void change_semaphore(short by) {
  struct sembuf change = {0, by, SEM_UNDO};
  must(semop(semaphore, &change, 1), "semop");
}

static void count(void) {
  change_semaphore(-1);
  int seen = *counter;
  /* Long enough for others to come and wait. */
  work_micros(200);
  *counter = seen + 1;
  change_semaphore(1);
}

static void serve(void) {
  call_me("ipc-server");
  struct message request;
  for (int i = 0; i < CLIENTS * REQUESTS; i++) {
    must(msgrcv(queue, &request, sizeof request.body, FOR_SERVER, 0), "msgrcv");
    struct message answer = {request.body.sender, {FOR_SERVER, request.body.number * 2}};
    must(msgsnd(queue, &answer, sizeof answer.body, 0), "msgsnd");
  }
}

static void ask(int self) {
  call_me("ipc-client-%d", self);
  long mine = FOR_SERVER + 1 + self;
  for (int i = 0; i < REQUESTS; i++) {
    struct message request = {FOR_SERVER, {mine, i}}, answer;
    must(msgsnd(queue, &request, sizeof request.body, 0), "msgsnd");
    must(msgrcv(queue, &answer, sizeof answer.body, mine, 0), "msgrcv");
    check(answer.body.number == i * 2, "the server answers what it was asked");
    count();
  }
}

int sysvipc(int argc, char **argv) {
  (void)argc, (void)argv;
  queue = (int)must(msgget(IPC_PRIVATE, 0600), "msgget");
  semaphore = (int)must(semget(IPC_PRIVATE, 1, 0600), "semget");
  int memory = (int)must(shmget(IPC_PRIVATE, sizeof *counter, 0600), "shmget");
  void *shared = shmat(memory, NULL, 0);
  check(shared != (void *)-1, "shared memory can be attached");
  counter = shared;
  must(semctl(semaphore, 0, SETVAL, 1), "semctl");
  for (int i = 0; i <= CLIENTS; i++) {
    if (must(fork(), "fork") != 0) continue;
    if (i == CLIENTS) serve();
    else ask(i);
    _exit(0);
  }
  for (int status, i = 0; i <= CLIENTS; i++) {
    must(wait(&status), "wait");
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "server and clients end well");
  }
  int counted = *counter;
  must(shmdt(shared), "shmdt");
  must(shmctl(memory, IPC_RMID, NULL), "shmctl");
  must(semctl(semaphore, 0, IPC_RMID), "semctl");
  must(msgctl(queue, IPC_RMID, NULL), "msgctl");
  check(counted == CLIENTS * REQUESTS, "no count is lost");
  printf("sysvipc: %d requests were answered, and counted\n", counted);
  return 0;
}
