/* Sorted arrays and a search without branches: for look-ups only. Filled, then sorted at the first look-up. */
#include "../va.h"

#define PEER_WRITES 0
#define PEER_LISTS  0

typedef struct {
    size_t n, room;
    bool sorted;
    struct piece {
        uint64_t start, end;
    } *piece;
    uint64_t *ends;
} peer_space;
typedef size_t peer_handle;
typedef char peer_request;

static peer_space *peer_create(void)
{
    return calloc(1, sizeof(peer_space));
}

static void peer_destroy(peer_space *s)
{
    free(s->piece);
    free(s->ends);
    free(s);
}

static size_t peer_memory(peer_space *s)
{
    return s->n * (sizeof *s->piece + sizeof *s->ends);
}

static void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    (void)object, (void)offset;
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 1024;
        s->piece = realloc(s->piece, s->room * sizeof *s->piece);
    }
    s->piece[s->n++] = (struct piece){addr, addr + range};
}

static int compare(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static void sort(peer_space *s)
{
    qsort(s->piece, s->n, sizeof *s->piece, compare);
    s->ends = malloc(s->n * sizeof *s->ends);
    for (size_t i = 0; i < s->n; i++)
        s->ends[i] = s->piece[i].end;
    s->sorted = true;
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    const uint64_t *at;

    if (!s->sorted)
        sort(s);
    at = s->ends;
    for (size_t n = s->n; n > 1; n -= n / 2)
        at += at[n / 2 - 1] <= addr ? n / 2 : 0;
    *h = (size_t)(at - s->ends) + (*at <= addr);
    return *h < s->n && s->piece[*h].start < addr + range;
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    return peer_find_first(s, addr, range, h) && s->piece[*h].start == addr && s->piece[*h].end == addr + range;
}

static uint64_t peer_start(peer_space *s, peer_handle h)
{
    return s->piece[h].start;
}

static inline uint64_t peer_iterate(peer_space *s)
{
    uint64_t sum = 0;

    if (!s->sorted)
        sort(s);
    for (size_t i = 0; i < s->n; i++)
        sum += s->piece[i].start ^ s->piece[i].end;
    return sum;
}

#include "../va_workloads.h"

VA_PEER(va_sorted_array, "sorted array");
