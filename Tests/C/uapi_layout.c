/*
 * Sizes and offsets of our ioctl structs against spec numbers, and, where the system has kernel headers new enough
 * to know VM_BIND, against these. Everything is asserted at compile time; running it says only that it compiled.
 */
#include <nouveau/uapi.h>

#include <stddef.h>

#if defined(__has_include)
#if __has_include(<drm/nouveau_drm.h>)
#include <drm/nouveau_drm.h>
#endif
#endif

#define SIZE(type, bytes) _Static_assert(sizeof(struct nvu_##type) == (bytes), #type)
#define AT(type, field, at) _Static_assert(offsetof(struct nvu_##type, field) == (at), #type "." #field)
/* The size a request word carries, and its number. */
#define REQUEST(word, type, nr)                                                                     \
    _Static_assert((((word) >> 16) & 0x3fff) == sizeof(struct nvu_##type), #word " size");          \
    _Static_assert(((word)&0xff) == (nr) && (((word) >> 8) & 0xff) == NVU_IOC_TYPE, #word " number")

SIZE(getparam, 16);
AT(getparam, value, 8);
SIZE(channel_alloc, 88);
AT(channel_alloc, channel, 8);
AT(channel_alloc, pushbuf_domains, 12);
AT(channel_alloc, notifier_handle, 16);
AT(channel_alloc, subchan, 20);
AT(channel_alloc, nr_subchan, 84);
SIZE(channel_free, 4);
SIZE(grobj_alloc, 12);
AT(grobj_alloc, oclass, 8);
SIZE(notifierobj_alloc, 16);
SIZE(gpuobj_free, 8);
SIZE(gem_info, 40);
AT(gem_info, size, 8);
AT(gem_info, offset, 16);
AT(gem_info, map_handle, 24);
AT(gem_info, tile_mode, 32);
AT(gem_info, tile_flags, 36);
SIZE(gem_new, 48);
AT(gem_new, channel_hint, 40);
AT(gem_new, align, 44);
SIZE(gem_pushbuf_bo_presumed, 16);
SIZE(gem_pushbuf_bo, 40);
AT(gem_pushbuf_bo, presumed, 24);
SIZE(gem_pushbuf_reloc, 28);
SIZE(gem_pushbuf_push, 24);
SIZE(gem_pushbuf, 64);
AT(gem_pushbuf, buffers, 8);
AT(gem_pushbuf, nr_relocs, 16);
AT(gem_pushbuf, relocs, 24);
AT(gem_pushbuf, push, 32);
AT(gem_pushbuf, suffix0, 40);
AT(gem_pushbuf, vram_available, 48);
SIZE(gem_cpu_prep, 8);
SIZE(gem_cpu_fini, 4);
SIZE(sync, 16);
AT(sync, timeline_value, 8);
SIZE(vm_init, 16);
SIZE(vm_bind_op, 40);
AT(vm_bind_op, handle, 8);
AT(vm_bind_op, addr, 16);
AT(vm_bind_op, bo_offset, 24);
AT(vm_bind_op, range, 32);
SIZE(vm_bind, 40);
AT(vm_bind, wait_count, 8);
AT(vm_bind, wait_ptr, 16);
AT(vm_bind, sig_ptr, 24);
AT(vm_bind, op_ptr, 32);
SIZE(exec_push, 16);
AT(exec_push, va_len, 8);
SIZE(exec, 40);
AT(exec, push_count, 4);
AT(exec, wait_ptr, 16);
AT(exec, push_ptr, 32);
SIZE(get_zcull_info, 48);
AT(get_zcull_info, ctxsw_align, 44);
SIZE(svm_init, 16);
SIZE(svm_bind, 64);

SIZE(nvif_ioctl, 24);
AT(nvif_ioctl, owner, 6);
AT(nvif_ioctl, route, 7);
AT(nvif_ioctl, token, 8);
AT(nvif_ioctl, object, 16);
SIZE(nvif_new, 32);
AT(nvif_new, route, 7);
AT(nvif_new, handle, 24);
AT(nvif_new, oclass, 28);
SIZE(nvif_mthd, 8);
SIZE(nvif_sclass, 8);
SIZE(nvif_oclass, 8);
SIZE(device_info, 104);
AT(device_info, chipset, 2);
AT(device_info, family, 5);
AT(device_info, ram_size, 8);
AT(device_info, chip, 24);
AT(device_info, name, 40);

SIZE(version, 64);
AT(version, name_len, 16);
AT(version, name, 24);
AT(version, desc, 56);
SIZE(cap_value, 16);
SIZE(gem_close, 8);
SIZE(gem_flink, 8);
SIZE(gem_open, 16);
SIZE(prime_handle, 12);
AT(prime_handle, fd, 8);
SIZE(set_client_name, 16);

SIZE(syncobj_create, 8);
SIZE(syncobj_destroy, 8);
SIZE(syncobj_handle, 24);
AT(syncobj_handle, fd, 8);
AT(syncobj_handle, point, 16);
SIZE(syncobj_transfer, 32);
AT(syncobj_transfer, flags, 24);
SIZE(syncobj_wait, 40);
AT(syncobj_wait, count_handles, 16);
AT(syncobj_wait, first_signaled, 24);
AT(syncobj_wait, deadline_nsec, 32);
SIZE(syncobj_timeline_wait, 48);
AT(syncobj_timeline_wait, first_signaled, 32);
SIZE(syncobj_eventfd, 24);
AT(syncobj_eventfd, fd, 16);
SIZE(syncobj_array, 16);
SIZE(syncobj_timeline_array, 24);
AT(syncobj_timeline_array, flags, 20);

REQUEST(NVU_VERSION, version, 0x00);
REQUEST(NVU_GEM_CLOSE, gem_close, 0x09);
REQUEST(NVU_GET_CAP, cap_value, 0x0c);
REQUEST(NVU_PRIME_HANDLE_TO_FD, prime_handle, 0x2d);
REQUEST(NVU_PRIME_FD_TO_HANDLE, prime_handle, 0x2e);
REQUEST(NVU_GETPARAM, getparam, 0x40);
REQUEST(NVU_CHANNEL_ALLOC, channel_alloc, 0x42);
REQUEST(NVU_CHANNEL_FREE, channel_free, 0x43);
REQUEST(NVU_GROBJ_ALLOC, grobj_alloc, 0x44);
REQUEST(NVU_NOTIFIEROBJ_ALLOC, notifierobj_alloc, 0x45);
REQUEST(NVU_GPUOBJ_FREE, gpuobj_free, 0x46);
REQUEST(NVU_SVM_INIT, svm_init, 0x48);
REQUEST(NVU_SVM_BIND, svm_bind, 0x49);
REQUEST(NVU_VM_INIT, vm_init, 0x50);
REQUEST(NVU_VM_BIND, vm_bind, 0x51);
REQUEST(NVU_EXEC, exec, 0x52);
REQUEST(NVU_GET_ZCULL_INFO, get_zcull_info, 0x53);
REQUEST(NVU_GEM_NEW, gem_new, 0x80);
REQUEST(NVU_GEM_PUSHBUF, gem_pushbuf, 0x81);
REQUEST(NVU_GEM_CPU_PREP, gem_cpu_prep, 0x82);
REQUEST(NVU_GEM_CPU_FINI, gem_cpu_fini, 0x83);
REQUEST(NVU_GEM_INFO, gem_info, 0x84);
REQUEST(NVU_SYNCOBJ_CREATE, syncobj_create, 0xbf);
REQUEST(NVU_SYNCOBJ_DESTROY, syncobj_destroy, 0xc0);
REQUEST(NVU_SYNCOBJ_HANDLE_TO_FD, syncobj_handle, 0xc1);
REQUEST(NVU_SYNCOBJ_FD_TO_HANDLE, syncobj_handle, 0xc2);
REQUEST(NVU_SYNCOBJ_WAIT, syncobj_wait, 0xc3);
REQUEST(NVU_SYNCOBJ_RESET, syncobj_array, 0xc4);
REQUEST(NVU_SYNCOBJ_SIGNAL, syncobj_array, 0xc5);
REQUEST(NVU_SYNCOBJ_TIMELINE_WAIT, syncobj_timeline_wait, 0xca);
REQUEST(NVU_SYNCOBJ_QUERY, syncobj_timeline_array, 0xcb);
REQUEST(NVU_SYNCOBJ_TRANSFER, syncobj_transfer, 0xcc);
REQUEST(NVU_SYNCOBJ_TIMELINE_SIGNAL, syncobj_timeline_array, 0xcd);
REQUEST(NVU_SYNCOBJ_EVENTFD, syncobj_eventfd, 0xcf);
REQUEST(NVU_SET_CLIENT_NAME, set_client_name, 0xd1);

#define DESCRIPTOR(word, type) _Static_assert((((word) >> 16) & 0x3fff) == sizeof(struct nvu_##type), #word " size")
DESCRIPTOR(NVU_SYNC_MERGE, sync_merge);
DESCRIPTOR(NVU_SYNC_FILE_INFO, sync_file_info);
DESCRIPTOR(NVU_SYNC_SET_DEADLINE, sync_set_deadline);
DESCRIPTOR(NVU_DMA_BUF_SYNC, dma_buf_sync);
DESCRIPTOR(NVU_DMA_BUF_EXPORT_SYNC_FILE, dma_buf_sync_file);
DESCRIPTOR(NVU_DMA_BUF_IMPORT_SYNC_FILE, dma_buf_sync_file);
SIZE(sync_fence_info, 80);

#ifdef DRM_IOCTL_NOUVEAU_EXEC
#define SYSTEM(ours, theirs) _Static_assert(sizeof(struct nvu_##ours) == sizeof(struct theirs), #ours)
SYSTEM(vm_init, drm_nouveau_vm_init);
SYSTEM(vm_bind_op, drm_nouveau_vm_bind_op);
SYSTEM(vm_bind, drm_nouveau_vm_bind);
SYSTEM(exec_push, drm_nouveau_exec_push);
SYSTEM(exec, drm_nouveau_exec);
SYSTEM(sync, drm_nouveau_sync);
SYSTEM(gem_new, drm_nouveau_gem_new);
SYSTEM(gem_info, drm_nouveau_gem_info);
_Static_assert(offsetof(struct nvu_vm_bind_op, bo_offset) == offsetof(struct drm_nouveau_vm_bind_op, bo_offset), "");
_Static_assert(NVU_VM_BIND == DRM_IOCTL_NOUVEAU_VM_BIND && NVU_EXEC == DRM_IOCTL_NOUVEAU_EXEC, "");
_Static_assert(NVU_GEM_NEW == DRM_IOCTL_NOUVEAU_GEM_NEW && NVU_VM_INIT == DRM_IOCTL_NOUVEAU_VM_INIT, "");
#endif

int main(void)
{
    return 0;
}
