/*
 * What an op does to the records: pieces are made and linked, the victim is unlinked and either let go or held for
 * its list. The map is the caller's part, so that a request can change a leaf once.
 */
#ifndef GPUVM_STEP_H
#define GPUVM_STEP_H

#include "split.h"
#include "tree.h"

/* Takes a held victim's slot. There is one: gpuvm__held_reserve() was asked. */
static inline uint32_t gpuvm__held_take(struct gpuvm *vm)
{
    vm->victims++;
    if (!vm->held_freed)
        return vm->held_bump++;
    uint32_t slot = vm->held_freed - 1;
    vm->held_freed = (uint32_t)vm->held[slot].addr;
    return slot;
}

static inline void gpuvm__held_put(struct gpuvm *vm, uint32_t slot)
{
    vm->held[slot] = (struct held){.addr = vm->held_freed};
    vm->held_freed = slot + 1;
    vm->victims--;
}

__attribute__((always_inline)) static inline gpuvm_va gpuvm__piece(struct gpuvm *vm, gpuvm_va victim, uint64_t addr,
                                                                   uint64_t offset, gpuvm_bo bo)
{
    gpuvm_va va = gpuvm__record_new(vm, addr, offset, bo);
    if (vm->records.user_size)
        memcpy(gpuvm__user(vm, va), gpuvm__user(vm, victim), vm->records.user_size);
    return va;
}

/* UNMAP and REMAP. The ids of the pieces go into the op. */
__attribute__((always_inline)) static inline void gpuvm__step_cut(struct gpuvm *vm, struct gpuvm_op *op, bool hold)
{
    if (op->prev_range)
        op->prev = gpuvm__piece(vm, op->va, op->addr, op->offset, op->bo);
    if (op->next_range)
        op->next = gpuvm__piece(vm, op->va, gpuvm_op_next_addr(op), gpuvm_op_next_offset(op), op->bo);
    struct record *r = gpuvm__record(vm, op->va);
    gpuvm__unlink(vm, r);
    if (!hold) {
        gpuvm__record_free(vm, op->va, r);
        return;
    }
    op->undo = gpuvm__held_take(vm);
    vm->held[op->undo] = (struct held){.addr = op->addr, .end = op->addr + op->range};
    r->addr = op->undo;
    r->bo |= REC_HELD;
    if (op->bo != GPUVM_BO_NONE)
        vm->pairs[op->bo].held++;
}

/* MAP. The id goes into the op. */
__attribute__((always_inline)) static inline void gpuvm__step_map(struct gpuvm *vm, struct gpuvm_op *op)
{
    op->va = gpuvm__record_new(vm, op->addr, op->offset, op->bo);
    if (vm->records.user_size)
        memset(gpuvm__user(vm, op->va), 0, vm->records.user_size);
}

/* One op on records and map together. Needs reserved records, nodes and, to hold, a slot. */
void gpuvm__apply(struct gpuvm *vm, struct gpuvm_op *op, bool hold);

/* Makes sure of what applying the ops of a list needs, victims held or not. -ENOMEM. */
int gpuvm__ops_reserve(struct gpuvm *vm, const struct gpuvm_ops *ops, bool hold);

#endif
