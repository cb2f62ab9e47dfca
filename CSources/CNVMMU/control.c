/*
 * Instance blocks and the registers of TLB flushes and fault replay (control.h). Stateless but for what a space says
 * of itself.
 */
#include <errno.h>
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

int nvmmu_instance_join(const struct nvmmu_vmm *vmm, void *block, bool replay)
{
    const struct nvmmu_control *c = vmm->format->control;
    struct nvmmu_space s = nvmmu_vmm_space(vmm);
    uint64_t pdb = s.root | s.root_aperture | c->pdb;

    if (replay && !c->replay)
        return -EINVAL;
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

void nvmmu_instance_part(const struct nvmmu_vmm *vmm, void *block)
{
    (void)vmm;
    pair_write(block, PDB, 0);
    pair_write(block, VA_LIMIT, 0);
}

/* ---- registers --------------------------------------------------------------------------------------------- */

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

const struct nvmmu_control nvmmu__control_gf100 = {.flush = gf100_flush};
const struct nvmmu_control nvmmu__control_gm200_64k = {.flush = gf100_flush, .pdb = PDB_BIG64K};
const struct nvmmu_control nvmmu__control_gp100 = {
    .flush = gf100_flush, .upper_pdb = true, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY};
const struct nvmmu_control nvmmu__control_gv100 = {
    .flush = gf100_flush, .upper_pdb = true, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY, .subcontexts = true};
const struct nvmmu_control nvmmu__control_tu102 = {
    .flush = tu102_flush, .pdb = PDB_VER2 | PDB_BIG64K, .replay = PDB_REPLAY, .subcontexts = true};
