/*
 * The data of a copy: lines of bytes, or of elements that are remapped, from one surface to another.
 */
#ifndef NVENGINE_TRANSFER_H
#define NVENGINE_TRANSFER_H

#include "engine.h"
#include "surface.h"

#include <nvengine/remap.h>

struct transfer {
    struct surface source, destination;
    uint64_t length; /* of a line: elements where remapped, else bytes */
    uint64_t lines;
    bool remapped;
    struct nvengine_remap remap;
};

/* Goes on from *p until all is copied (DONE), the channel's budget is used up (AGAIN), or -EFAULT. */
int nvengine__transfer(struct nvengine_channel *c, const struct transfer *t, struct progress *p);

#endif
