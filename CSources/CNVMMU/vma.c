/*
 * Addresses given out: one list of all blocks in address order, the free ones in a tree by (size, address), the used
 * ones in a tree by address.
 *
 * Invariants. The blocks cover the window without gaps. Two free blocks never touch. A block with `part` goes on the
 * allocation of the block before it, and of such neighbours at least one is mapped; pieces of one allocation agree in
 * everything but range, `mapped` and `refd`. References are held exactly where `refd` is not 0.
 *
 * What can fail (nodes, then references) comes before what cannot, so that failing leaves nothing to undo but nodes.
 * Locking is the caller's (vma.h).
 */
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <bsd/sys/tree.h>
#include <nvmmu/vma.h>

#include "vmm_private.h"

struct vma {
    RB_ENTRY(vma) node; /* of the tree of free or of used blocks */
    struct vma *prev, *next;
    struct nvmmu_vma_info is;
};

RB_HEAD(free_tree, vma);
RB_HEAD(used_tree, vma);

struct nvmmu_vmas {
    struct nvmmu_vmm *vmm;
    struct vma *first;
    struct free_tree free;
    struct used_tree used;
};

static int by_address(const struct vma *a, const struct vma *b)
{
    return a->is.va < b->is.va ? -1 : a->is.va > b->is.va;
}

static int by_size(const struct vma *a, const struct vma *b)
{
    return a->is.size != b->is.size ? (a->is.size < b->is.size ? -1 : 1) : by_address(a, b);
}

RB_GENERATE_INTERNAL(free_tree, vma, node, by_size, static __attribute__((unused)))
RB_GENERATE_INTERNAL(used_tree, vma, node, by_address, static __attribute__((unused)))

/* ---- blocks ------------------------------------------------------------------------------------------------- */

static struct vma *node_new(struct nvmmu_vmas *vmas)
{
    return gpuvm_mem_alloc(&vmas->vmm->alloc, sizeof(struct vma), alignof(struct vma));
}

static void node_free(struct nvmmu_vmas *vmas, struct vma *v)
{
    gpuvm_mem_free(&vmas->vmm->alloc, v, sizeof(*v));
}

static uint64_t end_of(const struct vma *v)
{
    return v->is.va + v->is.size;
}

static void tree_insert(struct nvmmu_vmas *vmas, struct vma *v)
{
    if (v->is.used)
        RB_INSERT(used_tree, &vmas->used, v);
    else
        RB_INSERT(free_tree, &vmas->free, v);
}

static void tree_remove(struct nvmmu_vmas *vmas, struct vma *v)
{
    if (v->is.used)
        RB_REMOVE(used_tree, &vmas->used, v);
    else
        RB_REMOVE(free_tree, &vmas->free, v);
}

/* `v`, which is in no tree, ends at `at`; `rest` is what follows. */
static void cut(struct vma *v, uint64_t at, struct vma *rest)
{
    *rest = *v;
    rest->is.va = at;
    rest->is.size = end_of(v) - at;
    v->is.size -= rest->is.size;
    rest->prev = v;
    if (rest->next)
        rest->next->prev = rest;
    v->next = rest;
}

/* `v`, which is in no tree, takes in the block behind it. */
static void join(struct nvmmu_vmas *vmas, struct vma *v)
{
    struct vma *rest = v->next;

    tree_remove(vmas, rest);
    v->is.size += rest->is.size;
    v->next = rest->next;
    if (v->next)
        v->next->prev = v;
    node_free(vmas, rest);
}

/* Makes [va, va + size) of `v` a block of its own, out of the trees; what is left of `v` stays as it was. NULL: out of
 * memory, nothing changed. */
static struct vma *carve(struct nvmmu_vmas *vmas, struct vma *v, uint64_t va, uint64_t size)
{
    struct vma *body = v->is.va < va ? node_new(vmas) : v;
    struct vma *tail = va + size < end_of(v) ? node_new(vmas) : NULL;

    if (!body || (va + size < end_of(v) && !tail)) {
        if (body != v)
            node_free(vmas, body);
        node_free(vmas, tail);
        return NULL;
    }
    tree_remove(vmas, v);
    if (tail) {
        cut(v, va + size, tail);
        tail->is.part = v->is.used;
        tree_insert(vmas, tail);
    }
    if (body != v) {
        cut(v, va, body);
        body->is.part = v->is.used;
        tree_insert(vmas, v);
    }
    return body;
}

/* A block that came out of the trees goes back free. */
static void give_back(struct nvmmu_vmas *vmas, struct vma *v)
{
    v->is = (struct nvmmu_vma_info){.va = v->is.va, .size = v->is.size};
    if (v->next && !v->next->is.used)
        join(vmas, v);
    if (v->prev && !v->prev->is.used) {
        struct vma *prev = v->prev;

        tree_insert(vmas, v);
        tree_remove(vmas, prev);
        join(vmas, prev);
        v = prev;
    }
    tree_insert(vmas, v);
}

/* `v` is not mapped (any more): it and its neighbours of the same allocation that are not either become one. */
static void merge_parts(struct nvmmu_vmas *vmas, struct vma *v)
{
    while (v->is.part && !v->prev->is.mapped)
        v = v->prev;
    while (v->next && v->next->is.part && !v->next->is.mapped)
        join(vmas, v);
}

/* ---- get ------------------------------------------------------------------------------------------------------ */

static const struct nvmmu_page_size *page_size(const struct nvmmu_format *f, unsigned shift)
{
    for (unsigned i = 0; i < f->page_count; i++)
        if (f->page[i].shift == shift)
            return &f->page[i];
    return NULL;
}

static bool request_valid(const struct nvmmu_format *f, const struct nvmmu_vma_request *r)
{
    if (!r->size || (r->sparse && !r->getref && !r->mapref))
        return false;
    if (!r->shift)
        return !r->getref && !f->page_block;
    return page_size(f, r->shift) && !(r->size & ((1ull << r->shift) - 1));
}

/* The first multiple of 2^align at or above va; `limit` where there is none below it. */
static uint64_t round_up(uint64_t va, unsigned align, uint64_t limit)
{
    uint64_t mask;

    if (align > 63)
        return va ? limit : 0;
    mask = (1ull << align) - 1;
    return va > limit - (mask & -va) || (mask & -va) > limit ? limit : va + (mask & -va);
}

/* Room for the request inside a free block: its start, or false. */
static bool fits(const struct nvmmu_format *f, const struct nvmmu_vma_request *r, const struct vma *v, uint64_t *va)
{
    uint64_t start = v->is.va, end = end_of(v);
    unsigned align = r->align;

    if (align < (r->shift ? r->shift : 12u))
        align = r->shift ? r->shift : 12;
    if (f->page_block && v->prev && v->prev->is.shift != r->shift)
        start = (start + f->page_block - 1) & ~(f->page_block - 1);
    if (f->page_block && v->next && v->next->is.shift != r->shift)
        end &= ~(f->page_block - 1);
    start = round_up(start, align, end > start ? end : start);
    *va = start;
    return start <= end && end - start >= r->size;
}

static struct vma *find_room(struct nvmmu_vmas *vmas, const struct nvmmu_vma_request *r, uint64_t *va)
{
    struct vma least = {.is = {.size = r->size}};
    struct vma *v = RB_NFIND(free_tree, &vmas->free, &least);

    while (v && !fits(vmas->vmm->format, r, v, va))
        v = RB_NEXT(free_tree, &vmas->free, v);
    return v;
}

/* What get takes of the tables. */
static int take(struct nvmmu_vmm *vmm, const struct nvmmu_vma_request *r, uint64_t va)
{
    int ret = 0;

    if (r->getref && r->sparse && !(page_size(vmm->format, r->shift)->flags & NVMMU_PAGE_SPARSE))
        return -EINVAL;
    if (r->getref)
        ret = nvmmu_vmm_get(vmm, va, r->size, r->shift);
    else if (r->sparse)
        ret = nvmmu_vmm_sparse(vmm, va, r->size, true);
    if (!ret && r->getref && r->sparse)
        ret = nvmmu_vmm_unmap(vmm, va, r->size, r->shift, true);
    return ret;
}

int nvmmu_vma_get(struct nvmmu_vmas *vmas, const struct nvmmu_vma_request *r, uint64_t *va)
{
    struct vma *v;
    int ret;

    if (!request_valid(vmas->vmm->format, r))
        return -EINVAL;
    v = find_room(vmas, r, va);
    if (!v)
        return -ENOSPC;
    v = carve(vmas, v, *va, r->size);
    if (!v)
        return -ENOMEM;
    nvmmu_vmm_begin(vmas->vmm);
    ret = take(vmas->vmm, r, *va);
    nvmmu_vmm_end(vmas->vmm);
    if (ret) {
        give_back(vmas, v);
        return ret;
    }
    v->is.used = true;
    v->is.shift = r->shift;
    v->is.refd = r->getref ? r->shift : 0;
    v->is.mapref = r->mapref && !r->getref;
    v->is.sparse = r->sparse;
    tree_insert(vmas, v);
    return 0;
}

/* ---- map and unmap ------------------------------------------------------------------------------------------- */

/* The used block that holds va, or NULL. */
static struct vma *find(const struct nvmmu_vmas *vmas, uint64_t va)
{
    struct vma *v = RB_ROOT(&vmas->used);

    while (v && (va < v->is.va || va >= end_of(v)))
        v = va < v->is.va ? RB_LEFT(v, node) : RB_RIGHT(v, node);
    return v;
}

static struct vma *find_start(const struct nvmmu_vmas *vmas, uint64_t va)
{
    struct vma *v = find(vmas, va);

    return v && v->is.va == va ? v : NULL;
}

/* Sets map->shift to the page size to use. -EINVAL: none suits. */
static int choose_shift(struct nvmmu_vmm *vmm, const struct vma *v, struct nvmmu_map *map)
{
    const struct nvmmu_format *f = vmm->format;

    map->shift = v->is.refd ? v->is.refd : v->is.shift;
    if (map->shift)
        return nvmmu__map_check(vmm, map);
    for (unsigned i = 0; i < f->page_count; i++) {
        map->shift = f->page[i].shift;
        if (!nvmmu__map_check(vmm, map))
            return 0;
    }
    return -EINVAL;
}

/* References where there are none, then entries: of a map that was checked. */
static int write_map(struct nvmmu_vmm *vmm, const struct vma *v, const struct nvmmu_map *map)
{
    int ret = v->is.refd ? 0 : nvmmu_vmm_get(vmm, map->va, map->size, map->shift);

    return ret ? ret : nvmmu_vmm_map(vmm, map);
}

int nvmmu_vma_map(struct nvmmu_vmas *vmas, const struct nvmmu_map *asked, unsigned *shift)
{
    struct nvmmu_map map = *asked;
    struct vma *v = find(vmas, map.va);
    bool whole;
    int ret;

    if (!v)
        return -ENOENT;
    whole = map.va == v->is.va && map.size == v->is.size;
    if (!map.size || map.size > end_of(v) - map.va || (!whole && (v->is.mapped || (!v->is.refd && !v->is.mapref))))
        return -EINVAL;
    ret = choose_shift(vmas->vmm, v, &map);
    if (ret)
        return ret;
    if (!whole) {
        v = carve(vmas, v, map.va, map.size);
        if (!v)
            return -ENOMEM;
        tree_insert(vmas, v);
    }
    nvmmu_vmm_begin(vmas->vmm);
    ret = write_map(vmas->vmm, v, &map);
    nvmmu_vmm_end(vmas->vmm);
    if (ret) {
        if (!v->is.mapped)
            merge_parts(vmas, v);
        return ret;
    }
    v->is.refd = (uint8_t)map.shift;
    v->is.mapped = true;
    if (shift)
        *shift = map.shift;
    return 0;
}

/* The entries of a mapped block go, and with `put` its references. */
static void clear(struct nvmmu_vmm *vmm, const struct vma *v, bool sparse, bool put)
{
    if (v->is.mapped || sparse)
        nvmmu_vmm_unmap(vmm, v->is.va, v->is.size, v->is.refd, sparse && !put);
    if (put)
        nvmmu_vmm_put(vmm, v->is.va, v->is.size, v->is.refd);
}

int nvmmu_vma_unmap(struct nvmmu_vmas *vmas, uint64_t va)
{
    struct vma *v = find_start(vmas, va);

    if (!v)
        return -ENOENT;
    if (!v->is.mapped)
        return -EINVAL;
    nvmmu_vmm_begin(vmas->vmm);
    clear(vmas->vmm, v, v->is.sparse, v->is.mapref);
    nvmmu_vmm_end(vmas->vmm);
    v->is.mapped = false;
    if (v->is.mapref)
        v->is.refd = 0;
    merge_parts(vmas, v);
    return 0;
}

/* ---- put ------------------------------------------------------------------------------------------------------ */

/* An allocation and all its pieces: what they hold of the tables, then their addresses. */
static void put(struct nvmmu_vmas *vmas, struct vma *v)
{
    bool sparse = v->is.sparse && v->is.mapref;

    nvmmu_vmm_begin(vmas->vmm);
    for (struct vma *piece = v; piece && (piece == v || piece->is.part); piece = piece->next) {
        if (piece->is.refd)
            clear(vmas->vmm, piece, piece->is.sparse, true);
        piece->is.mapped = false;
    }
    merge_parts(vmas, v);
    if (sparse)
        nvmmu_vmm_sparse(vmas->vmm, v->is.va, v->is.size, false);
    nvmmu_vmm_end(vmas->vmm);
    tree_remove(vmas, v);
    give_back(vmas, v);
}

int nvmmu_vma_put(struct nvmmu_vmas *vmas, uint64_t va)
{
    struct vma *v = find_start(vmas, va);

    if (!v || v->is.part)
        return -ENOENT;
    put(vmas, v);
    return 0;
}

/* ---- making --------------------------------------------------------------------------------------------------- */

int nvmmu_vmas_create(struct nvmmu_vmm *vmm, uint64_t start, uint64_t size, struct nvmmu_vmas **out)
{
    struct nvmmu_vmas *vmas;

    if (!size && start < vmm->limit)
        size = vmm->limit - start;
    if (nvmmu__range_check(vmm, start, size))
        return -EINVAL;
    vmas = gpuvm_mem_alloc(&vmm->alloc, sizeof(*vmas), alignof(struct nvmmu_vmas));
    if (!vmas)
        return -ENOMEM;
    *vmas = (struct nvmmu_vmas){.vmm = vmm};
    vmas->first = node_new(vmas);
    if (!vmas->first) {
        gpuvm_mem_free(&vmm->alloc, vmas, sizeof(*vmas));
        return -ENOMEM;
    }
    *vmas->first = (struct vma){.is = {.va = start, .size = size}};
    tree_insert(vmas, vmas->first);
    *out = vmas;
    return 0;
}

void nvmmu_vmas_destroy(struct nvmmu_vmas *vmas)
{
    if (!vmas)
        return;
    nvmmu_vmm_begin(vmas->vmm);
    while (!RB_EMPTY(&vmas->used))
        put(vmas, RB_MIN(used_tree, &vmas->used));
    nvmmu_vmm_end(vmas->vmm);
    node_free(vmas, vmas->first);
    gpuvm_mem_free(&vmas->vmm->alloc, vmas, sizeof(*vmas));
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

int nvmmu_vmas_visit(const struct nvmmu_vmas *vmas, int (*visit)(void *ctx, const struct nvmmu_vma_info *), void *ctx)
{
    int ret = 0;

    for (const struct vma *v = vmas->first; v && !ret; v = v->next)
        ret = visit(ctx, &v->is);
    return ret;
}

static bool referenced(struct nvmmu_vmm *vmm, const struct vma *v)
{
    struct span s;
    unsigned depth, h;

    if (!nvmmu__place(vmm, v->is.refd, &depth, &h))
        return false;
    span_first(vmm, &s, v->is.va, end_of(v), depth, h);
    return nvmmu__referenced(vmm, &s);
}

/* What is wrong with `v` and the link to the one behind it, or NULL. */
static const char *broken(const struct nvmmu_vmas *vmas, struct vma *v)
{
    const struct vma *next = v->next;

    if (next && (next->prev != v || next->is.va != end_of(v)))
        return "does not end where the next one begins";
    if (v->is.used ? find_start(vmas, v->is.va) != v : RB_FIND(free_tree, (struct free_tree *)&vmas->free, v) != v)
        return "is not in its tree";
    if (!v->is.used && next && !next->is.used)
        return "is free beside a free one";
    if (v->is.part && (!v->prev || !v->prev->is.used || v->prev->is.sparse != v->is.sparse ||
                       v->prev->is.mapref != v->is.mapref || v->prev->is.shift != v->is.shift))
        return "is no piece of the one before";
    if (v->is.part && !v->is.mapped && !v->prev->is.mapped)
        return "was not merged with the piece before";
    if (v->is.mapped ? !v->is.refd : v->is.mapref && v->is.refd)
        return "holds references it should not, or none";
    if (v->is.refd && !referenced(vmas->vmm, v))
        return "has lost references";
    return NULL;
}

int nvmmu_vmas_check(const struct nvmmu_vmas *vmas, char *why, size_t n)
{
    for (struct vma *v = vmas->first; v; v = v->next) {
        const char *what = broken(vmas, v);

        if (!what)
            continue;
        if (n)
            snprintf(why, n, "block at 0x%llx, size 0x%llx %s", (unsigned long long)v->is.va,
                     (unsigned long long)v->is.size, what);
        return -EUCLEAN;
    }
    return 0;
}
