/*
 * Record slabs and the slots of held victims. Segments are added in steps that depend on nothing but how many
 * there are, so that the allocations are known without noting them.
 */
#include "space.h"

#include <errno.h>

enum { HUGE_SEGMENTS = HUGE_BYTES / (SEG_RECORDS * (int)sizeof(struct record)), HELD_LEAST = 16 };

/* Segments of the allocation that begins at segment `at`. */
static size_t step(size_t at)
{
    if (at >= 4 * HUGE_SEGMENTS)
        return HUGE_SEGMENTS;
    return at < 32 ? 1 : at / 16;
}

int gpuvm__records_init(struct gpuvm *vm, uint32_t user_size)
{
    struct records *rs = &vm->records;
    rs->user_size = (user_size + 7) & ~(size_t)7;
    rs->bump = GPUVM_VA_KERNEL + 1;
    int rc = gpuvm__records_grow(vm, 1);
    if (rc)
        return rc;
    gpuvm__record(vm, GPUVM_VA_KERNEL)->bo = REC_FREE;
    return 0;
}

static void free_segments(struct gpuvm *vm, size_t at)
{
    struct records *rs = &vm->records;
    size_t n = step(at) * SEG_RECORDS;
    gpuvm__free(vm, rs->rec[at], n * sizeof(struct record));
    if (rs->user)
        gpuvm__free(vm, rs->user[at], n * rs->user_size);
}

void gpuvm__records_fini(struct gpuvm *vm)
{
    struct records *rs = &vm->records;
    for (size_t at = 0; at < rs->segments; at += step(at))
        free_segments(vm, at);
    gpuvm__free(vm, rs->rec, rs->table * sizeof *rs->rec);
    gpuvm__free(vm, rs->user, rs->table * sizeof *rs->user);
}

static int grow_tables(struct gpuvm *vm, size_t need)
{
    struct records *rs = &vm->records;
    if (need <= rs->table)
        return 0;
    size_t n = rs->table ? rs->table : 8;
    while (n < need)
        n *= 2;
    struct record **rec = gpuvm__alloc(vm, n * sizeof *rec, LINE);
    char **user = rec && rs->user_size ? gpuvm__alloc(vm, n * sizeof *user, LINE) : NULL;
    if (!rec || (rs->user_size && !user)) {
        gpuvm__free(vm, rec, n * sizeof *rec);
        return -ENOMEM;
    }
    if (rs->table) {
        memcpy(rec, rs->rec, rs->segments * sizeof *rec);
        if (user)
            memcpy(user, rs->user, rs->segments * sizeof *user);
    }
    gpuvm__free(vm, rs->rec, rs->table * sizeof *rec);
    gpuvm__free(vm, rs->user, rs->table * sizeof *user);
    rs->rec = rec;
    rs->user = user;
    rs->table = n;
    return 0;
}

static int grow(struct gpuvm *vm)
{
    struct records *rs = &vm->records;
    size_t at = rs->segments, n = step(at), records = n * SEG_RECORDS;
    if ((at + n) << SEG_SHIFT > REC_HELD || grow_tables(vm, at + n))
        return -ENOMEM;
    size_t bytes = records * sizeof(struct record);
    char *rec = bytes == HUGE_BYTES ? gpuvm__alloc_huge(vm) : gpuvm__alloc(vm, bytes, LINE);
    char *user = rec && rs->user_size ? gpuvm__alloc(vm, records * rs->user_size, LINE) : NULL;
    if (!rec || (rs->user_size && !user)) {
        gpuvm__free(vm, rec, bytes);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        rs->rec[at + i] = (struct record *)(void *)rec + i * SEG_RECORDS;
        if (user)
            rs->user[at + i] = user + i * SEG_RECORDS * rs->user_size;
    }
    size_t ids = records - (at ? 0 : rs->bump);
    rs->spare += ids;
    rs->ids += ids;
    rs->segments += n;
    return 0;
}

int gpuvm__records_grow(struct gpuvm *vm, size_t n)
{
    while (vm->records.spare < n) {
        int rc = grow(vm);
        if (rc)
            return rc;
    }
    return 0;
}

void gpuvm__records_trim(struct gpuvm *vm)
{
    struct records *rs = &vm->records;
    size_t at = 0, keep = 0, room = rs->segments << SEG_SHIFT;
    if (room - rs->bump < room / 4)
        return;
    for (; at < rs->segments && at << SEG_SHIFT < rs->bump; at += step(at))
        ;
    keep = at + step(at); /* one allocation in hand */
    for (at = keep; at < rs->segments; at += step(at))
        free_segments(vm, at);
    if (rs->segments > keep) {
        size_t ids = (rs->segments - keep) << SEG_SHIFT;
        rs->spare -= ids;
        rs->ids -= ids;
        rs->segments = keep;
    }
}

int gpuvm__held_grow(struct gpuvm *vm, size_t n)
{
    size_t size = vm->held_size ? vm->held_size : HELD_LEAST;
    while (size < vm->victims + n)
        size *= 2;
    struct held *held = size <= REC_HELD ? gpuvm__alloc(vm, size * sizeof *held, LINE) : NULL;
    if (!held)
        return -ENOMEM;
    if (vm->held_bump)
        memcpy(held, vm->held, vm->held_bump * sizeof *held);
    gpuvm__free(vm, vm->held, vm->held_size * sizeof *held);
    vm->held = held;
    vm->held_size = size;
    return 0;
}

void gpuvm__held_fini(struct gpuvm *vm)
{
    gpuvm__free(vm, vm->held, vm->held_size * sizeof *vm->held);
}
