/*
 * mmap() and munmap(). What is mapped of a device is mapped by the kernel, from the file behind the device's memory: placed
 * mappings, protections and forks are its business.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "interpose.h"
#include "ranges.h"

/* A mapping is always read, and a shared one that is written writes what is mapped. */
static bool allows(const struct drmshim_file *file, bool writes, bool is_shared)
{
    return file->access == O_RDWR || (file->access == O_RDONLY && !(writes && is_shared));
}

static void *map(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
    struct drmshim_file *file = flags & MAP_ANONYMOUS ? NULL : files_get(fd);
    if (!file)
        return ranges_map(addr, length, prot, flags, fd, offset, NULL, NULL);

    bool is_shared = (flags & MAP_TYPE) != MAP_PRIVATE, writes = prot & PROT_WRITE;
    struct drmshim_memory memory;
    int result = -ENODEV;
    if (file->object && !allows(file, writes, is_shared))
        result = -EACCES;
    else if (file->object)
        result = drmshim_ops.map(file->object, (uint64_t)offset, length, writes, is_shared, &memory);
    files_put(file);
    if (result) {
        errno = -result;
        return MAP_FAILED;
    }
    void *mapped = ranges_map(addr, length, prot, flags, memory.fd, (off64_t)memory.offset, memory.mapping, drmshim_ops.unmapped);
    if (mapped == MAP_FAILED) {
        int error = errno;
        drmshim_ops.unmapped(memory.mapping);
        errno = error;
    }
    return mapped;
}

INTERPOSE void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    return map(addr, length, prot, flags, fd, offset);
}

INTERPOSE void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
    return map(addr, length, prot, flags, fd, offset);
}

INTERPOSE int munmap(void *addr, size_t length)
{
    return ranges_unmap(addr, length);
}
