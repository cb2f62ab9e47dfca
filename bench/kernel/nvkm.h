/*
 * What nouveau's nvkm/subdev/mmu needs of the kernel around it. Registers and memory are told apart by the type of the
 * pointer: the registers' base is void, memory has words.
 */
#ifndef BENCH_KERNEL_NVKM_H
#define BENCH_KERNEL_NVKM_H

#include "base.h"

#include <linux/list.h>
#include <linux/rbtree.h>

#define CONFIG_NOUVEAU_DEBUG 0
#define __BENCH_KERNEL__

/* ---- numbers ---- */

#define BIT_MASK(n)        BIT(n)
#define order_base_2(n)    ((n) > 1 ? 64 - __builtin_clzl((unsigned long)(n) - 1) : 0)
#define ilog2(n)           (63 - __builtin_clzl((unsigned long)(n)))
#define __ffs(n)           ((unsigned long)__builtin_ctzl(n))
#define round_down(x, a)   ALIGN_DOWN(x, a)

static inline void *memset32(u32 *p, u32 v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = v;
    return p;
}

/* ---- atomics ---- */

typedef struct {
    int counter;
} atomic_t;
static inline int atomic_read(const atomic_t *a) { return __atomic_load_n(&a->counter, __ATOMIC_RELAXED); }
static inline void atomic_inc(atomic_t *a) { __atomic_fetch_add(&a->counter, 1, __ATOMIC_RELAXED); }
static inline void atomic_dec(atomic_t *a) { __atomic_fetch_sub(&a->counter, 1, __ATOMIC_RELAXED); }

/* ---- registers and memory ---- */

u32 bench_register_read(const void *offset);
void bench_register_write(u32 value, const void *offset);

static inline void bench_store32(u32 v, u32 *p) { WRITE_ONCE(*p, v); }
static inline void bench_store64(u64 v, u64 *p) { WRITE_ONCE(*p, v); }

#define ioread32_native(p)     bench_register_read(p)
#define iowrite32_native(v, p) _Generic((p), void *: bench_register_write, u32 *: bench_store32)(v, p)
#define iowrite64_native(v, p) bench_store64(v, p)
#define memset_io(p, v, n)     memset(p, v, n)

/* ---- pages of the host: none are made here ---- */

struct device;
struct page;
struct scatterlist {
    dma_addr_t addr;
    unsigned length;
};
struct notifier_block {
    char unused;
};
struct work_struct {
    char unused;
};
#define sg_dma_address(s) ((s)->addr)
#define sg_dma_len(s)     ((s)->length)
#define sg_next(s)        ((s) + 1)
enum { DMA_BIDIRECTIONAL };
struct page *pfn_to_page(u64 pfn);
dma_addr_t dma_map_page(struct device *dev, struct page *page, size_t offset, size_t size, int direction);
int dma_mapping_error(struct device *dev, dma_addr_t addr);
void dev_WARN(struct device *dev, const char *format, ...);
#define dev_dbg(dev, ...)    ((void)(dev))
#define dev_info(dev, ...)   ((void)(dev))
#define dev_notice(dev, ...) ((void)(dev))
#define dev_err(dev, ...)    ((void)(dev))
#define dma_unmap_page(dev, addr, size, direction) ((void)(dev), (void)(addr))
#define dma_alloc_coherent(dev, size, addr, flags) NULL
#define dma_free_coherent(dev, size, p, addr)      ((void)(p))

#define mutex_destroy(m) ((void)(m))
#define kzalloc_flex(x, member, n) ((__typeof__(x) *)kzalloc(sizeof(x) + sizeof((x).member[0]) * (n), GFP_KERNEL))
#define kvzalloc_objs(x, n)        ((__typeof__(x) *)calloc(n, sizeof(x)))
#define printk(...)                ((void)0)
#define KERN_ERR

/* ---- nouveau's own parts that the MMU's structures name and do not use: no GSP, no falcon, no interrupts, no BIOS ---- */

struct nvkm_inth {
    char unused;
};
enum { NVKM_INTR_PRIO_NR = 1 };
struct nvkm_falcon_fw {
    char unused;
};
struct nvbios_ramcfg {
    char unused;
};
struct nvkm_gsp;
struct nvkm_gsp_client {
    struct nvkm_gsp *gsp;
};
struct nvkm_gsp_device {
    char unused;
};
struct nvkm_gsp_object {
    char unused;
};
#define nvkm_gsp_rm(gsp) ((gsp) != NULL)
struct nvkm_vmm;
void r535_mmu_vaspace_del(struct nvkm_vmm *vmm);

#endif
