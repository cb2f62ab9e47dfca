/* What the programs that tools/test-shim runs on the preload library share: ioctls as a driver makes them. */
#ifndef SHIM_CLIENT_H
#define SHIM_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <nouveau/uapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(x) ((x) ? (void)0 : (printf("%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #x, errno), exit(1)))
/* -1 with this errno and no other. */
#define FAILS(x, error) (errno = 0, CHECK((long)(x) == -1), CHECK(errno == (error)))

#define NODE "/dev/dri/renderD128"
enum { SIZE = 0x10000 };

static inline int open_node(void)
{
    int fd = open(NODE, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static inline void vm_init(int fd)
{
    struct nvu_vm_init init = {.kernel_managed_addr = 1ull << 39, .kernel_managed_size = 1ull << 39};
    CHECK(ioctl(fd, NVU_VM_INIT, &init) == 0);
}

static inline struct nvu_gem_info gem_new(int fd, uint32_t domain, uint64_t size)
{
    struct nvu_gem_new new = {.info = {.domain = domain, .size = size}};
    CHECK(ioctl(fd, NVU_GEM_NEW, &new) == 0);
    return new.info;
}

static inline void gem_close(int fd, uint32_t handle)
{
    struct nvu_gem_close close = {.handle = handle};
    CHECK(ioctl(fd, NVU_GEM_CLOSE, &close) == 0);
}

static inline uint8_t *map(int fd, uint64_t offset, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static inline uint32_t syncobj_new(int fd)
{
    struct nvu_syncobj_create create = {0};
    CHECK(ioctl(fd, NVU_SYNCOBJ_CREATE, &create) == 0);
    return create.handle;
}

static inline void signal_syncobj(int fd, uint32_t handle)
{
    struct nvu_syncobj_array array = {.handles = (uintptr_t)&handle, .count_handles = 1};
    CHECK(ioctl(fd, NVU_SYNCOBJ_SIGNAL, &array) == 0);
}

#endif
