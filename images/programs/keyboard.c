/* exercise keyboard: presses keys through the keyboard controller, and has a program that reads them answer.
 * exercise type LINE...: types the lines, the last of which has to end it, to a shell on a virtual terminal. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

/* drivers/input/serio/i8042.h: command 0xD2 puts the byte after it into the keyboard's output buffer, which raises IRQ 1. */
enum { DATA = 0x60, COMMAND = 0x64, INPUT_FULL = 2, FROM_KEYBOARD = 0xD2 };

/* What a keyboard sends for a key, in its own codes (set 2) and in those that a controller makes of them (set 1). */
static const struct {
  char letter;
  unsigned char raw, translated;
} keys[] = {{'a', 0x1c, 0x1e}, {'s', 0x1b, 0x1f}, {'d', 0x23, 0x20}, {'e', 0x24, 0x12}, {'i', 0x43, 0x17}, {'l', 0x4b, 0x26},
            {'t', 0x2c, 0x14}, {'x', 0x22, 0x2d}, {'/', 0x4a, 0x35}, {' ', 0x29, 0x39}, {'\n', 0x5a, 0x1c}};

/* The keys that the part `keyboard` presses. */
static const char answered[] = "asd";

static void wait_for_room(void) {
  while (inb(COMMAND) & INPUT_FULL) continue;
}

static void put(unsigned char code) {
  wait_for_room();
  outb(FROM_KEYBOARD, COMMAND);
  wait_for_room();
  outb(code, DATA);
}

/* Whether the kernel takes raw codes: firmware that switches translation on is not always there. */
static int is_raw(void) {
  char name[64] = "";
  FILE *file = fopen("/sys/class/input/input0/name", "r");
  if (!file || !fgets(name, sizeof name, file)) must(-1, "/sys/class/input/input0/name");
  fclose(file);
  return strstr(name, "Raw") != NULL;
}

/* Down, and up again, with time for whoever reads keys to wait for one before, and to act on it after. */
static void press(char letter, int raw) {
  struct timespec pause_time = {0, 50000000};
  size_t key = 0;
  while (keys[key].letter != letter) check(++key < sizeof keys / sizeof *keys, "there is such a key");
  must(nanosleep(&pause_time, NULL), "nanosleep");
  put(raw ? keys[key].raw : keys[key].translated);
  must(nanosleep(&pause_time, NULL), "nanosleep");
  if (raw) put(0xf0);
  put(raw ? keys[key].raw : keys[key].translated | 0x80);
}

/* Asks for the keyboard controller's registers. */
static void take_controller(void) {
  must(ioperm(DATA, 1, 1), "ioperm");
  must(ioperm(COMMAND, 1, 1), "ioperm");
}

/* Answers each key on the console, which is another device than the one that it reads. */
static int answer(int terminal) {
  /* A key that never comes must not keep the guest for ever. */
  alarm(5);
  int console = (int)must(open("/dev/console", O_WRONLY), "/dev/console");
  for (int i = 0; i < (int)strlen(answered); i++) {
    char key;
    must(read(terminal, &key, 1), "read");
    char line[] = "key ?\n";
    line[4] = key;
    must(write(console, line, sizeof line - 1), "write");
  }
  return 0;
}

int keyboard(int argc, char **argv) {
  (void)argc, (void)argv;
  take_controller();
  int terminal = (int)must(open("/dev/tty1", O_RDWR | O_NOCTTY), "/dev/tty1");
  struct termios settings;
  must(tcgetattr(terminal, &settings), "tcgetattr");
  cfmakeraw(&settings);
  must(tcsetattr(terminal, TCSANOW, &settings), "tcsetattr");
  int raw = is_raw();
  pid_t reader = (pid_t)must(fork(), "fork");
  if (reader == 0) _exit(answer(terminal));
  for (const char *letter = answered; *letter; letter++) press(*letter, raw);
  int status;
  must(waitpid(reader, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Becomes an interactive shell whose terminal it is. */
static void be_shell(void) {
  must(setsid(), "setsid");
  int terminal = (int)must(open("/dev/tty1", O_RDWR), "/dev/tty1");
  must(ioctl(terminal, TIOCSCTTY, 0), "TIOCSCTTY");
  for (int i = 0; i < 3; i++) must(dup2(terminal, i), "dup2");
  /* Lines that nobody types must not keep the guest for ever. */
  alarm(10);
  execl("/bin/sh", "sh", "-i", (char *)NULL);
  must(-1, "/bin/sh");
}

int type(int argc, char **argv) {
  take_controller();
  int raw = is_raw();
  pid_t shell = (pid_t)must(fork(), "fork");
  if (shell == 0) be_shell();
  for (int i = 0; i < argc; i++) {
    for (const char *letter = argv[i]; *letter; letter++) press(*letter, raw);
    press('\n', raw);
  }
  int status;
  must(waitpid(shell, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
