/*
 * nvmmu control: what a driver tells the chip about page tables. The words of an instance block, through which a
 * channel finds its root directory, and the register writes of TLB flushes and fault replay.
 *
 * Only writes are given. Between them nouveau waits: Fermi to Volta for room (0x100c80 & 0x00ff0000 not 0) before, and
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

/*
 * Writes into the instance block at `block` (NVMMU_INSTANCE_BYTES, 4-byte aligned) where the root directory is and
 * where addresses end; words of no concern stay. `replay`: faults wait for nvmmu_replay_registers() (Pascal and later).
 * -EINVAL: replay where the chip has none.
 */
int nvmmu_instance_join(const struct nvmmu_vmm *vmm, void *block, bool replay);
/* Undoes it as nouveau does: 16 bytes at 0x200 become 0; from Volta on the copies for subcontexts stay. */
void nvmmu_instance_part(const struct nvmmu_vmm *vmm, void *block);

/* ---- registers ---------------------------------------------------------------------------------------- */

struct nvmmu_register {
    uint32_t address, value;
};
#define NVMMU_REGISTERS_MAX 8

/* The writes, in order, of nouveau's flush. Returns their number. It always flushes all addresses of the space. */
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
