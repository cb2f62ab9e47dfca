/* Functions that nouveau's MMU names and that a plain map, unmap, get or put does not reach. */
#include <stdlib.h>

#define NEVER(name)  \
    void name(void); \
    void name(void)  \
    {                \
        abort();     \
    }

NEVER(dev_WARN)
NEVER(dma_map_page)
NEVER(dma_mapping_error)
NEVER(gf100_mem_map)
NEVER(gf100_mem_new)
NEVER(nv04_mem_map)
NEVER(nv04_mem_new)
NEVER(nv50_mem_map)
NEVER(nv50_mem_new)
NEVER(nvkm_gr_ctxsw_inst)
NEVER(nvkm_gr_ctxsw_pause)
NEVER(nvkm_gr_ctxsw_resume)
NEVER(nvkm_gr_tlb_flush)
NEVER(nvkm_ltc_tags_clear)
NEVER(nvkm_ummu_new)
NEVER(pfn_to_page)
NEVER(r535_mmu_vaspace_del)
