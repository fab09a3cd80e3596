/* exercise files DIRECTORY: file calls with known arguments and results: lseek, pread, vectors, mmap, ioctl, rename. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

int files(int argc, char **argv) {
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  int file = (int)must(open("exercise.file", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
  char first[] = "first ", second[] = "second\n", back[16] = "";
  struct iovec both[] = {{first, sizeof first - 1}, {second, sizeof second - 1}};
  must(writev(file, both, 2), "writev");
  must(lseek(file, 6, SEEK_SET), "lseek");
  must(read(file, back, 6), "read");
  must(pwrite(file, "F", 1, 0), "pwrite64");
  int waiting = 0;
  must(ioctl(file, FIONREAD, &waiting), "ioctl");

  char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return 1;
  mapped[1] = 'I';
  must(msync(mapped, 4096, MS_SYNC), "msync");
  must(munmap(mapped, 4096), "munmap");

  must(fsync(file), "fsync");
  must(close(file), "close");
  must(rename("exercise.file", "exercise.renamed"), "rename");
  must(unlink("exercise.renamed"), "unlink");
  /* Calls that fail say so in their result: a bad descriptor, a name that is not there. */
  if (close(999) == 0 || open("/does/not/exist", O_RDONLY) >= 0) return 1;
  return strcmp(back, "second") == 0 && waiting == 1 ? 0 : 1;
}
