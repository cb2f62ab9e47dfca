/* This library. */
#include "../va.h"

#include <gpuvm/gpuvm.h>

#define PEER_WRITES 1
#define PEER_LISTS  1
#define PEER_BATCHES

typedef struct {
    struct gpuvm *vm;
    struct gpuvm_ops ops;
    gpuvm_bo bo[VA_OBJECTS];
} peer_space;
typedef gpuvm_va peer_handle;
typedef struct gpuvm_req peer_request;

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "va: call failed: %d\n", rc);
        exit(1);
    }
}

static peer_space *peer_create(void)
{
    struct gpuvm_config config = {.size = sizeof config, .range = UINT64_C(1) << 48,
                                  .alloc = {.alloc = bench_alloc, .free = bench_free}};
    peer_space *s = malloc(sizeof *s);

    must(gpuvm_create(&config, &s->vm));
    gpuvm_ops_init(&s->ops, NULL);
    for (unsigned i = 0; i < VA_OBJECTS; i++)
        must(gpuvm_bo_create(s->vm, i, &s->bo[i]));
    return s;
}

static void peer_destroy(peer_space *s)
{
    gpuvm_ops_fini(&s->ops);
    gpuvm_destroy(s->vm);
    free(s);
}

static size_t peer_memory(peer_space *s)
{
    return gpuvm_memory(s->vm);
}

static inline void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    must(gpuvm_insert(s->vm, addr, range, s->bo[object], offset, NULL));
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = gpuvm_find(s->vm, addr, range);
    return *h != GPUVM_VA_NONE;
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = gpuvm_find_first(s->vm, addr, range);
    return *h != GPUVM_VA_NONE;
}

static uint64_t peer_start(peer_space *s, peer_handle h)
{
    struct gpuvm_mapping m;

    must(gpuvm_get(s->vm, h, &m));
    return m.addr;
}

static inline uint64_t peer_iterate(peer_space *s)
{
    struct gpuvm_iter it;
    struct gpuvm_run run;
    uint64_t sum = 0;

    gpuvm_iter_init(&it, s->vm, 0, 0);
    while (gpuvm_iter_run(&it, &run))
        for (size_t i = 0; i < run.count; i++)
            sum += run.start[i] ^ run.end[i];
    return sum;
}

static void peer_each(peer_space *s, uint64_t *hash)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;

    gpuvm_iter_init(&it, s->vm, 0, 0);
    while (gpuvm_iter_next(&it, &m))
        va_mix(hash, m.addr, m.range, gpuvm_bo_cookie(s->vm, m.bo), m.offset);
}

static inline void peer_remove(peer_space *s, peer_handle h)
{
    must(gpuvm_remove(s->vm, h));
}

static void peer_prepare(peer_space *s, peer_request *q, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    *q = (peer_request){addr, range, offset, s->bo[object], GPUVM_REQ_MAP};
}

static inline void peer_map(peer_space *s, const peer_request *q, size_t n)
{
    must(gpuvm_exec(s->vm, q, n, NULL, NULL));
}

static void peer_unmap(peer_space *s, uint64_t addr, uint64_t range)
{
    const struct gpuvm_req q = {.addr = addr, .range = range, .kind = GPUVM_REQ_UNMAP};

    must(gpuvm_exec(s->vm, &q, 1, NULL, NULL));
}

static inline size_t peer_list(peer_space *s, const peer_request *q)
{
    size_t n;

    must(gpuvm_sm_ops(s->vm, q, &s->ops));
    n = s->ops.count;
    gpuvm_ops_commit(s->vm, &s->ops);
    return n;
}

/* ---- many at once ---- */

static inline size_t look_up(peer_space *s, const uint64_t *addr, uint64_t range, size_t n, peer_handle *h, bool first)
{
    struct gpuvm_range ranges[VA_SMALL_BATCH];
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        ranges[i] = (struct gpuvm_range){addr[i], range};
    (first ? gpuvm_find_first_many : gpuvm_find_many)(s->vm, ranges, n, h);
    for (size_t i = 0; i < n; i++)
        found += h[i] != GPUVM_VA_NONE;
    return found;
}

static inline size_t peer_find_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n, peer_handle *h)
{
    return look_up(s, addr, range, n, h, false);
}

static inline size_t peer_find_first_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n,
                                           peer_handle *h)
{
    return look_up(s, addr, range, n, h, true);
}

static inline void peer_remove_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n)
{
    peer_handle h[VA_SMALL_BATCH];

    if (look_up(s, addr, range, n, h, false) != n)
        abort();
    must(gpuvm_remove_many(s->vm, h, n, NULL));
}

static inline size_t peer_list_batch(peer_space *s, const peer_request *q, size_t n)
{
    size_t ops;

    must(gpuvm_sm_ops_many(s->vm, q, n, &s->ops, NULL, NULL));
    ops = s->ops.count;
    gpuvm_ops_commit(s->vm, &s->ops);
    return ops;
}

static inline void peer_map_list(peer_space *s, const peer_request *q)
{
    must(gpuvm_exec(s->vm, q, 1, &s->ops, NULL));
    gpuvm_ops_commit(s->vm, &s->ops);
}

#include "../va_workloads.h"

VA_PEER(va_ours, "gpuvm");
