/*
 * The descent from the root to the cell of a key, written once and compiled for each variant. VARIANT() makes its
 * functions' names, TARGET is their attribute, INNER_COUNT and LEAF_COUNT count the keys <= key in an
 * inner node and in a leaf. look_… is the same without the bounds, which only changes need.
 */
TARGET __attribute__((always_inline)) static inline unsigned VARIANT(walk)(const struct gpuvm *vm, uint64_t key,
                                                                           struct cell *cell)
{
    uint64_t lo = 0, hi = KEY_NONE;
    const void *node = vm->root;
    for (unsigned level = vm->height; level; level--) {
        const struct inner *inner = node;
        unsigned at = INNER_COUNT(inner, key);
        lo = at ? inner->key[at - 1] : lo;
        hi = inner->key[at] < hi ? inner->key[at] : hi;
        node = inner->child[at];
    }
    struct leaf *leaf = (struct leaf *)(uintptr_t)node;
    if (vm->height >= WARM_HEIGHT)
        gpuvm__fetch(leaf, sizeof *leaf);
    cell->leaf = leaf;
    cell->lo = lo;
    cell->hi = hi;
    return LEAF_COUNT(leaf, key);
}

TARGET static unsigned VARIANT(descend)(const struct gpuvm *vm, uint64_t key, struct cell *cell)
{
    return VARIANT(walk)(vm, key, cell);
}

TARGET static struct place VARIANT(look)(const struct gpuvm *vm, uint64_t key)
{
    struct cell c;
    unsigned at = VARIANT(walk)(vm, key, &c);
    return (struct place){c.leaf, at};
}
#undef VARIANT
#undef TARGET
#undef INNER_COUNT
#undef LEAF_COUNT
