/*
 * A VA space, and the small functions on it that the files share.
 */
#ifndef GPUVM_SPACE_H
#define GPUVM_SPACE_H

#include "node.h"
#include "pool.h"
#include "record.h"

#include <string.h>

/* A leaf and the keys it owns, [lo, hi). */
struct cell {
    struct leaf *leaf;
    uint64_t lo, hi;
    unsigned at; /* a guess: how many starts are <= the next key */
};

/* A place in a leaf. */
struct place {
    const struct leaf *leaf; /* NULL: none */
    unsigned at;
};

/* At most three entries that replace a run in a leaf. */
enum { SPLICE_MAX = 3 };
struct splice {
    uint64_t start[SPLICE_MAX], end[SPLICE_MAX];
    gpuvm_va va[SPLICE_MAX];
    unsigned count;
};

/* What is done with the machine's widest vectors; see isa.c. */
struct isa {
    unsigned (*descend)(const struct gpuvm *vm, uint64_t key, struct cell *cell); /* returns leaf_count() there */
    unsigned (*leaf_count)(const struct leaf *leaf, uint64_t key); /* starts <= key */
    unsigned (*inner_count)(const struct inner *inner, uint64_t key);
    void (*leaf_insert)(struct leaf *leaf, unsigned at, uint64_t start, uint64_t end, gpuvm_va va);
    void (*leaf_erase)(struct leaf *leaf, unsigned at);
    void (*leaf_splice)(struct leaf *leaf, unsigned at, unsigned remove, const struct splice *add);
};

/* The pair of the space and an object. */
struct pair {
    uint64_t cookie;
    gpuvm_va head, tail;
    uint32_t count; /* linked mappings */
    uint32_t held;  /* victims of lists */
    bool used;
    gpuvm_bo next_free;
};

struct gpuvm {
    struct isa isa;

    /* the map */
    void *root;
    unsigned height; /* inner levels above the leaves */
    struct cell recent; /* the leaf used last; its bounds are empty when there is none */
    struct cell *cell;  /* = &recent: look-ups, which change nothing else, remember by it */
    uint64_t version;   /* grows with every change */
    uint64_t shape;     /* grows when cells change */
    size_t entries;     /* the reserved range counted */
    size_t leaves, inners;
    struct leaf *sparse; /* leaves to join once no victim is held */
    struct pool leaf_pool, inner_pool;

    struct records records;
    struct held *held;
    size_t held_size;
    uint32_t held_freed, held_bump; /* free slots: a list (1 + slot, 0: none), and those never used */
    size_t victims;

    struct pair *pairs; /* [0] stands for no object */
    size_t pairs_size;
    gpuvm_bo pairs_bump, pairs_freed;

    uint64_t start, end; /* the window; end is as the kernel computes it, wrapped or not */
    uint64_t kernel_start, kernel_end;
    bool has_kernel_range, kernel_in_tree;
    unsigned warnings;
    size_t memory;
    struct gpuvm_alloc alloc;
};

static inline void *gpuvm__alloc(struct gpuvm *vm, size_t size, size_t align)
{
    void *p = gpuvm_mem_alloc(&vm->alloc, size, align);
    if (p)
        vm->memory += size;
    return p;
}

enum { HUGE_BYTES = 2 << 20 };

/* So many bytes for a huge page to back, which the kernel is asked for unless the caller's hooks see to that. */
void *gpuvm__alloc_huge(struct gpuvm *vm);

static inline void gpuvm__free(struct gpuvm *vm, void *p, size_t size)
{
    if (p)
        vm->memory -= size;
    gpuvm_mem_free(&vm->alloc, p, size);
}

static inline struct record *gpuvm__record(const struct gpuvm *vm, gpuvm_va va)
{
    return &vm->records.rec[va >> SEG_SHIFT][va & (SEG_RECORDS - 1)];
}

static inline void *gpuvm__user(const struct gpuvm *vm, gpuvm_va va)
{
    return vm->records.user[va >> SEG_SHIFT] + (va & (SEG_RECORDS - 1)) * vm->records.user_size;
}

static inline bool gpuvm__range_valid(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    uint64_t end = addr + range;
    if (end < addr || addr < vm->start || end > vm->end)
        return false;
    return !(vm->has_kernel_range && addr < vm->kernel_end && vm->kernel_start < end);
}

/* The record of a mapping or victim; NULL where the id is none. */
static inline struct record *gpuvm__known(const struct gpuvm *vm, gpuvm_va va)
{
    if (va == GPUVM_VA_NONE || va >= vm->records.bump)
        return NULL;
    struct record *r = gpuvm__record(vm, va);
    return r->bo == REC_FREE ? NULL : r;
}

/* Makes sure of `n` ids. -ENOMEM. */
static inline int gpuvm__records_reserve(struct gpuvm *vm, size_t n)
{
    return vm->records.spare >= n ? 0 : gpuvm__records_grow(vm, n);
}

/* Makes sure of slots for `n` more victims. -ENOMEM. */
static inline int gpuvm__held_reserve(struct gpuvm *vm, size_t n)
{
    return vm->held_size - vm->victims >= n ? 0 : gpuvm__held_grow(vm, n);
}

/* Takes a reserved id for a mapping and appends it to the list of its pair. Its user data is not set. */
__attribute__((always_inline)) static inline gpuvm_va gpuvm__record_new(struct gpuvm *vm, uint64_t addr,
                                                                        uint64_t offset, gpuvm_bo bo)
{
    struct records *rs = &vm->records;
    gpuvm_va va = rs->freed;
    struct record *r;
    rs->spare--;
    if (va) {
        r = gpuvm__record(vm, va);
        rs->freed = r->next;
    } else {
        va = rs->bump++;
        r = gpuvm__record(vm, va);
    }
    r->addr = addr;
    r->offset = offset;
    r->bo = bo;
    r->seq = ++rs->seq;
    r->next = GPUVM_VA_NONE;
    if (bo == GPUVM_BO_NONE)
        return va;
    struct pair *p = &vm->pairs[bo];
    gpuvm_va last = p->tail;
    r->prev = last;
    if (last)
        gpuvm__record(vm, last)->next = va;
    else
        p->head = va;
    p->tail = va;
    p->count++;
    return va;
}

static inline void gpuvm__record_free(struct gpuvm *vm, gpuvm_va va, struct record *r)
{
    struct records *rs = &vm->records;
    r->bo = REC_FREE;
    r->next = rs->freed;
    rs->freed = va;
    if (++rs->spare == rs->ids) { /* none left: begin anew, in order */
        rs->freed = GPUVM_VA_NONE;
        rs->bump = GPUVM_VA_KERNEL + 1;
    }
}

static inline bool gpuvm__pair_known(const struct gpuvm *vm, gpuvm_bo bo)
{
    return bo < vm->pairs_bump && vm->pairs[bo].used;
}

/*
 * One of two by a conditional move: no one can foretell which mappings are at the ends of their lists, and a branch
 * that goes wrong is found out only when the record has come from memory. The empty assembly has both computed first:
 * gcc would compute them behind a branch.
 */
static inline gpuvm_va *gpuvm__either(bool first, gpuvm_va *a, gpuvm_va *b)
{
    __asm__("" : "+r"(a), "+r"(b));
    return first ? a : b;
}

/* What names the mapping behind `prev` in its pair's list, and the one before `next`; none: the list's ends. */
static inline gpuvm_va *gpuvm__next_of(const struct gpuvm *vm, struct pair *p, gpuvm_va prev)
{
    return gpuvm__either(prev, &gpuvm__record(vm, prev)->next, &p->head);
}

static inline gpuvm_va *gpuvm__prev_of(const struct gpuvm *vm, struct pair *p, gpuvm_va next)
{
    return gpuvm__either(next, &gpuvm__record(vm, next)->prev, &p->tail);
}

/* Takes a record off its list and leaves its own links as they are. */
static inline void gpuvm__unlink(struct gpuvm *vm, const struct record *r)
{
    if (r->bo == GPUVM_BO_NONE)
        return;
    struct pair *p = &vm->pairs[r->bo];
    *gpuvm__next_of(vm, p, r->prev) = r->next;
    *gpuvm__prev_of(vm, p, r->next) = r->prev;
    p->count--;
}

/* Undoes gpuvm__unlink(), the last one not undone. */
static inline void gpuvm__relink(struct gpuvm *vm, gpuvm_va va, const struct record *r)
{
    if (r->bo == GPUVM_BO_NONE)
        return;
    struct pair *p = &vm->pairs[r->bo];
    *gpuvm__next_of(vm, p, r->prev) = va;
    *gpuvm__prev_of(vm, p, r->next) = va;
    p->count++;
}

/* Removes all mappings but the kernel's, none of them held, at once. */
void gpuvm__clear(struct gpuvm *vm);

/* Cells have changed. */
static inline void gpuvm__forget(struct gpuvm *vm)
{
    vm->recent = (struct cell){0};
    vm->shape++;
}

static inline bool gpuvm__in_cell(const struct cell *c, uint64_t key)
{
    return key - c->lo < c->hi - c->lo;
}

/* The starts <= key in the remembered leaf; where it was used last, without a search. */
static inline unsigned gpuvm__leaf_seek(const struct gpuvm *vm, uint64_t key)
{
    const struct leaf *leaf = vm->recent.leaf;
    unsigned at = vm->recent.at;
    bool there = at - 1 < LEAF_MAX - 1 && leaf->start[at - 1] <= key && key < leaf->start[at];
    return there ? at : vm->isa.leaf_count(leaf, key);
}

/*
 * Makes the cell of a key the one remembered, as it is probably used again; returns the starts <= key in its leaf.
 * The cell stays in its place in memory: copies of what was just stored word by word would have to wait.
 */
static inline unsigned gpuvm__seek(const struct gpuvm *vm, uint64_t key)
{
    unsigned at = gpuvm__in_cell(&vm->recent, key) ? gpuvm__leaf_seek(vm, key) : vm->isa.descend(vm, key, vm->cell);
    vm->cell->at = at;
    return at;
}

static inline const struct leaf *gpuvm__leaf_after(const struct leaf *leaf)
{
    do
        leaf = leaf->next;
    while (leaf && !leaf->count);
    return leaf;
}

static inline const struct leaf *gpuvm__leaf_before(const struct leaf *leaf)
{
    do
        leaf = leaf->prev;
    while (leaf && !leaf->count);
    return leaf;
}

/* The leaf of a key and the starts <= key there. */
static inline struct place gpuvm__look(const struct gpuvm *vm, uint64_t key)
{
    unsigned at = gpuvm__seek(vm, key);
    return (struct place){vm->recent.leaf, at};
}

/* The lowest mapping of which the inclusive last address is >= key, from where gpuvm__look() found the key. */
static inline struct place gpuvm__lower_at(struct place c, uint64_t key)
{
    const struct leaf *leaf = c.leaf;
    if (c.at) {
        if (leaf->end[c.at - 1] > key)
            return (struct place){leaf, c.at - 1};
    } else {
        const struct leaf *before = gpuvm__leaf_before(leaf);
        if (before && before->end[before->count - 1] > key)
            return (struct place){before, before->count - 1};
    }
    if (c.at < LEAF_MAX && leaf->start[c.at] != KEY_NONE)
        return (struct place){leaf, c.at};
    return (struct place){gpuvm__leaf_after(leaf), 0};
}

static inline struct place gpuvm__lower(const struct gpuvm *vm, uint64_t key)
{
    return key == KEY_NONE ? (struct place){0} : gpuvm__lower_at(gpuvm__look(vm, key), key);
}

/* The mapping behind a place. */
static inline struct place gpuvm__after(struct place p)
{
    if (p.at + 1 < p.leaf->count)
        return (struct place){p.leaf, p.at + 1};
    return (struct place){gpuvm__leaf_after(p.leaf), 0};
}

/* The live mapping's place, by its record. */
static inline struct place gpuvm__place_of(const struct gpuvm *vm, gpuvm_va va)
{
    struct record *r = gpuvm__known(vm, va);
    if (!r || (r->bo & REC_HELD))
        return (struct place){0};
    struct place p = gpuvm__look(vm, r->addr);
    return (struct place){p.leaf, p.at - 1};
}

static inline void gpuvm__fill(const struct gpuvm *vm, const struct leaf *leaf, unsigned at, struct gpuvm_mapping *out)
{
    const struct record *r = gpuvm__record(vm, leaf->va[at]);
    *out = (struct gpuvm_mapping){
        .addr = leaf->start[at],
        .range = leaf->end[at] - leaf->start[at],
        .offset = r->offset,
        .bo = r->bo,
        .va = leaf->va[at],
        .seq = r->seq,
    };
}

#endif
