/*
 * The invariants of a space, verified:
 *  1. Nodes: counts in bounds; separators ascend, hold their children's keys and are noted line by line; what is
 *     unused is KEY_NONE; the root has two children or is a leaf; the chain of leaves is the tree's order; leaves and
 *     inner nodes are counted.
 *  2. Ranges: not empty, in order, disjoint; an empty leaf is the root or noted as sparse, and none is noted while no
 *     victim is held.
 *  3. Records: the entry's id names a live record with the entry's start; live, held and free ones are all there are,
 *     and as many as counted.
 *  4. Pairs: each list holds exactly the live records of its pair, linked alike both ways, and its counts are right.
 *  5. Pools: what is in use and what is spare is all there is. The leaf remembered has the bounds it has in the tree.
 */
#include "space.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct walk {
    const struct gpuvm *vm;
    char *why;
    size_t n;
    const struct leaf *last; /* leaf before, in order */
    uint64_t end;            /* of the range before */
    size_t leaves, inners, entries, sparse;
    bool recent;
};

__attribute__((format(printf, 2, 3))) static int broken(const struct walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (w->why && w->n)
        vsnprintf(w->why, w->n, format, args);
    va_end(args);
    return -EUCLEAN;
}

static int check_entry(struct walk *w, const struct leaf *leaf, unsigned i)
{
    uint64_t start = leaf->start[i], end = leaf->end[i];
    if (start >= end || (w->entries && start < w->end))
        return broken(w, "range [%#llx, %#llx) is empty or overlaps the one before", (unsigned long long)start,
                      (unsigned long long)end);
    w->end = end;
    w->entries++;
    const struct record *r = gpuvm__known(w->vm, leaf->va[i]);
    if (!r || (r->bo & REC_HELD) || r->addr != start)
        return broken(w, "entry at %#llx: record %u is not its own", (unsigned long long)start, leaf->va[i]);
    if (r->bo != GPUVM_BO_NONE && !gpuvm__pair_known(w->vm, r->bo))
        return broken(w, "mapping %u: no pair %u", leaf->va[i], r->bo);
    return 0;
}

static int check_leaf(struct walk *w, const struct leaf *leaf, uint64_t lo, uint64_t hi)
{
    const struct gpuvm *vm = w->vm;
    if (leaf->prev != w->last || (w->last && w->last->next != leaf))
        return broken(w, "chain of leaves broken at key %#llx", (unsigned long long)lo);
    w->last = leaf;
    w->leaves++;
    w->sparse += leaf->sparse;
    if (leaf->count > LEAF_MAX)
        return broken(w, "leaf with %u entries", leaf->count);
    if (!leaf->count && vm->height && !leaf->sparse)
        return broken(w, "empty leaf at %#llx not noted", (unsigned long long)lo);
    if (leaf->sparse && (!vm->victims || leaf->hint < lo || (leaf->hint >= hi && !leaf->count)))
        return broken(w, "leaf at %#llx noted wrongly", (unsigned long long)lo);
    for (unsigned i = 0; i < leaf->count; i++) {
        int rc = check_entry(w, leaf, i);
        if (rc)
            return rc;
        if (leaf->start[i] < lo || leaf->start[i] >= hi)
            return broken(w, "start %#llx outside its cell", (unsigned long long)leaf->start[i]);
    }
    for (unsigned i = leaf->count; i < LEAF_MAX; i++)
        if (leaf->start[i] != KEY_NONE)
            return broken(w, "unused start %u is set", i);
    if (vm->recent.leaf == leaf) {
        w->recent = true;
        if (vm->recent.lo != lo || vm->recent.hi != hi)
            return broken(w, "the leaf remembered has other bounds");
    }
    return 0;
}

static int check_inner(struct walk *w, const struct inner *n, unsigned level, uint64_t lo, uint64_t hi)
{
    w->inners++;
    if (n->count > INNER_MAX || n->count < (level == w->vm->height ? 2u : 1u))
        return broken(w, "inner node with %u children on level %u", n->count, level);
    for (unsigned i = n->count - 1; i < INNER_MAX; i++)
        if (n->key[i] != KEY_NONE)
            return broken(w, "unused separator %u is set", i);
    for (unsigned i = 0; i < INNER_LINES; i++)
        if (n->top[i] != n->key[i * LINE_KEYS + LINE_KEYS - 1])
            return broken(w, "last key of line %u noted wrongly", i);
    for (unsigned i = 0; i < n->count; i++) {
        uint64_t from = i ? n->key[i - 1] : lo, to = i + 1 < n->count ? n->key[i] : hi;
        if (from >= to || from < lo || to > hi)
            return broken(w, "separators out of order near %#llx", (unsigned long long)from);
        int rc = level == 1 ? check_leaf(w, n->child[i], from, to) : check_inner(w, n->child[i], level - 1, from, to);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_tree(struct walk *w)
{
    const struct gpuvm *vm = w->vm;
    int rc = vm->height ? check_inner(w, vm->root, vm->height, 0, KEY_NONE) : check_leaf(w, vm->root, 0, KEY_NONE);
    if (rc)
        return rc;
    if (w->last->next)
        return broken(w, "chain of leaves goes on behind the tree");
    if (w->leaves != vm->leaves || w->inners != vm->inners || w->entries != vm->entries)
        return broken(w, "counted %zu leaves, %zu inner nodes, %zu entries; noted %zu, %zu, %zu", w->leaves, w->inners,
                      w->entries, vm->leaves, vm->inners, vm->entries);
    if (vm->recent.leaf && !w->recent)
        return broken(w, "the leaf remembered is not in the tree");
    if (vm->recent.leaf ? vm->recent.lo >= vm->recent.hi : vm->recent.lo != vm->recent.hi)
        return broken(w, "bounds of the leaf remembered");
    const struct leaf *before = NULL;
    for (const struct leaf *l = vm->sparse; l; before = l, l = l->sparse_next)
        if (!l->sparse || l->sparse_prev != before || !w->sparse--)
            return broken(w, "list of sparse leaves broken");
    return w->sparse ? broken(w, "%zu sparse leaves not listed", w->sparse) : 0;
}

static int check_records(struct walk *w)
{
    const struct gpuvm *vm = w->vm;
    size_t live = 0, held = 0, freed = 0;
    for (gpuvm_va va = GPUVM_VA_KERNEL; va < vm->records.bump; va++) {
        const struct record *r = gpuvm__record(vm, va);
        if (r->bo == REC_FREE) {
            freed += va != GPUVM_VA_KERNEL;
        } else if (r->bo & REC_HELD) {
            held++;
            if (r->addr >= vm->held_bump || vm->held[r->addr].end <= vm->held[r->addr].addr)
                return broken(w, "victim %u has no range", va);
        } else {
            live++;
        }
    }
    if (live != vm->entries || held != vm->victims)
        return broken(w, "records: %zu live, %zu held; noted %zu, %zu", live, held, vm->entries, vm->victims);
    size_t ids = vm->records.segments << SEG_SHIFT;
    if (vm->records.spare != freed + (ids - vm->records.bump) || vm->records.ids != ids - GPUVM_VA_KERNEL - 1)
        return broken(w, "%zu spare records of %zu noted", vm->records.spare, vm->records.ids);
    for (gpuvm_va va = vm->records.freed; va; va = gpuvm__record(vm, va)->next)
        if (!freed-- || gpuvm__record(vm, va)->bo != REC_FREE)
            return broken(w, "list of free records broken at %u", va);
    if (freed)
        return broken(w, "%zu free records lost", freed);
    size_t slots = vm->held_bump - vm->victims;
    for (uint32_t s = vm->held_freed; s; s = (uint32_t)vm->held[s - 1].addr)
        if (!slots--)
            return broken(w, "list of free victim slots broken");
    return slots ? broken(w, "%zu victim slots lost", slots) : 0;
}

static int check_pair(struct walk *w, gpuvm_bo bo)
{
    const struct gpuvm *vm = w->vm;
    const struct pair *p = &vm->pairs[bo];
    size_t linked = 0;
    gpuvm_va before = GPUVM_VA_NONE;
    for (gpuvm_va va = p->head; va; before = va, va = gpuvm__record(vm, va)->next) {
        const struct record *r = gpuvm__known(vm, va);
        if (!r || r->bo != bo || r->prev != before || linked++ > p->count)
            return broken(w, "pair %u: list broken at %u", bo, va);
    }
    if (p->tail != before || linked != p->count)
        return broken(w, "pair %u: %zu linked, %u noted", bo, linked, p->count);
    return 0;
}

static int check_pairs(struct walk *w)
{
    const struct gpuvm *vm = w->vm;
    size_t linked = 0, held = 0, with_bo = 0, held_bo = 0;
    for (gpuvm_bo bo = 1; bo < vm->pairs_bump; bo++) {
        if (!vm->pairs[bo].used)
            continue;
        int rc = check_pair(w, bo);
        if (rc)
            return rc;
        linked += vm->pairs[bo].count;
        held += vm->pairs[bo].held;
    }
    for (gpuvm_va va = GPUVM_VA_KERNEL; va < vm->records.bump; va++) {
        uint32_t bo = gpuvm__record(vm, va)->bo;
        if (bo == REC_FREE || (bo & ~REC_HELD) == GPUVM_BO_NONE)
            continue;
        with_bo += !(bo & REC_HELD);
        held_bo += (bo & REC_HELD) != 0;
    }
    if (linked != with_bo || held != held_bo)
        return broken(w, "pairs have %zu mappings and %zu victims; there are %zu and %zu", linked, held, with_bo, held_bo);
    return 0;
}

static int check_pool(struct walk *w, const struct pool *p, size_t in_use)
{
    size_t spare = p->bump_left;
    for (const struct pool_chunk *c = p->fresh; c; c = c->next)
        spare += c->nodes;
    for (const void *node = p->freed; node; node = *(void *const *)node)
        spare++;
    if (spare != p->spare || p->total != spare + in_use)
        return broken(w, "pool of %zu: %zu in use, %zu spare, %zu noted", p->total, in_use, spare, p->spare);
    return 0;
}

int gpuvm_check(const struct gpuvm *vm, char *why, size_t n)
{
    struct walk w = {.vm = vm, .why = why, .n = n};
    int rc = check_tree(&w);
    rc = rc ? rc : check_records(&w);
    rc = rc ? rc : check_pairs(&w);
    rc = rc ? rc : check_pool(&w, &vm->leaf_pool, vm->leaves);
    return rc ? rc : check_pool(&w, &vm->inner_pool, vm->inners);
}
