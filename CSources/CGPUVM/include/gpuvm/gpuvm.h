/*
 * gpuvm: the GPU VA space. Tracks which ranges of a GPU's virtual address space are mapped to which part of
 * which object, splits what a new mapping or an unmapping cuts, and says as a list of operations what changes.
 * It behaves as Linux's drm_gpuvm does (7.2), and like it never picks an address: callers do.
 *
 * Units. Addresses, ranges and offsets are unsigned 64-bit numbers in a unit of the caller's choice (bytes or
 * pages). A range [addr, addr + range) excludes its end. A range whose end would be 2^64 or more is invalid.
 *
 * Objects. A mapping shows part of an object or none (a sparse or reserved range). An object is known to a space
 * by the pair of both, a `gpuvm_bo`; the pair keeps the list of its mappings in link order.
 *
 * Locking. The caller serialises all calls on one space (and on the op lists in use with it), look-ups too: they
 * remember where they looked. Iterators do not, and need only be kept from changes of the space.
 *
 * Failure. A call that fails leaves the space as it was. One exception, as in the kernel: when a step callback
 * fails, what the steps before it did stays (gpuvm_sm_map, gpuvm_sm_unmap).
 */
#ifndef GPUVM_GPUVM_H
#define GPUVM_GPUVM_H

#include <gpuvm/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A VA space. Opaque. */
struct gpuvm;

/*
 * A mapping of one space. The id is stable from insertion until the mapping is removed, or, where an op list
 * holds it as a victim, until that list is committed; then it may be used again for another mapping.
 */
typedef uint32_t gpuvm_va;
#define GPUVM_VA_NONE   ((gpuvm_va)0)
#define GPUVM_VA_KERNEL ((gpuvm_va)1) /* the kernel-reserved range, where the space has one */

/* The pair of a space and an object. */
typedef uint32_t gpuvm_bo;
#define GPUVM_BO_NONE ((gpuvm_bo)0) /* no object */

/* The library's version, as GPUVM_VERSION is laid out. */
uint32_t gpuvm_version(void);

/* ---- the space ---------------------------------------------------------------------------------------- */

/* How a space is made. Zero it, set `size` to sizeof(struct gpuvm_config), fill the rest. */
struct gpuvm_config {
    size_t size;
    uint64_t start, range;               /* the managed window */
    uint64_t kernel_start, kernel_range; /* reserved for the kernel; kernel_range 0: nothing */
    uint32_t user_size;                  /* bytes of the caller's own data per mapping, at most 4096 */
    struct gpuvm_alloc alloc; /* large spaces ask it for 2 MiB aligned to 2 MiB; without hooks, for huge pages */
};

/* Odd windows the kernel warns of and takes; see gpuvm_warnings(). */
#define GPUVM_WARN_WINDOW_WRAPS (1u << 0) /* start + range overflows: every range is invalid */
#define GPUVM_WARN_KERNEL_WRAPS (1u << 1) /* kernel_start + kernel_range overflows: the reserved range is not in
                                             the space, yet blocks ranges as drm_gpuvm_range_valid computes it */

/*
 * Makes a space (drm_gpuvm_init). The reserved range is inserted as mapping GPUVM_VA_KERNEL; it is seen by every
 * look-up and iteration, cannot be removed, and need not lie inside the window.
 * -EINVAL: config->size unknown, user_size too large. -ENOMEM.
 */
int gpuvm_create(const struct gpuvm_config *config, struct gpuvm **out);

/* Frees the space with all its mappings and pairs. Lists of ops used with it must be finished first. NULL ok. */
void gpuvm_destroy(struct gpuvm *vm);

unsigned gpuvm_warnings(const struct gpuvm *vm);
/* Mappings in the space, the kernel-reserved one not counted. */
size_t gpuvm_count(const struct gpuvm *vm);
/* Bytes the space holds from its allocator, all in. */
size_t gpuvm_memory(const struct gpuvm *vm);

/*
 * drm_gpuvm_range_valid: inside the window, no overflow, not touching the reserved range. A zero range is valid
 * unless it lies strictly inside the reserved range.
 */
bool gpuvm_range_valid(const struct gpuvm *vm, uint64_t addr, uint64_t range);
/* No mapping, the reserved one included, intersects [addr, addr + range). */
bool gpuvm_interval_empty(const struct gpuvm *vm, uint64_t addr, uint64_t range);

/* Verifies every invariant of the space. 0, or -EUCLEAN with one line in why[n]. Slow; for tests. */
int gpuvm_check(const struct gpuvm *vm, char *why, size_t n);

/* ---- pairs -------------------------------------------------------------------------------------------- */

/* Makes a pair for an object; `cookie` is the caller's. *out never is GPUVM_BO_NONE. -ENOMEM. */
int gpuvm_bo_create(struct gpuvm *vm, uint64_t cookie, gpuvm_bo *out);
/* Ends a pair. -EBUSY while mappings (or victims of a list not yet committed) refer to it, -ENOENT unknown. */
int gpuvm_bo_destroy(struct gpuvm *vm, gpuvm_bo bo);
/* The caller's word given at creation; 0 for GPUVM_BO_NONE or an unknown pair. */
uint64_t gpuvm_bo_cookie(const struct gpuvm *vm, gpuvm_bo bo);
/* Mappings linked to the pair. */
size_t gpuvm_bo_count(const struct gpuvm *vm, gpuvm_bo bo);
/* First mapping of the pair, and the one after `va`, in link order; GPUVM_VA_NONE at the end. */
gpuvm_va gpuvm_bo_first(const struct gpuvm *vm, gpuvm_bo bo);
gpuvm_va gpuvm_bo_next(const struct gpuvm *vm, gpuvm_va va);

/* ---- mappings ----------------------------------------------------------------------------------------- */

struct gpuvm_mapping {
    uint64_t addr, range;
    uint64_t offset; /* into the object; a meaningless but kept number without one */
    gpuvm_bo bo;
    gpuvm_va va;
    uint32_t seq; /* counts the mappings ever made in the space: who is younger */
};

/* The mapping's data; also of a victim that a list still holds. -ENOENT: no such id. */
int gpuvm_get(const struct gpuvm *vm, gpuvm_va va, struct gpuvm_mapping *out);
/*
 * The caller's own `user_size` bytes of a mapping, 8-byte aligned, zero when made, valid as long as the id.
 * Pieces that a split leaves over start with a copy of the victim's. NULL: user_size is 0, or no such id.
 */
void *gpuvm_user(const struct gpuvm *vm, gpuvm_va va);

/*
 * Inserts a mapping and links it to `bo` (unless GPUVM_BO_NONE) at the tail (drm_gpuva_insert + drm_gpuva_link).
 * -EINVAL: invalid or zero range. -ENOENT: unknown bo. -EEXIST: intersects a mapping. -ENOMEM.
 */
int gpuvm_insert(struct gpuvm *vm, uint64_t addr, uint64_t range, gpuvm_bo bo, uint64_t offset, gpuvm_va *out);
/* Removes and unlinks a mapping. -ENOENT: not in the space. -EPERM: the reserved one. */
int gpuvm_remove(struct gpuvm *vm, gpuvm_va va);
/*
 * gpuvm_remove() for each of `n` mappings, in order: for all of them, or for none when one fails. `*failed` (may be
 * NULL) gets the index of the first one at fault. -ENOENT also where an id comes a second time. See gpuvm_find_many().
 */
int gpuvm_remove_many(struct gpuvm *vm, const gpuvm_va *va, size_t n, size_t *failed);

/* Look-ups answer GPUVM_VA_NONE where there is none.
 * The lowest mapping intersecting the inclusive interval [addr, addr + range - 1] (drm_gpuva_find_first). */
gpuvm_va gpuvm_find_first(const struct gpuvm *vm, uint64_t addr, uint64_t range);
/* find_first, only if address and range are both equal (drm_gpuva_find). */
gpuvm_va gpuvm_find(const struct gpuvm *vm, uint64_t addr, uint64_t range);
/* The lowest mapping intersecting [addr - 1, addr] inclusive; none when addr - 1 is not valid (drm_gpuva_find_prev). */
gpuvm_va gpuvm_find_prev(const struct gpuvm *vm, uint64_t addr);
/* The lowest mapping intersecting [addr, addr + 1] inclusive; none when addr is not valid (drm_gpuva_find_next). */
gpuvm_va gpuvm_find_next(const struct gpuvm *vm, uint64_t addr);

struct gpuvm_range {
    uint64_t addr, range;
};
/*
 * gpuvm_find() and gpuvm_find_first() for each of `n` ranges; the answers go into out[n], which may not overlap the
 * ranges. In a space larger than the caches (some 100,000 mappings) this is several times faster than one by one: a
 * dozen searches wait for memory side by side. In order, or in a small space, it gains nothing.
 */
void gpuvm_find_many(const struct gpuvm *vm, const struct gpuvm_range *ranges, size_t n, gpuvm_va *out);
void gpuvm_find_first_many(const struct gpuvm *vm, const struct gpuvm_range *ranges, size_t n, gpuvm_va *out);

/*
 * Iteration in address order over the mappings that intersect [addr, addr + range) (range 0 with addr 0: the
 * whole space, the reserved mapping included). Embeddable; no clean-up. The current mapping may be removed or
 * split: iteration goes on at what was its successor when it was handed out, so pieces left over are not visited.
 *
 *     struct gpuvm_iter it;
 *     struct gpuvm_mapping m;
 *     gpuvm_iter_init(&it, vm, addr, range);
 *     while (gpuvm_iter_next(&it, &m)) ...
 */
struct gpuvm_iter {
    const struct gpuvm *vm;
    uint64_t next, end; /* go on at the first mapping that ends after `next`; stop at one starting at or after `end` */
    uint64_t version;   /* of the space when what follows was right */
    const void *leaf, *parent;
    uint32_t index, limit; /* in the leaf: the next mapping and the end of those to visit */
    uint32_t slot;         /* the leaf's in its parent */
    bool done;
};

void gpuvm_iter_init(struct gpuvm_iter *it, const struct gpuvm *vm, uint64_t addr, uint64_t range);
bool gpuvm_iter_next(struct gpuvm_iter *it, struct gpuvm_mapping *out);

/* A run of neighbours as three parallel arrays inside the space: the quick way through many mappings. */
struct gpuvm_run {
    const uint64_t *start, *end; /* end exclusive */
    const gpuvm_va *va;
    size_t count;
};
/* The next run; false at the end. The arrays hold until the space changes. Not to be mixed with gpuvm_iter_next(). */
bool gpuvm_iter_run(struct gpuvm_iter *it, struct gpuvm_run *out);

/* ---- requests, operations and lists of them ----------------------------------------------------------- */

enum gpuvm_req_kind {
    GPUVM_REQ_MAP = 0,     /* map [addr, addr + range) to bo at offset, splitting what is there */
    GPUVM_REQ_UNMAP = 1,   /* unmap it; bo and offset ignored */
    GPUVM_REQ_MADVISE = 2, /* the kernel's madvise flavour of map: splits only mappings without an object */
};

struct gpuvm_req {
    uint64_t addr, range, offset;
    gpuvm_bo bo;
    uint32_t kind; /* enum gpuvm_req_kind */
};

enum gpuvm_op_kind {
    GPUVM_OP_MAP = 0,
    GPUVM_OP_REMAP = 1,
    GPUVM_OP_UNMAP = 2,
    GPUVM_OP_PREFETCH = 3,
};

/*
 * One operation. MAP: the new mapping (addr, range, offset, bo), its id in `va` once applied. UNMAP and PREFETCH:
 * the existing mapping `va` with its data. REMAP: the existing mapping `va` is replaced by what it keeps in front
 * (the first prev_range of it, 0: nothing) and behind (the last next_range of it, 0: nothing); the pieces' ids are
 * in `prev` and `next` once applied. `keep`: the request's object and offset continue the victim's in a straight
 * line, so its page table entries may stay.
 */
struct gpuvm_op {
    uint64_t addr, range, offset;
    uint64_t prev_range, next_range;
    gpuvm_bo bo;
    gpuvm_va va, prev, next;
    uint8_t kind; /* enum gpuvm_op_kind */
    bool keep;
    uint32_t undo; /* private */
};

static inline uint64_t gpuvm_op_next_addr(const struct gpuvm_op *op)
{
    return op->addr + (op->range - op->next_range);
}
static inline uint64_t gpuvm_op_next_offset(const struct gpuvm_op *op)
{
    return op->offset + (op->range - op->next_range);
}
/* The hole a REMAP leaves: from the end of prev (or the old start) to the start of next (or the old end). */
static inline uint64_t gpuvm_op_hole_addr(const struct gpuvm_op *op)
{
    return op->addr + op->prev_range;
}
static inline uint64_t gpuvm_op_hole_range(const struct gpuvm_op *op)
{
    return op->range - op->prev_range - op->next_range;
}

/*
 * A list of ops: a flat array, reusable, freed in one go. Embeddable; `op` and `count` may be read, the rest is
 * private. A list is *dry* (only asked for) or *applied*: then its victims keep their ids and data until
 * gpuvm_ops_commit() or gpuvm_ops_revert().
 */
struct gpuvm_ops {
    struct gpuvm_op *op;
    size_t count;
    size_t capacity;
    struct gpuvm_alloc alloc;
    struct gpuvm *applied; /* the space that holds victims of this list; NULL: dry or empty */
};

void gpuvm_ops_init(struct gpuvm_ops *ops, const struct gpuvm_alloc *alloc /* NULL: the C library's */);
/* Frees the array. An applied list is committed first. */
void gpuvm_ops_fini(struct gpuvm_ops *ops);

/*
 * Asks for the ops of a request without applying it: drm_gpuvm_sm_map_ops_create, ..._sm_unmap_ops_create,
 * ..._madvise_ops_create. Replaces what a dry list holds. Returns the number of ops. A zero range gives what the
 * kernel's generator gives. -EINVAL: invalid range, unknown kind, the list is applied. -ENOENT: unknown bo. -ENOMEM.
 */
int gpuvm_sm_ops(struct gpuvm *vm, const struct gpuvm_req *req, struct gpuvm_ops *ops);
/*
 * gpuvm_sm_ops() for each of `n` requests, each of them on the space as it is now; the ops of all go into the list, in
 * the order of the requests. `ends` (may be NULL; else n numbers) gets for each request where its ops end in the list.
 * `*failed` (may be NULL) gets the index of the request at fault. Such a list can be applied where no two requests
 * touch the same mapping. Errors as there; then the list is empty. See gpuvm_find_many().
 */
int gpuvm_sm_ops_many(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct gpuvm_ops *ops, size_t *ends,
                      size_t *failed);
/* One PREFETCH per mapping that intersects, the reserved one included; no range check (drm_gpuvm_prefetch_ops_create).
 * Replaces what a dry list holds. Returns the number of ops. -EINVAL: the list is applied. -ENOMEM. */
int gpuvm_prefetch_ops(struct gpuvm *vm, uint64_t addr, uint64_t range, struct gpuvm_ops *ops);
/* One UNMAP per mapping of the pair, in link order (drm_gpuvm_bo_unmap_ops_create). Replaces what a dry list holds.
 * Returns the number of ops. -EINVAL: the list is applied. -ENOENT: unknown bo. -ENOMEM. */
int gpuvm_bo_unmap_ops(struct gpuvm *vm, gpuvm_bo bo, struct gpuvm_ops *ops);

/*
 * Applies a dry list right after it was asked for: nothing else may have changed the space in between. All or
 * nothing. -EINVAL: empty of a MAP of range 0 (ZERO-RANGE), not dry, or it does not fit the space. -ENOMEM.
 */
int gpuvm_ops_apply(struct gpuvm *vm, struct gpuvm_ops *ops);

/*
 * Carries out `n` requests in order, as one: all of them, or none when one fails. With `ops`, the operations are
 * appended to the list, which becomes (or stays) applied; without, victims are gone at once. A REMAP links prev,
 * then next, at the tail and then unlinks the victim; a MAP links at the tail. Returns the number of ops.
 * `*failed` (may be NULL) gets the index of the request at fault.
 * -EINVAL: invalid or zero range, unknown kind, a dry non-empty list, a list of another space. -ENOENT: unknown bo.
 * -ENOMEM.
 */
int gpuvm_exec(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct gpuvm_ops *ops, size_t *failed);

/*
 * Undoes the ops [from, count) of an applied list, last first, and cuts the list there: mappings, ids, the
 * caller's data and the order of every pair's list are as before. Cannot fail. Only the youngest applied lists may
 * be reverted, youngest first: nothing may have changed the space since but lists reverted before.
 */
void gpuvm_ops_revert(struct gpuvm *vm, struct gpuvm_ops *ops, size_t from);
/* Lets the victims go and empties the list. */
void gpuvm_ops_commit(struct gpuvm *vm, struct gpuvm_ops *ops);

/* Step callbacks (drm_gpuvm_ops.sm_step_*). 0: the library applies the step; anything else ends the walk. */
struct gpuvm_steps {
    int (*map)(void *priv, const struct gpuvm_op *op);
    int (*remap)(void *priv, const struct gpuvm_op *op);
    int (*unmap)(void *priv, const struct gpuvm_op *op);
};

/*
 * Carries out a MAP or MADVISE request step by step (drm_gpuvm_sm_map). Each callback is called before its step is
 * applied and may not change the space; its non-zero result is returned unchanged, that step is not applied and
 * the ones before it stay. -EINVAL: a callback missing, invalid or zero range, kind is UNMAP. -ENOENT: unknown bo.
 * -ENOMEM, before the first step.
 */
int gpuvm_sm_map(struct gpuvm *vm, const struct gpuvm_req *req, const struct gpuvm_steps *steps, void *priv);
/* The same for unmapping; needs remap and unmap (drm_gpuvm_sm_unmap). */
int gpuvm_sm_unmap(struct gpuvm *vm, uint64_t addr, uint64_t range, const struct gpuvm_steps *steps, void *priv);

#ifdef __cplusplus
}
#endif
#endif
