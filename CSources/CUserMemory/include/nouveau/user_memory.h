/*
 * The client's memory, where client and device are one process: whether an address that an ioctl was given may be
 * read or written, found out without a fault.
 */
#ifndef NVU_USER_MEMORY_H
#define NVU_USER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * 0: the bytes [address, address + count) may be read. -EFAULT: they may not: nothing is mapped in some page, or it may
 * not be read, or its file ends before it, or the range wraps or is the kernel's. That stays true for as long as nobody
 * unmaps them. A count of 0 is good anywhere. Any thread; errno stays as it was.
 */
int nvu_user_can_read(uint64_t address, size_t count);
/* The same for writing. What the bytes are does not change. */
int nvu_user_can_write(uint64_t address, size_t count);

#ifdef __cplusplus
}
#endif
#endif
