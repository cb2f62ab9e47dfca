/*
 * Chips by NV_PMC_BOOT_0 id, ascending. Ids and classes: Linux 7.2 nvkm/engine/device/base.c.
 */
#include "format_private.h"

static const struct nvmmu_chip chips[] = {
    {0x004, "NV04", "Fahrenheit", &nvmmu__nv04},   {0x005, "NV05", "Fahrenheit", &nvmmu__nv04},
    {0x010, "NV10", "Celsius", &nvmmu__nv04},      {0x011, "NV11", "Celsius", &nvmmu__nv04},
    {0x015, "NV15", "Celsius", &nvmmu__nv04},      {0x017, "NV17", "Celsius", &nvmmu__nv04},
    {0x018, "NV18", "Celsius", &nvmmu__nv04},      {0x01a, "nForce", "Celsius", &nvmmu__nv04},
    {0x01f, "nForce2", "Celsius", &nvmmu__nv04},   {0x020, "NV20", "Kelvin", &nvmmu__nv04},
    {0x025, "NV25", "Kelvin", &nvmmu__nv04},       {0x028, "NV28", "Kelvin", &nvmmu__nv04},
    {0x02a, "NV2A", "Kelvin", &nvmmu__nv04},       {0x030, "NV30", "Rankine", &nvmmu__nv04},
    {0x031, "NV31", "Rankine", &nvmmu__nv04},      {0x034, "NV34", "Rankine", &nvmmu__nv04},
    {0x035, "NV35", "Rankine", &nvmmu__nv04},      {0x036, "NV36", "Rankine", &nvmmu__nv04},
    {0x040, "NV40", "Curie", &nvmmu__nv04},        {0x041, "NV41", "Curie", &nvmmu__nv41},
    {0x042, "NV42", "Curie", &nvmmu__nv41},        {0x043, "NV43", "Curie", &nvmmu__nv41},
    {0x044, "NV44", "Curie", &nvmmu__nv44},        {0x045, "NV45", "Curie", &nvmmu__nv04},
    {0x046, "G72", "Curie", &nvmmu__nv44},         {0x047, "G70", "Curie", &nvmmu__nv41},
    {0x049, "G71", "Curie", &nvmmu__nv41},         {0x04a, "NV44A", "Curie", &nvmmu__nv04},
    {0x04b, "G73", "Curie", &nvmmu__nv41},         {0x04c, "C61", "Curie", &nvmmu__nv44},
    {0x04e, "C51", "Curie", &nvmmu__nv44},         {0x050, "G80", "Tesla", &nvmmu__nv50},
    {0x063, "C73", "Curie", &nvmmu__nv44},         {0x067, "C67", "Curie", &nvmmu__nv44},
    {0x068, "C68", "Curie", &nvmmu__nv44},         {0x084, "G84", "Tesla", &nvmmu__g84},
    {0x086, "G86", "Tesla", &nvmmu__g84},          {0x092, "G92", "Tesla", &nvmmu__g84},
    {0x094, "G94", "Tesla", &nvmmu__g84},          {0x096, "G96", "Tesla", &nvmmu__g84},
    {0x098, "G98", "Tesla", &nvmmu__g84},          {0x0a0, "GT200", "Tesla", &nvmmu__g84},
    {0x0a3, "GT215", "Tesla", &nvmmu__g84},        {0x0a5, "GT216", "Tesla", &nvmmu__g84},
    {0x0a8, "GT218", "Tesla", &nvmmu__g84},        {0x0aa, "MCP77", "Tesla", &nvmmu__mcp77},
    {0x0ac, "MCP79", "Tesla", &nvmmu__mcp77},      {0x0af, "MCP89", "Tesla", &nvmmu__mcp77},
    {0x0c0, "GF100", "Fermi", &nvmmu__gf100},   {0x0c1, "GF108", "Fermi", &nvmmu__gf100},
    {0x0c3, "GF106", "Fermi", &nvmmu__gf100},   {0x0c4, "GF104", "Fermi", &nvmmu__gf100},
    {0x0c8, "GF110", "Fermi", &nvmmu__gf100},   {0x0ce, "GF114", "Fermi", &nvmmu__gf100},
    {0x0cf, "GF116", "Fermi", &nvmmu__gf100},   {0x0d7, "GF117", "Fermi", &nvmmu__gf100},
    {0x0d9, "GF119", "Fermi", &nvmmu__gf100},   {0x0e4, "GK104", "Kepler", &nvmmu__gk104},
    {0x0e6, "GK106", "Kepler", &nvmmu__gk104},  {0x0e7, "GK107", "Kepler", &nvmmu__gk104},
    {0x0ea, "GK20A", "Kepler", &nvmmu__gk20a},  {0x0f0, "GK110", "Kepler", &nvmmu__gk104},
    {0x0f1, "GK110B", "Kepler", &nvmmu__gk104}, {0x106, "GK208B", "Kepler", &nvmmu__gk104},
    {0x108, "GK208", "Kepler", &nvmmu__gk104},  {0x117, "GM107", "Maxwell", &nvmmu__gk104},
    {0x118, "GM108", "Maxwell", &nvmmu__gk104}, {0x120, "GM200", "Maxwell", &nvmmu__gm200},
    {0x124, "GM204", "Maxwell", &nvmmu__gm200}, {0x126, "GM206", "Maxwell", &nvmmu__gm200},
    {0x12b, "GM20B", "Maxwell", &nvmmu__gm20b},
    {0x130, "GP100", "Pascal", &nvmmu__gp100}, {0x132, "GP102", "Pascal", &nvmmu__gp100},
    {0x134, "GP104", "Pascal", &nvmmu__gp100}, {0x136, "GP106", "Pascal", &nvmmu__gp100},
    {0x137, "GP107", "Pascal", &nvmmu__gp100}, {0x138, "GP108", "Pascal", &nvmmu__gp100},
    {0x13b, "GP10B", "Pascal", &nvmmu__gp10b}, {0x140, "GV100", "Volta", &nvmmu__gv100},
    {0x162, "TU102", "Turing", &nvmmu__tu102}, {0x164, "TU104", "Turing", &nvmmu__tu102},
    {0x166, "TU106", "Turing", &nvmmu__tu102}, {0x167, "TU117", "Turing", &nvmmu__tu102},
    {0x168, "TU116", "Turing", &nvmmu__tu102}, {0x170, "GA100", "Ampere", &nvmmu__ga100},
    {0x172, "GA102", "Ampere", &nvmmu__ga100}, {0x173, "GA103", "Ampere", &nvmmu__ga100},
    {0x174, "GA104", "Ampere", &nvmmu__ga100}, {0x176, "GA106", "Ampere", &nvmmu__ga100},
    {0x177, "GA107", "Ampere", &nvmmu__ga100}, {0x180, "GH100", "Hopper", &nvmmu__gh100},
    {0x192, "AD102", "Ada", &nvmmu__ga100},
    {0x193, "AD103", "Ada", &nvmmu__ga100},    {0x194, "AD104", "Ada", &nvmmu__ga100},
    {0x196, "AD106", "Ada", &nvmmu__ga100},    {0x197, "AD107", "Ada", &nvmmu__ga100},
    {0x1a0, "GB100", "Blackwell", &nvmmu__gb100}, {0x1a2, "GB102", "Blackwell", &nvmmu__gb100},
    {0x1b2, "GB202", "Blackwell", &nvmmu__gb100}, {0x1b3, "GB203", "Blackwell", &nvmmu__gb100},
    {0x1b5, "GB205", "Blackwell", &nvmmu__gb100}, {0x1b6, "GB206", "Blackwell", &nvmmu__gb100},
    {0x1b7, "GB207", "Blackwell", &nvmmu__gb100},
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
