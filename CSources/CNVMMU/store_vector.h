/*
 * The functions of struct nvmmu_stores over vectors of LANES words for the instruction set ISA, NAMED(what) by their
 * name; NUMBERS are those of the lanes. Included by store.c once for each set; takes the macros with it.
 */

typedef uint64_t NAMED(lanes) __attribute__((vector_size(8 * LANES)));
static const NAMED(lanes) NAMED(numbers) = {NUMBERS};
typedef uint64_t NAMED(memory) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

__attribute__((target(ISA))) static void NAMED(fill)(uint64_t *const *at, size_t rows, size_t n, uint64_t word)
{
    const NAMED(lanes) w = (NAMED(lanes)){0} + word;

    for (size_t r = 0; r < rows; r++) {
        uint64_t *row = at[r];
        size_t i = 0;

        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            *(NAMED(memory) *)&row[i] = w;
            *(NAMED(memory) *)&row[i + LANES] = w;
        }
        fill_row(row + i, n - i, word);
    }
}

__attribute__((target(ISA))) static void NAMED(ramp)(uint64_t *const *at, size_t rows, size_t n, uint64_t word,
                                                     uint64_t step)
{
    NAMED(lanes) a = NAMED(numbers) * step + word, b = a + LANES * step;
    const uint64_t rest = n % (2 * LANES);

    for (size_t r = 0; r < rows; r++) {
        uint64_t *row = at[r];
        size_t i = 0;

        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            *(NAMED(memory) *)&row[i] = a;
            *(NAMED(memory) *)&row[i + LANES] = b;
            a += 2 * LANES * step;
            b += 2 * LANES * step;
        }
        ramp_row(row + i, rest, a[0], step);
        a += rest * step;
        b += rest * step;
    }
}

__attribute__((target(ISA))) static void NAMED(list)(uint64_t *at, size_t n, uint64_t word, const uint64_t *address,
                                                     unsigned shift)
{
    size_t i = 0;

    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        *(NAMED(memory) *)&at[i] = *(const NAMED(memory) *)&address[i] >> shift | word;
        *(NAMED(memory) *)&at[i + LANES] = *(const NAMED(memory) *)&address[i + LANES] >> shift | word;
    }
    list_plain(at + i, n - i, word, address + i, shift);
}

__attribute__((target(ISA))) static void NAMED(ramp_pairs)(uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    const NAMED(lanes) low = (NAMED(lanes))(NAMED(numbers) % 2 == 0);
    NAMED(lanes) w = (NAMED(numbers) / 2 * step + word) & low, add = ((NAMED(lanes)){0} + LANES / 2 * step) & low;
    size_t i = 0;

    for (; i + LANES / 2 <= n; i += LANES / 2) {
        *(NAMED(memory) *)&at[2 * i] = w;
        w += add;
    }
    ramp_pairs_plain(at + 2 * i, n - i, word + i * step, step);
}

__attribute__((target(ISA))) static uint64_t NAMED(any)(const uint64_t *value, size_t n)
{
    NAMED(lanes) a = {0}, b = {0};
    uint64_t all;
    size_t i = 0;

    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a |= *(const NAMED(memory) *)&value[i];
        b |= *(const NAMED(memory) *)&value[i + LANES];
    }
    all = any_plain(value + i, n - i);
    a |= b;
    for (unsigned k = 0; k < LANES; k++)
        all |= a[k];
    return all;
}

__attribute__((target(ISA))) static size_t NAMED(ramp_length)(const uint64_t *at, size_t n, uint64_t word,
                                                              uint64_t step)
{
    NAMED(lanes) expected = NAMED(numbers) * step + word, differ = {0};
    const NAMED(lanes) next = (NAMED(lanes)){0} + LANES * step;
    size_t i = 0;

    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        uint64_t any = 0;

        for (unsigned k = 0; k < 4; k++, expected += next)
            differ |= *(const NAMED(memory) *)&at[i + k * LANES] ^ expected;
        for (unsigned k = 0; k < LANES; k++)
            any |= differ[k];
        if (any)
            break;
    }
    return i + ramp_length_plain(at + i, n - i, word + i * step, step);
}

static const struct nvmmu_stores NAMED(stores) = {NAMED(fill), NAMED(ramp), NAMED(list), NAMED(ramp_pairs), NAMED(any),
                                                  NAMED(ramp_length)};

#undef ISA
#undef LANES
#undef NUMBERS
#undef NAMED
