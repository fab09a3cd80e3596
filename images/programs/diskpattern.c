/* exercise diskpattern FILE: one file of a disk, written and read in six ways, each by a process that is named after it. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/wait.h>

enum { BLOCK = 4096, FILE_BLOCKS = 256, SCATTERED = 32, LARGE = 16 * BLOCK };

static char buffer[LARGE];

static void drop_caches(void) {
  phase("drop-caches");
  sync();
  int file = (int)must(open("/proc/sys/vm/drop_caches", O_WRONLY), "drop_caches");
  must(write(file, "3", 1), "drop_caches");
  must(close(file), "close");
}

/* Blocks far from each other in an order that looks random and is always the same, none of them twice. */
static off_t scattered(int turn) { return (off_t)(turn * 75 % FILE_BLOCKS) * BLOCK; }

static void write_at(int file, off_t at, size_t size, char byte) {
  memset(buffer, byte, size);
  check(pwrite(file, buffer, size, at) == (ssize_t)size, "the file takes all");
}

static void read_at(int file, off_t at, size_t size) {
  check(pread(file, buffer, size, at) == (ssize_t)size, "the file gives all");
}

static void write_in_order(const char *path) {
  int file = (int)must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), path);
  for (off_t at = 0; at < FILE_BLOCKS * BLOCK; at += LARGE) write_at(file, at, LARGE, 'w');
  must(fsync(file), "fsync");
}

static void write_scattered(const char *path) {
  int file = (int)must(open(path, O_WRONLY), path);
  for (int i = 0; i < SCATTERED; i++) write_at(file, scattered(i), BLOCK, 's');
  must(fsync(file), "fsync");
}

static void write_through(const char *path) {
  int file = (int)must(open(path, O_WRONLY | O_DSYNC), path);
  for (int i = 0; i < SCATTERED / 2; i++) write_at(file, scattered(i), BLOCK, 't');
}

static void read_in_order(const char *path) {
  int file = (int)must(open(path, O_RDONLY), path);
  for (off_t at = 0; at < FILE_BLOCKS * BLOCK; at += BLOCK) read_at(file, at, BLOCK);
}

static void read_scattered(const char *path) {
  int file = (int)must(open(path, O_RDONLY), path);
  /* Without this the kernel would read ahead what nobody asks for. */
  must(posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM), "posix_fadvise");
  for (int i = 0; i < SCATTERED; i++) {
    read_at(file, scattered(i), BLOCK);
    check(buffer[0] == (i < SCATTERED / 2 ? 't' : 's'), "what is read is what was written last");
  }
}

static void in_a_process(const char *name, void (*use)(const char *), const char *path) {
  int status;
  phase(name);
  if (must(fork(), "fork") == 0) {
    call_me("%s", name);
    use(path);
    _exit(0);
  }
  must(wait(&status), "wait");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "each process ends well");
}

int diskpattern(int argc, char **argv) {
  const char *path = argc > 0 ? argv[0] : "/root/pattern";
  in_a_process("write-in-order", write_in_order, path);
  in_a_process("write-scattered", write_scattered, path);
  in_a_process("write-through", write_through, path);
  drop_caches();
  in_a_process("read-in-order", read_in_order, path);
  in_a_process("read-cached", read_in_order, path);
  drop_caches();
  in_a_process("read-scattered", read_scattered, path);
  phase("end");
  must(unlink(path), "unlink");
  printf("diskpattern: the file was written and read in six ways\n");
  return 0;
}
