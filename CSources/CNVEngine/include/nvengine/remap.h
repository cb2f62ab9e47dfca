/*
 * nvengine remap: elements of one to four components from others, as the copy engine's SET_REMAP_COMPONENTS says.
 * Stateless. Facts: NVIDIA open-gpu-doc (cla0b5 … clc7b5).
 */
#ifndef NVENGINE_REMAP_H
#define NVENGINE_REMAP_H

#include <gpuvm/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a destination component comes from; 0 to 3 are the source's x, y, z and w. */
#define NVENGINE_REMAP_CONST_A  4
#define NVENGINE_REMAP_CONST_B  5
#define NVENGINE_REMAP_NO_WRITE 6

struct nvengine_remap {
    uint32_t constant[2]; /* A, B; a component takes the low bytes */
    uint8_t select[4];    /* by destination component */
    uint8_t size;         /* bytes of a component, 1 to 4 */
    uint8_t from;         /* components of a source element, 1 to 4 */
    uint8_t to;           /* of a destination element */
};

/* The word of SET_REMAP_COMPONENTS, with both constants. -EINVAL: a component that is written has the reserved
 * select 7. */
int nvengine_remap_init(struct nvengine_remap *r, uint32_t components, uint32_t a, uint32_t b);

/* Some component comes from the source. */
bool nvengine_remap_reads(const struct nvengine_remap *r);
/* Some component stays as it was. */
bool nvengine_remap_keeps(const struct nvengine_remap *r);
/* Some component is written. */
bool nvengine_remap_writes(const struct nvengine_remap *r);
/* Elements are the same bytes before and after. */
bool nvengine_remap_is_copy(const struct nvengine_remap *r);

/*
 * Makes `elements` elements at `to` (size * to bytes each) from those at `from` (size * from bytes each; not read when
 * no component comes from it). What is kept is not touched. A source component that elements do not have is zero.
 * The two may not overlap.
 */
void nvengine_remap_apply(const struct nvengine_remap *r, const void *from, void *to, size_t elements);

#ifdef __cplusplus
}
#endif
#endif
