/* exercise swap FILE: more memory than its control group allows, written and read in turn, and a mapped file beside it: pages
 * of memory go to swap and come back, those of the file are dropped and read again. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { PAGE = 4096, PAGES = 768, ROUNDS = 2 };

/* What a page holds: its number, so that one that comes back as another is noticed. */
static void write_pages(int *area) {
  for (int i = 0; i < PAGES; i++) area[i * PAGE / (int)sizeof *area] = i + 1;
}

static void read_pages(const volatile int *area) {
  for (int i = 0; i < PAGES; i++)
    check(area[i * PAGE / (int)sizeof *area] == i + 1, "a page comes back from swap as it went there");
}

static unsigned sum_of(const volatile unsigned char *bytes, size_t size) {
  unsigned sum = 0;
  for (size_t i = 0; i < size; i += PAGE) sum += bytes[i];
  return sum;
}

int swap(int argc, char **argv) {
  const char *path = argc > 0 ? argv[0] : "/root/mapped";
  struct stat about;
  struct rusage usage;
  call_me("swap");
  int file = (int)must(open(path, O_RDONLY), path);
  must(fstat(file, &about), "fstat");
  size_t size = (size_t)about.st_size;
  int *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
  check(area != MAP_FAILED && mapped != MAP_FAILED, "there is room for mappings");
  must(madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE), "madvise");

  unsigned first = sum_of(mapped, size);
  for (int round = 0; round < ROUNDS; round++) {
    phase("write");
    write_pages(area);
    phase("read");
    read_pages(area);
    check(sum_of(mapped, size) == first, "a page of a file is the same when it is read again");
  }
  phase("end");
  must(getrusage(RUSAGE_SELF, &usage), "getrusage");
  printf("swap: %d pages and %zu of a file, read again in %ld page faults\n", PAGES, size / PAGE, usage.ru_majflt);
  check(usage.ru_majflt > 0, "some pages had to be read again");
  return 0;
}
