/* exercise: kernel activity that no program of busybox can be made to cause. Usage: exercise PART [ARGUMENT...] */
#include "exercise.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
} parts[] = {
    {"accounts", accounts}, {"burn", burn}, {"compat", compat}, {"contention", contention}, {"desktop", desktop},
    {"diskpattern", diskpattern}, {"export", export}, {"faults", faults}, {"files", files}, {"forktree", forktree},
    {"ftp", ftp}, {"hostile", hostile}, {"identities", identities}, {"inversion", inversion}, {"ipc", ipc},
    {"keyboard", keyboard}, {"library", library}, {"packetstorm", packetstorm}, {"philosophers", philosophers},
    {"pingpong", pingpong}, {"producer", producer}, {"race", race}, {"signals", signals}, {"snapshot", snapshot},
    {"swap", swap}, {"sysvipc", sysvipc}, {"table", table}, {"threads", threads}, {"timers", timers}, {"traps", traps},
    {"type", type}, {"waits", waits},
};

int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (argc > 1 && strcmp(argv[1], parts[i].name) == 0) return parts[i].run(argc - 2, argv + 2);
  fprintf(stderr, "exercise: no such part\n");
  return 2;
}
