/*
 * The workloads, over what the including file gives: a peer, as static functions that the compiler takes in, so that
 * no peer pays for the interface. C17 and C++17. It defines
 *
 *     peer_space, peer_handle, peer_request    its space, a mapping found, a prepared request to map
 *     PEER_WRITES, PEER_LISTS                  1 where requests can be applied, and lists of ops be had
 *     peer_space *peer_create(void)            an empty space that knows VA_OBJECTS objects
 *     void peer_destroy(peer_space *)
 *     size_t peer_memory(peer_space *)         0: unknown
 *     void peer_insert(peer_space *, addr, range, object, offset)
 *     bool peer_find(peer_space *, addr, range, peer_handle *)        exact
 *     bool peer_find_first(peer_space *, addr, range, peer_handle *)  lowest that intersects
 *     uint64_t peer_start(peer_space *, peer_handle)
 *     uint64_t peer_iterate(peer_space *)      the sum of start ^ end of all mappings
 *     void peer_each(peer_space *, uint64_t *hash)   va_mix() for each mapping, in order
 * and, with PEER_WRITES,
 *     void peer_remove(peer_space *, peer_handle)
 *     void peer_prepare(peer_space *, peer_request *, addr, range, object, offset)
 *     void peer_map(peer_space *, const peer_request *, size_t n)    split and merge, applied, in order
 *     void peer_unmap(peer_space *, addr, range)
 * and, with PEER_LISTS,
 *     size_t peer_list(peer_space *, const peer_request *)     makes the list of ops and frees it: their number
 *     void peer_map_list(peer_space *, const peer_request *)   the same, and applies it
 * and, with PEER_BATCHES, the single ones above for n at once; without, they are made one by one:
 *     size_t peer_find_batch(peer_space *, const uint64_t *addr, range, size_t n, peer_handle *), ..._find_first_batch
 *     void peer_remove_batch(peer_space *, const uint64_t *addr, range, size_t n)     finds and removes
 *     size_t peer_list_batch(peer_space *, const peer_request *, size_t n)
 * before it includes this file, and an instance of VA_PEER(symbol, name) after it.
 */
#ifndef BENCH_VA_WORKLOADS_H
#define BENCH_VA_WORKLOADS_H

static uint64_t va_addr(size_t i)
{
    return (uint64_t)i * VA_LENGTH;
}

/* Each repetition of a run has an order of its own: a processor learns by heart how 1,000 searches go. */
static const uint32_t *va_order(const struct va_bench *b, const uint32_t *orders, size_t repetition)
{
    return orders ? orders + repetition * b->n : NULL;
}

struct va_spaces {
    peer_space *full, *work;
    peer_request *requests;
};

static void va_fill(const struct va_bench *b, peer_space *s, const uint32_t *order)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t at = order ? order[i] : i;

        peer_insert(s, va_addr(at), VA_LENGTH, (uint32_t)(i % VA_OBJECTS), va_addr(at));
    }
}

static struct va_spaces *va_open(const struct va_bench *b)
{
    struct va_spaces *s = (struct va_spaces *)calloc(1, sizeof *s);

    s->full = peer_create();
    s->work = peer_create();
    s->requests = (peer_request *)malloc(b->n * sizeof *s->requests);
    va_fill(b, s->full, b->orders);
    return s;
}

static void va_close(struct va_spaces *s)
{
    peer_destroy(s->full);
    peer_destroy(s->work);
    free(s->requests);
    free(s);
}

static size_t va_memory(struct va_spaces *s)
{
    return peer_memory(s->full);
}

/* What one of so many operations took. */
static double va_each(struct va_bench *b, double ns, size_t ops)
{
    b->ops = ops;
    return ns / (double)ops;
}

/* ---- look-ups in the full space ---- */

static double va_look_ups(struct va_bench *b, struct va_spaces *s, bool first)
{
    peer_space *full = s->full;
    const uint64_t shift = first ? VA_UNIT : 0, range = first ? 3 * VA_LENGTH : VA_LENGTH;
    peer_handle h;
    size_t found = 0;
    double t = bench_now();

    for (size_t i = 0; i < b->times * b->n; i++)
        found += first ? peer_find_first(full, va_addr(b->orders[i]) + shift, range, &h)
                       : peer_find(full, va_addr(b->orders[i]), range, &h);
    t = bench_now() - t;
    b->checksum = found;
    for (size_t i = 0; b->check && i < b->n; i++) {
        uint64_t at = va_addr(b->orders[i]) + shift;

        if (first ? peer_find_first(full, at, range, &h) : peer_find(full, at, range, &h))
            va_mix(&b->checksum, peer_start(full, h), at, 0, 0);
    }
    return va_each(b, t, b->times * b->n);
}

static double va_find(struct va_bench *b, struct va_spaces *s) { return va_look_ups(b, s, false); }
static double va_find_first(struct va_bench *b, struct va_spaces *s) { return va_look_ups(b, s, true); }

/* ---- the same in batches ---- */

#ifndef PEER_BATCHES
static inline size_t peer_find_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n, peer_handle *h)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += peer_find(s, addr[i], range, &h[i]);
    return found;
}

static inline size_t peer_find_first_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n,
                                           peer_handle *h)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += peer_find_first(s, addr[i], range, &h[i]);
    return found;
}
#endif

/* Some addresses in the order given; returns how many. */
static inline size_t va_batch(const struct va_bench *b, const uint32_t *order, size_t from, uint64_t shift,
                              uint64_t addr[VA_SMALL_BATCH])
{
    size_t n = b->n - from < VA_SMALL_BATCH ? b->n - from : (size_t)VA_SMALL_BATCH;

    for (size_t i = 0; i < n; i++)
        addr[i] = va_addr(order[from + i]) + shift;
    return n;
}

static double va_look_up_batches(struct va_bench *b, struct va_spaces *s, bool first)
{
    peer_space *full = s->full;
    const uint64_t shift = first ? VA_UNIT : 0, range = first ? 3 * VA_LENGTH : VA_LENGTH;
    uint64_t addr[VA_SMALL_BATCH];
    peer_handle h[VA_SMALL_BATCH];
    size_t found = 0, n;
    double t = bench_now();

    for (size_t r = 0; r < b->times; r++)
        for (size_t i = 0; i < b->n; i += n) {
            n = va_batch(b, va_order(b, b->orders, r), i, shift, addr);
            found += first ? peer_find_first_batch(full, addr, range, n, h) : peer_find_batch(full, addr, range, n, h);
        }
    t = bench_now() - t;
    b->checksum = found;
    for (size_t i = 0; b->check && i < b->n; i += n) {
        n = va_batch(b, b->orders, i, shift, addr);
        found = first ? peer_find_first_batch(full, addr, range, n, h) : peer_find_batch(full, addr, range, n, h);
        for (size_t j = 0; found == n && j < n; j++)
            va_mix(&b->checksum, peer_start(full, h[j]), addr[j], 0, 0);
    }
    return va_each(b, t, b->times * b->n);
}

static double va_find_batch(struct va_bench *b, struct va_spaces *s) { return va_look_up_batches(b, s, false); }
static double va_find_first_batch(struct va_bench *b, struct va_spaces *s) { return va_look_up_batches(b, s, true); }

static double va_iterate(struct va_bench *b, struct va_spaces *s)
{
    size_t rounds = VA_ITERATE_LEAST / b->n + 1;
    double t = bench_now();

    b->checksum = 0;
    for (size_t r = 0; r < rounds; r++)
        b->checksum += peer_iterate(s->full);
    t = bench_now() - t;
    return va_each(b, t, rounds * b->n);
}

#if PEER_WRITES

/* ---- a space that is filled and emptied ---- */

/* The state's checksum is taken where the space is as the workload left it. */
static void va_empty(struct va_bench *b, peer_space *s)
{
    if (b->check)
        peer_each(s, &b->checksum);
    peer_unmap(s, 0, va_addr(b->n));
}

static double va_inserts(struct va_bench *b, peer_space *s, const uint32_t *orders)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        double t = bench_now();

        va_fill(b, s, va_order(b, orders, r));
        sum += bench_now() - t;
        va_empty(b, s);
    }
    return va_each(b, sum, b->times * b->n);
}

static double va_insert_ascending(struct va_bench *b, struct va_spaces *s) { return va_inserts(b, s->work, NULL); }
static double va_insert_random(struct va_bench *b, struct va_spaces *s) { return va_inserts(b, s->work, b->orders); }

static double va_removes(struct va_bench *b, peer_space *s, const uint32_t *orders, const uint32_t *fills)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        const uint32_t *order = va_order(b, orders, r);

        va_fill(b, s, va_order(b, fills, r));
        double t = bench_now();
        for (size_t i = 0; i < b->n; i++) {
            peer_handle h;

            if (!peer_find(s, va_addr(order ? order[i] : i), VA_LENGTH, &h))
                abort();
            peer_remove(s, h);
        }
        sum += bench_now() - t;
        va_empty(b, s);
    }
    return va_each(b, sum, b->times * b->n);
}

static double va_remove_random(struct va_bench *b, struct va_spaces *s)
{
    return va_removes(b, s->work, b->other_orders, b->orders);
}
static double va_remove_in_order(struct va_bench *b, struct va_spaces *s) { return va_removes(b, s->work, NULL, NULL); }

#ifndef PEER_BATCHES
static inline void peer_remove_batch(peer_space *s, const uint64_t *addr, uint64_t range, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        peer_handle h;

        if (!peer_find(s, addr[i], range, &h))
            abort();
        peer_remove(s, h);
    }
}
#endif

static double va_remove_batch(struct va_bench *b, struct va_spaces *s)
{
    uint64_t addr[VA_SMALL_BATCH];
    double sum = 0;
    size_t n;

    for (size_t r = 0; r < b->times; r++) {
        va_fill(b, s->work, va_order(b, b->orders, r));
        double t = bench_now();
        for (size_t i = 0; i < b->n; i += n) {
            n = va_batch(b, va_order(b, b->other_orders, r), i, 0, addr);
            peer_remove_batch(s->work, addr, VA_LENGTH, n);
        }
        sum += bench_now() - t;
        va_empty(b, s->work);
    }
    return va_each(b, sum, b->times * b->n);
}

/* All but one: to empty a space is something else. */
static double va_unmap_big(struct va_bench *b, struct va_spaces *s)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        va_fill(b, s->work, NULL);
        double t = bench_now();
        peer_unmap(s->work, 0, va_addr(b->n - 1));
        sum += bench_now() - t;
        va_empty(b, s->work);
    }
    return va_each(b, sum, b->times * (b->n - 1));
}

/* Times the first `count` requests, given in batches; `list`: by lists of ops. */
static double va_requests(struct va_bench *b, struct va_spaces *s, size_t count, size_t batch, bool list)
{
    double t = bench_now();

    for (size_t i = 0; i < count; i += batch) {
#if PEER_LISTS
        if (list) {
            peer_map_list(s->work, &s->requests[i]);
            continue;
        }
#endif
        peer_map(s->work, &s->requests[i], count - i < batch ? count - i : batch);
    }
    t = bench_now() - t;
    va_empty(b, s->work);
    (void)list;
    return t;
}

/* Maps an empty space full. */
static double va_binds(struct va_bench *b, struct va_spaces *s, const uint32_t *orders, size_t batch)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        const uint32_t *order = va_order(b, orders, r);

        for (size_t i = 0; i < b->n; i++)
            peer_prepare(s->work, &s->requests[i], va_addr(order ? order[i] : i), VA_LENGTH,
                         (uint32_t)(i % VA_OBJECTS), 0);
        sum += va_requests(b, s, b->n, batch, false);
    }
    return va_each(b, sum, b->times * b->n);
}

static double va_bind(struct va_bench *b, struct va_spaces *s) { return va_binds(b, s, NULL, VA_BATCH); }
static double va_insert_batch(struct va_bench *b, struct va_spaces *s)
{
    return va_binds(b, s, b->orders, VA_SMALL_BATCH);
}

/* Maps two units in the middle of mappings: a remap that leaves both ends, then a map. */
static double va_splits(struct va_bench *b, struct va_spaces *s, const uint32_t *orders, size_t batch)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        const uint32_t *order = va_order(b, orders, r);

        va_fill(b, s->work, order);
        for (size_t i = 0; i < b->splits; i++)
            peer_prepare(s->work, &s->requests[i], va_addr(order ? order[i] : i) + VA_UNIT, 2 * VA_UNIT,
                         (uint32_t)(i % VA_OBJECTS), 0);
        sum += va_requests(b, s, b->splits, batch, false);
    }
    return va_each(b, sum, b->times * b->splits);
}

static double va_split_ascending(struct va_bench *b, struct va_spaces *s) { return va_splits(b, s, NULL, 1); }
static double va_split_random(struct va_bench *b, struct va_spaces *s) { return va_splits(b, s, b->orders, 1); }
static double va_split_batch(struct va_bench *b, struct va_spaces *s)
{
    return va_splits(b, s, b->orders, VA_SMALL_BATCH);
}

/* Maps random ranges of up to eight mappings' length over a packed space. */
static double va_random_ranges(struct va_bench *b, struct va_spaces *s, size_t batch, bool list)
{
    uint64_t seed = b->seed;
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        va_fill(b, s->work, va_order(b, b->orders, r));
        for (size_t i = 0; i < b->splits; i++) {
            uint64_t at = bench_random(&seed) % (4 * (uint64_t)b->n - 32), units = 1 + bench_random(&seed) % 32;

            peer_prepare(s->work, &s->requests[i], at * VA_UNIT, units * VA_UNIT, (uint32_t)(i % VA_OBJECTS), 0);
        }
        sum += va_requests(b, s, b->splits, batch, list);
    }
    return va_each(b, sum, b->times * b->splits);
}

static double va_ranges(struct va_bench *b, struct va_spaces *s) { return va_random_ranges(b, s, 1, false); }
static double va_ranges_batch(struct va_bench *b, struct va_spaces *s)
{
    return va_random_ranges(b, s, VA_SMALL_BATCH, false);
}

#if PEER_LISTS
static double va_ranges_list(struct va_bench *b, struct va_spaces *s) { return va_random_ranges(b, s, 1, true); }

#ifndef PEER_BATCHES
static inline size_t peer_list_batch(peer_space *s, const peer_request *q, size_t n)
{
    size_t ops = 0;

    for (size_t i = 0; i < n; i++)
        ops += peer_list(s, &q[i]);
    return ops;
}
#endif

/* Asks for the ops of splits and frees them, over the full space. */
static double va_op_lists(struct va_bench *b, struct va_spaces *s, size_t batch)
{
    double sum = 0;

    for (size_t r = 0; r < b->times; r++) {
        const uint32_t *order = va_order(b, b->orders, r);

        for (size_t i = 0; i < b->n; i++)
            peer_prepare(s->full, &s->requests[i], va_addr(order[i]) + VA_UNIT, 2 * VA_UNIT, 0, 0);
        double t = bench_now();

        for (size_t i = 0; i < b->n; i += batch)
            b->checksum += batch == 1 ? peer_list(s->full, &s->requests[i])
                                      : peer_list_batch(s->full, &s->requests[i], b->n - i < batch ? b->n - i : batch);
        sum += bench_now() - t;
    }
    return va_each(b, sum, b->times * b->n);
}

static double va_op_list(struct va_bench *b, struct va_spaces *s) { return va_op_lists(b, s, 1); }
static double va_op_list_batch(struct va_bench *b, struct va_spaces *s) { return va_op_lists(b, s, VA_SMALL_BATCH); }
#endif
#endif

/* ---- the peer ---- */

/* In the order of enum va_row. */
#if PEER_LISTS
#define VA_WITH_LISTS(f) f
#else
#define VA_WITH_LISTS(f) NULL
#endif
#if PEER_WRITES
#define VA_WITH_WRITES(f) f
#else
#define VA_WITH_WRITES(f) NULL
#endif

#define VA_PEER(symbol, title)                                                                                         \
    const struct va_peer symbol = {                                                                                    \
        title,                                                                                                         \
        va_open,                                                                                                       \
        va_close,                                                                                                      \
        va_memory,                                                                                                     \
        {                                                                                                              \
            VA_WITH_WRITES(va_insert_ascending), VA_WITH_WRITES(va_insert_random), VA_WITH_WRITES(va_remove_random),   \
            va_find, va_find_first, va_iterate, VA_WITH_WRITES(va_split_ascending), VA_WITH_WRITES(va_split_random),   \
            VA_WITH_LISTS(va_op_list), VA_WITH_WRITES(va_ranges), VA_WITH_LISTS(va_ranges_list),                       \
            VA_WITH_WRITES(va_bind), VA_WITH_WRITES(va_unmap_big), VA_WITH_WRITES(va_remove_in_order),                 \
            VA_WITH_WRITES(va_insert_batch), VA_WITH_WRITES(va_split_batch), VA_WITH_WRITES(va_ranges_batch),          \
            va_find_batch, va_find_first_batch, VA_WITH_WRITES(va_remove_batch), VA_WITH_LISTS(va_op_list_batch),      \
        },                                                                                                             \
    }

#endif
