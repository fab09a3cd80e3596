/* exercise compat: 32-bit system calls (int 0x80) from a 64-bit program, and one that does not exist.
 * The program is linked below 4 GiB (static, not position independent), so its addresses fit the 32-bit registers. */
#include "exercise.h"

static const char greeting[] = "exercise: written by int 0x80\n";

static long int80(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
  return (int)result;
}

int compat(int argc, char **argv) {
  (void)argc, (void)argv;
  enum { ia32_write = 4, ia32_getpid = 20, no_such_call = 9999 };
  long wrote = int80(ia32_write, 1, (long)greeting, sizeof greeting - 1);
  long pid = int80(ia32_getpid, 0, 0, 0);
  long refused = int80(no_such_call, 1, 2, 3);
  return wrote == sizeof greeting - 1 && pid == getpid() && refused == -ENOSYS ? 0 : 1;
}
