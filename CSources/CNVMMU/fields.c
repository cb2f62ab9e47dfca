/*
 * Entries as named fields, for people who read words. Every bit that is set comes out: under its field's name, or
 * as "unknown". Driven by the layouts of the format.
 */
#include "format_private.h"

struct list {
    struct nvmmu_field *out;
    size_t count;
};

static void add(struct list *list, struct nvmmu_field field)
{
    if (list->count < NVMMU_FIELDS_MAX)
        list->out[list->count++] = field;
}

static uint64_t bits(unsigned high, unsigned low)
{
    return (~0ull >> (63 - (high - low))) << low;
}

/* Meanings stand only for values they name; sparse and hidden are both two entries long. */
static const char *meaning(const struct nvmmu_field_layout *l, uint64_t value)
{
    return l->text ? l->text[value] : NULL;
}

static void add_field(struct list *list, const struct nvmmu_field_layout *l, unsigned word_index, uint64_t word)
{
    uint64_t value = (word & bits(l->high, l->low)) >> l->low;

    add(list, (struct nvmmu_field){
                  .name = l->name,
                  .text = meaning(l, value),
                  .value = l->address_bit ? value << l->address_bit : value,
                  .word = (uint8_t)word_index,
                  .high = l->high,
                  .low = l->low,
                  .is_address = l->address_bit != 0,
              });
}

/* Bits of [low, high) that are set though no field covers them, as one field. */
static void add_unknown(struct list *list, uint64_t word, unsigned low, unsigned high, unsigned word_index)
{
    uint64_t rest = low < high ? word & bits(high - 1, low) : 0;

    if (!rest)
        return;
    low = (unsigned)__builtin_ctzll(rest);
    high = 63 - (unsigned)__builtin_clzll(rest);
    add(list, (struct nvmmu_field){
                  .name = "unknown",
                  .value = rest >> low,
                  .word = (uint8_t)word_index,
                  .high = (uint8_t)high,
                  .low = (uint8_t)low,
              });
}

static void add_word(struct list *list, const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                     unsigned i)
{
    struct nvmmu_field_set set = f->fields(f, level, word, i);
    unsigned low = 0;

    for (size_t n = 0; n < set.count; n++) {
        const struct nvmmu_field_layout *l = &set.field[n];

        if (l->traits && !(l->traits & f->traits))
            continue;
        add_unknown(list, word[i], low, l->low, i);
        add_field(list, l, i, word[i]);
        low = l->high + 1u;
    }
    add_unknown(list, word[i], low, 64, i);
}

size_t nvmmu_entry_fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                          struct nvmmu_field out[NVMMU_FIELDS_MAX])
{
    struct list list = {out, 0};

    add_word(&list, f, level, word, 0);
    for (unsigned i = 0; i < f->level_count; i++)
        if (f->level[i].level == level && f->level[i].entry_bytes == 16)
            add_word(&list, f, level, word, 1);
    return list.count;
}
