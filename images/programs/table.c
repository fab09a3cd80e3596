/* exercise table DIRECTORY [CGROUP]: calls of LTT's event table; says with which values, for a trace to be held against. */
#include "exercise.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void files_of_table(void) {
  char buffer[4096] = "";
  int fd = (int)must(open("table.file", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
  expect("file_open path=table.file fd=%d", fd);
  expect("file_write fd=%d asked=3000 done=%ld", fd, must(write(fd, buffer, 3000), "write"));
  expect("file_write fd=%d asked=7 offset=5000 done=%ld", fd, must(pwrite(fd, "at five", 7, 5000), "pwrite"));
  struct iovec two[] = {{buffer, 11}, {buffer, 13}};
  expect("file_write fd=%d done=%ld", fd, must(writev(fd, two, 2), "writev"));
  expect("file_seek fd=%d offset=-10 whence=SEEK_END ret=%ld", fd, must(lseek(fd, -10, SEEK_END), "lseek"));
  expect("file_read fd=%d asked=4000 done=%ld", fd, must(read(fd, buffer, 4000), "read"));
  expect("file_read fd=%d asked=100 offset=4990 done=%ld", fd, must(pread(fd, buffer, 100, 4990), "pread"));
  int waiting = 0;
  expect("file_ioctl fd=%d cmd=0x%x arg=0x%lx ret=%ld", fd, FIONREAD, (unsigned long)&waiting,
         must(ioctl(fd, FIONREAD, &waiting), "ioctl"));
  expect("file_sync fd=%d ret=%ld", fd, must(fsync(fd), "fsync"));
  expect("file_close fd=%d ret=%ld", fd, must(close(fd), "close"));
  if (open("/table/is/not/there", O_RDONLY) >= 0) exit(1);
  expect("file_open path=/table/is/not/there fd=-%d", errno);
}

/* A page that is changed, written by others than its program, and forgotten. */
static void cache_of_table(void) {
  struct stat about;
  int fd = (int)must(open("cached.file", O_RDWR | O_CREAT | O_TRUNC, 0600), "open");
  must(write(fd, "changed", 7), "write");
  must(fstat(fd, &about), "fstat");
  unsigned long inode = about.st_ino;
  unsigned major = major(about.st_dev), minor = minor(about.st_dev);
  expect("mm_filemap_add_to_page_cache i_ino=0x%lx index=0 s_dev=0x%x", inode, major << 20 | minor);
  expect("writeback_dirty_folio ino=%lu index=0", inode);
  sync();
  expect("workqueue_queue_work workqueue=writeback");
  expect("writeback_start name=%u:%u reason=sync", major, minor);
  expect("writeback_written name=%u:%u reason=sync", major, minor);
  expect("writeback_single_inode ino=%lu wrote=1", inode);
  must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "posix_fadvise");
  expect("mm_filemap_delete_from_page_cache i_ino=0x%lx index=0 s_dev=0x%x", inode, major << 20 | minor);
  must(close(fd), "close");
}

/* A process that is killed while it waits in a call. */
static void killed_of_table(void) {
  int ends[2];
  must(pipe(ends), "pipe");
  pid_t child = (pid_t)must(fork(), "fork");
  if (child == 0) {
    char byte;
    _exit(read(ends[0], &byte, 1) != 1);
  }
  usleep(5000);
  must(kill(child, SIGKILL), "kill");
  must(waitpid(child, NULL, 0), "waitpid");
  expect("signal_generate pid=%d sig=%d", child, SIGKILL);
  expect("sched_process_exit pid=%d exit_code=0x%x", child, SIGKILL);
}

static int watch(int file) {
  int epoll = (int)must(epoll_create1(0), "epoll_create1");
  struct epoll_event wanted = {.events = EPOLLIN};
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, file, &wanted), "epoll_ctl");
  return epoll;
}

static void wakeups_of_table(void) {
  int ends[2];
  must(pipe(ends), "pipe");
  pid_t child = (pid_t)must(fork(), "fork");
  if (child == 0) {
    usleep(3000);
    _exit(write(ends[1], "x", 1) != 1);
  }
  struct pollfd polled = {ends[0], POLLIN, 0};
  must(poll(&polled, 1, 1000), "poll");
  must(waitpid(child, NULL, 0), "waitpid");
  expect("poll_wakeup pid=%d ready=0x%x wanted=0x%x", getpid(), POLLIN | POLLRDNORM, POLLIN | POLLERR | POLLHUP);
  /* Epolls that watch each other call each other back, one within the other. */
  int counter = (int)must(eventfd(0, 0), "eventfd");
  int inner = watch(counter), middle = watch(inner), outer = watch(middle);
  unsigned long long one = 1;
  must(write(counter, &one, sizeof one), "write");
  int watched[] = {counter, inner, middle};
  for (int i = 0; i < 3; i++)
    expect("epoll_wakeup fd=%d ready=0x%x wanted=0x%x", watched[i], EPOLLIN, EPOLLIN | EPOLLERR | EPOLLHUP);
  must(close(outer), "close");
}

static void waits_of_table(void) {
  int ends[2];
  must(pipe(ends), "pipe");
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  struct timeval moment = {0, 3000};
  expect("file_select nfds=%d ret=%ld", ends[0] + 1, must(select(ends[0] + 1, &set, NULL, NULL, &moment), "select"));
  must(write(ends[1], "x", 1), "write");
  struct pollfd polled = {ends[0], POLLIN, 0};
  long ready = must(poll(&polled, 1, 1000), "poll");
  expect("file_poll nfds=1 fd=%d events=0x%x revents=0x%x ret=%ld", ends[0], POLLIN, polled.revents, ready);
  int epoll = (int)must(epoll_create1(0), "epoll_create1");
  struct epoll_event wanted = {.events = EPOLLIN}, found[5];
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &wanted), "epoll_ctl");
  expect("file_epoll_wait epfd=%d max=5 ret=%ld", epoll, must(epoll_wait(epoll, found, 5, 1000), "epoll_wait"));

  struct itimerval soon = {{0, 0}, {0, 2500}};
  signal(SIGALRM, SIG_IGN);
  must(setitimer(ITIMER_REAL, &soon, NULL), "setitimer");
  expect("itimer_state which=REAL value=2500000 interval=0");
  usleep(5000);
  expect("itimer_expire which=REAL pid=%d", getpid());

  int word = 7;
  struct timespec short_time = {0, 2000000};
  syscall(SYS_futex, &word, FUTEX_WAIT, 7, &short_time, NULL, 0);
  expect("futex_start uaddr=0x%lx op=WAIT val=7", (unsigned long)&word);
  expect("futex_end uaddr=0x%lx op=WAIT ret=-%d", (unsigned long)&word, errno);
  long woken = must(syscall(SYS_futex, &word, FUTEX_WAKE, 3, NULL, NULL, 0), "futex");
  expect("futex_end uaddr=0x%lx op=WAKE ret=%ld", (unsigned long)&word, woken);
}

static int tell_group(const char *group, const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", group, name);
  int file = open(path, O_WRONLY);
  if (file < 0) return 0;
  /* It fails when there was less to take, which is as good. */
  if (write(file, text, strlen(text)) < 0 && errno != EAGAIN) exit(1);
  close(file);
  return 1;
}

/* Takes memory from a control group: what was written to swap is then there alone. */
static void reclaim(const char *group) {
  if (tell_group(group, "memory.reclaim", "1M")) return;
  /* Before 5.19: all that is above a limit. */
  tell_group(group, "memory.high", "4096");
  tell_group(group, "memory.high", "max");
}

static void memory_of_table(const char *group) {
  const size_t length = 64 * 4096;
  char *area = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) exit(1);
  expect("memory_map length=%zu prot=0x3 flags=0x%x fd=-1 ret=0x%lx", length, MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)area);
  memset(area, 'a', length);
  /* Where there is swap, the pages go there and come back. */
  must(madvise(area, length, MADV_PAGEOUT), "madvise");
  if (group) {
    usleep(100000);
    reclaim(group);
  }
  for (size_t at = 0; at < length; at += 4096)
    if (area[at] != 'a') exit(1);
  expect("memory_unmap address=0x%lx length=%zu ret=%ld", (unsigned long)area, length, must(munmap(area, length), "munmap"));
  unsigned long end = (unsigned long)must((long)sbrk(0), "sbrk") + 8192;
  expect("memory_break wanted=0x%lx ret=0x%lx", end, syscall(SYS_brk, end));
}

static void sockets_of_table(void) {
  char buffer[700] = "";
  int listening = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  expect("socket_create family=INET type=STREAM protocol=0 fd=%d", listening);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(4321), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  expect("socket_call call=bind fd=%d ret=%ld family=INET port=4321 address=0x7f000001", listening,
         must(bind(listening, (void *)&here, sizeof here), "bind"));
  expect("socket_call call=listen fd=%d ret=%ld", listening, must(listen(listening, 1), "listen"));
  int caller = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  expect("socket_call call=connect fd=%d ret=%ld family=INET port=4321", caller,
         must(connect(caller, (void *)&here, sizeof here), "connect"));
  struct sockaddr_in there;
  socklen_t length = sizeof there;
  int called = (int)must(accept(listening, (void *)&there, &length), "accept");
  expect("socket_call call=accept fd=%d ret=%d port=%d address=0x7f000001", listening, called, ntohs(there.sin_port));
  expect("socket_sent fd=%d asked=600 flags=0x%x done=%ld", caller, MSG_NOSIGNAL, must(send(caller, buffer, 600, MSG_NOSIGNAL), "send"));
  expect("socket_send family=INET type=STREAM protocol=6 size=600");
  expect("socket_received fd=%d asked=650 flags=0x0 done=%ld", called, must(recv(called, buffer, 650, 0), "recv"));
  expect("socket_receive family=INET type=STREAM protocol=6 size=650");
  expect("inet_sock_set_state oldstate=SYN_SENT newstate=ESTABLISHED protocol=6");
  must(close(caller), "close");
  must(close(called), "close");
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
  must(write(pair[0], buffer, 321), "write");
  expect("socket_send family=UNIX type=DGRAM size=321");
  struct sockaddr_un named = {.sun_family = AF_UNIX, .sun_path = "table.socket"};
  int local = (int)must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
  expect("socket_call call=bind fd=%d ret=%ld family=UNIX path=table.socket", local, must(bind(local, (void *)&named, sizeof named), "bind"));
  must(unlink(named.sun_path), "unlink");
  int udp = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  expect("socket_sent fd=%d asked=500 done=%ld family=INET port=4321 address=0x7f000001", udp,
         must(sendto(udp, buffer, 500, 0, (void *)&here, sizeof here), "sendto"));
  expect("socket_send family=INET type=DGRAM protocol=17 size=500");
  /* 20 bytes of IP and 8 of UDP; on its way out the link's 14 as well. */
  expect("net_dev_queue len=542 name=lo protocol=IP");
  expect("netif_rx len=528 name=lo");
  expect("netif_receive_skb len=528 name=lo protocol=IP");
  expect("net_dev_xmit len=542 rc=0 name=lo");
}

static void ipc_of_table(void) {
  struct {
    long type;
    char text[24];
  } message = {1, "text"};
  int queue = (int)must(msgget(0x4711, IPC_CREAT | 0600), "msgget");
  expect("ipc_msg_create key=0x4711 flags=0x%x id=%d", IPC_CREAT | 0600, queue);
  expect("ipc_call call=msgsnd id=%d ret=%ld", queue, must(msgsnd(queue, &message, 24, 0), "msgsnd"));
  expect("ipc_call call=msgrcv id=%d ret=%ld", queue, must(msgrcv(queue, &message, 24, 0, 0), "msgrcv"));
  expect("ipc_call call=msgctl id=%d ret=%ld", queue, must(msgctl(queue, IPC_RMID, NULL), "msgctl"));
  int semaphores = (int)must(semget(0x4712, 3, IPC_CREAT | 0600), "semget");
  expect("ipc_sem_create key=0x4712 count=3 flags=0x%x id=%d", IPC_CREAT | 0600, semaphores);
  struct sembuf up = {2, 1, 0};
  must(semop(semaphores, &up, 1), "semop");
  must(semctl(semaphores, 0, IPC_RMID), "semctl");
  expect("ipc_call call=semctl id=%d ret=0", semaphores);
  int memory = (int)must(shmget(0x4713, 12288, IPC_CREAT | 0600), "shmget");
  expect("ipc_shm_create key=0x4713 size=12288 flags=0x%x id=%d", IPC_CREAT | 0600, memory);
  void *shared = shmat(memory, NULL, 0);
  expect("ipc_call call=shmat id=%d ret=%ld", memory, (long)shared);
  must(shmdt(shared), "shmdt");
  must(shmctl(memory, IPC_RMID, NULL), "shmctl");
}

int table(int argc, char **argv) {
  must(chdir(argc > 0 ? argv[0] : "/tmp"), "chdir");
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  files_of_table();
  cache_of_table();
  wakeups_of_table();
  killed_of_table();
  waits_of_table();
  memory_of_table(argc > 1 ? argv[1] : NULL);
  sockets_of_table();
  ipc_of_table();
  calls32();
  int log = (int)must(open("/dev/kmsg", O_WRONLY), "open");
  must(write(log, "a line of the table", 19), "write");
  expect("marker text=\"a line of the table\"");
  return 0;
}
