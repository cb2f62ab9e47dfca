/*
 * Files, memory, exports and forks on the preload library, as programs use them. Ends with as many descriptors as it
 * began with.
 */
#include "client.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static int has_vm(int fd)
{
    struct nvu_vm_bind bind = {0};
    return ioctl(fd, NVU_VM_BIND, &bind) == 0;
}

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void wait_for(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void look(void)
{
    DIR *dir = opendir("/dev/dri");
    CHECK(dir && readdir(dir) && closedir(dir) == 0);
}

static void *look_until(void *done)
{
    while (!atomic_load((atomic_bool *)done))
        look();
    return NULL;
}

/* Forks while other threads look at the GPU's folder and nobody has asked for the device: a child finds no lock taken. */
static void early_forks(void)
{
    pthread_t all[2];
    atomic_bool is_done = false;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&all[i], NULL, look_until, &is_done) == 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            look();
            _exit(0);
        }
        wait_for(pid);
    }
    atomic_store(&is_done, true);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(all[i], NULL) == 0);
}

/* Errors come as -1 and errno; what is not ours answers as ever. */
static void errors(void)
{
    int fd = open_node();
    uint64_t word = 0;
    FAILS(ioctl(fd, NVU_VM_BIND, &(struct nvu_vm_bind){0}), ENOSYS);
    FAILS(ioctl(fd, NVU_GEM_CLOSE, &(struct nvu_gem_close){.handle = 9}), EINVAL);
    FAILS(ioctl(fd, 0xc0086eff, &word), ENOTTY);
    FAILS(ioctl(fd, 0xc00864ee, &word), EINVAL);
    FAILS(ioctl(fd, NVU_VERSION, NULL), EFAULT);
    CHECK(!isatty(fd) && errno == ENOTTY);
    FAILS(ioctl(999, NVU_GEM_CLOSE, &word), EBADF);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(close(fd) == 0);
    FAILS(ioctl(fd, NVU_GEM_CLOSE, &word), EBADF);
    FAILS(close(fd), EBADF);
    int null = open("/dev/null", O_RDWR);
    CHECK(null == fd);
    FAILS(ioctl(null, NVU_VERSION, &word), ENOTTY);
    CHECK(close(null) == 0);
}

/* Duplicates share one open file, whichever way they were made; the last one closes it. */
static void duplicates(void)
{
    int a = open_node(), b = open_node();
    vm_init(a);
    CHECK(has_vm(a) && !has_vm(b));
    int copies[] = {dup(a), fcntl(a, F_DUPFD, 100), fcntl(a, F_DUPFD_CLOEXEC, 200), dup2(a, 300), dup3(a, 301, O_CLOEXEC)};
    CHECK(copies[1] == 100 && copies[2] == 200 && copies[3] == 300 && copies[4] == 301);
    CHECK(fcntl(copies[2], F_GETFD) == FD_CLOEXEC && fcntl(copies[0], F_GETFD) == 0);
    CHECK(dup2(b, b) == b && !has_vm(b));
    CHECK(dup2(a, b) == b && has_vm(b));
    int null = open("/dev/null", O_RDWR);
    CHECK(dup2(null, a) == a);
    FAILS(ioctl(a, NVU_VERSION, &(int){0}), ENOTTY);
    for (int i = 0; i < 5; i++) {
        CHECK(has_vm(copies[i]));
        CHECK(close(copies[i]) == 0);
    }
    CHECK(has_vm(b));
    FAILS(close_range((unsigned)b, (unsigned)b, 1 << 10), EINVAL);
    CHECK(close_range((unsigned)b, (unsigned)b, CLOSE_RANGE_CLOEXEC) == 0 && has_vm(b));
    CHECK(close_range((unsigned)b, (unsigned)b, 0) == 0);
    FAILS(ioctl(b, NVU_VERSION, &(int){0}), EBADF);
    close(null);
    close(a);
}

/* Its number is not taken for the node's any more when it is another's. */
static void check_closed(int fd)
{
    int ends[2];
    CHECK(pipe(ends) == 0 && ends[0] == fd);
    FAILS(ioctl(fd, NVU_VERSION, &(int){0}), ENOTTY);
    close(ends[0]);
    close(ends[1]);
}

/* Streams on the node: closing one closes what it is on, and nothing stays of one that cannot be made. */
static void streams(void)
{
    int fd = open_node();
    vm_init(fd);
    FILE *stream = fdopen(dup(fd), "r+");
    int copy = fileno(stream);
    CHECK(has_vm(copy) && fclose(stream) == 0 && has_vm(fd));
    check_closed(copy);
    close(fd);

    stream = fopen(NODE, "r+");
    CHECK(stream && fileno(stream) == fd);
    FAILS(ioctl(fd, NVU_VM_BIND, &(struct nvu_vm_bind){0}), ENOSYS);
    CHECK(fclose(stream) == 0);
    check_closed(fd);

    CHECK(!fopen(NODE, "x") && errno == EINVAL && fcntl(fd, F_GETFD) < 0);
    stream = fmemopen(&copy, sizeof(copy), "r"); /* on no descriptor */
    errno = 0;
    CHECK(fclose(stream) == 0 && errno == 0);
}

/* A buffer's memory: the same through all mappings, placed where asked, as its file was opened, alive as long as any of it
 * is mapped. */
static void memory(void)
{
    int fd = open_node(), other = open_node();
    struct nvu_gem_info info = gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE);
    FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, (off_t)info.map_handle + 4096), EINVAL);
    FAILS(mmap(NULL, 2 * SIZE, PROT_READ, MAP_SHARED, fd, (off_t)info.map_handle), EINVAL);
    FAILS(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)info.map_handle), EINVAL);
    FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, other, (off_t)info.map_handle), EACCES);

    int reader = open(NODE, O_RDONLY), writer = open(NODE, O_WRONLY);
    uint64_t offset = gem_new(reader, NVU_GEM_DOMAIN_GART, SIZE).map_handle;
    FAILS(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, (off_t)offset), EACCES);
    void *memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, reader, (off_t)offset);
    CHECK(memory != MAP_FAILED && munmap(memory, SIZE) == 0);
    offset = gem_new(writer, NVU_GEM_DOMAIN_GART, SIZE).map_handle;
    FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, writer, (off_t)offset), EACCES);
    close(reader);
    close(writer);

    uint8_t *a = map(fd, info.map_handle, SIZE);
    uint8_t *room = mmap(NULL, 3 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *b = mmap(room + SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)info.map_handle);
    CHECK(b == room + SIZE);
    a[5] = 42;
    CHECK(b[5] == 42);

    gem_close(fd, info.handle);
    CHECK(munmap(a, SIZE) == 0);
    /* In two pieces, the middle away by a mapping over it. */
    CHECK(mmap(b + 4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == b + 4096);
    struct nvu_gem_info new = gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE);
    CHECK(new.map_handle != info.map_handle && b[5] == 42);
    CHECK(munmap(b, 8192) == 0);
    CHECK(b[8192] == 0);
    gem_close(fd, gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE).handle);
    CHECK(munmap(room, 3 * SIZE) == 0);
    /* Now its place is free. */
    CHECK(gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE).map_handle == info.map_handle);
    close(fd);
    close(other);
}

/* A dma-buf: its size, its bytes, the way back in, also through duplicates. */
static void buffers(void)
{
    int a = open_node(), b = open_node();
    struct nvu_gem_info info = gem_new(a, NVU_GEM_DOMAIN_GART, SIZE);
    struct nvu_prime_handle prime = {.handle = info.handle, .flags = O_CLOEXEC | O_RDWR};
    CHECK(ioctl(a, NVU_PRIME_HANDLE_TO_FD, &prime) == 0);
    CHECK(lseek(prime.fd, 0, SEEK_END) == SIZE && lseek(prime.fd, 0, SEEK_SET) == 0);
    int copy = dup(prime.fd);
    close(prime.fd);

    uint8_t *direct = map(copy, 0, SIZE);
    struct nvu_prime_handle back = {.fd = copy};
    CHECK(ioctl(a, NVU_PRIME_FD_TO_HANDLE, &back) == 0 && back.handle == info.handle);
    CHECK(ioctl(b, NVU_PRIME_FD_TO_HANDLE, &back) == 0);
    struct nvu_gem_info seen = {.handle = back.handle};
    CHECK(ioctl(b, NVU_GEM_INFO, &seen) == 0 && seen.size == SIZE && seen.map_handle == info.map_handle);
    uint8_t *mapped = map(b, seen.map_handle, SIZE);
    direct[7] = 7;
    CHECK(mapped[7] == 7);
    FAILS(ioctl(copy, NVU_GEM_NEW, &(struct nvu_gem_new){0}), ENOTTY);

    prime.flags = O_CLOEXEC;
    CHECK(ioctl(a, NVU_PRIME_HANDLE_TO_FD, &prime) == 0);
    FAILS(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, prime.fd, 0), EACCES);
    uint8_t *seen_only = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, prime.fd, 0);
    CHECK(seen_only != MAP_FAILED && seen_only[7] == 7 && munmap(seen_only, SIZE) == 0);
    close(prime.fd);

    struct nvu_prime_handle wrong = {.fd = b};
    FAILS(ioctl(a, NVU_PRIME_FD_TO_HANDLE, &wrong), EINVAL);
    wrong.fd = 999;
    FAILS(ioctl(a, NVU_PRIME_FD_TO_HANDLE, &wrong), EBADF);
    CHECK(munmap(direct, SIZE) == 0 && munmap(mapped, SIZE) == 0);
    close(copy);
    close(a);
    close(b);
}

static int is_readable(int fd)
{
    struct pollfd state = {.fd = fd, .events = POLLIN};
    return poll(&state, 1, 0) == 1;
}

/* Syncobjs and sync files across open files; poll and eventfds tell of the signal. */
static void syncs(void)
{
    int a = open_node(), b = open_node();
    uint32_t handle = syncobj_new(a);
    struct nvu_syncobj_handle shared = {.handle = handle}, file = {.handle = handle, .flags = 1};
    CHECK(ioctl(a, NVU_SYNCOBJ_HANDLE_TO_FD, &shared) == 0);
    FAILS(ioctl(a, NVU_SYNCOBJ_HANDLE_TO_FD, &file), EINVAL);
    struct nvu_syncobj_handle imported = {.fd = shared.fd};
    CHECK(ioctl(b, NVU_SYNCOBJ_FD_TO_HANDLE, &imported) == 0);
    close(shared.fd);

    /* Something that takes until it is told: an EXEC would need a channel; a point of a timeline does. */
    int event = eventfd(0, EFD_CLOEXEC);
    struct nvu_syncobj_eventfd wait = {.handle = handle, .fd = event};
    CHECK(ioctl(a, NVU_SYNCOBJ_EVENTFD, &wait) == 0);
    wait.fd = a;
    FAILS(ioctl(a, NVU_SYNCOBJ_EVENTFD, &wait), EINVAL);
    CHECK(!is_readable(event));
    signal_syncobj(b, imported.handle);
    CHECK(is_readable(event));
    CHECK(ioctl(a, NVU_SYNCOBJ_HANDLE_TO_FD, &file) == 0);
    CHECK(is_readable(file.fd));
    struct nvu_sync_file_info told = {0};
    CHECK(ioctl(file.fd, NVU_SYNC_FILE_INFO, &told) == 0 && told.status == 1 && told.num_fences == 1);
    struct nvu_sync_merge merge = {.fd2 = file.fd};
    CHECK(ioctl(file.fd, NVU_SYNC_MERGE, &merge) == 0 && is_readable(merge.fence));
    close(merge.fence);
    close(file.fd);
    close(event);
    close(a);
    close(b);
}

/* A wait that comes to nothing sleeps. */
static void waits(void)
{
    int fd = open_node();
    uint32_t handle = syncobj_new(fd);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct nvu_syncobj_wait wait = {
        .handles = (uintptr_t)&handle, .count_handles = 1, .flags = 2,
        .timeout_nsec = now.tv_sec * 1000000000ll + now.tv_nsec + 300000000,
    };
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    FAILS(ioctl(fd, NVU_SYNCOBJ_WAIT, &wait), ETIME);
    getrusage(RUSAGE_SELF, &after);
    CHECK((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec - before.ru_utime.tv_usec < 100000);
    close(fd);
}

static void child(int fd, uint8_t *memory)
{
    FAILS(ioctl(fd, NVU_VERSION, &(int){0}), ENODEV);
    FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, NVU_MAP_HANDLE_BASE), ENODEV);
    CHECK(memory[0] == 1);
    memory[1] = 2;
    CHECK(munmap(memory, SIZE) == 0);
    CHECK(close(fd) == 0);
    int own = open_node();
    vm_init(own);
    uint8_t *mine = map(own, gem_new(own, NVU_GEM_DOMAIN_GART, SIZE).map_handle, SIZE);
    CHECK(mine[0] == 0);
    close(own);
    _exit(0);
}

/* A child sees what was mapped, has no part in what is open, and may open a device of its own. */
static void forks(void)
{
    int fd = open_node();
    vm_init(fd);
    struct nvu_gem_info info = gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE);
    uint8_t *memory = map(fd, info.map_handle, SIZE);
    memory[0] = 1;
    pid_t pid = fork();
    if (pid == 0)
        child(fd, memory);
    wait_for(pid);
    CHECK(memory[1] == 2 && has_vm(fd));

    pid = vfork();
    if (pid == 0) {
        close(fd);
        open("/dev/null", O_RDWR); /* under the same number */
        fcntl(fd, F_DUPFD, 50);
        dup2(open_node(), 51);
        _exit(0);
    }
    wait_for(pid);
    CHECK(has_vm(fd));
    int null = open("/dev/null", O_RDWR);
    for (int copy = 50; copy < 52; copy++) {
        CHECK(fcntl(null, F_DUPFD, copy) == copy);
        FAILS(ioctl(copy, NVU_VERSION, &(int){0}), ENOTTY);
        CHECK(close(copy) == 0);
    }
    close(null);
    munmap(memory, SIZE);
    close(fd);
}

static void send_descriptor(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    struct iovec data = {.iov_base = "", .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    CHECK(sendmsg(socket, &message, 0) == 1);
}

/* Lengths that cannot be are the kernel's to refuse, and are not believed. */
static void send_wrong(int socket, int fd)
{
    static const size_t lengths[] = {0, CMSG_LEN(0) - 1, CMSG_LEN(1 << 24), SIZE_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct cmsghdr header[2] = {{.cmsg_len = lengths[i], .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
        struct iovec data = {.iov_base = "", .iov_len = 1};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = header, .msg_controllen = sizeof(header)};
        FAILS(sendmsg(socket, &message, 0), EINVAL);
    }
}

static int receive_descriptor(int socket)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    int fd;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    CHECK(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && message.msg_controllen);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}

/* Through a socket and out again, closed meanwhile. */
static int pass(int fd)
{
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    send_descriptor(sockets[0], fd);
    CHECK(close(fd) == 0);
    fd = receive_descriptor(sockets[1]);
    close(sockets[0]);
    close(sockets[1]);
    return fd;
}

/* A program that closes what keeps a file on its way, as one does that closes all descriptors: what then gets the number
 * stays open, also when there are too many on their way. */
static void close_copy(int fd)
{
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    int copy = open("/dev/null", O_RDWR);
    close(copy);
    send_descriptor(sockets[0], fd);
    CHECK(close(copy) == 0 && open("/dev/null", O_RDWR) == copy);
    for (int i = 0; i < 64; i++)
        send_descriptor(sockets[0], fd);
    CHECK(fcntl(copy, F_GETFD) >= 0 && close(copy) == 0);
    for (int i = 0; i < 65; i++) {
        int received = receive_descriptor(sockets[1]);
        CHECK(i == 64 || has_vm(received));
        close(received);
    }
    close(sockets[0]);
    close(sockets[1]);
}

/* Nothing is kept of a file that goes to another process. */
static void send_away(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int own = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(own, (struct sockaddr *)&address, size) == 0);
        close(receive_descriptor(own));
        _exit(0);
    }
    int connected = accept(listener, NULL, NULL), before = count_descriptors();
    send_descriptor(connected, fd);
    CHECK(count_descriptors() == before);
    wait_for(pid);
    close(connected);
    close(listener);
}

/* A file comes out of a socket as itself; another's stays what it is. */
static void messages(void)
{
    int sockets[2], fd = open_node(), null = open("/dev/null", O_RDWR);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    vm_init(fd);
    send_wrong(sockets[0], fd);
    close(sockets[0]);
    close(sockets[1]);
    fd = pass(fd);
    CHECK(has_vm(fd));
    null = pass(null);
    FAILS(ioctl(null, NVU_VERSION, &(int){0}), ENOTTY);
    close(null);
    close_copy(fd);
    send_away(fd);
    close(fd);
}

static void *churn(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++) {
        int fd = open_node();
        vm_init(fd);
        struct nvu_gem_info info = gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE);
        uint8_t *memory = map(fd, info.map_handle, SIZE);
        int copy = pass(dup(fd));
        CHECK(close(fd) == 0);
        CHECK(memory[SIZE - 1] == 0);
        memory[SIZE - 1] = 1;
        CHECK(close(copy) == 0 && munmap(memory, SIZE) == 0);
    }
    return NULL;
}

/* Opening, closing, mapping, sending on threads, and forks in between. */
static void threads(void)
{
    pthread_t all[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&all[i], NULL, churn, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(pass(open("/dev/dri", O_RDONLY | O_DIRECTORY)));
            exit(0); /* with what is to be done at a process's end: nothing of the parent's */
        }
        wait_for(pid);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(all[i], NULL) == 0);
}

int main(void)
{
    early_forks();
    close(open_node()); /* the device itself stays */
    int before = count_descriptors();
    errors();
    duplicates();
    streams();
    memory();
    buffers();
    syncs();
    waits();
    forks();
    messages();
    threads();
    CHECK(count_descriptors() == before);
    puts("descriptors: passed");
    return 0;
}
