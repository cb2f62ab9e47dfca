/*
 * Iteration in address order. While the space's version stays, the iterator walks along the leaves; after a change
 * it looks its next mapping up again by the address that was the successor's when the last one was handed out.
 *
 * Locking: an iterator writes nothing to the space, not even where it looked. So several may go through a space at
 * once, each under a lock of its own that keeps changes away.
 */
#include "warm.h"

enum { FETCH_AHEAD = 4 }; /* leaves */

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

/* Stands at `at` of a leaf, or at the end. */
static inline void stand(struct gpuvm_iter *it, const struct leaf *leaf, unsigned at)
{
    it->done = !leaf || leaf->start[at] >= it->end;
    if (it->done)
        return;
    unsigned limit = leaf->count;
    while (leaf->start[limit - 1] >= it->end)
        limit--;
    it->next = leaf->start[at];
    it->leaf = leaf;
    it->index = at;
    it->limit = limit;
}

/* Where the iterator stands is looked up anew. */
static void look(struct gpuvm_iter *it)
{
    struct place p = it->next == KEY_NONE ? (struct place){0} : lower(it->vm, it->next);
    stand(it, p.leaf, p.at);
    it->parent = NULL;
    it->version = it->vm->version;
}

/* False at the end. */
static inline bool here(struct gpuvm_iter *it)
{
    if (!it->done && it->version != it->vm->version)
        look(it);
    return !it->done;
}

static void find_parent(struct gpuvm_iter *it, uint64_t key)
{
    const struct inner *n = it->vm->root;
    for (unsigned level = it->vm->height; --level;)
        n = n->child[it->vm->isa.inner_count(n, key)];
    it->parent = n;
    it->slot = it->vm->isa.inner_count(n, key);
}

/* In a large space: asks for the leaves ahead of one, which the parent tells sooner than the leaves before them. */
static void fetch_ahead(struct gpuvm_iter *it, const struct leaf *leaf)
{
    const struct inner *parent = it->parent;
    unsigned ahead = FETCH_AHEAD;
    if (!parent || ++it->slot >= parent->count) {
        find_parent(it, leaf->start[0]);
        parent = it->parent;
        ahead = 1;
    }
    for (; ahead <= FETCH_AHEAD && it->slot + ahead < parent->count; ahead++)
        gpuvm__fetch(parent->child[it->slot + ahead], offsetof(struct leaf, va));
}

static inline void next_leaf(struct gpuvm_iter *it)
{
    const struct leaf *leaf = gpuvm__leaf_after(it->leaf);
    if (leaf && it->vm->height >= WARM_HEIGHT)
        fetch_ahead(it, leaf);
    stand(it, leaf, 0);
}

bool gpuvm_iter_next(struct gpuvm_iter *it, struct gpuvm_mapping *out)
{
    if (!here(it))
        return false;
    const struct leaf *leaf = it->leaf;
    gpuvm__fill(it->vm, leaf, it->index, out);
    if (++it->index < it->limit)
        it->next = leaf->start[it->index];
    else
        next_leaf(it);
    return true;
}

bool gpuvm_iter_run(struct gpuvm_iter *it, struct gpuvm_run *out)
{
    if (!here(it))
        return false;
    const struct leaf *leaf = it->leaf;
    unsigned at = it->index;
    *out = (struct gpuvm_run){&leaf->start[at], &leaf->end[at], &leaf->va[at], it->limit - at};
    next_leaf(it);
    return true;
}
