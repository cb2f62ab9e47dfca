/* LLVM's IntervalMap, which joins neighbours of one value: so values are numbered. */
#include <llvm/ADT/IntervalMap.h>

#include "../va.h"

#define PEER_WRITES 1
#define PEER_LISTS  0

struct piece {
    uint64_t offset;
    uint32_t object, number;

    bool operator==(const piece &p) const { return number == p.number; }
    bool operator!=(const piece &p) const { return number != p.number; }
};
using mappings = llvm::IntervalMap<uint64_t, piece, 8, llvm::IntervalMapHalfOpenInfo<uint64_t>>;

struct peer_space {
    mappings::Allocator memory;
    mappings map{memory};
    uint32_t number = 0;
};
using peer_handle = mappings::iterator;
struct peer_request {
    uint64_t addr, range;
    uint32_t object;
    uint64_t offset;
};

static peer_space *peer_create() { return new peer_space; }
static void peer_destroy(peer_space *s) { delete s; }
static size_t peer_memory(peer_space *) { return 0; }

static inline void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    auto it = s->map.find(addr);

    if (it.valid() && it.start() < addr + range)
        abort();
    it.insert(addr, addr + range, piece{offset, object, s->number++});
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = s->map.find(addr);
    return h->valid() && h->start() < addr + range;
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = s->map.find(addr);
    return h->valid() && h->start() == addr && h->stop() == addr + range;
}

static uint64_t peer_start(peer_space *, peer_handle h) { return h.start(); }

static inline uint64_t peer_iterate(peer_space *s)
{
    uint64_t sum = 0;

    for (auto it = s->map.begin(); it.valid(); ++it)
        sum += it.start() ^ it.stop();
    return sum;
}

static void peer_each(peer_space *s, uint64_t *hash)
{
    for (auto it = s->map.begin(); it.valid(); ++it)
        va_mix(hash, it.start(), it.stop() - it.start(), it.value().object, it.value().offset);
}

static inline void peer_remove(peer_space *, peer_handle h) { h.erase(); }

static void peer_prepare(peer_space *, peer_request *q, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    *q = {addr, range, object, offset};
}

/* Empties a range; what lies on its borders keeps its outer parts. */
static inline void cut(peer_space *s, uint64_t addr, uint64_t end)
{
    auto it = s->map.find(addr);

    if (it.valid() && it.start() < addr) {
        piece right = it.value();
        uint64_t stop = it.stop();

        right.offset += end - it.start();
        right.number = s->number++;
        it.setStop(addr);
        ++it;
        if (stop > end) {
            it.insert(end, stop, right);
            return;
        }
    }
    while (it.valid() && it.stop() <= end)
        it.erase();
    if (it.valid() && it.start() < end) {
        piece right = it.value();

        right.offset += end - it.start();
        it.setStart(end);
        it.setValue(right);
    }
}

static inline void peer_map(peer_space *s, const peer_request *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cut(s, q[i].addr, q[i].addr + q[i].range);
        s->map.insert(q[i].addr, q[i].addr + q[i].range, piece{q[i].offset, q[i].object, s->number++});
    }
}

static void peer_unmap(peer_space *s, uint64_t addr, uint64_t range)
{
    if (addr == 0 && (s->map.empty() || s->map.stop() <= range)) /* as one would */
        s->map.clear();
    else
        cut(s, addr, addr + range);
}

#include "../va_workloads.h"

VA_PEER(va_llvm_interval_map, "llvm::IntervalMap");
