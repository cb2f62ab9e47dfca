/*
 * Instance blocks and the registers of TLB flushes and fault replay (control.h). Stateless but for what a space says
 * of itself.
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include <nvmmu/control.h>

#include "vmm_private.h"

/* ---- instance blocks --------------------------------------------------------------------------------------- */

#define PDB            0x200
#define VA_LIMIT       0x208
#define PASID          0x21c /* address translation service */
#define SUBCONTEXTS    0x298 /* a bit for each whose PDB is valid */
#define SUBCONTEXT(i)  (0x2a0 + 16 * (i))
#define SUBCONTEXT_MAX 64

#define TARGET_INVALID 1u
#define TARGET_VOL     (1u << 2)

static void word_write(void *block, size_t offset, uint32_t word)
{
    memcpy((char *)block + offset, &word, sizeof(word));
}

static void pair_write(void *block, size_t offset, uint64_t value)
{
    word_write(block, offset, (uint32_t)value);
    word_write(block, offset + 4, (uint32_t)(value >> 32));
}

/* Tesla: the block has a copy of the root directory. `index`: from this entry on. */
static void directory_write(const struct nvmmu_vmm *vmm, uint64_t *directory, uint32_t index, uint32_t count)
{
    const uint64_t *entry = root_of(vmm)->cpu;

    for (uint32_t i = index; i < index + count; i++)
        nvmmu__publish(&directory[i], nvmmu__load(&entry[i]));
}

void nvmmu__directories_write(struct nvmmu_vmm *vmm, uint32_t index, uint64_t word)
{
    for (size_t i = 0; i < vmm->directory_count; i++)
        nvmmu__publish(&vmm->directories[i][index], word);
}

static int directories_reserve(struct nvmmu_vmm *vmm)
{
    size_t room = vmm->directory_room ? 2 * vmm->directory_room : 4;
    uint64_t **more;

    if (vmm->directory_count < vmm->directory_room)
        return 0;
    more = gpuvm_mem_alloc(&vmm->alloc, room * sizeof(*more), alignof(uint64_t *));
    if (!more)
        return -ENOMEM;
    if (vmm->directory_count)
        memcpy(more, vmm->directories, vmm->directory_count * sizeof(*more));
    gpuvm_mem_free(&vmm->alloc, vmm->directories, vmm->directory_room * sizeof(*more));
    vmm->directories = more;
    vmm->directory_room = room;
    return 0;
}

static int directory_join(struct nvmmu_vmm *vmm, uint64_t *directory)
{
    unsigned shift = vmm->format->level[0].shift;
    int ret = directories_reserve(vmm);

    if (ret)
        return ret;
    vmm->directories[vmm->directory_count++] = directory;
    directory_write(vmm, directory, (uint32_t)(vmm->start >> shift),
                    (uint32_t)(((vmm->limit - 1) >> shift) - (vmm->start >> shift) + 1));
    return 0;
}

static void directory_part(struct nvmmu_vmm *vmm, const uint64_t *directory)
{
    for (size_t i = vmm->directory_count; i-- > 0;) {
        if (vmm->directories[i] == directory) {
            vmm->directories[i] = vmm->directories[--vmm->directory_count];
            return;
        }
    }
}

/* Subcontext 0 is the space; the others have none. */
static void subcontexts_write(void *block, uint64_t pdb)
{
    word_write(block, PASID, 0);
    pair_write(block, SUBCONTEXT(0), pdb);
    word_write(block, SUBCONTEXT(0) + 8, 0);
    for (unsigned i = 1; i < SUBCONTEXT_MAX; i++) {
        word_write(block, SUBCONTEXT(i), TARGET_INVALID);
        word_write(block, SUBCONTEXT(i) + 4, TARGET_INVALID);
        word_write(block, SUBCONTEXT(i) + 8, 0);
    }
    pair_write(block, SUBCONTEXTS, 1);
}

size_t nvmmu_instance_bytes(const struct nvmmu_format *f)
{
    if (f->gart)
        return 0;
    return f->control->directory ? f->control->directory + nvmmu__table_bytes(&f->level[0]) : NVMMU_INSTANCE_BYTES;
}

int nvmmu_instance_join(struct nvmmu_vmm *vmm, void *block, bool replay)
{
    const struct nvmmu_control *c = vmm->format->control;
    struct nvmmu_space s = nvmmu_vmm_space(vmm);
    uint64_t pdb = s.root | s.root_aperture | c->pdb;

    if ((replay && !c->replay) || vmm->format->gart)
        return -EINVAL;
    if (c->directory)
        return directory_join(vmm, (uint64_t *)((char *)block + c->directory));
    if (replay)
        pdb |= c->replay;
    if (s.root_aperture == NVMMU_HOST)
        pdb |= TARGET_VOL;
    pair_write(block, PDB, pdb);
    pair_write(block, VA_LIMIT, vmm->limit - 1);
    if (c->subcontexts)
        subcontexts_write(block, pdb);
    return 0;
}

void nvmmu_instance_part(struct nvmmu_vmm *vmm, void *block)
{
    const struct nvmmu_control *c = vmm->format->control;

    if (vmm->format->gart)
        return;
    if (c->directory) {
        directory_part(vmm, (const uint64_t *)((const char *)block + c->directory));
        return;
    }
    pair_write(block, PDB, 0);
    pair_write(block, VA_LIMIT, 0);
}

/* ---- registers --------------------------------------------------------------------------------------------- */

#define FLUSH_NV41        0x100810
#define FLUSH_NV44        0x100808
#define FLUSH_NV44_LIMIT  0x100814
#define FLUSH_NV50        0x100c80
#define NV50_GR           0x0u
#define NV50_BAR          0x6u
#define FLUSH_PDB         0x100cb8
#define FLUSH_PDB_UPPER   0x100cec
#define FLUSH_TRIGGER     0x100cbc
#define FLUSH_TU102       0xb83000
#define FLUSH_TU102_PDB   (FLUSH_TU102 + 0xa0)
#define FLUSH_TU102_UPPER (FLUSH_TU102 + 0xa4)
#define FLUSH_TU102_GO    (FLUSH_TU102 + 0xb0)

#define TRIGGER     (1u << 31)
#define ALL_VA      (1u << 0)
#define ALL_PDB     (1u << 1)
#define HUBTLB_ONLY (1u << 2)
#define REPLAY      (1u << 3)
#define CANCEL      (3u << 3)

/* One engine's: that of the BARs, or the graphics engine. */
static size_t nv50_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    (void)c;
    out[0] = (struct nvmmu_register){FLUSH_NV50, (flush->bar ? NV50_BAR : NV50_GR) << 16 | 1};
    return 1;
}

static size_t nv04_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    (void)c, (void)flush, (void)out;
    return 0;
}

static size_t nv41_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    (void)c, (void)flush;
    out[0] = (struct nvmmu_register){FLUSH_NV41, 0x22};
    out[1] = (struct nvmmu_register){FLUSH_NV41, 0};
    return 2;
}

static size_t nv44_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    (void)c, (void)flush;
    out[0] = (struct nvmmu_register){FLUSH_NV44_LIMIT, 0x1ffff000}; /* the last page */
    out[1] = (struct nvmmu_register){FLUSH_NV44, 0x20};
    out[2] = (struct nvmmu_register){FLUSH_NV44, 0};
    return 3;
}

static size_t gf100_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    uint64_t pdb = flush->root >> 12 << 4 | flush->root_aperture;
    size_t n = 0;

    out[n++] = (struct nvmmu_register){FLUSH_PDB, (uint32_t)pdb};
    if (c->upper_pdb)
        out[n++] = (struct nvmmu_register){FLUSH_PDB_UPPER, (uint32_t)(pdb >> 32)};
    out[n++] = (struct nvmmu_register){FLUSH_TRIGGER, TRIGGER | ALL_VA | (flush->bar ? HUBTLB_ONLY : 0)};
    return n;
}

/* nouveau passes neither the aperture nor the upper half of the address. */
static size_t tu102_flush(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out)
{
    (void)c;
    out[0] = (struct nvmmu_register){FLUSH_TU102_PDB, (uint32_t)(flush->root >> 8)};
    out[1] = (struct nvmmu_register){FLUSH_TU102_UPPER, 0};
    out[2] = (struct nvmmu_register){FLUSH_TU102_GO, TRIGGER | ALL_VA | (flush->bar ? ALL_PDB | HUBTLB_ONLY : 0)};
    return 3;
}

size_t nvmmu_flush_registers(const struct nvmmu_format *f, const struct nvmmu_flush *flush,
                             struct nvmmu_register out[NVMMU_REGISTERS_MAX])
{
    return f->control->flush(f->control, flush, out);
}

/* Also on Turing and later nouveau writes these to the register of Pascal. */
size_t nvmmu_replay_registers(const struct nvmmu_format *f, struct nvmmu_register out[NVMMU_REGISTERS_MAX])
{
    if (!f->control->replay)
        return 0;
    out[0] = (struct nvmmu_register){FLUSH_TRIGGER, TRIGGER | ALL_VA | ALL_PDB | REPLAY};
    return 1;
}

size_t nvmmu_cancel_registers(const struct nvmmu_format *f, const struct nvmmu_fault_client *client,
                              struct nvmmu_register out[NVMMU_REGISTERS_MAX])
{
    if (!f->control->replay || client->gpc > 31 || client->client > 63)
        return 0;
    out[0] = (struct nvmmu_register){FLUSH_TRIGGER,
                                     TRIGGER | ALL_VA | ALL_PDB | CANCEL | (client->hub ? 1u << 20 : 0) |
                                         (uint32_t)client->gpc << 15 | (uint32_t)client->client << 9};
    return 1;
}

/* ---- the chips --------------------------------------------------------------------------------------------- */

#define PDB_REPLAY (1u << 4 | 1u << 5) /* texture units, GCC */
#define PDB_VER2   (1u << 10)
#define PDB_BIG64K (1u << 11)

const struct nvmmu_control nvmmu__control_nv04 = {.flush = nv04_flush};
const struct nvmmu_control nvmmu__control_nv41 = {.flush = nv41_flush};
const struct nvmmu_control nvmmu__control_nv44 = {.flush = nv44_flush};
const struct nvmmu_control nvmmu__control_nv50 = {.flush = nv50_flush, .directory = 0x1400};
const struct nvmmu_control nvmmu__control_g84 = {.flush = nv50_flush, .directory = 0x200};
const struct nvmmu_control nvmmu__control_gf100 = {.flush = gf100_flush};
const struct nvmmu_control nvmmu__control_gm200_64k = {.flush = gf100_flush, .pdb = PDB_BIG64K};
const struct nvmmu_control nvmmu__control_gp100 = {
    .flush = gf100_flush, .upper_pdb = true, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY};
const struct nvmmu_control nvmmu__control_gv100 = {
    .flush = gf100_flush, .upper_pdb = true, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY, .subcontexts = true};
const struct nvmmu_control nvmmu__control_tu102 = {
    .flush = tu102_flush, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY, .subcontexts = true};
