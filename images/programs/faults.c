/* exercise faults FILE: page faults of each kind. A process for each, named after it, touches every page of a mapping once;
 * each mapping begins at BASE and a multiple of 4 GiB, so that an address tells which it is. */
#include "exercise.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { PAGE = 4096, PAGES = 1000, FILE_PAGES = 100 };
#define BASE 0x100000000000ul

/* Maps so many pages as the mapping of that number, in pages of 4 KiB. */
static char *map_pages(unsigned long number, size_t pages, int flags, int file) {
  void *wanted = (void *)(BASE + (number << 32));
  char *area = mmap(wanted, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, file, 0);
  check(area == wanted, "a mapping is where it was wanted");
  if (file < 0) must(madvise(area, pages * PAGE, MADV_NOHUGEPAGE), "madvise");
  return area;
}

static long faults_so_far(void) {
  struct rusage usage;
  must(getrusage(RUSAGE_SELF, &usage), "getrusage");
  return usage.ru_minflt + usage.ru_majflt;
}

static char touch_all(volatile char *area, int pages, int is_write) {
  char sum = 0;
  for (int i = 0; i < pages; i++) {
    if (is_write) area[i * PAGE] = 1;
    sum += area[i * PAGE];
  }
  return sum;
}

/* Memory that is written: each page is made as it is touched. */
static void by_writing(const char *unused) {
  (void)unused;
  char *area = map_pages(0, PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  long before = faults_so_far();
  touch_all(area, PAGES, 1);
  check(faults_so_far() - before >= PAGES, "each page that is written faults");
}

/* Memory that is read first: each page is the page of zeros, and another as soon as it is written. */
static void by_reading(const char *unused) {
  (void)unused;
  char *area = map_pages(1, PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  long before = faults_so_far();
  check(touch_all(area, PAGES, 0) == 0, "memory is zero");
  touch_all(area, PAGES, 1);
  check(faults_so_far() - before >= 2 * PAGES, "each page that is read and written faults twice");
}

/* Memory that parent and child share until one of them writes. */
static void by_copying(const char *unused) {
  (void)unused;
  char *area = map_pages(2, PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  touch_all(area, PAGES, 1);
  int status;
  if (must(fork(), "fork") == 0) {
    call_me("fault-copied");
    long before = faults_so_far();
    touch_all(area, PAGES, 1);
    _exit(faults_so_far() - before < PAGES);
  }
  must(wait(&status), "wait");
  check(status == 0, "each page that parent and child share faults when the child writes it");
}

/* A file whose pages have to be read, and around each fault the kernel maps what it already has. */
static void by_file(const char *path) {
  int file = (int)must(open(path, O_RDONLY), path);
  struct rusage before, after;
  char *area = map_pages(3, FILE_PAGES, MAP_PRIVATE, file);
  must(getrusage(RUSAGE_SELF, &before), "getrusage");
  touch_all(area, FILE_PAGES, 0);
  must(getrusage(RUSAGE_SELF, &after), "getrusage");
  long faults = after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt;
  check(after.ru_majflt > before.ru_majflt, "some pages of the file had to be read");
  check(faults < FILE_PAGES, "a fault in a file maps pages around it");
}

static sigjmp_buf back;
static char *volatile forbidden;

static void on_fault(int number, siginfo_t *info, void *unused) {
  (void)number, (void)unused;
  if (info->si_addr == forbidden) must(mprotect(forbidden, PAGE, PROT_READ | PROT_WRITE), "mprotect");
  else siglongjmp(back, 1);
}

/* Pages that may not be touched: the program is told by a signal, allows one, and gives up at the other. */
static void by_forbidding(const char *unused) {
  (void)unused;
  char *pages = map_pages(4, 2, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  volatile char *area = pages;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  must(mprotect(pages, 2 * PAGE, PROT_NONE), "mprotect");
  forbidden = pages;
  must(sigaction(SIGSEGV, &action, NULL), "sigaction");
  area[0] = 'a';
  check(area[0] == 'a', "a page that was allowed can be written");
  if (sigsetjmp(back, 1) == 0) {
    area[PAGE] = 'b';
    check(0, "a forbidden page cannot be written");
  }
}

static void in_a_process(const char *name, void (*fault)(const char *), const char *path) {
  int status;
  if (must(fork(), "fork") == 0) {
    call_me("%s", name);
    fault(path);
    _exit(0);
  }
  must(wait(&status), "wait");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "each process ends well");
}

int faults(int argc, char **argv) {
  const char *path = argc > 0 ? argv[0] : "/bin/busybox";
  in_a_process("fault-written", by_writing, path);
  in_a_process("fault-read", by_reading, path);
  in_a_process("fault-parent", by_copying, path);
  in_a_process("fault-file", by_file, path);
  in_a_process("fault-forbidden", by_forbidding, path);
  printf("faults: every page that was touched came as it should\n");
  return 0;
}
