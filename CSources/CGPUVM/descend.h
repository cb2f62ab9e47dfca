/*
 * The descent from the root to the cell of a key, written once and compiled for each variant. VARIANT() makes its
 * function's name, TARGET is its attribute, INNER_COUNT and LEAF_COUNT count the keys <= key in an inner node and in a
 * leaf.
 */
TARGET static unsigned VARIANT(descend)(const struct gpuvm *vm, uint64_t key, struct cell *cell)
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
#undef VARIANT
#undef TARGET
#undef INNER_COUNT
#undef LEAF_COUNT
