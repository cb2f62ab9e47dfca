/*
 * Nodes of the interval map, a B+tree over ranges that do not overlap.
 *
 * A leaf owns a *cell*, the keys from its separator to the next one in the tree, and holds the mappings that start
 * there, in order. The three arrays are apart so that a search reads only starts. A range may reach over the end of
 * its cell, so a look-up whose key is before the first start of the cell must look at the leaf before.
 *
 * Unused starts are KEY_NONE, as are unused separators: counting the keys <= a key needs no length. No mapping ends
 * beyond KEY_NONE, so none starts there.
 */
#ifndef GPUVM_NODE_H
#define GPUVM_NODE_H

#include <gpuvm/gpuvm.h>
#include <stdalign.h>

enum {
    LEAF_MAX = 32,
    LEAF_MIN = 8,    /* a leaf with fewer looks for a neighbour to join */
    LEAF_JOIN = 24,  /* two leaves are joined when they hold no more than this */
    LEAF_ROOM = 26,  /* a full leaf moves entries to a neighbour that holds no more than this */
    INNER_MAX = 128, /* children */
    INNER_MIN = 32,
    INNER_JOIN = 96,
    HEIGHT_MAX = 14, /* a root splits only after some 64 times the insertions of the split before */
    LINE = 64,
    LINE_KEYS = LINE / 8,
    INNER_LINES = INNER_MAX / LINE_KEYS,
};

#define KEY_NONE UINT64_MAX

struct leaf {
    struct leaf *prev, *next;
    struct leaf *sparse_prev, *sparse_next; /* in space.sparse while `sparse` */
    uint64_t hint;                          /* a key of the cell, right while the leaf is empty and not the root */
    uint32_t count;
    bool sparse;
    alignas(LINE) uint64_t start[LEAF_MAX];
    uint64_t end[LEAF_MAX];
    uint32_t va[LEAF_MAX];
};

/* child[i] has the keys from key[i - 1] up to, not including, key[i]. */
struct inner {
    uint32_t count; /* children; one more than separators */
    alignas(LINE) uint64_t top[INNER_LINES]; /* the last key of each line of them: a search reads one line more */
    uint64_t key[INNER_MAX];
    void *child[INNER_MAX];
};

#endif
