/* Calls of LTT's event table as 32-bit programs make them: by numbers of their own (int 0x80), those of sockets and of System V
 * IPC also through the one call that older programs have for each. What the calls look at lies below 4 GiB, as the program does. */
#include "exercise.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/socket.h>

static long int80(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  __asm__ volatile("xchg %%rbp, %[f]; int $0x80; xchg %%rbp, %[f]"
                   : "=a"(result), [f] "+r"(f)
                   : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory", "r8", "r9", "r10", "r11");
  /* An address may have its highest bit set. */
  return (unsigned)result > 0xfffff000u ? (int)result : (long)(unsigned)result;
}

static long well(long result, const char *what) {
  if (result < 0) errno = (int)-result;
  return must(result < 0 ? -1 : result, what);
}

static char buffer[600];
enum { ia32_largefile = 0100000 };
static const char path[] = "table.file32";

static void writes(void) {
  const long flags = O_RDWR | O_CREAT | O_TRUNC | ia32_largefile;
  long fd = well(int80(5, (long)path, flags, 0600, 0, 0, 0), "open");
  expect("file_open path=%s flags=0x%lx fd=%ld", path, flags, fd);
  expect("file_write fd=%ld asked=555 done=%ld", fd, well(int80(4, fd, (long)buffer, 555, 0, 0, 0), "write"));
  /* The offset comes in two halves. */
  expect("file_write fd=%ld asked=5 offset=4294967303 done=%ld", fd, well(int80(181, fd, (long)buffer, 5, 7, 1, 0), "pwrite64"));
  expect("file_seek fd=%ld offset=-4 whence=SEEK_CUR ret=%ld", fd, well(int80(19, fd, -4, SEEK_CUR, 0, 0, 0), "lseek"));
}

static void reads(void) {
  static long long place;
  long fd = well(int80(295, AT_FDCWD, (long)path, ia32_largefile, 0, 0, 0), "openat");
  expect("file_open path=%s flags=0x%x fd=%ld", path, ia32_largefile, fd);
  well(int80(140, fd, 1, 2, (long)&place, SEEK_SET, 0), "_llseek");
  expect("file_seek fd=%ld offset=4294967298 whence=SEEK_SET ret=%lld", fd, place);
  expect("file_read fd=%ld asked=600 done=%ld", fd, well(int80(3, fd, (long)buffer, 600, 0, 0, 0), "read"));
  expect("file_close fd=%ld ret=%ld", fd, well(int80(6, fd, 0, 0, 0, 0, 0), "close"));
}

static void memory(void) {
  long area = well(int80(192, 0, 12288, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap2");
  expect("memory_map length=12288 prot=0x1 fd=-1 ret=0x%lx", area);
  expect("memory_unmap address=0x%lx length=12288 ret=%ld", area, well(int80(91, area, 12288, 0, 0, 0, 0), "munmap"));
}

static void sockets(void) {
  static struct sockaddr_in here = {.sin_family = AF_INET};
  static struct pollfd polled = {.events = POLLIN};
  here.sin_port = htons(4332);
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  long one = well(int80(359, AF_INET, SOCK_DGRAM, 0, 0, 0, 0), "socket");
  expect("socket_create family=INET type=DGRAM protocol=0 fd=%ld", one);
  expect("socket_call call=bind fd=%ld ret=%ld family=INET port=4332 address=0x7f000001", one,
         well(int80(361, one, (long)&here, sizeof here, 0, 0, 0), "bind"));
  static unsigned create[] = {AF_INET, SOCK_DGRAM, IPPROTO_UDP};
  long other = well(int80(102, 1, (long)create, 0, 0, 0, 0), "socketcall");
  expect("socket_create family=INET type=DGRAM protocol=17 fd=%ld", other);
  unsigned to = (unsigned)(long)&here, from = (unsigned)(long)buffer;
  static unsigned send[6];
  memcpy(send, (unsigned[]){(unsigned)other, from, 77, 0, to, sizeof here}, sizeof send);
  expect("socket_sent fd=%ld asked=77 done=%ld family=INET port=4332 address=0x7f000001", other,
         well(int80(102, 11, (long)send, 0, 0, 0, 0), "sendto"));
  polled.fd = (int)one;
  expect("file_poll nfds=1 fd=%ld events=0x1 revents=0x1 ret=%ld", one, well(int80(168, (long)&polled, 1, 1000, 0, 0, 0), "poll"));
  expect("socket_received fd=%ld asked=99 done=%ld", one, well(int80(371, one, from, 99, 0, 0, 0), "recvfrom"));
}

static void queues(void) {
  long older = well(int80(117, 13, 0x4732, IPC_CREAT | 0600, 0, 0, 0), "ipc");
  expect("ipc_msg_create key=0x4732 flags=0x%x id=%ld", IPC_CREAT | 0600, older);
  expect("ipc_call call=msgctl id=%ld ret=%ld", older, well(int80(117, 14, older, IPC_RMID, 0, 0, 0), "ipc"));
  static int word = 3;
  expect("futex_start uaddr=0x%lx op=WAKE val=5", (long)&word);
  expect("futex_end uaddr=0x%lx op=WAKE ret=%ld", (long)&word, well(int80(240, (long)&word, FUTEX_WAKE, 5, 0, 0, 0), "futex"));
}

void calls32(void) {
  writes();
  reads();
  memory();
  sockets();
  queues();
}
