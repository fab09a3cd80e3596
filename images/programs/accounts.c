/* exercise accounts DIRECTORY: runs a few children one after the other, and two at once, and prints what the kernel says
 * that each cost. It is asked when the child is over and not yet reaped, so that the numbers are those of its whole life.
 * exercise burn MILLIONS [stop]: keeps a CPU busy for so many millions of rounds, and stops itself then if it is told to. */
#include "exercise.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

static void rounds(long count) {
  for (volatile long i = 0; i < count; i++) {}
}

static void burner(void) { rounds(2000000); }

static void caller(void) {
  char bytes[512];
  int zero = (int)must(open("/dev/zero", O_RDONLY), "/dev/zero"), null = (int)must(open("/dev/null", O_WRONLY), "/dev/null");
  for (int i = 0; i < 200; i++) {
    must(read(zero, bytes, sizeof bytes), "read");
    must(write(null, bytes, 100), "write");
    must(getppid(), "getppid");
  }
  if (read(999, bytes, 1) >= 0) exit(1);
}

static void sleeper(void) {
  struct timespec some = {.tv_nsec = 5000000};
  for (int i = 0; i < 10; i++) must(nanosleep(&some, NULL), "nanosleep");
  for (int i = 0; i < 5; i++) must(sched_yield(), "sched_yield");
}

static void filer(void) {
  char bytes[4096];
  memset(bytes, 'x', sizeof bytes);
  int file = (int)must(open("accounts.file", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
  for (int i = 0; i < 32; i++) must(write(file, bytes, sizeof bytes), "write");
  must(fsync(file), "fsync");
  must(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), "posix_fadvise");
  must(lseek(file, 0, SEEK_SET), "lseek");
  while (must(read(file, bytes, sizeof bytes), "read") > 0) {}
  must(close(file), "close");
  must(unlink("accounts.file"), "unlink");
}

static const struct { const char *name; void (*run)(void); } kinds[] = {
    {"burner", burner}, {"caller", caller}, {"sleeper", sleeper}, {"filer", filer}, {"rival-1", burner}, {"rival-2", burner},
};
enum { count = sizeof kinds / sizeof *kinds, rivals = 4 };

static char text[1 << 16];
static size_t length;

static void add_file(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int file = (int)must(open(path, O_RDONLY), path);
  length += (size_t)snprintf(text + length, sizeof text - length, "== %s ==\n", name);
  length += (size_t)must(read(file, text + length, sizeof text - length - 256), path);
  must(close(file), "close");
}

static pid_t start(int kind) {
  pid_t pid = (pid_t)must(fork(), "fork");
  if (pid == 0) {
    kinds[kind].run();
    _exit(0);
  }
  return pid;
}

static void account(int kind, pid_t pid) {
  siginfo_t info;
  must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), "waitid");
  length += (size_t)snprintf(text + length, sizeof text - length, "== account %s %d ==\n", kinds[kind].name, pid);
  add_file(pid, "schedstat");
  add_file(pid, "stat");
  add_file(pid, "io");
  struct rusage usage;
  struct tms before, after;
  times(&before);
  must(wait4(pid, NULL, 0, &usage), "wait4");
  times(&after);
  length += (size_t)snprintf(text + length, sizeof text - length,
      "== usage ==\nuser_us %ld\nsystem_us %ld\nvoluntary %ld\ninvoluntary %ld\nblocks_in %ld\nblocks_out %ld\nticks %ld\n",
      usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec, usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec,
      usage.ru_nvcsw, usage.ru_nivcsw, usage.ru_inblock, usage.ru_oublock,
      (long)(after.tms_cutime + after.tms_cstime - before.tms_cutime - before.tms_cstime));
}

int accounts(int argc, char **argv) {
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  for (int kind = 0; kind < rivals; kind++) account(kind, start(kind));
  pid_t one = start(rivals), other = start(rivals + 1);
  account(rivals, one);
  account(rivals + 1, other);
  must(write(1, text, length), "write");
  return printf("== end of accounts ==\n") < 0;
}

int burn(int argc, char **argv) {
  rounds(1000000 * (argc > 0 ? atol(argv[0]) : 1));
  if (argc > 1) must(raise(SIGSTOP), "raise");
  return 0;
}
