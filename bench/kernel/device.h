/* A card for nouveau's MMU: device.c. */
#ifndef BENCH_KERNEL_DEVICE_H
#define BENCH_KERNEL_DEVICE_H

#include <core/device.h>
#include <core/memory.h>
#include <subdev/fb.h>
#include <subdev/mmu.h>

#define BENCH_VRAM (64ull << 20) /* room for tables: VRAM from address 0 */

struct block;

struct bench_device {
    struct nvkm_device device;
    struct nvkm_fb fb;
    struct nvkm_ram ram;
    char *vram;
    u64 used;
    struct block *blocks[64]; /* free, by order */
};

extern unsigned long bench_flushes; /* TLB flushes so far */

struct bench_device *bench_device_new(unsigned card_type, unsigned big_page);
void bench_device_delete(struct bench_device *d);

#endif
