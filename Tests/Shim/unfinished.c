/*
 * A push that waits for a semaphore: what it signals is not readable until the semaphore has its value. Then a process that
 * ends while such a push waits; its end is this program's.
 */
#include "client.h"

#include <poll.h>
#include <time.h>

static const uint64_t va = 0x100000;

struct client {
    int fd;
    uint32_t channel;
    volatile uint32_t *memory; /* the semaphore; the push, from word 64 on */
};

static struct client start(void)
{
    struct client c = {.fd = open_node()};
    vm_init(c.fd);
    struct nvu_channel_alloc channel = {0};
    CHECK(ioctl(c.fd, NVU_CHANNEL_ALLOC, &channel) == 0);
    c.channel = (uint32_t)channel.channel;
    struct nvu_gem_info info = gem_new(c.fd, NVU_GEM_DOMAIN_GART, SIZE);
    struct nvu_vm_bind_op op = {.op = NVU_VM_BIND_OP_MAP, .handle = info.handle, .addr = va, .range = SIZE};
    struct nvu_vm_bind bind = {.op_count = 1, .op_ptr = (uintptr_t)&op};
    CHECK(ioctl(c.fd, NVU_VM_BIND, &bind) == 0);
    c.memory = (void *)map(c.fd, info.map_handle, SIZE);
    return c;
}

/* Has the channel wait until the semaphore is `value`, then signal `syncobj`. */
static void submit(const struct client *c, uint32_t value, uint32_t syncobj)
{
    const uint32_t words[] = {1u << 29 | 4 << 16 | 0x10 >> 2, (uint32_t)(va >> 32), (uint32_t)va, value, 0x01001001};
    for (size_t i = 0; i < 5; i++)
        c->memory[64 + i] = words[i];
    struct nvu_exec_push push = {.va = va + 256, .va_len = sizeof(words)};
    struct nvu_sync sync = {.handle = syncobj};
    struct nvu_exec exec = {
        .channel = c->channel, .push_count = 1, .push_ptr = (uintptr_t)&push, .sig_count = 1, .sig_ptr = (uintptr_t)&sync,
    };
    CHECK(ioctl(c->fd, NVU_EXEC, &exec) == 0);
}

static int poll_for(int fd, int milliseconds)
{
    struct pollfd state = {.fd = fd, .events = POLLIN};
    return poll(&state, 1, milliseconds);
}

int main(void)
{
    struct client c = start();
    uint32_t syncobj = syncobj_new(c.fd);
    struct nvu_syncobj_handle file = {.handle = syncobj, .flags = 1};

    submit(&c, 1, syncobj);
    CHECK(ioctl(c.fd, NVU_SYNCOBJ_HANDLE_TO_FD, &file) == 0);
    CHECK(poll_for(file.fd, 50) == 0);
    c.memory[0] = 1;
    CHECK(poll_for(file.fd, -1) == 1);
    /* One that is closed while its fence is pending. */
    submit(&c, 2, syncobj);
    CHECK(close(file.fd) == 0 && ioctl(c.fd, NVU_SYNCOBJ_HANDLE_TO_FD, &file) == 0 && close(file.fd) == 0);
    c.memory[0] = 2;
    struct nvu_syncobj_wait wait = {.handles = (uintptr_t)&syncobj, .count_handles = 1, .timeout_nsec = INT64_MAX};
    CHECK(ioctl(c.fd, NVU_SYNCOBJ_WAIT, &wait) == 0);

    submit(&c, 3, syncobj);
    puts("unfinished: passed");
    return 0;
}
