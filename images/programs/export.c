/* exercise export FILE...: copies files, those of tracefs included, into the memory of the PCI device 1af4:1110 (QEMU's
 * ivshmem-plain), which the host reads as a file. Each is preceded by a line "== NAME BYTES ==". */
#include "exercise.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Descriptor of a file of the device, or -1. */
static int device_file(int slot, const char *name, int flags) {
  char path[100];
  snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:00:%02x.0/%s", slot, name);
  return open(path, flags);
}

static int is_id(int slot, const char *name, const char *id) {
  char found[16] = "";
  int file = device_file(slot, name, O_RDONLY);
  if (file < 0) return 0;
  ssize_t length = read(file, found, sizeof found - 1);
  close(file);
  return length > 0 && strncmp(found, id, strlen(id)) == 0;
}

static char *map_shared_memory(size_t *bytes) {
  for (int slot = 0; slot < 32; slot++) {
    if (!is_id(slot, "vendor", "0x1af4") || !is_id(slot, "device", "0x1110")) continue;
    int enable = (int)must(device_file(slot, "enable", O_WRONLY), "enable");
    must(write(enable, "1", 1), "enable");
    int memory = (int)must(device_file(slot, "resource2_wc", O_RDWR), "resource2_wc");
    struct stat status;
    must(fstat(memory, &status), "fstat");
    *bytes = (size_t)status.st_size;
    char *mapped = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
  }
  return NULL;
}

int export(int argc, char **argv) {
  enum { title_bytes = 128, piece_bytes = 4096 };
  static char piece[piece_bytes];
  size_t size = 0, used = 0;
  char *memory = map_shared_memory(&size);
  if (!memory) {
    fprintf(stderr, "exercise: there is no device ivshmem-plain\n");
    return 1;
  }
  for (int i = 0; i < argc; i++) {
    int file = (int)must(open(argv[i], O_RDONLY | O_NONBLOCK), argv[i]);
    char *title = memory + used;
    used += title_bytes;
    size_t begin = used;
    ssize_t length;
    /* A ring buffer of the kernel that is empty says EAGAIN, others end. */
    while (used + piece_bytes + title_bytes <= size && (length = read(file, piece, sizeof piece)) > 0) {
      memcpy(memory + used, piece, (size_t)length);
      used += (size_t)length;
    }
    close(file);
    snprintf(title, title_bytes, "== %s %zu ==\n", argv[i], used - begin);
  }
  return used + piece_bytes + title_bytes <= size ? 0 : 1;
}
