/*
 * Iteration in address order. While the space's version stays, the iterator walks along the leaves; after a change
 * it looks its next mapping up again by the address that was the successor's when the last one was handed out.
 *
 * Locking: an iterator writes nothing to the space, not even where it looked. So several may go through a space at
 * once, each under a lock of its own that keeps changes away.
 */
#include "warm.h"

void gpuvm_iter_init(struct gpuvm_iter *it, const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    bool whole = !addr && !range;
    *it = (struct gpuvm_iter){
        .vm = vm,
        .next = addr,
        .end = whole ? KEY_NONE : addr + range,
        .version = vm->version - 1,
    };
}

/* gpuvm__lower() that leaves the cell remembered as it is. */
static struct place lower(const struct gpuvm *vm, uint64_t key)
{
    struct cell cell;
    unsigned at = vm->isa.descend(vm, key, &cell);
    return gpuvm__lower_at((struct place){cell.leaf, at}, key);
}

/* Where the iterator stands; false at the end. */
static bool here(struct gpuvm_iter *it, struct place *p)
{
    if (it->done)
        return false;
    if (it->version == it->vm->version) {
        *p = (struct place){it->leaf, it->index};
        return true;
    }
    *p = it->next == KEY_NONE ? (struct place){0} : lower(it->vm, it->next);
    if (p->leaf && p->leaf->start[p->at] < it->end)
        return true;
    it->done = true;
    return false;
}

/* In a large space: the leaf after the next one, whose place the next one tells, which was asked for before. */
static void fetch_ahead(const struct gpuvm *vm, const struct leaf *leaf)
{
    if (vm->height >= WARM_HEIGHT && leaf && leaf->next && leaf->next->next)
        gpuvm__fetch(leaf->next->next, offsetof(struct leaf, va));
}

/* Steps to `at` of the leaf, or to the first mapping behind the leaf. */
static void advance(struct gpuvm_iter *it, const struct leaf *leaf, unsigned at)
{
    if (at == leaf->count) {
        leaf = gpuvm__leaf_after(leaf);
        at = 0;
        fetch_ahead(it->vm, leaf);
    }
    if (!leaf || leaf->start[at] >= it->end) {
        it->done = true;
        return;
    }
    it->next = leaf->start[at];
    it->leaf = leaf;
    it->index = at;
    it->version = it->vm->version;
}

bool gpuvm_iter_next(struct gpuvm_iter *it, struct gpuvm_mapping *out)
{
    struct place p;
    if (!here(it, &p))
        return false;
    gpuvm__fill(it->vm, p.leaf, p.at, out);
    advance(it, p.leaf, p.at + 1);
    return true;
}

bool gpuvm_iter_run(struct gpuvm_iter *it, struct gpuvm_run *out)
{
    struct place p;
    if (!here(it, &p))
        return false;
    unsigned n = p.leaf->count;
    while (p.leaf->start[n - 1] >= it->end)
        n--;
    *out = (struct gpuvm_run){&p.leaf->start[p.at], &p.leaf->end[p.at], &p.leaf->va[p.at], n - p.at};
    advance(it, p.leaf, n);
    return true;
}
