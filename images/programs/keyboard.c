/* exercise keyboard: presses keys through the keyboard controller, and has a program that reads them answer. */
#include "exercise.h"
#include <fcntl.h>
#include <sys/io.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

/* drivers/input/serio/i8042.h: command 0xD2 puts the byte after it into the keyboard's output buffer, which raises IRQ 1. */
enum { DATA = 0x60, COMMAND = 0x64, INPUT_FULL = 2, FROM_KEYBOARD = 0xD2 };

/* What a keyboard sends for a key, in its own codes (set 2) and in those that a controller makes of them (set 1). */
static const struct {
  char letter;
  unsigned char raw, translated;
} keys[] = {{'a', 0x1c, 0x1e}, {'s', 0x1b, 0x1f}, {'d', 0x23, 0x20}};

enum { KEYS = sizeof keys / sizeof *keys };

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

static void press(int key, int raw) { put(raw ? keys[key].raw : keys[key].translated); }

static void release(int key, int raw) {
  if (raw) put(0xf0);
  put(raw ? keys[key].raw : keys[key].translated | 0x80);
}

/* Answers each key on the console, which is another device than the one that it reads. */
static int answer(int terminal) {
  /* A key that never comes must not keep the guest for ever. */
  alarm(5);
  int console = (int)must(open("/dev/console", O_WRONLY), "/dev/console");
  for (int i = 0; i < KEYS; i++) {
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
  must(ioperm(DATA, 1, 1), "ioperm");
  must(ioperm(COMMAND, 1, 1), "ioperm");
  int terminal = (int)must(open("/dev/tty1", O_RDWR | O_NOCTTY), "/dev/tty1");
  struct termios settings;
  must(tcgetattr(terminal, &settings), "tcgetattr");
  cfmakeraw(&settings);
  must(tcsetattr(terminal, TCSANOW, &settings), "tcsetattr");
  int raw = is_raw();
  pid_t reader = (pid_t)must(fork(), "fork");
  if (reader == 0) _exit(answer(terminal));
  /* Time for the reader to wait for a key, and to answer one before the next. */
  struct timespec pause_time = {0, 50000000};
  for (int i = 0; i < KEYS; i++) {
    must(nanosleep(&pause_time, NULL), "nanosleep");
    press(i, raw);
    must(nanosleep(&pause_time, NULL), "nanosleep");
    release(i, raw);
  }
  int status;
  must(waitpid(reader, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
