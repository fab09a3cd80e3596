/* calls: calls functions of its own in several processes and threads, and prints with which arguments and results; for
 * probes in programs. Linked at run time and built with debug information, of which the guest's copy is stripped. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
enum { CALLS = 5, PAGES = 32, PAGE = 4096 };

struct pair { int left; long right; };
long known_global = 4711;

APART long work(int number, const char *text, double weight, const struct pair *pair, unsigned char small) {
  __asm__ volatile("" ::: "memory");
  if (number < 0) return -1;
  return number * 1000L + pair->right + (long)strlen(text) + (weight > 1.0) + small;
}

/* Its first instruction reads: of a page that was never touched it does so twice. */
APART long look(const long *place) { return *place; }

static void *calls(void *base) {
  for (int i = 0; i < CALLS; i++) {
    int number = (int)(long)base + i - 1;
    char text[32];
    struct pair pair = {i, 100L * i};
    snprintf(text, sizeof text, "text-%d", number);
    long result = work(number, text, i, &pair, (unsigned char)(250 + i));
    printf("work tid=%d number=%d text=%s right=%ld small=%d result=%ld\n", gettid(), number, text, pair.right, 250 + i, result);
    fflush(stdout);
  }
  return NULL;
}

static void untouched(void) {
  char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) exit(1);
  madvise(pages, PAGES * PAGE, MADV_NOHUGEPAGE);
  long sum = 0;
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < PAGES; i++) sum += look((long *)(pages + i * PAGE));
  printf("look tid=%d times=%d sum=%ld\n", gettid(), 2 * PAGES, sum);
}

int main(int argc, char **argv) {
  if (argc > 1) return calls((void *)atol(argv[1])), 0;
  calls((void *)0);
  untouched();
  fflush(stdout);
  for (int i = 1; i <= 4; i++) {
    char base[16];
    snprintf(base, sizeof base, "%d", 100 * i);
    pid_t child = fork();
    if (child == 0) {
      if (i < 3) execl("/proc/self/exe", argv[0], base, (char *)NULL);
      calls((void *)(100L * i));
      _exit(0);
    }
    waitpid(child, NULL, 0);
  }
  pthread_t threads[2];
  for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, calls, (void *)(1000 * (i + 1)));
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  return 0;
}
