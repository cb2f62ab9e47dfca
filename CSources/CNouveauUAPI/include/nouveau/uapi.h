/*
 * nouveau uapi: our own declarations of the ioctls of Linux's nouveau driver (7.2) and of the generic DRM ioctls
 * that a client of it needs: request numbers, argument structs, constants. Names of fields are the kernel's, so
 * that a reader of the kernel's headers is at home; everything carries the prefix nvu_ or NVU_, so that both can be
 * included.
 *
 * Facts: Linux 7.2 include/uapi/drm/{drm,nouveau_drm}.h, x86-64. Sizes and offsets are asserted in
 * Tests/C/uapi_layout.c. Pointers are addresses in the client, carried as 64-bit numbers.
 *
 * Header only; no state, no locks.
 */
#ifndef NOUVEAU_UAPI_H
#define NOUVEAU_UAPI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the request word: dir 31:30, size 29:16, type 15:8, nr 7:0 --------------------------------------- */

#define NVU_IOC_TYPE 0x64u  /* 'd' */
#define NVU_IOC_WRITE 1u    /* the argument is read by the kernel */
#define NVU_IOC_READ 2u     /* the argument is written by the kernel */
#define NVU_COMMAND_BASE 0x40u
#define NVU_COMMAND_END 0xa0u

#define NVU_VERSION                0xc0406400u
#define NVU_GET_UNIQUE             0xc0106401u
#define NVU_GET_MAGIC              0x80046402u
#define NVU_GEM_CLOSE              0x40086409u
#define NVU_GEM_FLINK              0xc008640au
#define NVU_GEM_OPEN               0xc010640bu
#define NVU_GET_CAP                0xc010640cu
#define NVU_SET_CLIENT_CAP         0x4010640du
#define NVU_AUTH_MAGIC             0x40046411u
#define NVU_PRIME_HANDLE_TO_FD     0xc00c642du
#define NVU_PRIME_FD_TO_HANDLE     0xc00c642eu

#define NVU_GETPARAM               0xc0106440u
#define NVU_SETPARAM               0xc0106441u
#define NVU_CHANNEL_ALLOC          0xc0586442u
#define NVU_CHANNEL_FREE           0x40046443u
#define NVU_GROBJ_ALLOC            0x400c6444u
#define NVU_NOTIFIEROBJ_ALLOC      0xc0106445u
#define NVU_GPUOBJ_FREE            0x40086446u
#define NVU_NVIF                   0xc0006447u /* any size and direction */
#define NVU_SVM_INIT               0xc0106448u
#define NVU_SVM_BIND               0xc0406449u
#define NVU_VM_INIT                0xc0106450u
#define NVU_VM_BIND                0xc0286451u
#define NVU_EXEC                   0xc0286452u
#define NVU_GET_ZCULL_INFO         0x80306453u
#define NVU_GEM_NEW                0xc0306480u
#define NVU_GEM_PUSHBUF            0xc0406481u
#define NVU_GEM_CPU_PREP           0x40086482u
#define NVU_GEM_CPU_FINI           0x40046483u
#define NVU_GEM_INFO               0xc0286484u

#define NVU_SYNCOBJ_CREATE         0xc00864bfu
#define NVU_SYNCOBJ_DESTROY        0xc00864c0u
#define NVU_SYNCOBJ_HANDLE_TO_FD   0xc01864c1u
#define NVU_SYNCOBJ_FD_TO_HANDLE   0xc01864c2u
#define NVU_SYNCOBJ_WAIT           0xc02864c3u
#define NVU_SYNCOBJ_RESET          0xc01064c4u
#define NVU_SYNCOBJ_SIGNAL         0xc01064c5u
#define NVU_SYNCOBJ_TIMELINE_WAIT  0xc03064cau
#define NVU_SYNCOBJ_QUERY          0xc01864cbu
#define NVU_SYNCOBJ_TRANSFER       0xc02064ccu
#define NVU_SYNCOBJ_TIMELINE_SIGNAL 0xc01864cdu
#define NVU_SYNCOBJ_EVENTFD        0xc01864cfu
#define NVU_SET_CLIENT_NAME        0xc01064d1u
#define NVU_GEM_CHANGE_HANDLE      0xc00864d2u

/* ---- nouveau: parameters and channels ----------------------------------------------------------------- */

enum nvu_param {
    NVU_PARAM_PCI_VENDOR = 3,
    NVU_PARAM_PCI_DEVICE = 4,
    NVU_PARAM_BUS_TYPE = 5,
    NVU_PARAM_FB_SIZE = 8,
    NVU_PARAM_AGP_SIZE = 9,
    NVU_PARAM_CHIPSET_ID = 11,
    NVU_PARAM_VM_VRAM_BASE = 12,
    NVU_PARAM_GRAPH_UNITS = 13,
    NVU_PARAM_PTIMER_TIME = 14,
    NVU_PARAM_HAS_BO_USAGE = 15,
    NVU_PARAM_HAS_PAGEFLIP = 16,
    NVU_PARAM_EXEC_PUSH_MAX = 17,
    NVU_PARAM_VRAM_BAR_SIZE = 18,
    NVU_PARAM_VRAM_USED = 19,
    NVU_PARAM_HAS_VMA_TILEMODE = 20,
};

struct nvu_getparam {
    uint64_t param, value;
};

/* tt_ctxdma_handle with fb_ctxdma_handle ~0 */
#define NVU_FIFO_ENGINE_GR 0x01u
#define NVU_FIFO_ENGINE_VP 0x02u
#define NVU_FIFO_ENGINE_PPP 0x04u
#define NVU_FIFO_ENGINE_BSP 0x08u
#define NVU_FIFO_ENGINE_CE 0x30u

struct nvu_channel_subchan {
    uint32_t handle, grclass;
};

struct nvu_channel_alloc {
    uint32_t fb_ctxdma_handle, tt_ctxdma_handle;
    int32_t channel;
    uint32_t pushbuf_domains, notifier_handle;
    struct nvu_channel_subchan subchan[8];
    uint32_t nr_subchan;
};

struct nvu_channel_free {
    int32_t channel;
};

struct nvu_grobj_alloc {
    int32_t channel;
    uint32_t handle;
    int32_t oclass; /* the kernel's `class` */
};

struct nvu_notifierobj_alloc {
    uint32_t channel, handle, size, offset;
};

struct nvu_gpuobj_free {
    int32_t channel;
    uint32_t handle;
};

/* ---- nouveau: GEM ------------------------------------------------------------------------------------- */

#define NVU_GEM_DOMAIN_CPU (1u << 0)
#define NVU_GEM_DOMAIN_VRAM (1u << 1)
#define NVU_GEM_DOMAIN_GART (1u << 2)
#define NVU_GEM_DOMAIN_MAPPABLE (1u << 3)
#define NVU_GEM_DOMAIN_COHERENT (1u << 4)
#define NVU_GEM_DOMAIN_NO_SHARE (1u << 5)

#define NVU_GEM_TILE_COMP 0x00030000u
#define NVU_GEM_TILE_LAYOUT_MASK 0x0000ff00u
#define NVU_GEM_TILE_16BPP 0x1u
#define NVU_GEM_TILE_32BPP 0x2u
#define NVU_GEM_TILE_ZETA 0x4u
#define NVU_GEM_TILE_NONCONTIG 0x8u

/* The first mmap offset DRM gives. */
#define NVU_MAP_HANDLE_BASE 0x100000000ull

struct nvu_gem_info {
    uint32_t handle, domain;
    uint64_t size, offset, map_handle;
    uint32_t tile_mode, tile_flags;
};

struct nvu_gem_new {
    struct nvu_gem_info info;
    uint32_t channel_hint, align;
};

#define NVU_GEM_MAX_BUFFERS 1024u
#define NVU_GEM_MAX_RELOCS 1024u
#define NVU_GEM_MAX_PUSH 512u
#define NVU_GEM_RELOC_LOW (1u << 0)
#define NVU_GEM_RELOC_HIGH (1u << 1)
#define NVU_GEM_RELOC_OR (1u << 2)
#define NVU_GEM_PUSHBUF_NO_PREFETCH (1u << 23) /* in a push's length */
#define NVU_GEM_PUSHBUF_SYNC (1u << 0)         /* in vram_available, going in */

struct nvu_gem_pushbuf_bo_presumed {
    uint32_t valid, domain;
    uint64_t offset;
};

struct nvu_gem_pushbuf_bo {
    uint64_t user_priv;
    uint32_t handle, read_domains, write_domains, valid_domains;
    struct nvu_gem_pushbuf_bo_presumed presumed;
};

struct nvu_gem_pushbuf_reloc {
    uint32_t reloc_bo_index, reloc_bo_offset, bo_index, flags, data, vor, tor;
};

struct nvu_gem_pushbuf_push {
    uint32_t bo_index, pad;
    uint64_t offset, length;
};

struct nvu_gem_pushbuf {
    uint32_t channel, nr_buffers;
    uint64_t buffers;
    uint32_t nr_relocs, nr_push;
    uint64_t relocs, push;
    uint32_t suffix0, suffix1;
    uint64_t vram_available, gart_available;
};

#define NVU_GEM_CPU_PREP_NOWAIT (1u << 0)
#define NVU_GEM_CPU_PREP_WRITE (1u << 2)

struct nvu_gem_cpu_prep {
    uint32_t handle, flags;
};

struct nvu_gem_cpu_fini {
    uint32_t handle;
};

/* ---- nouveau: VM_INIT, VM_BIND, EXEC ------------------------------------------------------------------ */

#define NVU_SYNC_TYPE_MASK 0xfu
#define NVU_SYNC_SYNCOBJ 0u
#define NVU_SYNC_TIMELINE_SYNCOBJ 1u

struct nvu_sync {
    uint32_t flags, handle;
    uint64_t timeline_value;
};

/* End of a VA space. */
#define NVU_VA_SPACE_END (1ull << 47)

struct nvu_vm_init {
    uint64_t kernel_managed_addr, kernel_managed_size;
};

/* Numbers above UNMAP are taken as the kernel takes them: its internal names of the sparse operations. */
#define NVU_VM_BIND_OP_MAP 0u
#define NVU_VM_BIND_OP_UNMAP 1u
#define NVU_VM_BIND_OP_MAP_SPARSE_ALIAS 2u
#define NVU_VM_BIND_OP_UNMAP_SPARSE_ALIAS 3u
#define NVU_VM_BIND_SPARSE (1u << 8)     /* in an operation's flags; the kind is in 7:0 */
#define NVU_VM_BIND_KIND_MASK 0xffu
#define NVU_VM_BIND_RUN_ASYNC (1u << 0)  /* in the call's flags */

struct nvu_vm_bind_op {
    uint32_t op, flags, handle, pad;
    uint64_t addr, bo_offset, range;
};

struct nvu_vm_bind {
    uint32_t op_count, flags, wait_count, sig_count;
    uint64_t wait_ptr, sig_ptr, op_ptr;
};

#define NVU_EXEC_PUSH_NO_PREFETCH (1u << 0)
#define NVU_EXEC_PUSH_MAX_LENGTH 0x7fffffu
#define NVU_EXEC_IB_MAX 1023u /* entries of a channel's ring; an EXEC takes at most half of it less one */

struct nvu_exec_push {
    uint64_t va;
    uint32_t va_len, flags;
};

struct nvu_exec {
    uint32_t channel, push_count, wait_count, sig_count;
    uint64_t wait_ptr, sig_ptr, push_ptr;
};

struct nvu_get_zcull_info {
    uint32_t width_align_pixels, height_align_pixels, pixel_squares_by_aliquots, aliquot_total;
    uint32_t zcull_region_byte_multiplier, zcull_region_header_size, zcull_subregion_header_size, subregion_count;
    uint32_t subregion_width_align_pixels, subregion_height_align_pixels, ctxsw_size, ctxsw_align;
};

struct nvu_svm_init {
    uint64_t unmanaged_addr, unmanaged_size;
};

struct nvu_svm_bind {
    uint64_t header, va_start, va_end, npages, stride, result, reserved0, reserved1;
};

/* ---- nouveau: NVIF ------------------------------------------------------------------------------------ */

enum nvu_nvif_type {
    NVU_NVIF_SCLASS = 1,
    NVU_NVIF_NEW = 2,
    NVU_NVIF_DEL = 3,
    NVU_NVIF_MTHD = 4,
};
#define NVU_NVIF_ROUTE_DEVICE 0x00u
#define NVU_NVIF_ROUTE_CHANNEL 0xffu
#define NVU_NV_DEVICE 0x80 /* class of the device object */
#define NVU_NV_DEVICE_INFO 0x00u

struct nvu_nvif_ioctl {
    uint8_t version, type, pad[4], owner, route;
    uint64_t token, object;
};

struct nvu_nvif_new {
    uint8_t version, pad[6], route;
    uint64_t token, object;
    uint32_t handle;
    int32_t oclass;
};

struct nvu_nvif_mthd {
    uint8_t version, method, pad[6];
};

struct nvu_nvif_sclass {
    uint8_t version, count, pad[6];
};

struct nvu_nvif_oclass {
    int32_t oclass;
    int16_t minver, maxver;
};

enum nvu_platform {
    NVU_PLATFORM_IGP = 0,
    NVU_PLATFORM_PCI = 1,
    NVU_PLATFORM_AGP = 2,
    NVU_PLATFORM_PCIE = 3,
    NVU_PLATFORM_SOC = 4,
};

enum nvu_family {
    NVU_FAMILY_TESLA = 0x06,
    NVU_FAMILY_FERMI = 0x07,
    NVU_FAMILY_KEPLER = 0x08,
    NVU_FAMILY_MAXWELL = 0x09,
    NVU_FAMILY_PASCAL = 0x0a,
    NVU_FAMILY_VOLTA = 0x0b,
    NVU_FAMILY_TURING = 0x0c,
    NVU_FAMILY_AMPERE = 0x0d,
    NVU_FAMILY_ADA = 0x0e,
    NVU_FAMILY_HOPPER = 0x0f,
    NVU_FAMILY_BLACKWELL = 0x10,
};

struct nvu_device_info {
    uint8_t version, platform;
    uint16_t chipset;
    uint8_t revision, family, pad[2];
    uint64_t ram_size, ram_user;
    char chip[16], name[64];
};

/* ---- generic DRM -------------------------------------------------------------------------------------- */

struct nvu_version {
    int32_t version_major, version_minor, version_patchlevel;
    uint64_t name_len, name, date_len, date, desc_len, desc;
};

enum nvu_cap {
    NVU_CAP_DUMB_BUFFER = 0x1,
    NVU_CAP_VBLANK_HIGH_CRTC = 0x2,
    NVU_CAP_DUMB_PREFERRED_DEPTH = 0x3,
    NVU_CAP_DUMB_PREFER_SHADOW = 0x4,
    NVU_CAP_PRIME = 0x5,
    NVU_CAP_TIMESTAMP_MONOTONIC = 0x6,
    NVU_CAP_ASYNC_PAGE_FLIP = 0x7,
    NVU_CAP_CURSOR_WIDTH = 0x8,
    NVU_CAP_CURSOR_HEIGHT = 0x9,
    NVU_CAP_ADDFB2_MODIFIERS = 0x10,
    NVU_CAP_PAGE_FLIP_TARGET = 0x11,
    NVU_CAP_CRTC_IN_VBLANK_EVENT = 0x12,
    NVU_CAP_SYNCOBJ = 0x13,
    NVU_CAP_SYNCOBJ_TIMELINE = 0x14,
    NVU_CAP_ATOMIC_ASYNC_PAGE_FLIP = 0x15,
};
#define NVU_PRIME_CAP_IMPORT 1u
#define NVU_PRIME_CAP_EXPORT 2u

struct nvu_cap_value { /* drm_get_cap, drm_set_client_cap */
    uint64_t capability, value;
};

struct nvu_gem_close {
    uint32_t handle, pad;
};

struct nvu_gem_flink {
    uint32_t handle, name;
};

struct nvu_gem_open {
    uint32_t name, handle;
    uint64_t size;
};

#define NVU_PRIME_RDWR 0x2u       /* O_RDWR */
#define NVU_PRIME_CLOEXEC 0x80000u /* O_CLOEXEC */

struct nvu_prime_handle {
    uint32_t handle, flags;
    int32_t fd;
};

struct nvu_set_client_name {
    uint64_t name_len, name;
};
#define NVU_CLIENT_NAME_MAX 64u

/* ---- syncobj ------------------------------------------------------------------------------------------ */

#define NVU_SYNCOBJ_CREATE_SIGNALED (1u << 0)
#define NVU_SYNCOBJ_WAIT_ALL (1u << 0)
#define NVU_SYNCOBJ_WAIT_FOR_SUBMIT (1u << 1)
#define NVU_SYNCOBJ_WAIT_AVAILABLE (1u << 2)
#define NVU_SYNCOBJ_WAIT_DEADLINE (1u << 3)
#define NVU_SYNCOBJ_FD_SYNC_FILE (1u << 0) /* EXPORT_SYNC_FILE, IMPORT_SYNC_FILE */
#define NVU_SYNCOBJ_FD_TIMELINE (1u << 1)
#define NVU_SYNCOBJ_QUERY_LAST_SUBMITTED (1u << 0)

struct nvu_syncobj_create {
    uint32_t handle, flags;
};

struct nvu_syncobj_destroy {
    uint32_t handle, pad;
};

struct nvu_syncobj_handle {
    uint32_t handle, flags;
    int32_t fd;
    uint32_t pad;
    uint64_t point;
};

struct nvu_syncobj_transfer {
    uint32_t src_handle, dst_handle;
    uint64_t src_point, dst_point;
    uint32_t flags, pad;
};

struct nvu_syncobj_wait {
    uint64_t handles;
    int64_t timeout_nsec;
    uint32_t count_handles, flags, first_signaled, pad;
    uint64_t deadline_nsec;
};

struct nvu_syncobj_timeline_wait {
    uint64_t handles, points;
    int64_t timeout_nsec;
    uint32_t count_handles, flags, first_signaled, pad;
    uint64_t deadline_nsec;
};

struct nvu_syncobj_eventfd {
    uint32_t handle, flags;
    uint64_t point;
    int32_t fd;
    uint32_t pad;
};

/* ---- descriptors: sync files and dma-bufs -------------------------------------------------------------- */

#define NVU_SYNC_MERGE 0xc0303e03u
#define NVU_SYNC_FILE_INFO 0xc0383e04u
#define NVU_SYNC_SET_DEADLINE 0x40103e05u
#define NVU_DMA_BUF_SYNC 0x40086200u
#define NVU_DMA_BUF_EXPORT_SYNC_FILE 0xc0086202u
#define NVU_DMA_BUF_IMPORT_SYNC_FILE 0x40086203u

struct nvu_sync_merge {
    char name[32];
    int32_t fd2, fence;
    uint32_t flags, pad;
};

struct nvu_sync_fence_info {
    char obj_name[32], driver_name[32];
    int32_t status;
    uint32_t flags;
    uint64_t timestamp_ns;
};

struct nvu_sync_file_info {
    char name[32];
    int32_t status;
    uint32_t flags, num_fences, pad;
    uint64_t sync_fence_info;
};

struct nvu_sync_set_deadline {
    uint64_t deadline_ns, pad;
};

#define NVU_DMA_BUF_SYNC_READ (1u << 0)
#define NVU_DMA_BUF_SYNC_WRITE (1u << 1)
#define NVU_DMA_BUF_SYNC_RW (3u << 0)
#define NVU_DMA_BUF_SYNC_END (1u << 2)

struct nvu_dma_buf_sync {
    uint64_t flags;
};

/* EXPORT and IMPORT. */
struct nvu_dma_buf_sync_file {
    uint32_t flags;
    int32_t fd;
};

/* ---- syncobj arrays -------------------------------------------------------------------------------------- */

struct nvu_syncobj_array {
    uint64_t handles;
    uint32_t count_handles, pad;
};

struct nvu_syncobj_timeline_array {
    uint64_t handles, points;
    uint32_t count_handles, flags;
};

#ifdef __cplusplus
}
#endif
#endif
