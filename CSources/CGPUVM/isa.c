/*
 * Searching a node and shifting a leaf with vectors: AVX-512, AVX2, or neither. The choice is made when a space is
 * made and kept in it.
 *
 * A vector load that follows a narrower store to the same line waits for the store to reach the cache, and a masked
 * AVX-512 store is never forwarded to a load. So the AVX-512 splice keeps whole lines in registers and stores whole
 * lines: the search of the next request then reads them straight from the store buffer.
 */
#include "isa.h"

#define COUNT64(keys, key) gpuvm__count_le(keys, INNER_MAX, key)
#define COUNT32(keys, key) gpuvm__count_le(keys, LEAF_MAX, key)
#define TARGET
#define DESCEND descend_plain
#include "descend.h"

static unsigned leaf_count_plain(const struct leaf *leaf, uint64_t key)
{
    return gpuvm__count_le(leaf->start, LEAF_MAX, key);
}

static void leaf_splice_plain(struct leaf *leaf, unsigned at, unsigned remove, const struct splice *add)
{
    unsigned from = at + remove, to = at + add->count, tail = leaf->count - from;
    if (from != to) {
        memmove(&leaf->start[to], &leaf->start[from], tail * sizeof *leaf->start);
        memmove(&leaf->end[to], &leaf->end[from], tail * sizeof *leaf->end);
        memmove(&leaf->va[to], &leaf->va[from], tail * sizeof *leaf->va);
    }
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
AVX2 static inline unsigned count_avx2(const uint64_t *keys, unsigned size, uint64_t key)
{
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    const __m256i k = _mm256_xor_si256(_mm256_set1_epi64x((int64_t)key), sign);
    __m256i more = _mm256_setzero_si256();
    for (unsigned i = 0; i < size; i += 4) {
        __m256i v = _mm256_xor_si256(_mm256_load_si256((const __m256i *)(const void *)(keys + i)), sign);
        more = _mm256_sub_epi64(more, _mm256_cmpgt_epi64(v, k));
    }
    __m128i sum = _mm_add_epi64(_mm256_castsi256_si128(more), _mm256_extracti128_si256(more, 1));
    return size - (unsigned)(_mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1));
}

#define COUNT64(keys, key) count_avx2(keys, INNER_MAX, key)
#define COUNT32(keys, key) count_avx2(keys, LEAF_MAX, key)
#define TARGET AVX2
#define DESCEND descend_avx2
#include "descend.h"

AVX2 static unsigned leaf_count_avx2(const struct leaf *leaf, uint64_t key)
{
    return count_avx2(leaf->start, LEAF_MAX, key);
}

#define AVX512 __attribute__((target("avx512f,popcnt")))

AVX512 static inline unsigned le8(const uint64_t *keys, __m512i k)
{
    return _mm512_cmple_epu64_mask(_mm512_load_si512((const void *)keys), k);
}

AVX512 static inline unsigned count32_avx512(const uint64_t *keys, uint64_t key)
{
    const __m512i k = _mm512_set1_epi64((int64_t)key);
    unsigned m = le8(keys, k) | le8(keys + 8, k) << 8 | le8(keys + 16, k) << 16 | le8(keys + 24, k) << 24;
    return (unsigned)__builtin_popcount(m);
}

AVX512 static inline unsigned count64_avx512(const uint64_t *keys, uint64_t key)
{
    return count32_avx512(keys, key) + count32_avx512(keys + 32, key);
}

#define COUNT64(keys, key) count64_avx512(keys, key)
#define COUNT32(keys, key) count32_avx512(keys, key)
#define TARGET AVX512
#define DESCEND descend_avx512
#include "descend.h"

AVX512 static unsigned leaf_count_avx512(const struct leaf *leaf, uint64_t key)
{
    return count32_avx512(leaf->start, key);
}

/*
 * Lane i of the result is array[i] before `at`, then the added values, then array[i - shift]; lanes from beyond the
 * array are `beyond`. |shift| < 8.
 */
AVX512 static inline void splice64(uint64_t *array, int at, int added, int shift, __m512i values, __m512i beyond)
{
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i v[6] = {beyond, beyond, beyond, beyond, beyond, beyond};
    for (int i = 0; i < 4; i++)
        v[i + 1] = _mm512_load_si512(array + 8 * i);
    const __m512i source = _mm512_sub_epi64(lane, _mm512_set1_epi64(shift));
    for (int i = 0; i < 4; i++) {
        __m512i moved = shift < 0 ? _mm512_permutex2var_epi64(v[i + 1], source, v[i + 2])
                                  : _mm512_permutex2var_epi64(v[i + 1], _mm512_and_si512(source, _mm512_set1_epi64(15)), v[i]);
        __m512i nth = _mm512_sub_epi64(_mm512_add_epi64(lane, _mm512_set1_epi64(8 * i)), _mm512_set1_epi64(at));
        __mmask8 kept = _mm512_cmplt_epi64_mask(nth, _mm512_setzero_si512());
        __mmask8 new = _mm512_cmplt_epu64_mask(nth, _mm512_set1_epi64(added));
        moved = _mm512_mask_mov_epi64(moved, kept, v[i + 1]);
        moved = _mm512_mask_permutexvar_epi64(moved, new, nth, values);
        _mm512_store_si512(array + 8 * i, moved);
    }
}

AVX512 static inline void splice32(uint32_t *array, int at, int added, int shift, __m512i values)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i none = _mm512_setzero_si512();
    __m512i v[4] = {none, _mm512_load_si512(array), _mm512_load_si512(array + 16), none};
    const __m512i source = _mm512_sub_epi32(lane, _mm512_set1_epi32(shift));
    for (int i = 0; i < 2; i++) {
        __m512i moved = shift < 0 ? _mm512_permutex2var_epi32(v[i + 1], source, v[i + 2])
                                  : _mm512_permutex2var_epi32(v[i + 1], _mm512_and_si512(source, _mm512_set1_epi32(31)), v[i]);
        __m512i nth = _mm512_sub_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16 * i)), _mm512_set1_epi32(at));
        __mmask16 kept = _mm512_cmplt_epi32_mask(nth, none);
        __mmask16 new = _mm512_cmplt_epu32_mask(nth, _mm512_set1_epi32(added));
        moved = _mm512_mask_mov_epi32(moved, kept, v[i + 1]);
        moved = _mm512_mask_permutexvar_epi32(moved, new, nth, values);
        _mm512_store_si512(array + 16 * i, moved);
    }
}

AVX512 static void leaf_splice_avx512(struct leaf *leaf, unsigned at, unsigned remove, const struct splice *add)
{
    int shift = (int)add->count - (int)remove;
    if (shift <= -8) {
        leaf_splice_plain(leaf, at, remove, add);
        return;
    }
    const __m512i none = _mm512_set1_epi64(-1);
    __m512i start = _mm512_set_epi64(0, 0, 0, 0, 0, (int64_t)add->start[2], (int64_t)add->start[1], (int64_t)add->start[0]);
    __m512i end = _mm512_set_epi64(0, 0, 0, 0, 0, (int64_t)add->end[2], (int64_t)add->end[1], (int64_t)add->end[0]);
    __m512i va = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (int)add->va[2], (int)add->va[1], (int)add->va[0]);
    splice64(leaf->start, (int)at, (int)add->count, shift, start, none);
    splice64(leaf->end, (int)at, (int)add->count, shift, end, none);
    splice32(leaf->va, (int)at, (int)add->count, shift, va);
    leaf->count = (uint32_t)((int)leaf->count + shift);
}
#endif

struct isa gpuvm__isa(enum isa_level most)
{
#if defined(__x86_64__)
    if (most >= ISA_AVX512 && __builtin_cpu_supports("avx512f"))
        return (struct isa){descend_avx512, leaf_count_avx512, leaf_splice_avx512};
    if (most >= ISA_AVX2 && __builtin_cpu_supports("avx2"))
        return (struct isa){descend_avx2, leaf_count_avx2, leaf_splice_plain};
#endif
    (void)most;
    return (struct isa){descend_plain, leaf_count_plain, leaf_splice_plain};
}
