/*
 * Chips by NV_PMC_BOOT_0 id, ascending. Ids and classes: Linux 7.2 nvkm/engine/device/base.c.
 */
#include "format_private.h"

static const struct nvmmu_chip chips[] = {
    {0x130, "GP100", "Pascal", &nvmmu__gp100}, {0x132, "GP102", "Pascal", &nvmmu__gp100},
    {0x134, "GP104", "Pascal", &nvmmu__gp100}, {0x136, "GP106", "Pascal", &nvmmu__gp100},
    {0x137, "GP107", "Pascal", &nvmmu__gp100}, {0x138, "GP108", "Pascal", &nvmmu__gp100},
    {0x13b, "GP10B", "Pascal", &nvmmu__gp10b}, {0x140, "GV100", "Volta", &nvmmu__gv100},
    {0x162, "TU102", "Turing", &nvmmu__tu102}, {0x164, "TU104", "Turing", &nvmmu__tu102},
    {0x166, "TU106", "Turing", &nvmmu__tu102}, {0x167, "TU117", "Turing", &nvmmu__tu102},
    {0x168, "TU116", "Turing", &nvmmu__tu102}, {0x170, "GA100", "Ampere", &nvmmu__ga100},
    {0x172, "GA102", "Ampere", &nvmmu__ga100}, {0x173, "GA103", "Ampere", &nvmmu__ga100},
    {0x174, "GA104", "Ampere", &nvmmu__ga100}, {0x176, "GA106", "Ampere", &nvmmu__ga100},
    {0x177, "GA107", "Ampere", &nvmmu__ga100}, {0x192, "AD102", "Ada", &nvmmu__ga100},
    {0x193, "AD103", "Ada", &nvmmu__ga100},    {0x194, "AD104", "Ada", &nvmmu__ga100},
    {0x196, "AD106", "Ada", &nvmmu__ga100},    {0x197, "AD107", "Ada", &nvmmu__ga100},
};

size_t nvmmu_chips(const struct nvmmu_chip **out)
{
    *out = chips;
    return sizeof(chips) / sizeof(chips[0]);
}

const struct nvmmu_chip *nvmmu_chip_find(unsigned chipset)
{
    for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++)
        if (chips[i].chipset == chipset)
            return &chips[i];
    return NULL;
}
