/*
 * The walks of the formats before Tesla, which have a single table. Reads nothing outside the space's windows.
 */
#include <errno.h>

#include "gart.h"

const struct nvmmu_page_size nvmmu__gart_pages[1] = {{12, NVMMU_PAGE_HOST}};

static const uint8_t pitch[1] = {0};
static const struct nvmmu_kind_name names[] = {{0x00, "pitch"}};
const struct nvmmu_kinds nvmmu__gart_kinds = {
    .plain = pitch, .count = 1, .invalid = 0xff, .name = names, .name_count = 1};

bool nvmmu__gart_pte_fits(const struct nvmmu_pte *pte, unsigned bits, bool ro)
{
    return pte->aperture == NVMMU_HOST && !(pte->addr & 0xfff) && !(pte->addr >> bits) && (ro || !pte->ro) &&
           !pte->comptag && !pte->kind && !pte->peer && !pte->vol && !pte->priv && !pte->atomic_disable &&
           !pte->encrypted && !pte->lock && !pte->read_disable && !pte->write_disable && !pte->acd && !pte->block &&
           !pte->comp;
}

int nvmmu__gart_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2])
{
    (void)f, (void)level, (void)big, (void)next, (void)out;
    return -EINVAL;
}

static void look(const struct nvmmu_space *s, struct nvmmu_views *out)
{
    (void)s;
    *out = (struct nvmmu_views){0};
}

/* There is no directory: what the table says about va is the answer. */
static const uint64_t *directory(const struct nvmmu_space *s, const struct nvmmu_views *v, uint64_t va,
                                 struct nvmmu_spot *out)
{
    const struct nvmmu_format *f = s->format;
    const struct nvmmu_level_info *l = &f->level[1];
    const void *table;

    (void)v;
    *out = (struct nvmmu_spot){.state = NVMMU_UNMAPPED, .fault = NVMMU_FAULT_VA_LIMIT, .shift = f->va_bits};
    if (va >> f->va_bits)
        return NULL;
    out->fault = NVMMU_FAULT_PDE;
    table = nvmmu__window_at(s, s->root_aperture, s->root, nvmmu__table_bytes(l));
    if (!table)
        return NULL;
    out->word = f->gart->load(table, (uint32_t)nvmmu__index(l, va));
    out->state = out->word & f->valid ? NVMMU_MAPPED : NVMMU_UNMAPPED;
    out->fault = NVMMU_FAULT_PTE;
    out->shift = l->shift;
    return NULL;
}

static void translate(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out)
{
    struct nvmmu_spot spot;
    struct nvmmu_entry entry;
    uint64_t offset;

    directory(s, NULL, va, &spot);
    s->format->decode(s->format, NVMMU_SPT, (uint64_t[2]){spot.word, 0}, &entry);
    offset = va & ((1ull << spot.shift) - 1);
    *out = (struct nvmmu_translation){
        .state = spot.state,
        .fault = spot.fault,
        .pa = spot.state == NVMMU_MAPPED ? entry.page.addr + offset : 0,
        .limit = (1ull << spot.shift) - offset,
        .word = spot.word,
        .aperture = entry.page.aperture,
        .shift = (uint8_t)spot.shift,
        .ro = entry.page.ro,
    };
}

static struct nvmmu_leaf seek(struct nvmmu_cursor *c, uint64_t va)
{
    (void)c, (void)va;
    return (struct nvmmu_leaf){0};
}

const struct nvmmu_walks nvmmu__gart_walks = {.look = look, .directory = directory, .translate = translate, .seek = seek};
