/* exercise ftp DIRECTORY: serves the files of a directory by FTP on the loopback interface, a process for each client, which
 * is named after its file, as an FTP daemon does: enough of RFC 959 for ftpget. Ends when it is killed. */
#include "exercise.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int listener(in_port_t port, struct sockaddr_in *at) {
  int on = 1, server = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  socklen_t length = sizeof *at;
  *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  must(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
  must(bind(server, (struct sockaddr *)at, sizeof *at), "bind");
  must(listen(server, 4), "listen");
  must(getsockname(server, (struct sockaddr *)at, &length), "getsockname");
  return server;
}

static void say(int client, const char *text) { must(write(client, text, strlen(text)), "reply"); }

static void retrieve(int client, int data, const char *name) {
  static char bytes[16384];
  int file = open(name, O_RDONLY);
  if (file < 0 || data < 0) {
    say(client, "550 there is no such file\r\n");
    return;
  }
  char own_name[16];
  snprintf(own_name, sizeof own_name, "ftp-%.11s", name);
  must(prctl(PR_SET_NAME, own_name), "prctl");
  say(client, "150 here it comes\r\n");
  int to = (int)must(accept(data, NULL, NULL), "accept");
  for (long got; (got = must(read(file, bytes, sizeof bytes), name)) > 0;)
    for (long sent = 0; sent < got;) sent += must(write(to, bytes + sent, (size_t)(got - sent)), "send");
  must(close(to), "close");
  must(close(file), "close");
  say(client, "226 that was it\r\n");
}

static void serve(int client) {
  char line[512];
  int data = -1;
  FILE *commands = fdopen(dup(client), "r");
  say(client, "220 ready\r\n");
  while (commands && fgets(line, sizeof line, commands)) {
    line[strcspn(line, "\r\n")] = 0;
    if (strncmp(line, "RETR ", 5) == 0) {
      retrieve(client, data, line + 5);
    } else if (strcmp(line, "PASV") == 0) {
      struct sockaddr_in at;
      data = listener(0, &at);
      unsigned port = ntohs(at.sin_port);
      char reply[80];
      snprintf(reply, sizeof reply, "227 (127,0,0,1,%u,%u)\r\n", port >> 8, port & 255);
      say(client, reply);
    } else if (strncmp(line, "USER ", 5) == 0) {
      say(client, "230 welcome\r\n");
    } else if (strncmp(line, "TYPE ", 5) == 0) {
      say(client, "200 as you like\r\n");
    } else if (strcmp(line, "QUIT") == 0) {
      say(client, "221 goodbye\r\n");
      break;
    } else {
      say(client, "502 what?\r\n");
    }
  }
}

int ftp(int argc, char **argv) {
  struct sockaddr_in at;
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  int server = listener(21, &at);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int client = (int)must(accept(server, NULL, NULL), "accept");
    if (must(fork(), "fork") == 0) {
      serve(client);
      _exit(0);
    }
    must(close(client), "close");
  }
}
