/*
 * Law: gpuvm_check() sees each kind of damage. The test breaks one field at a time through the private headers, expects
 * -EUCLEAN with a reason, and mends it.
 */
#include "gpuvm_test.h"

#include "../../CSources/CGPUVM/space.h"

enum { N = 3000 };

static struct gpuvm *vm;

static void sees(const char *damage)
{
    char why[256] = "";
    CHECK(gpuvm_check(vm, why, sizeof why) == -EUCLEAN, "%s is not seen", damage);
    CHECK(*why, "%s: no reason given", damage);
    EQ(gpuvm_check(vm, NULL, 0), -EUCLEAN);
}

#define BREAK(field, value)                                                                                       \
    do {                                                                                                          \
        __typeof__(field) was = (field);                                                                          \
        (field) = (value);                                                                                        \
        sees(#field);                                                                                             \
        (field) = was;                                                                                            \
        check_space(vm);                                                                                          \
    } while (0)

/* Several may go through a space at once: going through it writes nothing there. */
static void iterators_leave_the_space_as_it_is(void)
{
    struct gpuvm before, after;
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    uint64_t n = 0;

    gpuvm_find(vm, 20000, 4);
    memcpy(&before, vm, sizeof before);
    gpuvm_iter_init(&it, vm, 10003, 4000);
    while (gpuvm_iter_next(&it, &m))
        n++;
    memcpy(&after, vm, sizeof after);
    EQ(n, 401);
    CHECK(!memcmp(&before, &after, sizeof before), "the space is written to");
}

int main(void)
{
    struct gpuvm_config config = {.size = sizeof config, .range = 10 * N, .kernel_start = 5, .kernel_range = 1};
    gpuvm_bo bo, other;
    EQ(gpuvm_create(&config, &vm), 0);
    EQ(gpuvm_bo_create(vm, 1, &bo), 0);
    EQ(gpuvm_bo_create(vm, 2, &other), 0);
    for (uint64_t i = 1; i < N; i++)
        EQ(gpuvm_insert(vm, 10 * i, 4, i % 3 ? bo : GPUVM_BO_NONE, 0, NULL), 0);
    struct gpuvm_ops ops;
    gpuvm_ops_init(&ops, NULL);
    struct gpuvm_req q = {100, 5000, 0, 0, GPUVM_REQ_UNMAP};
    CHECK(gpuvm_exec(vm, &q, 1, &ops, NULL) == 500, "victims");
    EQ(gpuvm_remove(vm, gpuvm_find(vm, 6000, 4)), 0);
    check_space(vm);
    iterators_leave_the_space_as_it_is();

    struct inner *root = vm->root;
    struct cell c;
    vm->isa.descend(vm, 20005, &c);
    struct record *r = gpuvm__record(vm, c.leaf->va[3]);
    EQ(vm->height >= 1, 1);
    BREAK(c.leaf->start[3], c.leaf->start[4]);
    BREAK(c.leaf->start[3], c.leaf->start[3] + 1);
    BREAK(c.leaf->end[3], c.leaf->start[4] + 1);
    BREAK(c.leaf->end[3], c.leaf->start[3]);
    BREAK(c.leaf->va[3], c.leaf->va[4]);
    BREAK(c.leaf->va[3], 0);
    BREAK(c.leaf->count, c.leaf->count - 1);
    BREAK(c.leaf->count, LEAF_MAX + 1);
    BREAK(c.leaf->prev, NULL);
    BREAK(c.leaf->sparse, true);
    BREAK(root->key[0], root->key[1]);
    BREAK(root->key[0], root->key[0] + 100);
    BREAK(root->top[0], root->top[0] + 1);
    BREAK(root->top[INNER_LINES - 1], 0);
    BREAK(root->count, root->count - 1);
    BREAK(root->count, 1);
    BREAK(r->addr, r->addr + 1);
    BREAK(r->bo, REC_FREE);
    BREAK(r->bo, 77);
    BREAK(gpuvm__record(vm, vm->pairs[bo].head)->next, GPUVM_VA_NONE);
    BREAK(gpuvm__record(vm, vm->pairs[bo].tail)->prev, GPUVM_VA_NONE);
    BREAK(vm->pairs[bo].tail, vm->pairs[bo].head);
    BREAK(vm->pairs[bo].count, 1);
    BREAK(vm->pairs[bo].held, 0);
    BREAK(vm->pairs[bo].used, false);
    BREAK(vm->pairs[other].count, 1);
    BREAK(vm->entries, 1);
    BREAK(vm->leaves, 1);
    BREAK(vm->inners, 99);
    BREAK(vm->victims, 1);
    BREAK(vm->held[ops.op[7].undo].end, 0);
    BREAK(vm->records.freed, 0);
    BREAK(vm->records.ids, 0);
    BREAK(vm->records.spare, 0);
    BREAK(vm->leaf_pool.spare, vm->leaf_pool.spare + 1);
    BREAK(vm->inner_pool.total, 1);
    BREAK(vm->sparse->sparse_next, NULL);
    BREAK(vm->recent, ((struct cell){.leaf = c.leaf, .lo = c.lo, .hi = c.hi - 1}));
    BREAK(vm->recent, ((struct cell){.leaf = NULL, .lo = 0, .hi = 1}));

    gpuvm_ops_revert(vm, &ops, 0);
    check_space(vm);
    gpuvm_ops_fini(&ops);
    gpuvm_destroy(vm);
    return 0;
}
