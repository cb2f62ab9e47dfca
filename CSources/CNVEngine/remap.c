/*
 * Components from others. The loop is written once and compiled for each component size.
 */
#include <nvengine/remap.h>

#include <errno.h>
#include <string.h>

int nvengine_remap_init(struct nvengine_remap *r, uint32_t components, uint32_t a, uint32_t b)
{
    *r = (struct nvengine_remap){
        .constant = {a, b},
        .size = (components >> 16 & 3) + 1,
        .from = (components >> 20 & 3) + 1,
        .to = (components >> 24 & 3) + 1,
    };
    for (unsigned i = 0; i < 4; i++) {
        r->select[i] = components >> 4 * i & 7;
        if (r->select[i] > NVENGINE_REMAP_NO_WRITE && i < r->to)
            return -EINVAL;
    }
    return 0;
}

bool nvengine_remap_reads(const struct nvengine_remap *r)
{
    bool reads = false;

    for (unsigned i = 0; i < r->to; i++)
        reads |= r->select[i] < r->from;
    return reads;
}

bool nvengine_remap_keeps(const struct nvengine_remap *r)
{
    bool keeps = false;

    for (unsigned i = 0; i < r->to; i++)
        keeps |= r->select[i] == NVENGINE_REMAP_NO_WRITE;
    return keeps;
}

bool nvengine_remap_writes(const struct nvengine_remap *r)
{
    bool writes = false;

    for (unsigned i = 0; i < r->to; i++)
        writes |= r->select[i] != NVENGINE_REMAP_NO_WRITE;
    return writes;
}

bool nvengine_remap_is_copy(const struct nvengine_remap *r)
{
    bool same = r->from == r->to;

    for (unsigned i = 0; i < r->to; i++)
        same &= r->select[i] == i;
    return same;
}

/* One destination component of all elements. `step`: bytes from one element to the next. */
static inline void component(unsigned size, const unsigned char *from, size_t from_step, unsigned char *to,
                             size_t to_step, size_t elements)
{
    for (size_t i = 0; i < elements; i++)
        memcpy(to + i * to_step, from + i * from_step, size);
}

static void component_of(unsigned size, const unsigned char *from, size_t from_step, unsigned char *to, size_t to_step,
                         size_t elements)
{
    switch (size) {
    case 1:
        component(1, from, from_step, to, to_step, elements);
        break;
    case 2:
        component(2, from, from_step, to, to_step, elements);
        break;
    case 3:
        component(3, from, from_step, to, to_step, elements);
        break;
    default:
        component(4, from, from_step, to, to_step, elements);
        break;
    }
}

void nvengine_remap_apply(const struct nvengine_remap *r, const void *from, void *to, size_t elements)
{
    static const unsigned char zero[4];
    size_t from_step = (size_t)r->size * r->from, to_step = (size_t)r->size * r->to;

    for (unsigned i = 0; i < r->to; i++) {
        unsigned char *at = (unsigned char *)to + i * r->size, constant[4];
        unsigned select = r->select[i];

        if (select < r->from) {
            component_of(r->size, (const unsigned char *)from + select * r->size, from_step, at, to_step, elements);
        } else if (select < NVENGINE_REMAP_CONST_A) {
            component_of(r->size, zero, 0, at, to_step, elements);
        } else if (select < NVENGINE_REMAP_NO_WRITE) {
            memcpy(constant, &r->constant[select - NVENGINE_REMAP_CONST_A], sizeof(constant));
            component_of(r->size, constant, 0, at, to_step, elements);
        }
    }
}
