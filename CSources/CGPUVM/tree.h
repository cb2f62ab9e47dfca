/* The interval map; see tree.c. */
#ifndef GPUVM_TREE_H
#define GPUVM_TREE_H

#include "space.h"

/*
 * Inserts into the remembered leaf, which has room. Appends by plain stores: in ascending order no search follows that
 * would wait for them.
 */
static inline void gpuvm__leaf_put(struct gpuvm *vm, unsigned at, uint64_t start, uint64_t end, gpuvm_va va)
{
    struct leaf *leaf = vm->recent.leaf;
    vm->recent.at = at + 1;
    if (at < leaf->count) {
        vm->isa.leaf_insert(leaf, at, start, end, va);
        return;
    }
    leaf->start[at] = start;
    leaf->end[at] = end;
    leaf->va[at] = va;
    leaf->count = at + 1;
}

/* Makes the empty tree. -ENOMEM. */
int gpuvm__tree_init(struct gpuvm *vm);
/* Empties the tree, at once. No victim is held. */
void gpuvm__tree_clear(struct gpuvm *vm);
/* Makes sure of the nodes for inserting `keys` new starts. -ENOMEM. */
int gpuvm__tree_reserve(struct gpuvm *vm, size_t keys);

/*
 * Makes room in the full leaf of a cell where entries are to come at `at` in place of `replaced`: splits it or moves
 * entries to a neighbour. Cells change: look the key up again. Needs reserved nodes.
 */
void gpuvm__tree_make_room(struct gpuvm *vm, struct leaf *leaf, uint64_t key, unsigned at, unsigned replaced);
/* Joins a leaf of less than LEAF_MIN with a neighbour, or notes it while victims are held. `key`: in its cell. */
void gpuvm__tree_shrunk(struct gpuvm *vm, struct leaf *leaf, uint64_t key);
/* After removals: does that where it is due. */
static inline void gpuvm__tree_settle(struct gpuvm *vm, struct leaf *leaf, uint64_t key)
{
    if (leaf->count < LEAF_MIN)
        gpuvm__tree_shrunk(vm, leaf, key);
}

/*
 * Frees the empty leaves from `leaf` on up to one with entries, by their hints. There are some left with entries, and
 * no victim is held.
 */
void gpuvm__tree_sweep(struct gpuvm *vm, struct leaf *leaf);
/* Joins the leaves noted, once no victim is held. */
void gpuvm__tree_drain(struct gpuvm *vm);

/* Removes the range that begins at `start`. */
static inline void gpuvm__tree_remove(struct gpuvm *vm, uint64_t start)
{
    unsigned at = gpuvm__seek(vm, start);
    struct leaf *leaf = vm->recent.leaf;
    vm->isa.leaf_erase(leaf, at - 1);
    vm->entries--;
    vm->version++;
    gpuvm__tree_settle(vm, leaf, start);
}

/* Gives the range that begins at `start` another end and id. */
void gpuvm__tree_set(struct gpuvm *vm, uint64_t start, uint64_t end, gpuvm_va va);

/* Inserts a range that overlaps nothing, after gpuvm__seek(vm, start) returned `at`. Needs reserved nodes, or room. */
static inline void gpuvm__tree_insert_at(struct gpuvm *vm, unsigned at, uint64_t start, uint64_t end, gpuvm_va va)
{
    while (vm->recent.leaf->count == LEAF_MAX) {
        gpuvm__tree_make_room(vm, vm->recent.leaf, start, at, 0);
        at = gpuvm__seek(vm, start);
    }
    gpuvm__leaf_put(vm, at, start, end, va);
    vm->entries++;
    vm->version++;
}

/* The same from the start alone. */
void gpuvm__tree_insert(struct gpuvm *vm, uint64_t start, uint64_t end, gpuvm_va va);

#endif
