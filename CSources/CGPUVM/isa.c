/*
 * Searching a node and shifting a leaf with vectors: AVX-512, AVX2, or neither. The choice is made when a space is
 * made and kept in it.
 *
 * A vector load that follows a narrower store to the same line waits for the store to reach the cache, and a masked
 * AVX-512 store is never forwarded to a load. So the AVX-512 splice keeps whole lines in registers and stores whole
 * lines: the search of the next request then reads them straight from the store buffer.
 */
#include "isa.h"
#include "warm.h"

/* Keys <= key of a sorted array whose size is a power of two, without a branch on what they are. */
static inline unsigned count_plain(const uint64_t *keys, unsigned size, uint64_t key)
{
    unsigned at = 0;
    for (unsigned half = size / 2; half; half /= 2)
        at += keys[at + half - 1] <= key ? half : 0;
    return at + (keys[at] <= key);
}

static inline unsigned leaf_count_plain(const struct leaf *leaf, uint64_t key)
{
    return count_plain(leaf->start, LEAF_MAX, key);
}

static inline unsigned inner_count_plain(const struct inner *inner, uint64_t key)
{
    unsigned from = count_plain(inner->top, INNER_LINES, key) * LINE_KEYS;
    __builtin_prefetch(&inner->child[from]); /* the child is in that line, as the last key of the other one is > key */
    return from + count_plain(&inner->key[from], LINE_KEYS, key);
}

#define TARGET
#define VARIANT(name) name##_plain
#define INNER_COUNT   inner_count_plain
#define LEAF_COUNT    leaf_count_plain
#include "descend.h"

static void shift_plain(struct leaf *leaf, unsigned from, unsigned to)
{
    unsigned tail = leaf->count - from;
    memmove(&leaf->start[to], &leaf->start[from], tail * sizeof *leaf->start);
    memmove(&leaf->end[to], &leaf->end[from], tail * sizeof *leaf->end);
    memmove(&leaf->va[to], &leaf->va[from], tail * sizeof *leaf->va);
}

static void leaf_insert_plain(struct leaf *leaf, unsigned at, uint64_t start, uint64_t end, gpuvm_va va)
{
    shift_plain(leaf, at, at + 1);
    leaf->start[at] = start;
    leaf->end[at] = end;
    leaf->va[at] = va;
    leaf->count++;
}

static void leaf_erase_plain(struct leaf *leaf, unsigned at)
{
    shift_plain(leaf, at + 1, at);
    leaf->start[--leaf->count] = KEY_NONE;
}

static void leaf_splice_plain(struct leaf *leaf, unsigned at, unsigned remove, const struct splice *add)
{
    unsigned from = at + remove, to = at + add->count, tail = leaf->count - from;
    if (from != to)
        shift_plain(leaf, from, to);
    for (unsigned i = 0; i < add->count; i++) {
        leaf->start[at + i] = add->start[i];
        leaf->end[at + i] = add->end[i];
        leaf->va[at + i] = add->va[i];
    }
    for (unsigned i = to + tail; i < leaf->count; i++)
        leaf->start[i] = KEY_NONE;
    leaf->count = to + tail;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))

/* There is no unsigned 64-bit compare: flip the sign bits. */
AVX2 __attribute__((always_inline)) static inline unsigned count_avx2(const uint64_t *keys, unsigned size, uint64_t key)
{
    unsigned at = 0;
    for (; size > 16; size /= 2) /* what is left fills the vector units */
        at += keys[at + size / 2 - 1] <= key ? size / 2 : 0;
    keys += at;
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    const __m256i k = _mm256_xor_si256(_mm256_set1_epi64x((int64_t)key), sign);
    __m256i more = _mm256_setzero_si256();
    for (unsigned i = 0; i < size; i += 4) {
        __m256i v = _mm256_xor_si256(_mm256_load_si256((const __m256i *)(const void *)(keys + i)), sign);
        more = _mm256_sub_epi64(more, _mm256_cmpgt_epi64(v, k));
    }
    __m128i sum = _mm_add_epi64(_mm256_castsi256_si128(more), _mm256_extracti128_si256(more, 1));
    return at + size - (unsigned)(_mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1));
}

AVX2 static inline unsigned leaf_count_avx2(const struct leaf *leaf, uint64_t key)
{
    return count_avx2(leaf->start, LEAF_MAX, key);
}

AVX2 static inline unsigned inner_count_avx2(const struct inner *inner, uint64_t key)
{
    unsigned from = count_avx2(inner->top, INNER_LINES, key) * LINE_KEYS;
    __builtin_prefetch(&inner->child[from]);
    return from + count_avx2(&inner->key[from], LINE_KEYS, key);
}

#define TARGET AVX2
#define VARIANT(name) name##_avx2
#define INNER_COUNT   inner_count_avx2
#define LEAF_COUNT    leaf_count_avx2
#include "descend.h"

#define AVX512 __attribute__((target("avx512f,avx512dq,popcnt")))

/* The keys are the second operand so that the comparison takes them from memory. */
AVX512 static inline __mmask16 le8(const uint64_t *keys, __m512i k)
{
    return _mm512_cmpge_epu64_mask(k, _mm512_load_si512((const void *)keys));
}

AVX512 static inline unsigned le16(const uint64_t *keys, __m512i k)
{
    return _cvtmask16_u32(_mm512_kunpackb(le8(keys + 8, k), le8(keys, k)));
}

AVX512 static inline unsigned leaf_count_avx512(const struct leaf *leaf, uint64_t key)
{
    const __m512i k = _mm512_set1_epi64((int64_t)key);
    return (unsigned)__builtin_popcount(le16(leaf->start, k) | le16(leaf->start + 16, k) << 16);
}

AVX512 static inline unsigned inner_count_avx512(const struct inner *inner, uint64_t key)
{
    const __m512i k = _mm512_set1_epi64((int64_t)key);
    unsigned from = (unsigned)__builtin_popcount(le16(inner->top, k)) * LINE_KEYS;
    __builtin_prefetch(&inner->child[from]);
    return from + (unsigned)__builtin_popcount(le8(&inner->key[from], k));
}

#define TARGET AVX512
#define VARIANT(name) name##_avx512
#define INNER_COUNT   inner_count_avx512
#define LEAF_COUNT    leaf_count_avx512
#include "descend.h"

/*
 * The splice of one array: lane i of the result is array[i] where `kept`, one of `values` where `new`, and else
 * array[i - shift]; lanes from beyond the array are `beyond`. |shift| < 8, so a shifted line comes from two. `grow`,
 * the sign of the shift, is a constant where this is inlined.
 */
struct lanes {
    int shift;
    unsigned at;
    uint64_t kept, new;
};

/* Line i of the result: `v` is that line of the array, `beside` the one that is shifted into it. */
AVX512 __attribute__((always_inline)) static inline __m512i line64(const struct lanes *l, int i, __m512i v,
                                                                   __m512i source, __m512i beside, __m512i values)
{
    __m512i line = _mm512_permutex2var_epi64(v, source, beside);
    line = _mm512_mask_mov_epi64(line, (__mmask8)(l->kept >> 8 * i), v);
    return _mm512_mask_mov_epi64(line, (__mmask8)(l->new >> 8 * i), values);
}

AVX512 __attribute__((always_inline)) static inline void splice64(uint64_t *array, const struct lanes *l, bool grow,
                                                                  __m512i values, __m512i beyond)
{
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i a = _mm512_load_si512(array), b = _mm512_load_si512(array + 8),
                  c = _mm512_load_si512(array + 16), d = _mm512_load_si512(array + 24);
    __m512i source = _mm512_sub_epi64(lane, _mm512_set1_epi64(l->shift));
    source = _mm512_and_si512(source, _mm512_set1_epi64(15));
    values = _mm512_permutexvar_epi64(_mm512_sub_epi64(lane, _mm512_set1_epi64(l->at)), values);
    _mm512_store_si512(array, line64(l, 0, a, source, grow ? beyond : b, values));
    _mm512_store_si512(array + 8, line64(l, 1, b, source, grow ? a : c, values));
    _mm512_store_si512(array + 16, line64(l, 2, c, source, grow ? b : d, values));
    _mm512_store_si512(array + 24, line64(l, 3, d, source, grow ? c : beyond, values));
}

AVX512 __attribute__((always_inline)) static inline __m512i line32(const struct lanes *l, int i, __m512i v,
                                                                   __m512i source, __m512i beside, __m512i values)
{
    __m512i line = _mm512_permutex2var_epi32(v, source, beside);
    line = _mm512_mask_mov_epi32(line, (__mmask16)(l->kept >> 16 * i), v);
    return _mm512_mask_mov_epi32(line, (__mmask16)(l->new >> 16 * i), values);
}

/* Lanes from beyond the array are some of the array: no one reads them. */
AVX512 __attribute__((always_inline)) static inline void splice32(uint32_t *array, const struct lanes *l, bool grow,
                                                                  __m512i values)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i a = _mm512_load_si512(array), b = _mm512_load_si512(array + 16);
    __m512i source = _mm512_sub_epi32(lane, _mm512_set1_epi32(l->shift));
    source = _mm512_and_si512(source, _mm512_set1_epi32(31));
    values = _mm512_permutexvar_epi32(_mm512_sub_epi32(lane, _mm512_set1_epi32((int)l->at)), values);
    _mm512_store_si512(array, line32(l, 0, a, source, grow ? a : b, values));
    _mm512_store_si512(array + 16, line32(l, 1, b, source, grow ? a : b, values));
}

/* Broadcasts, because a vector load of what was just stored word by word would wait. */
AVX512 static inline __m512i three64(const uint64_t *x)
{
    __m512i v = _mm512_set1_epi64((int64_t)x[0]);
    v = _mm512_mask_set1_epi64(v, 2, (int64_t)x[1]);
    return _mm512_mask_set1_epi64(v, 4, (int64_t)x[2]);
}

AVX512 static inline __m512i three32(const uint32_t *x)
{
    __m512i v = _mm512_set1_epi32((int)x[0]);
    v = _mm512_mask_set1_epi32(v, 2, (int)x[1]);
    return _mm512_mask_set1_epi32(v, 4, (int)x[2]);
}

AVX512 static void leaf_insert_avx512(struct leaf *leaf, unsigned at, uint64_t start, uint64_t end, gpuvm_va va)
{
    const struct lanes l = {.shift = 1, .at = at, .kept = (UINT64_C(1) << at) - 1, .new = UINT64_C(1) << at};
    splice64(leaf->start, &l, true, _mm512_set1_epi64((int64_t)start), _mm512_set1_epi64(-1));
    splice64(leaf->end, &l, true, _mm512_set1_epi64((int64_t)end), _mm512_setzero_si512());
    splice32(leaf->va, &l, true, _mm512_set1_epi32((int)va));
    leaf->count++;
}

AVX512 static void leaf_erase_avx512(struct leaf *leaf, unsigned at)
{
    const struct lanes l = {.shift = -1, .at = at, .kept = (UINT64_C(1) << at) - 1};
    const __m512i none = _mm512_setzero_si512();
    splice64(leaf->start, &l, false, none, _mm512_set1_epi64(-1));
    splice64(leaf->end, &l, false, none, none);
    splice32(leaf->va, &l, false, none);
    leaf->count--;
}

AVX512 __attribute__((always_inline)) static inline void splice(struct leaf *leaf, const struct lanes *l, bool grow,
                                                                const struct splice *add)
{
    splice64(leaf->start, l, grow, three64(add->start), _mm512_set1_epi64(-1));
    splice64(leaf->end, l, grow, three64(add->end), _mm512_setzero_si512());
    splice32(leaf->va, l, grow, three32(add->va));
}

AVX512 static void leaf_splice_avx512(struct leaf *leaf, unsigned at, unsigned remove, const struct splice *add)
{
    struct lanes l = {
        .shift = (int)add->count - (int)remove,
        .at = at,
        .kept = (UINT64_C(1) << at) - 1,
        .new = ((UINT64_C(1) << add->count) - 1) << at,
    };
    if (l.shift <= -8) {
        leaf_splice_plain(leaf, at, remove, add);
        return;
    }
    leaf->count = (uint32_t)((int)leaf->count + l.shift);
    if (l.shift < 0)
        splice(leaf, &l, false, add);
    else
        splice(leaf, &l, true, add);
}
#endif

struct isa gpuvm__isa(enum isa_level most)
{
#if defined(__x86_64__)
    if (most >= ISA_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return (struct isa){descend_avx512,     leaf_count_avx512, inner_count_avx512,
                            leaf_insert_avx512, leaf_erase_avx512, leaf_splice_avx512};
    if (most >= ISA_AVX2 && __builtin_cpu_supports("avx2"))
        return (struct isa){descend_avx2,      leaf_count_avx2,  inner_count_avx2,
                            leaf_insert_plain, leaf_erase_plain, leaf_splice_plain};
#endif
    (void)most;
    return (struct isa){descend_plain,     leaf_count_plain, inner_count_plain,
                        leaf_insert_plain, leaf_erase_plain, leaf_splice_plain};
}
