/* exercise hostile: names, paths, log lines and pointers that are made to upset whoever watches. Nothing here has to
 * succeed; what is refused is refused by the kernel, and the program goes on. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

/* Shell, terminal, HTML, JSON, CSV and format strings; UTF-8 that is cut, overlong, right-to-left or a control. */
static const char *const names[] = {
    "<script>",      "\x1b[2J\x1b[31mred\x07", "\r\nforged line", "\xff\xfe\xc3(",  "%s%n%x%s%n",
    "\"},{\"x\":[",  "a,\"b\";c\\d",           "\t\b\x7f\x01",    "\xc2\x9b[2Jc1",  "\xe2\x80\xae" "evil\xe2\x80\xa8",
    "\xc0\x80\xed\xa0\x80", "$(reboot)`id`",   "' OR 1=1 --",     "sixteen-bytes-no-end", "",
};
enum { name_count = sizeof names / sizeof *names, page = 4096, long_bytes = 65536 };

static void call_under_name(const char *name) {
  prctl(PR_SET_NAME, name);
  char path[300];
  snprintf(path, sizeof path, "/tmp/hostile/%s", name);
  int file = open(path, O_CREAT | O_RDWR, 0600);
  if (file >= 0) close(file);
  mkdir(path, 0700);
  symlink(path, "/tmp/hostile/link");
  rename(path, "/tmp/hostile/renamed");
  unlink("/tmp/hostile/link");
  unlink("/tmp/hostile/renamed");
  usleep(1000);
}

/* A program whose file, arguments and environment have such a name. */
static void execute_under_name(const char *name) {
  char path[300];
  snprintf(path, sizeof path, "/tmp/hostile/%s.program", name);
  char *arguments[] = {(char *)name, (char *)"hostile", (char *)"end", (char *)name, NULL};
  char *environment[] = {(char *)name, NULL};
  symlink("/bin/exercise", path);
  pid_t child = fork();
  if (child == 0) {
    execve(path, arguments, environment);
    _exit(1);
  }
  waitpid(child, NULL, 0);
}

/* The program again, by the longest path that the kernel takes, and by one that is a byte too long. */
static void execute_long_path(void) {
  static char path[page + 1];
  const char program[] = "/bin/exercise";
  for (int length = page - 1; length <= page; length++) {
    size_t padding = (size_t)length - (sizeof program - 1);
    memset(path, 0, sizeof path);
    for (size_t i = 0; i < padding; i++) path[i] = i % 2 ? '.' : '/';
    if (padding % 2) path[padding - 1] = '/';
    memcpy(path + padding, program, sizeof program);
    char *arguments[] = {path, (char *)"hostile", (char *)"end", NULL};
    pid_t child = fork();
    if (child == 0) {
      execve(path, arguments, NULL);
      _exit(1);
    }
    waitpid(child, NULL, 0);
  }
}

/* 64 KiB of path, also right up to memory that is not there. */
static char *open_long_paths(void) {
  char *text = mmap(NULL, long_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (text == MAP_FAILED) return NULL;
  munmap(text + long_bytes, page);
  const char *const fillings[] = {"/", "a", "\x1b]0;title\x07", "\n", "\xff"};
  for (size_t f = 0; f < sizeof fillings / sizeof *fillings; f++) {
    size_t length = strlen(fillings[f]);
    for (size_t i = 0; i < long_bytes; i++) text[i] = fillings[f][i % length];
    open(text, O_RDONLY);
    open(text + long_bytes - 100, O_RDONLY);
    text[long_bytes - 1] = 0;
    open(text, O_RDONLY);
    open(text + long_bytes - 1000, O_RDONLY);
  }
  return text;
}

/* The kernel log takes anything. */
static void write_log_lines(void) {
  int log = open("/dev/kmsg", O_WRONLY);
  static char line[2000];
  for (int i = 0; i < name_count; i++) {
    int length = snprintf(line, sizeof line, "hostile: %s\n", names[i]);
    if (write(log, line, (size_t)length) < 0) continue;
  }
  memset(line, 0x1b, sizeof line);
  for (size_t length = 900; length <= sizeof line; length += 100)
    if (write(log, line, length) < 0) break;
  close(log);
}

/* Registers of the first PCI device that was made for tests (1b36:0005), or NULL. */
static void *map_device(void *where) {
  for (int slot = 0; slot < 32; slot++) {
    char path[100], vendor[16] = "", device[16] = "";
    snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:00:%02x.0/vendor", slot);
    int file = open(path, O_RDONLY);
    if (file < 0 || read(file, vendor, 15) < 0) continue;
    close(file);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:00:%02x.0/device", slot);
    file = open(path, O_RDONLY);
    if (file < 0 || read(file, device, 15) < 0) continue;
    close(file);
    if (strcmp(vendor, "0x1b36\n") != 0 || strcmp(device, "0x0005\n") != 0) continue;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:00:%02x.0/enable", slot);
    file = (int)must(open(path, O_WRONLY), "enable");
    must(write(file, "1", 1), "enable");
    close(file);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/0000:00:%02x.0/resource0", slot);
    file = (int)must(open(path, O_RDWR), "resource0");
    void *mapped = mmap(where, page, PROT_READ | PROT_WRITE, MAP_SHARED | (where ? MAP_FIXED : 0), file, 0);
    close(file);
    return mapped == MAP_FAILED ? NULL : mapped;
  }
  return NULL;
}

/* A path that lies in memory at one call and in a device's registers at the next, at the same address. */
static void swap_memory_for_device(void) {
  char *text = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (text == MAP_FAILED) return;
  strcpy(text, "/tmp/hostile/was memory");
  for (int i = 0; i < 3; i++) open(text, O_RDONLY);
  if (map_device(text) != text) return;
  for (int i = 0; i < 3; i++) open(text, O_RDONLY);
  char *nothing[] = {NULL};
  execve(text, nothing, nothing);
}

/* Calls that end more than their own process, wait for no signal, or set the machine's clock or console. */
static int is_left_out(long call) {
  static const long calls[] = {
      SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill,
      SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal, SYS_reboot, SYS_kexec_load,
      SYS_kexec_file_load, SYS_sync, SYS_vhangup, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
      SYS_clock_adjtime, SYS_syslog, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_setitimer, SYS_sethostname,
      SYS_setdomainname, SYS_chroot, SYS_pivot_root, SYS_acct, SYS_iopl, SYS_ioperm, SYS_munmap, SYS_write,
      SYS_pwrite64, SYS_writev, SYS_sched_setaffinity, SYS_membarrier, SYS_rt_sigreturn,
  };
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (calls[i] == call) return 1;
  return 0;
}

/* Every call with every pointer in all six places, and behind a good descriptor; each call in a process of its own. */
static void call_with_pointers(const unsigned long *pointers, size_t count) {
  for (long call = 0; call < 470; call++) {
    if (is_left_out(call)) continue;
    pid_t child = fork();
    if (child == 0) {
      struct itimerval limit = {{0, 0}, {0, 5000}};
      setitimer(ITIMER_REAL, &limit, NULL);
      int file = open("/tmp/hostile/file", O_RDONLY | O_CREAT, 0600);
      for (size_t i = 0; i < count; i++) {
        unsigned long p = pointers[i];
        syscall(call, p, p, p, p, p, p);
        syscall(call, (long)file, p, 64L, p, p, p);
      }
      _exit(0);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  }
}

static void pass_pointers(char *long_text) {
  char *forbidden = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int memory = open("/dev/mem", O_RDONLY);
  char *interrupts = mmap(NULL, page, PROT_READ, MAP_SHARED, memory, 0xfec00000);
  char *video = mmap(NULL, page, PROT_READ, MAP_SHARED, memory, 0xa0000);
  unsigned long device = (unsigned long)map_device(NULL);
  const unsigned long pointers[] = {
      0, 1, 0xfff, (unsigned long)forbidden, (unsigned long)(long_text + long_bytes - 3),
      (unsigned long)interrupts, (unsigned long)video, device, device + page - 2,
      0xfec00000, 0xfee00000, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000, 0x8000000000000000,
      0xffff7fffffffffff, 0xffff800000000000, 0xffff888000000000, 0xffff8880fee00000, 0xff11000000000000,
      0xffffc90000000000, 0xffffffff81000000, 0xffffffffff5fc000, 0xffffffffff5fd000, 0xffffffffff600000,
      -4096UL, -1UL,
  };
  call_with_pointers(pointers, sizeof pointers / sizeof *pointers);
}

int hostile(int argc, char **argv) {
  /* What it executes under other names has nothing left to do. */
  if (argc > 0 && strcmp(argv[0], "end") == 0) return 0;
  signal(SIGPIPE, SIG_IGN);
  must(mkdir("/tmp/hostile", 0700), "mkdir");
  for (int i = 0; i < name_count; i++) {
    call_under_name(names[i]);
    execute_under_name(names[i]);
  }
  execute_long_path();
  char *long_text = open_long_paths();
  if (!long_text) return 1;
  write_log_lines();
  swap_memory_for_device();
  pass_pointers(long_text);
  return 0;
}
