/*
 * The mapped ranges, ordered by address.
 *
 * Invariants: ranges do not overlap; each holds one reference of its mapping, and what is cut in two holds two.
 *
 * Locking: one lock, held over mmap and munmap themselves, so that the list is what is mapped; neither over allocation
 * (the list lies in a mapping of its own) nor over the device.
 */
#include "ranges.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libc.h"

struct mapping {
    size_t refs;
    void *object;
    void (*unmapped)(void *object);
    struct mapping *next; /* of those to be let go */
};

struct range {
    uintptr_t start, end;
    struct mapping *mapping;
};

/* More than the kernel lets a process have mappings, unless told otherwise. */
enum { MOST = 1 << 20 };

static struct range *ranges;
static _Atomic(size_t) count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uintptr_t page_end(uintptr_t start, size_t length)
{
    return (start + length + 4095) & ~(uintptr_t)4095;
}

/* The first range that ends beyond `addr`. */
static size_t find(uintptr_t addr)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].end <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(size_t i, struct range range)
{
    memmove(&ranges[i + 1], &ranges[i], (count - i) * sizeof(*ranges));
    ranges[i] = range;
    count++;
}

/* Takes [start, end) out; mappings that nothing holds any more go to the front of `gone`. */
static void cut(uintptr_t start, uintptr_t end, struct mapping **gone)
{
    size_t i = find(start);
    if (i < count && ranges[i].start < start) {
        struct range tail = ranges[i];
        ranges[i].end = start;
        tail.start = start;
        tail.mapping->refs++;
        insert(++i, tail);
    }
    size_t first = i;
    for (; i < count && ranges[i].end <= end; i++) {
        struct mapping *mapping = ranges[i].mapping;
        if (--mapping->refs == 0) {
            mapping->next = *gone;
            *gone = mapping;
        }
    }
    if (i < count && ranges[i].start < end)
        ranges[i].start = end;
    memmove(&ranges[first], &ranges[i], (count - i) * sizeof(*ranges));
    count -= i - first;
}

static void let_go(struct mapping *gone)
{
    while (gone) {
        struct mapping *next = gone->next;
        gone->unmapped(gone->object);
        free(gone);
        gone = next;
    }
}

/* With the lock: whether there is room for what one call may add. */
static bool has_room(void)
{
    if (!ranges) {
        void *memory = libc()->mmap64(NULL, MOST * sizeof(*ranges), PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ranges = memory == MAP_FAILED ? NULL : memory;
    }
    return ranges && count + 2 <= MOST;
}

void *ranges_map(void *addr, size_t length, int prot, int flags, int fd, off64_t offset, void *object,
                 void (*unmapped)(void *object))
{
    if (!object && (count == 0 || !(flags & MAP_FIXED)))
        return libc()->mmap64(addr, length, prot, flags, fd, offset);
    struct mapping *gone = NULL, *mapping = NULL;
    if (object) {
        mapping = malloc(sizeof(*mapping));
        if (!mapping) {
            errno = ENOMEM;
            return MAP_FAILED;
        }
        *mapping = (struct mapping){.refs = 1, .object = object, .unmapped = unmapped};
    }

    void *memory = MAP_FAILED;
    pthread_mutex_lock(&lock);
    if (has_room())
        memory = libc()->mmap64(addr, length, prot, flags, fd, offset);
    else
        errno = ENOMEM;
    if (memory != MAP_FAILED) {
        uintptr_t start = (uintptr_t)memory, end = page_end(start, length);
        cut(start, end, &gone);
        if (mapping)
            insert(find(start), (struct range){start, end, mapping});
    }
    pthread_mutex_unlock(&lock);

    if (memory == MAP_FAILED)
        free(mapping);
    let_go(gone);
    return memory;
}

int ranges_unmap(void *addr, size_t length)
{
    if (count == 0)
        return libc()->munmap(addr, length);
    struct mapping *gone = NULL;
    int result = -1;
    pthread_mutex_lock(&lock);
    if (has_room())
        result = libc()->munmap(addr, length);
    else
        errno = ENOMEM;
    if (result == 0)
        cut((uintptr_t)addr, page_end((uintptr_t)addr, length), &gone);
    pthread_mutex_unlock(&lock);
    int error = errno;
    let_go(gone);
    errno = error;
    return result;
}

void ranges_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void ranges_after_fork(bool in_child)
{
    if (in_child)
        count = 0;
    pthread_mutex_unlock(&lock);
}
