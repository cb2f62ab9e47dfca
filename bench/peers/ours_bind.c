/* Our C core, by the calls that the device makes. */
#include <errno.h>

#include "bind_pages.h"

#include "../harness.h"

#include <gpuvm/gpuvm.h>

struct space {
    struct gpuvm *vm;
    gpuvm_bo bo;
    struct gpuvm_ops ops;
    struct gpuvm_req *reqs;
    struct mmu_space *pages;
    struct nvmmu_part *parts;
};

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "bind: call failed: %d\n", rc);
        exit(1);
    }
}

static void *ours_open(void)
{
    struct gpuvm_config config = {.size = sizeof config, .range = UINT64_C(1) << 47,
                                  .alloc = {.alloc = bench_alloc, .free = bench_free}};
    struct space *s = calloc(1, sizeof *s);

    must(gpuvm_create(&config, &s->vm));
    must(gpuvm_bo_create(s->vm, 1, &s->bo));
    gpuvm_ops_init(&s->ops, NULL);
    s->reqs = malloc(4096 * sizeof *s->reqs);
    s->parts = malloc(4096 * sizeof *s->parts);
    s->pages = mmu_ours.open("tu102");
    return s;
}

static void ours_close(void *space)
{
    struct space *s = space;

    gpuvm_ops_fini(&s->ops);
    gpuvm_destroy(s->vm);
    mmu_ours.close(s->pages);
    free(s->reqs);
    free(s->parts);
    free(s);
}

static void ours_bind(void *space, const struct bind_op *ops, size_t n)
{
    struct space *s = space;
    const struct nvmmu_map buffer = bind_map(0, 0);
    size_t parts = 0;

    for (size_t i = 0; i < n; i++)
        s->reqs[i] = (struct gpuvm_req){ops[i].va, BIND_PAGE, ops[i].offset, s->bo, GPUVM_REQ_MAP};
    must(gpuvm_exec(s->vm, s->reqs, n, &s->ops, NULL));
    mmu_ours.begin(s->pages);
    /* A page that replaces one of the same size keeps its references. */
    for (size_t i = 0; i < s->ops.count; i++) {
        const struct gpuvm_op *op = &s->ops.op[i];
        bool replaces = i > 0 && op[-1].kind == GPUVM_OP_UNMAP;

        if (op->kind == GPUVM_OP_MAP && !replaces)
            must(mmu_ours.get(s->pages, op->addr, op->range, 16));
    }
    for (size_t i = 0; i < s->ops.count; i++) {
        const struct gpuvm_op *op = &s->ops.op[i];

        if (op->kind == GPUVM_OP_MAP)
            s->parts[parts++] = (struct nvmmu_part){op->addr, op->range, op->offset, buffer.shift, buffer.kind};
    }
    must(mmu_ours.map_parts(s->pages, &buffer, s->parts, parts) == parts ? 0 : -EINVAL);
    mmu_ours.end(s->pages);
    gpuvm_ops_commit(s->vm, &s->ops);
}

static uint64_t ours_reading(void *space, uint64_t va, uint64_t size)
{
    struct space *s = space;
    const struct nvmmu_space walk = mmu_ours.walk(s->pages);

    return bind_sum(&walk, va, size);
}

const struct bind_peer bind_ours = {ours_open, ours_close, ours_bind, ours_reading};
