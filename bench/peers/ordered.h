/*
 * A VA space over an ordered map from start to the rest of a mapping, as somebody would write it who has no interval
 * map: for std::map and absl::btree_map. The including file names `ordered_map`, a template of key and value.
 */
#include "../va.h"

#define PEER_WRITES 1
#define PEER_LISTS  0

struct piece {
    uint64_t end, offset;
    uint32_t object;
};
using mappings = ordered_map<uint64_t, piece>;

struct peer_space {
    mappings map;
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

/* The first mapping that ends after `addr`. */
static inline mappings::iterator ends_after(mappings &m, uint64_t addr)
{
    auto it = m.upper_bound(addr);

    if (it != m.begin()) {
        auto before = std::prev(it);
        if (before->second.end > addr)
            return before;
    }
    return it;
}

static inline void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    auto it = s->map.upper_bound(addr);

    if ((it != s->map.end() && it->first < addr + range) || (it != s->map.begin() && std::prev(it)->second.end > addr))
        abort();
    s->map.emplace_hint(it, addr, piece{addr + range, offset, object});
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = s->map.find(addr);
    return *h != s->map.end() && (*h)->second.end == addr + range;
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    *h = ends_after(s->map, addr);
    return *h != s->map.end() && (*h)->first < addr + range;
}

static uint64_t peer_start(peer_space *, peer_handle h) { return h->first; }

static inline uint64_t peer_iterate(peer_space *s)
{
    uint64_t sum = 0;

    for (auto &m : s->map)
        sum += m.first ^ m.second.end;
    return sum;
}

static void peer_each(peer_space *s, uint64_t *hash)
{
    for (auto &m : s->map)
        va_mix(hash, m.first, m.second.end - m.first, m.second.object, m.second.offset);
}

static inline void peer_remove(peer_space *s, peer_handle h) { s->map.erase(h); }

static void peer_prepare(peer_space *, peer_request *q, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    *q = {addr, range, object, offset};
}

/* Empties a range; what lies on its borders keeps its outer parts. Returns where a mapping of the range belongs. */
static inline mappings::iterator cut(peer_space *s, uint64_t addr, uint64_t end)
{
    auto it = ends_after(s->map, addr);

    if (it != s->map.end() && it->first < addr) {
        piece left = it->second;
        it->second.end = addr;
        ++it;
        if (left.end > end) {
            left.offset += end - std::prev(it)->first;
            return s->map.emplace_hint(it, end, left);
        }
    }
    auto last = it;
    while (last != s->map.end() && last->second.end <= end)
        ++last;
    it = s->map.erase(it, last);
    if (it != s->map.end() && it->first < end) {
        piece right = it->second;
        right.offset += end - it->first;
        it = s->map.erase(it);
        it = s->map.emplace_hint(it, end, right);
    }
    return it;
}

static inline void peer_map(peer_space *s, const peer_request *q, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->map.emplace_hint(cut(s, q[i].addr, q[i].addr + q[i].range), q[i].addr,
                            piece{q[i].addr + q[i].range, q[i].offset, q[i].object});
}

static void peer_unmap(peer_space *s, uint64_t addr, uint64_t range) { cut(s, addr, addr + range); }

#include "../va_workloads.h"
