/*
 * From GPU addresses to bytes. The only file that turns a walk's answer into a pointer.
 *
 * Invariant: a remembered page of this generation was mapped (or sparse), allowed and resolved after the last begin().
 */
#include "memory.h"

#include <errno.h>

static const uint8_t zeros[PAGE];

void nvengine__memory_begin(struct memory *m)
{
    m->generation++;
}

static int fault(struct memory *m, uint64_t va, unsigned type, bool write)
{
    m->fault.va = va;
    m->fault.type = (uint8_t)type;
    m->fault.access = write ? NVENGINE_WRITE : NVENGINE_READ;
    return -EFAULT;
}

static void *resolve_window(const struct nvmmu_space *s, uint8_t aperture, uint64_t address, uint64_t *length)
{
    for (size_t i = 0; i < s->window_count; i++) {
        const struct nvmmu_window *w = &s->windows[i];

        if (w->aperture == aperture && address - w->base < w->size) {
            *length = w->size - (address - w->base);
            return (uint8_t *)w->cpu + (address - w->base);
        }
    }
    return NULL;
}

/* Frames from `address` on, of which `want` bytes are of use; *length becomes what there is. NULL: not one. */
static uint8_t *resolve(const struct memory *m, uint8_t aperture, uint64_t address, uint64_t want, uint64_t *length)
{
    uint8_t *cpu;

    *length = want;
    cpu = m->is.resolve ? m->is.resolve(m->is.ctx, aperture, address, length)
                        : resolve_window(&m->is.space, aperture, address, length);
    return cpu && *length >= PAGE ? cpu : NULL;
}

static int check_page(struct memory *m, uint64_t va, bool priv, bool ro, bool write)
{
    if (priv)
        return fault(m, va, NVENGINE_FAULT_PRIV, write);
    return ro && write ? fault(m, va, NVENGINE_FAULT_RO, write) : 0;
}

uint8_t *nvengine__page(struct memory *m, uint64_t va, bool write)
{
    struct page *p = nvengine__slot(m, va, write);
    struct nvmmu_translation t;
    uint8_t *cpu = NULL;
    uint64_t length;

    nvmmu_translate(&m->is.space, va, &t);
    switch (t.state) {
    case NVMMU_UNMAPPED:
        fault(m, va, t.fault, write);
        return NULL;
    case NVMMU_SPARSE:
        cpu = write ? m->sink : (uint8_t *)zeros;
        break;
    case NVMMU_MAPPED:
        if (check_page(m, va, t.priv, t.ro, write))
            return NULL;
        cpu = resolve(m, t.aperture, t.pa & ~(uint64_t)(PAGE - 1), PAGE, &length);
        if (!cpu) {
            fault(m, va, NVENGINE_FAULT_APERTURE, write);
            return NULL;
        }
        break;
    }
    *p = (struct page){va >> 12, m->generation, cpu};
    return cpu;
}

/* `size` bytes of frames in a row, from physical address pa on. False: not one frame of them. */
static bool resolve_span(const struct memory *m, uint8_t aperture, uint64_t pa, uint64_t size, struct span *out)
{
    unsigned offset = pa & (PAGE - 1);
    uint64_t frames = (offset + size + PAGE - 1) & ~(uint64_t)(PAGE - 1), length;
    uint8_t *cpu = resolve(m, aperture, pa - offset, frames, &length);

    if (!cpu)
        return false;
    out->cpu = cpu + offset;
    out->size = size < length - offset ? size : length - offset;
    return true;
}

/* What is mapped in a row, or the hole. A fault only if it has been unmapped since. */
static int run_span(struct memory *m, uint64_t va, uint64_t want, bool write, struct span *out)
{
    struct nvmmu_extents it;
    struct nvmmu_extent e;

    nvmmu_extents_init(&it, &m->is.space, va, want);
    if (!nvmmu_extents_next(&it, &e) || e.state == NVMMU_UNMAPPED)
        return fault(m, va, NVMMU_FAULT_PTE, write);
    *out = (struct span){NULL, e.size};
    if (e.state == NVMMU_SPARSE)
        return 0;
    if (check_page(m, va, e.page.priv, e.page.ro, write))
        return -EFAULT;
    return resolve_span(m, e.page.aperture, e.pa, e.size, out) ? 0 : fault(m, va, NVENGINE_FAULT_APERTURE, write);
}

/* More than a 4 KiB page has. Of pages that lie apart only the first: the one behind is remembered, and fetched. */
static int long_span(struct memory *m, uint64_t va, uint64_t want, bool write, struct span *out)
{
    unsigned offset = va & (PAGE - 1), left = PAGE - offset;
    uint8_t *cpu = nvengine__touch(m, va, left, write), *behind;

    if (!cpu)
        return -EFAULT;
    behind = nvengine__touch(m, va + left, PAGE, write);
    if (behind == cpu + left || behind == cpu - offset) /* the same page again: sparse */
        return run_span(m, va, want < SPAN_BYTES ? want : SPAN_BYTES, write, out);
    if (behind)
        nvengine__fetch(behind);
    *out = (struct span){cpu, left};
    return 0;
}

int nvengine__span(struct memory *m, uint64_t va, uint64_t want, bool write, struct span *out)
{
    unsigned offset = va & (PAGE - 1);

    if (want > PAGE - offset)
        return long_span(m, va, want, write, out);
    out->cpu = nvengine__touch(m, va, (unsigned)want, write);
    out->size = want;
    return out->cpu ? 0 : -EFAULT;
}

int nvengine__read(struct memory *m, uint64_t va, void *to, uint64_t n)
{
    for (uint8_t *at = to; n;) {
        unsigned left = PAGE - (va & (PAGE - 1)), k = n < left ? (unsigned)n : left;
        const uint8_t *cpu = nvengine__touch(m, va, k, false);

        if (!cpu)
            return -EFAULT;
        memcpy(at, cpu, k);
        at += k, va += k, n -= k;
    }
    return 0;
}

int nvengine__write(struct memory *m, uint64_t va, const void *from, uint64_t n)
{
    for (const uint8_t *at = from; n;) {
        unsigned left = PAGE - (va & (PAGE - 1)), k = n < left ? (unsigned)n : left;
        uint8_t *cpu = nvengine__touch(m, va, k, true);

        if (!cpu)
            return -EFAULT;
        memcpy(cpu, at, k);
        at += k, va += k, n -= k;
    }
    return 0;
}
