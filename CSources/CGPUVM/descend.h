/*
 * The descent from the root to the cell of a key, written once and compiled for each variant: DESCEND names the
 * function, TARGET is its attribute, COUNT64 and COUNT32 count the keys <= key in an inner node and in a leaf.
 */
TARGET static struct cell DESCEND(const struct gpuvm *vm, uint64_t key)
{
    struct cell c = {.lo = 0, .hi = KEY_NONE};
    const void *node = vm->root;
    for (unsigned level = vm->height; level; level--) {
        const struct inner *inner = node;
        unsigned at = COUNT64(inner->key, key);
        c.lo = at ? inner->key[at - 1] : c.lo;
        c.hi = inner->key[at] < c.hi ? inner->key[at] : c.hi;
        node = inner->child[at];
    }
    c.leaf = (struct leaf *)(uintptr_t)node;
    if (vm->height >= WARM_HEIGHT)
        gpuvm__fetch(node, sizeof *c.leaf);
    c.at = COUNT32(c.leaf->start, key);
    return c;
}
#undef DESCEND
#undef TARGET
#undef COUNT64
#undef COUNT32
