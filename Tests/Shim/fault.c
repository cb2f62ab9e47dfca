/* A push where nothing is mapped: the channel dies, other files do not notice. tools/test-shim looks at the report. */
#include "client.h"

static uint32_t channel_new(int fd)
{
    struct nvu_channel_alloc channel = {0};
    CHECK(ioctl(fd, NVU_CHANNEL_ALLOC, &channel) == 0);
    return (uint32_t)channel.channel;
}

static int submit(int fd, uint32_t channel, uint64_t va)
{
    uint32_t syncobj = syncobj_new(fd);
    struct nvu_exec_push push = {.va = va, .va_len = 16};
    struct nvu_sync sync = {.handle = syncobj};
    struct nvu_exec exec = {
        .channel = channel, .push_count = va ? 1 : 0, .push_ptr = (uintptr_t)&push, .sig_count = 1, .sig_ptr = (uintptr_t)&sync,
    };
    struct nvu_syncobj_wait wait = {.handles = (uintptr_t)&syncobj, .count_handles = 1, .timeout_nsec = INT64_MAX};
    if (ioctl(fd, NVU_EXEC, &exec) < 0)
        return errno;
    CHECK(ioctl(fd, NVU_SYNCOBJ_WAIT, &wait) == 0);
    return 0;
}

int main(void)
{
    int fd = open_node(), other = open_node();
    vm_init(fd);
    vm_init(other);
    struct nvu_gem_info info = gem_new(fd, NVU_GEM_DOMAIN_GART, SIZE);
    struct nvu_vm_bind_op op = {.op = NVU_VM_BIND_OP_MAP, .handle = info.handle, .addr = 0x100000, .range = SIZE};
    struct nvu_vm_bind bind = {.op_count = 1, .op_ptr = (uintptr_t)&op};
    CHECK(ioctl(fd, NVU_VM_BIND, &bind) == 0);
    uint32_t channel = channel_new(fd), others = channel_new(other);
    CHECK(submit(fd, channel, 0x5000) == 0);
    CHECK(submit(fd, channel, 0) == ENODEV);
    CHECK(submit(other, others, 0) == 0);
    puts("fault: passed");
    return 0;
}
