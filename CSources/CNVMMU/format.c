/*
 * Finding formats by name; their geometry, page sizes and kinds; the checks around the entry encoders.
 */
#include <errno.h>
#include <string.h>

#include "format_private.h"

/* Names of classes and of chips that share one. */
static const struct {
    const char *name;
    const struct nvmmu_format *format;
} formats[] = {
    {"nv04", &nvmmu__nv04}, {"nv41", &nvmmu__nv41}, {"nv44", &nvmmu__nv44},
    {"nv50", &nvmmu__nv50}, {"g84", &nvmmu__g84}, {"mcp77", &nvmmu__mcp77},
    {"gf100", &nvmmu__gf100}, {"gf100-64k", &nvmmu__gf100_64k},
    {"gk104", &nvmmu__gk104}, {"gk104-64k", &nvmmu__gk104_64k}, {"gm107", &nvmmu__gk104},
    {"gk20a", &nvmmu__gk20a}, {"gk20a-64k", &nvmmu__gk20a_64k},
    {"gm200", &nvmmu__gm200}, {"gm200-64k", &nvmmu__gm200_64k},
    {"gm20b", &nvmmu__gm20b}, {"gm20b-64k", &nvmmu__gm20b_64k},
    {"gp100", &nvmmu__gp100}, {"gp10b", &nvmmu__gp10b}, {"gv100", &nvmmu__gv100}, {"tu102", &nvmmu__tu102},
    {"ga100", &nvmmu__ga100}, {"ga102", &nvmmu__ga100}, {"ga10x", &nvmmu__ga100}, {"ad102", &nvmmu__ga100},
    {"ga100-512m", &nvmmu__ga100_512m}, {"gh100", &nvmmu__gh100}, {"gb100", &nvmmu__gb100}, {"gb202", &nvmmu__gb100},
};

const struct nvmmu_format *nvmmu_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (!strcmp(formats[i].name, name))
            return formats[i].format;
    return NULL;
}

const char *nvmmu_format_name(const struct nvmmu_format *f)
{
    return f->name;
}

unsigned nvmmu_format_va_bits(const struct nvmmu_format *f)
{
    return f->va_bits;
}

size_t nvmmu_format_pages(const struct nvmmu_format *f, const struct nvmmu_page_size **out)
{
    *out = f->page;
    return f->page_count;
}

size_t nvmmu_format_levels(const struct nvmmu_format *f, const struct nvmmu_level_info **out)
{
    *out = f->gart ? f->level + 1 : f->level; /* without the LPT that stands for none */
    return f->gart ? 1 : f->level_count;
}

static int kind_value(const struct nvmmu_format *f, unsigned kind)
{
    const uint8_t *table = f->kinds->storage ? f->kinds->storage : f->kinds->plain;

    return kind >= f->kinds->count || table[kind] == f->kinds->invalid ? -EINVAL : table[kind];
}

int nvmmu_kind_uncompressed(const struct nvmmu_format *f, unsigned kind)
{
    int value = kind_value(f, kind);

    return value < 0 || !f->kinds->storage ? value : (int)kind;
}

int nvmmu_kind_storage(const struct nvmmu_format *f, unsigned kind)
{
    int value = kind_value(f, kind);

    return value < 0 || f->kinds->storage ? value : 0;
}

const char *nvmmu_kind_name(const struct nvmmu_format *f, unsigned kind)
{
    for (size_t i = 0; i < f->kinds->name_count; i++)
        if (f->kinds->name[i].kind == kind)
            return f->kinds->name[i].name;
    return NULL;
}

static const char *const level_names[] = {"SPT", "LPT", "PD0", "PD1", "PD2", "PD3", "PD4"};

const char *nvmmu_level_name(enum nvmmu_level level)
{
    return (unsigned)level < sizeof(level_names) / sizeof(level_names[0]) ? level_names[level] : NULL;
}

static bool has_level(const struct nvmmu_format *f, enum nvmmu_level level)
{
    const struct nvmmu_level_info *l;
    size_t n = nvmmu_format_levels(f, &l);

    while (n-- > 0)
        if (l[n].level == level)
            return true;
    return false;
}

static bool same_name(const char *a, const char *upper)
{
    while (*upper && (*a & ~0x20) == (*upper & ~0x20))
        a++, upper++;
    return !*a && !*upper;
}

int nvmmu_level_find(const struct nvmmu_format *f, const char *name)
{
    if (same_name(name, "PTE"))
        return f->level[f->level_count - 1].level;
    for (int i = 0; i < (int)(sizeof(level_names) / sizeof(level_names[0])); i++)
        if (same_name(name, level_names[i]) && has_level(f, i))
            return i;
    return -EINVAL;
}

int nvmmu_pte_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pte *pte,
                     uint64_t out[2])
{
    if (!has_level(f, level) || !(f->page_levels & 1u << level))
        return -EINVAL;
    out[1] = 0;
    return f->pte_encode(f, pte, &out[0]);
}

int nvmmu_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                     const struct nvmmu_pde *next, uint64_t out[2])
{
    if (!has_level(f, level) || level < NVMMU_PD0)
        return -EINVAL;
    return f->pde_encode(f, level, big, next, out);
}

void nvmmu_entry_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out)
{
    f->decode(f, level, word, out);
}
