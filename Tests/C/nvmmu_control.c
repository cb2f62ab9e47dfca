/* Laws of what a chip is told: instance blocks, flushes, fault replay. Bit values are those of the recorded vectors. */
#include <nvmmu/control.h>

#include "nvmmu_support.h"

static uint32_t block[NVMMU_INSTANCE_BYTES / 4];

static void fill(uint32_t word)
{
    for (unsigned i = 0; i < sizeof(block) / 4; i++)
        block[i] = word;
}

/* Law: join writes the PDB, the limit and, from Volta on, every subcontext, and no other word. */
static void join_writes_its_words_only(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *pascal = vmm_new(b, "gp100"), *turing = vmm_new(b, "tu102");
    uint64_t root = nvmmu_vmm_space(pascal).root;

    fill(0x5a5a5a5a);
    REQUIRE(nvmmu_instance_join(pascal, block, false) == 0, "join");
    REQUIRE(block[0x80] == (uint32_t)(root | 0xc00) && block[0x81] == root >> 32, "PDB 0x%x", block[0x80]);
    REQUIRE(block[0x82] == 0xffffffff && block[0x83] == 0x1ffff, "limit");
    for (unsigned i = 0; i < sizeof(block) / 4; i++)
        REQUIRE((i >= 0x80 && i < 0x84) == (block[i] != 0x5a5a5a5a), "word 0x%x", i * 4);

    fill(0x5a5a5a5a);
    REQUIRE(nvmmu_instance_join(turing, block, true) == 0, "join");
    root = nvmmu_vmm_space(turing).root;
    REQUIRE(block[0x80] == (uint32_t)(root | 0xc30) && block[0x87] == 0, "PDB with replay 0x%x", block[0x80]);
    REQUIRE(block[0xa6] == 1 && block[0xa7] == 0, "mask of subcontexts");
    REQUIRE(block[0xa8] == block[0x80] && block[0xa9] == block[0x81] && block[0xaa] == 0, "subcontext 0");
    for (unsigned i = 1; i < 64; i++)
        REQUIRE(block[0xa8 + 4 * i] == 1 && block[0xa9 + 4 * i] == 1 && block[0xaa + 4 * i] == 0, "subcontext %u", i);
    REQUIRE(block[0x7f] == 0x5a5a5a5a && block[0x84] == 0x5a5a5a5a && block[0x1a8] == 0x5a5a5a5a, "other words");

    nvmmu_instance_part(turing, block);
    REQUIRE(!block[0x80] && !block[0x81] && !block[0x82] && !block[0x83], "part");
    REQUIRE(block[0xa8] && block[0x84] == 0x5a5a5a5a, "part clears 16 bytes only");
    nvmmu_vmm_destroy(pascal);
    nvmmu_vmm_destroy(turing);
    bank_delete(b);
}

/* Law: the BARs' space flushes the hub only, from when it is said until it is taken back. */
static void flushes_say_whose_space_it_is(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, "gp100");
    const struct nvmmu_format *f = nvmmu_vmm_space(v).format;
    struct nvmmu_register out[NVMMU_REGISTERS_MAX];

    for (unsigned bar = 0; bar < 2; bar++) {
        nvmmu_vmm_set_bar(v, bar);
        b->flushes = 0;
        nvmmu_vmm_begin(v);
        nvmmu_vmm_flush(v, 1);
        REQUIRE(b->flushes == 0, "flushed before the batch's end");
        nvmmu_vmm_end(v);
        REQUIRE(b->flushes == 1 && b->last.bar == bar && b->last.depth == 1 && b->last.size == 1ull << 49, "flush");
        REQUIRE(nvmmu_flush_registers(f, &b->last, out) == 3, "number of writes");
        REQUIRE(out[0].address == 0x100cb8 && out[0].value == (uint32_t)(b->last.root >> 8), "PDB");
        REQUIRE(out[1].address == 0x100cec && out[1].value == 0, "upper PDB");
        REQUIRE(out[2].address == 0x100cbc && out[2].value == (bar ? 0x80000005u : 0x80000001u), "trigger");
    }
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

/* Law: cancel names its client; what is no client gives no write. */
static void cancel_names_its_client(void)
{
    const struct nvmmu_format *f = nvmmu_format_find("gv100");
    struct nvmmu_register out[NVMMU_REGISTERS_MAX];

    REQUIRE(nvmmu_replay_registers(f, out) == 1 && out[0].address == 0x100cbc && out[0].value == 0x8000000b, "replay");
    REQUIRE(nvmmu_cancel_registers(f, &(struct nvmmu_fault_client){true, 3, 17}, out) == 1 &&
                out[0].value == 0x8011a21b, "cancel 0x%x", out[0].value);
    REQUIRE(nvmmu_cancel_registers(f, &(struct nvmmu_fault_client){false, 32, 0}, out) == 0, "GPC 32");
    REQUIRE(nvmmu_cancel_registers(f, &(struct nvmmu_fault_client){false, 0, 64}, out) == 0, "client 64");
}

int main(void)
{
    join_writes_its_words_only();
    flushes_say_whose_space_it_is();
    cancel_names_its_client();
    return 0;
}
