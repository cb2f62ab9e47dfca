/*
 * The B+tree that maps ranges to mapping ids: how it grows, shrinks, and is made sure of memory.
 *
 * Why undoing cannot fail. While a victim is held by an op list, leaves are only split: none is joined, freed or
 * evened out with a neighbour, so every cell of today lies inside one cell of any moment since the victim was taken.
 * Undoing in reverse order restores the very contents of those moments, and what fitted the larger cell fits the
 * smaller one. So putting a victim back never splits a leaf and needs no node. (Between the ops of one request the
 * starts in a cell are a part of those before it or of those after it: a front piece keeps its victim's start, a rear
 * piece and the new mapping are there after it.) Leaves that got small meanwhile wait in space.sparse; they may be
 * empty, and every walk along the leaves steps over them.
 *
 * How many nodes m insertions need. Weigh a leaf by its entries beyond half. A split in the middle takes some half
 * of a leaf's weight away that as many insertions brought; joining two leaves brings less weight than half a split
 * takes, and frees a leaf; evening out brings none. A split at an end, which leaves the old leaf full, is made only
 * next to a leaf that is at least half full or to none; the young leaf it makes stops the next one there until it is
 * half full itself. That gives (2 m + 32 L) / 15 + L + 1 new leaves at most for L leaves, and of course at most m.
 * Inner nodes split in the middle or with 32 places left over: their splits are at most one for each node of today
 * and one for each 31 new leaves, and at most one each level, a new root's counted, for a new leaf.
 */
#include "tree.h"

#include <errno.h>

/* The way to a leaf: node[0] is its parent. */
struct path {
    struct inner *node[HEIGHT_MAX];
    unsigned slot[HEIGHT_MAX];
};

static struct leaf *leaf_new(struct gpuvm *vm)
{
    struct leaf *leaf = gpuvm__pool_get(&vm->leaf_pool);
    leaf->prev = leaf->next = NULL;
    leaf->count = 0;
    leaf->sparse = false;
    memset(leaf->start, 0xff, sizeof leaf->start);
    vm->leaves++;
    return leaf;
}

static struct inner *inner_new(struct gpuvm *vm)
{
    struct inner *inner = gpuvm__pool_get(&vm->inner_pool);
    inner->count = 0;
    memset(inner->top, 0xff, sizeof inner->top);
    memset(inner->key, 0xff, sizeof inner->key);
    vm->inners++;
    return inner;
}

static void inner_free(struct gpuvm *vm, struct inner *inner)
{
    gpuvm__pool_put(&vm->inner_pool, inner);
    vm->inners--;
}

int gpuvm__tree_init(struct gpuvm *vm)
{
    gpuvm__pool_init(&vm->leaf_pool, sizeof(struct leaf));
    gpuvm__pool_init(&vm->inner_pool, sizeof(struct inner));
    int rc = gpuvm__pool_reserve(vm, &vm->leaf_pool, 1);
    if (rc)
        return rc;
    vm->root = leaf_new(vm);
    return 0;
}

void gpuvm__tree_clear(struct gpuvm *vm)
{
    gpuvm__pool_reset(&vm->leaf_pool);
    gpuvm__pool_reset(&vm->inner_pool);
    vm->height = 0;
    vm->leaves = vm->inners = vm->entries = 0;
    vm->root = leaf_new(vm);
    vm->version++;
    gpuvm__forget(vm);
}

int gpuvm__tree_reserve(struct gpuvm *vm, size_t keys)
{
    if (!vm->height && vm->entries + keys <= LEAF_MAX)
        return 0;
    size_t leaves = 4 * vm->leaves + keys / 7 + 2;
    if (leaves > keys)
        leaves = keys;
    size_t inners = vm->inners + leaves / 31;
    if (inners > leaves * (vm->height + 1))
        inners = leaves * (vm->height + 1);
    int rc = gpuvm__pool_reserve(vm, &vm->leaf_pool, leaves);
    return rc ? rc : gpuvm__pool_reserve(vm, &vm->inner_pool, inners + vm->height + 2);
}

static struct leaf *walk(const struct gpuvm *vm, uint64_t key, struct path *path)
{
    void *node = vm->root;
    path->node[0] = NULL;
    path->slot[0] = 0;
    for (unsigned level = vm->height; level--;) {
        struct inner *inner = node;
        path->node[level] = inner;
        path->slot[level] = vm->isa.inner_count(inner, key);
        node = inner->child[path->slot[level]];
    }
    return node;
}

/* After a change of keys. */
static void note_tops(struct inner *n)
{
    for (unsigned i = 0; i < INNER_LINES; i++)
        n->top[i] = n->key[i * LINE_KEYS + LINE_KEYS - 1];
}

/* Puts a child, whose keys begin at `key`, behind slot `after` of a node with room. */
static void put_child(struct inner *n, unsigned after, uint64_t key, void *child)
{
    unsigned tail = n->count - after - 1;
    memmove(&n->key[after + 1], &n->key[after], tail * sizeof *n->key);
    memmove(&n->child[after + 2], &n->child[after + 1], tail * sizeof *n->child);
    n->key[after] = key;
    n->child[after + 1] = child;
    n->count++;
    note_tops(n);
}

/* Moves the children from `at` on to a new node. Returns it, and the separator before it. */
static struct inner *split_inner(struct gpuvm *vm, struct inner *n, unsigned at, uint64_t *key)
{
    struct inner *right = inner_new(vm);
    right->count = n->count - at;
    memcpy(right->key, &n->key[at], (right->count - 1) * sizeof *n->key);
    memcpy(right->child, &n->child[at], right->count * sizeof *n->child);
    *key = n->key[at - 1];
    for (unsigned i = at - 1; i < n->count - 1; i++)
        n->key[i] = KEY_NONE;
    n->count = at;
    note_tops(n);
    note_tops(right);
    return right;
}

/* Adds a child behind the one the path leads to, splitting full nodes up to the root. */
static void insert_child(struct gpuvm *vm, struct path *path, uint64_t key, void *child)
{
    unsigned level = 0;
    for (; level < vm->height; level++) {
        struct inner *n = path->node[level];
        unsigned slot = path->slot[level];
        if (n->count < INNER_MAX) {
            put_child(n, slot, key, child);
            return;
        }
        uint64_t middle;
        unsigned at = slot == INNER_MAX - 1 ? INNER_JOIN : INNER_MAX / 2;
        struct inner *right = split_inner(vm, n, at, &middle);
        if (slot < at)
            put_child(n, slot, key, child);
        else
            put_child(right, slot - at, key, child);
        key = middle;
        child = right;
    }
    struct inner *root = inner_new(vm);
    root->count = 2;
    root->key[0] = key;
    root->child[0] = vm->root;
    root->child[1] = child;
    vm->root = root;
    vm->height++;
}

/* Takes away `gone` children from the one the path leads to at `level` on; their keys go to a neighbour. */
static void remove_children(struct gpuvm *vm, struct path *path, unsigned level, unsigned gone);

/* Joins the right one of two neighbours on `level`, `slot` being the left one's, to the left one. */
static bool join_inners(struct gpuvm *vm, struct path *path, unsigned level, unsigned slot)
{
    struct inner *up = path->node[level + 1];
    struct inner *left = up->child[slot], *right = up->child[slot + 1];
    if (left->count + right->count > INNER_JOIN)
        return false;
    left->key[left->count - 1] = up->key[slot];
    memcpy(&left->key[left->count], right->key, (right->count - 1) * sizeof *left->key);
    memcpy(&left->child[left->count], right->child, right->count * sizeof *left->child);
    left->count += right->count;
    note_tops(left);
    path->slot[level + 1] = slot + 1;
    remove_children(vm, path, level + 1, 1);
    inner_free(vm, right);
    return true;
}

static void remove_children(struct gpuvm *vm, struct path *path, unsigned level, unsigned gone)
{
    struct inner *n = path->node[level];
    unsigned slot = path->slot[level], key = slot ? slot - 1 : 0, rest = n->count - slot - gone;
    n->count -= gone;
    if (n->count) {
        memmove(&n->key[key], &n->key[key + gone], (n->count - 1 - key) * sizeof *n->key);
        memset(&n->key[n->count - 1], 0xff, gone * sizeof *n->key);
        memmove(&n->child[slot], &n->child[slot + gone], rest * sizeof *n->child);
        note_tops(n);
    }
    if (level + 1 == vm->height) {
        while (vm->height && n->count == 1) {
            vm->root = n->child[0];
            vm->height--;
            inner_free(vm, n);
            n = vm->root;
        }
    } else if (!n->count) {
        remove_children(vm, path, level + 1, 1);
        inner_free(vm, n);
    } else {
        unsigned at = path->slot[level + 1];
        if (n->count < INNER_MIN && (at + 1 == path->node[level + 1]->count || !join_inners(vm, path, level, at)) && at)
            join_inners(vm, path, level, at - 1);
    }
}

static void move_entries(struct leaf *to, unsigned at, const struct leaf *from, unsigned first, unsigned n)
{
    memcpy(&to->start[at], &from->start[first], n * sizeof *to->start);
    memcpy(&to->end[at], &from->end[first], n * sizeof *to->end);
    memcpy(&to->va[at], &from->va[first], n * sizeof *to->va);
}

static void truncate_leaf(struct leaf *leaf, unsigned count)
{
    for (unsigned i = count; i < leaf->count; i++)
        leaf->start[i] = KEY_NONE;
    leaf->count = count;
}

/* Moves the entries from `at` on to a new leaf whose cell begins at `key`. */
static void split_leaf(struct gpuvm *vm, struct path *path, struct leaf *leaf, unsigned at, uint64_t key)
{
    struct leaf *right = leaf_new(vm);
    right->prev = leaf;
    right->next = leaf->next;
    if (leaf->next)
        leaf->next->prev = right;
    leaf->next = right;
    right->count = leaf->count - at;
    move_entries(right, 0, leaf, at, right->count);
    truncate_leaf(leaf, at);
    insert_child(vm, path, key, right);
}

static bool half_full(const struct leaf *leaf)
{
    return !leaf || leaf->count >= LEAF_MAX / 2;
}

/* Evens out two neighbours under one parent, `slot` being the left one's. */
static void even_out(struct inner *parent, unsigned slot)
{
    struct leaf *left = parent->child[slot], *right = parent->child[slot + 1];
    unsigned half = (left->count + right->count) / 2;
    if (left->count > half) {
        unsigned n = left->count - half;
        memmove(&right->start[n], right->start, right->count * sizeof *right->start);
        memmove(&right->end[n], right->end, right->count * sizeof *right->end);
        memmove(&right->va[n], right->va, right->count * sizeof *right->va);
        move_entries(right, 0, left, half, n);
        right->count += n;
        truncate_leaf(left, half);
    } else {
        unsigned n = half - left->count;
        move_entries(left, left->count, right, 0, n);
        left->count = half;
        unsigned rest = right->count - n;
        memmove(right->start, &right->start[n], rest * sizeof *right->start);
        memmove(right->end, &right->end[n], rest * sizeof *right->end);
        memmove(right->va, &right->va[n], rest * sizeof *right->va);
        truncate_leaf(right, rest);
    }
    parent->key[slot] = right->start[0];
    note_tops(parent);
}

/* The entries of a child; of a place beyond the node's, more than there can be. */
static unsigned entries(const struct inner *parent, unsigned slot)
{
    return slot < parent->count ? ((const struct leaf *)parent->child[slot])->count : LEAF_MAX + 1;
}

/* Moves entries of a full leaf to the neighbour with more room. */
static bool spread(struct gpuvm *vm, struct path *path)
{
    struct inner *parent = path->node[0];
    if (vm->victims || !parent)
        return false;
    unsigned slot = path->slot[0], left = entries(parent, slot - 1), right = entries(parent, slot + 1);
    if (left > LEAF_ROOM && right > LEAF_ROOM)
        return false;
    even_out(parent, left < right ? slot - 1 : slot);
    return true;
}

void gpuvm__tree_make_room(struct gpuvm *vm, struct leaf *leaf, uint64_t key, unsigned at, unsigned replaced)
{
    struct path path;
    walk(vm, key, &path);
    gpuvm__forget(vm);
    vm->version++;
    if (!replaced && at == leaf->count && half_full(leaf->next))
        split_leaf(vm, &path, leaf, at, leaf->end[at - 1]);
    else if (!replaced && !at && half_full(leaf->prev))
        split_leaf(vm, &path, leaf, 0, leaf->start[0]);
    else if (!spread(vm, &path))
        split_leaf(vm, &path, leaf, leaf->count / 2, leaf->start[leaf->count / 2]);
}

static void sparse_add(struct gpuvm *vm, struct leaf *leaf)
{
    leaf->sparse = true;
    leaf->sparse_prev = NULL;
    leaf->sparse_next = vm->sparse;
    if (vm->sparse)
        vm->sparse->sparse_prev = leaf;
    vm->sparse = leaf;
}

static void sparse_del(struct gpuvm *vm, struct leaf *leaf)
{
    leaf->sparse = false;
    if (leaf->sparse_prev)
        leaf->sparse_prev->sparse_next = leaf->sparse_next;
    else
        vm->sparse = leaf->sparse_next;
    if (leaf->sparse_next)
        leaf->sparse_next->sparse_prev = leaf->sparse_prev;
}

static void free_leaf(struct gpuvm *vm, struct leaf *leaf)
{
    if (leaf->sparse)
        sparse_del(vm, leaf);
    if (leaf->prev)
        leaf->prev->next = leaf->next;
    if (leaf->next)
        leaf->next->prev = leaf->prev;
    gpuvm__pool_put(&vm->leaf_pool, leaf);
    vm->leaves--;
}

/* Joins the right one of two neighbours, `slot` being the left one's, to the left one. */
static bool join_leaves(struct gpuvm *vm, struct path *path, unsigned slot)
{
    struct inner *parent = path->node[0];
    struct leaf *left = parent->child[slot], *right = parent->child[slot + 1];
    if (left->count + right->count > LEAF_JOIN)
        return false;
    move_entries(left, left->count, right, 0, right->count);
    left->count += right->count;
    free_leaf(vm, right);
    path->slot[0] = slot + 1;
    remove_children(vm, path, 0, 1);
    return true;
}

static void join(struct gpuvm *vm, struct leaf *leaf, uint64_t key)
{
    struct path path;
    walk(vm, key, &path);
    if (!path.node[0]) {
        if (!leaf->count && !vm->sparse && vm->leaf_pool.freed)
            gpuvm__tree_clear(vm); /* none left: nodes are to come in order again */
        return;
    }
    unsigned slot = path.slot[0];
    if (!leaf->count) {
        free_leaf(vm, leaf);
        remove_children(vm, &path, 0, 1);
    } else if (slot + 1 == path.node[0]->count || !join_leaves(vm, &path, slot)) {
        if (!slot || !join_leaves(vm, &path, slot - 1))
            return;
    }
    gpuvm__forget(vm);
    vm->version++;
}

/* The two have room in one leaf; they need not be under one parent, though. */
static bool joins(const struct leaf *leaf, const struct leaf *neighbour)
{
    return neighbour && leaf->count + neighbour->count <= LEAF_JOIN;
}

void gpuvm__tree_shrunk(struct gpuvm *vm, struct leaf *leaf, uint64_t key)
{
    if (!vm->victims) {
        bool ask = !(leaf->count & (leaf->count + 1)); /* 7, 3, 1, 0: neighbours too full are not asked each time */
        if (ask && (!leaf->count || joins(leaf, leaf->prev) || joins(leaf, leaf->next)))
            join(vm, leaf, key);
        return;
    }
    leaf->hint = key;
    if (!leaf->sparse)
        sparse_add(vm, leaf);
}

void gpuvm__tree_sweep(struct gpuvm *vm, struct leaf *leaf)
{
    while (vm->height && leaf && !leaf->count) {
        struct path path;
        unsigned n = 0;
        walk(vm, leaf->hint, &path);
        do {
            struct leaf *next = leaf->next;
            free_leaf(vm, leaf);
            leaf = next;
        } while (path.slot[0] + ++n < path.node[0]->count && !leaf->count);
        remove_children(vm, &path, 0, n);
    }
    gpuvm__forget(vm);
}

void gpuvm__tree_drain(struct gpuvm *vm)
{
    while (!vm->victims && vm->sparse) {
        struct leaf *leaf = vm->sparse;
        sparse_del(vm, leaf);
        if (leaf->count < LEAF_MIN)
            join(vm, leaf, leaf->count ? leaf->start[0] : leaf->hint);
    }
}

void gpuvm__tree_insert(struct gpuvm *vm, uint64_t start, uint64_t end, gpuvm_va va)
{
    gpuvm__tree_insert_at(vm, gpuvm__seek(vm, start), start, end, va);
}

void gpuvm__tree_set(struct gpuvm *vm, uint64_t start, uint64_t end, gpuvm_va va)
{
    unsigned at = gpuvm__seek(vm, start);
    vm->recent.leaf->end[at - 1] = end;
    vm->recent.leaf->va[at - 1] = va;
    vm->version++;
}
