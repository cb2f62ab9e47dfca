/* The red-black tree of <bsd/sys/tree.h>, keyed by start, with mappings from malloc. */
#include <bsd/sys/tree.h>

#include "../va.h"

#define PEER_WRITES 1
#define PEER_LISTS  0

struct node {
    RB_ENTRY(node) entry;
    uint64_t start, end, offset;
    uint32_t object;
};

static int compare(const struct node *a, const struct node *b)
{
    return (a->start > b->start) - (a->start < b->start);
}

RB_HEAD(tree, node);
RB_GENERATE_INTERNAL(tree, node, entry, compare, __attribute__((unused)) static)

typedef struct tree peer_space;
typedef struct node *peer_handle;
typedef struct {
    uint64_t addr, range;
    uint32_t object;
    uint64_t offset;
} peer_request;

static peer_space *peer_create(void)
{
    return calloc(1, sizeof(peer_space));
}

static size_t peer_memory(peer_space *s)
{
    (void)s;
    return 0;
}

static inline void add(peer_space *s, uint64_t addr, uint64_t end, uint32_t object, uint64_t offset)
{
    struct node *n = malloc(sizeof *n);

    n->start = addr;
    n->end = end;
    n->object = object;
    n->offset = offset;
    if (RB_INSERT(tree, s, n))
        abort();
}

/* The first mapping that ends after `addr`: mappings do not overlap, so their ends are in the order of their starts. */
static inline struct node *ends_after(peer_space *s, uint64_t addr)
{
    struct node *best = NULL;

    for (struct node *n = RB_ROOT(s); n;) {
        if (n->end > addr) {
            best = n;
            n = RB_LEFT(n, entry);
        } else {
            n = RB_RIGHT(n, entry);
        }
    }
    return best;
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = ends_after(s, addr);
    return *h && (*h)->start < addr + range;
}

static inline void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    peer_handle h;

    if (peer_find_first(s, addr, range, &h))
        abort();
    add(s, addr, addr + range, object, offset);
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    return peer_find_first(s, addr, range, h) && (*h)->start == addr && (*h)->end == addr + range;
}

static uint64_t peer_start(peer_space *s, peer_handle h)
{
    (void)s;
    return h->start;
}

static inline uint64_t peer_iterate(peer_space *s)
{
    struct node *n;
    uint64_t sum = 0;

    RB_FOREACH(n, tree, s)
        sum += n->start ^ n->end;
    return sum;
}

static void peer_each(peer_space *s, uint64_t *hash)
{
    struct node *n;

    RB_FOREACH(n, tree, s)
        va_mix(hash, n->start, n->end - n->start, n->object, n->offset);
}

static inline void peer_remove(peer_space *s, peer_handle h)
{
    RB_REMOVE(tree, s, h);
    free(h);
}

static void peer_prepare(peer_space *s, peer_request *q, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    (void)s;
    *q = (peer_request){addr, range, object, offset};
}

/* Empties a range; what lies on its borders keeps its outer parts. */
static inline void cut(peer_space *s, uint64_t addr, uint64_t end)
{
    struct node *n = ends_after(s, addr);

    if (n && n->start < addr) {
        uint64_t stop = n->end;

        n->end = addr;
        if (stop > end) {
            add(s, end, stop, n->object, n->offset + (end - n->start));
            return;
        }
        n = RB_NEXT(tree, s, n);
    }
    while (n && n->end <= end) {
        struct node *next = RB_NEXT(tree, s, n);

        peer_remove(s, n);
        n = next;
    }
    if (n && n->start < end) {
        n->offset += end - n->start;
        n->start = end;
    }
}

static inline void peer_map(peer_space *s, const peer_request *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cut(s, q[i].addr, q[i].addr + q[i].range);
        add(s, q[i].addr, q[i].addr + q[i].range, q[i].object, q[i].offset);
    }
}

static void peer_unmap(peer_space *s, uint64_t addr, uint64_t range)
{
    cut(s, addr, addr + range);
}

static void peer_destroy(peer_space *s)
{
    peer_unmap(s, 0, UINT64_MAX);
    free(s);
}

#include "../va_workloads.h"

VA_PEER(va_bsd_tree, "bsd/sys/tree.h");
