/*
 * Engines by class. A channel offers some of these classes, and others that have no engine here (2D).
 */
#include "engine.h"

#define COPY nvengine__copy_method
#define GRAPHICS nvengine__graphics_method

static const struct engine engines[] = {
    {.class_id = 0xa0b5, .address_bits = 8, .method = COPY},
    {.class_id = 0xb0b5, .address_bits = 8, .method = COPY},
    {.class_id = 0xc0b5, .address_bits = 17, .method = COPY},
    {.class_id = 0xc1b5, .address_bits = 17, .wide_origin = true, .method = COPY},
    {.class_id = 0xc3b5, .address_bits = 17, .wide_origin = true, .method = COPY},
    {.class_id = 0xc5b5, .address_bits = 17, .wide_origin = true, .method = COPY},
    {.class_id = 0xc6b5, .address_bits = 17, .wide_origin = true, .method = COPY},
    {.class_id = 0xc7b5, .address_bits = 17, .wide_origin = true, .long_payload = true, .method = COPY},
    {.low = 0x97, .reports = true, .method = GRAPHICS}, /* 3D */
    {.low = 0xc0, .method = GRAPHICS},                  /* compute */
    {.low = 0x40, .method = nvengine__inline_method},
};

const struct engine *nvengine__engine(uint16_t class_id)
{
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        const struct engine *e = &engines[i];

        if (e->class_id ? e->class_id == class_id : e->low == (class_id & 0xff))
            return e;
    }
    return NULL;
}
