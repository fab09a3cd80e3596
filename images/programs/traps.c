/* exercise traps: one processor exception of each kind that a program can cause, caught by a signal handler. */
#include "exercise.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf resume;
static volatile sig_atomic_t caught;

static void on_signal(int number) {
  caught = number;
  siglongjmp(resume, 1);
}

/* Runs the statement, which must raise that signal. */
#define RAISES(signal_number, statement)                                             \
  do {                                                                               \
    caught = 0;                                                                      \
    if (!sigsetjmp(resume, 1)) { statement; }                                        \
    if (caught != (signal_number)) {                                                 \
      fprintf(stderr, "exercise: %s raised signal %d\n", #statement, (int)caught);   \
      return 1;                                                                      \
    }                                                                                \
  } while (0)

int traps(int argc, char **argv) {
  (void)argc, (void)argv;
  const int signals[] = {SIGFPE, SIGTRAP, SIGILL, SIGSEGV, SIGBUS};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], on_signal);
  char *readable = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int empty = (int)must(open("/tmp/empty", O_RDWR | O_CREAT | O_TRUNC, 0600), "/tmp/empty");
  char *beyond_end = mmap(NULL, 4096, PROT_READ, MAP_SHARED, empty, 0);
  if (readable == MAP_FAILED || beyond_end == MAP_FAILED) return 1;

  RAISES(SIGFPE, __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::: "eax", "ecx", "edx"));
  RAISES(SIGTRAP, __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop" ::: "memory")); /* single step */
  RAISES(SIGTRAP, __asm__ volatile("int3"));
  RAISES(SIGILL, __asm__ volatile("ud2"));
  RAISES(SIGSEGV, __asm__ volatile("hlt")); /* general protection */
  RAISES(SIGSEGV, __asm__ volatile("movb $1, 8" ::: "memory"));
  RAISES(SIGSEGV, *(volatile char *)readable = 1);
  RAISES(SIGBUS, (void)*(volatile char *)beyond_end);
  return 0;
}
