/* exercise identities CGROUP: processes of another user, group, session, process group and cgroup (the directory of one,
 * which is given); each child changes one of these, does some work and has a child of its own that does some more. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/wait.h>

static const char *cgroup;

static void work(void) {
  for (int i = 0; i < 3; i++) {
    int file = open("/etc/hostname", O_RDONLY);
    if (file >= 0) close(file);
  }
}

/* A call whose callers are known: the compiler says where it returns to, and so do the frames on the stack. */
#define FRAME __attribute__((noinline, optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))
FRAME static long called(void) {
  long result;
  printf("caller 1 %p\n", __builtin_return_address(0));
  fflush(stdout);
  /* getpgid(1): nobody else asks for that. */
  __asm__ volatile("syscall" : "=a"(result) : "0"(121), "D"(1) : "rcx", "r11", "memory");
  return result;
}
FRAME static long caller(void) {
  printf("caller 2 %p\n", __builtin_return_address(0));
  return called() + 1;
}

static void become_user(void) { must(setuid(1000), "setuid"); }
static void become_group(void) { must(setgid(1001), "setgid"); }
static void become_session(void) { must(setsid(), "setsid"); }
static void become_process_group(void) { must(setpgid(0, 0), "setpgid"); }

static void become_member(void) {
  char path[300];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  int file = (int)must(open(path, O_WRONLY), path);
  must(write(file, "0", 1), "write to cgroup.procs");
  close(file);
}

static void child(const char *name, void (*become)(void)) {
  pid_t pid = (pid_t)must(fork(), "fork");
  if (pid != 0) {
    int status;
    must(waitpid(pid, &status, 0), "waitpid");
    if (status != 0) exit(1);
    return;
  }
  work();
  become();
  printf("identity %s %d\n", name, (int)getpid());
  fflush(stdout);
  pid_t grandchild = (pid_t)must(fork(), "fork");
  work();
  if (grandchild != 0) must(waitpid(grandchild, NULL, 0), "waitpid");
  _exit(0);
}

int identities(int argc, char **argv) {
  if (argc != 1) return 2;
  cgroup = argv[0];
  if (caller() < 0) return 1;
  child("user", become_user);
  child("group", become_group);
  child("session", become_session);
  child("process_group", become_process_group);
  child("cgroup", become_member);
  return 0;
}
