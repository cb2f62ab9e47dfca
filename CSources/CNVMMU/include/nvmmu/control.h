/*
 * nvmmu control: what a driver tells the chip about page tables. The words of an instance block, through which a
 * channel finds its root directory, and the register writes of TLB flushes and fault replay.
 *
 * Only writes are given. Between them nouveau waits: nv41 for bit 5 of 0x100810, nv44 for bit 0 of 0x100808 to be set,
 * Tesla for bit 0 of 0x100c80 to clear; Fermi to Volta for room (0x100c80 & 0x00ff0000 not 0) before, and
 * for the end (0x100c80 & 0x8000) after a flush; Turing and later for bit 31 of 0xb830b0 to clear.
 *
 * Facts: Linux 7.2 nvkm/subdev/mmu; open-gpu-doc dev_ram, dev_fb of gp100, gv100, tu104.
 */
#ifndef NVMMU_CONTROL_H
#define NVMMU_CONTROL_H

#include <nvmmu/vmm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- instance blocks ---------------------------------------------------------------------------------- */

#define NVMMU_INSTANCE_BYTES 4096
/* Bytes of a block: NVMMU_INSTANCE_BYTES, more on Tesla, 0 where chips have none (before Tesla). */
size_t nvmmu_instance_bytes(const struct nvmmu_format *f);

/*
 * Writes into the instance block at `block` (nvmmu_instance_bytes(), 4-byte aligned) where the root directory is and
 * where addresses end; words of no concern stay. `replay`: faults wait for nvmmu_replay_registers() (Pascal and later).
 * Tesla: writes the directory itself, from offset 0x1400 (nv50) or 0x200, as far as the space has addresses, and keeps
 * it up to date until the block is parted or the space destroyed; `block` is 8-byte aligned.
 * -EINVAL: replay where the chip has none, or no instance blocks. -ENOMEM: Tesla.
 */
int nvmmu_instance_join(struct nvmmu_vmm *vmm, void *block, bool replay);
/* Undoes it as nouveau does: 16 bytes at 0x200 become 0; from Volta on the copies for subcontexts stay. Tesla: the
 * directory stays as it is, and changes no more. */
void nvmmu_instance_part(struct nvmmu_vmm *vmm, void *block);

/* ---- registers ---------------------------------------------------------------------------------------- */

struct nvmmu_register {
    uint32_t address, value;
};
#define NVMMU_REGISTERS_MAX 8

/* The writes, in order, of nouveau's flush. Returns their number. It always flushes all addresses of the space. Tesla:
 * of one engine, that of the BARs or (0) the graphics engine; bits 31:16 say which. nv04: none. */
size_t nvmmu_flush_registers(const struct nvmmu_format *f, const struct nvmmu_flush *flush,
                             struct nvmmu_register out[NVMMU_REGISTERS_MAX]);

/* Lets every access that waits with a fault try again. Returns the number of writes; 0: no replayable faults. */
size_t nvmmu_replay_registers(const struct nvmmu_format *f, struct nvmmu_register out[NVMMU_REGISTERS_MAX]);

/* Who made a faulting access; fields of the fault buffer. */
struct nvmmu_fault_client {
    bool hub;       /* client of the hub, otherwise of a GPC */
    uint8_t gpc;    /* 0 … 31 */
    uint8_t client; /* 0 … 63 */
};
/* Ends the waiting accesses of one client. Returns the number of writes; 0: no replayable faults, or a field is out of
 * range. */
size_t nvmmu_cancel_registers(const struct nvmmu_format *f, const struct nvmmu_fault_client *client,
                              struct nvmmu_register out[NVMMU_REGISTERS_MAX]);

#ifdef __cplusplus
}
#endif
#endif
