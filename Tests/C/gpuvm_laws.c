/*
 * Laws of spec/gpuvm.md one by one: the rows of 4.1 to 4.3 and the worked examples of 4.8, the kernel's oddities in
 * look-ups, the reserved range, iteration, link order, undoing, and each documented error.
 */
#include "gpuvm_test.h"

static struct gpuvm *vm;
static gpuvm_bo a, b;
static struct gpuvm_ops ops;

static void make_space(uint64_t start, uint64_t range, uint64_t kernel, uint64_t kernel_range)
{
    struct gpuvm_config config = {.size = sizeof config, .start = start, .range = range, .kernel_start = kernel,
                                  .kernel_range = kernel_range, .user_size = 16};
    EQ(gpuvm_create(&config, &vm), 0);
    EQ(gpuvm_bo_create(vm, 'a', &a), 0);
    EQ(gpuvm_bo_create(vm, 'b', &b), 0);
    gpuvm_ops_init(&ops, NULL);
}

static void end_space(void)
{
    check_space(vm);
    gpuvm_ops_fini(&ops);
    gpuvm_destroy(vm);
}

static gpuvm_va insert(uint64_t addr, uint64_t range, gpuvm_bo bo, uint64_t offset)
{
    gpuvm_va va = 0;
    EQ(gpuvm_insert(vm, addr, range, bo, offset, &va), 0);
    return va;
}

static struct gpuvm_mapping get(gpuvm_va va)
{
    struct gpuvm_mapping m;
    EQ(gpuvm_get(vm, va, &m), 0);
    return m;
}

/* ---- requests written as text: "[addr range object offset]", object a, b or -; ops come out the same way ---- */

static char name_of(gpuvm_bo bo)
{
    return bo ? (char)gpuvm_bo_cookie(vm, bo) : '-';
}

static char *print_range(char *out, uint64_t addr, uint64_t range, gpuvm_bo bo, uint64_t offset)
{
    return out + sprintf(out, "[%llu %llu %c %llu]", (unsigned long long)addr, (unsigned long long)range, name_of(bo),
                         (unsigned long long)offset);
}

static void print_ops(char *out, const struct gpuvm_ops *list)
{
    *out = 0;
    for (size_t i = 0; i < list->count; i++) {
        static const char *names[] = {"MAP", "REMAP", "UNMAP", "PREFETCH"};
        const struct gpuvm_op *op = &list->op[i];
        out += sprintf(out, "%s%s%s ", i ? "; " : "", names[op->kind], op->keep ? " keep" : "");
        out = print_range(out, op->addr, op->range, op->bo, op->offset);
        if (op->prev_range)
            out = print_range(out + sprintf(out, " prev "), op->addr, op->prev_range, op->bo, op->offset);
        if (op->next_range)
            out = print_range(out + sprintf(out, " next "), gpuvm_op_next_addr(op), op->next_range, op->bo,
                              gpuvm_op_next_offset(op));
    }
}

static void print_space(char *out)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    *out = 0;
    gpuvm_iter_init(&it, vm, 0, 0);
    while (gpuvm_iter_next(&it, &m))
        out = print_range(out, m.addr, m.range, m.bo, m.offset);
}

static struct gpuvm_req parse(const char *s, uint32_t kind)
{
    unsigned long long addr, range, offset;
    char bo;
    EQ(sscanf(s, "[%llu %llu %c %llu]", &addr, &range, &bo, &offset), 4);
    return (struct gpuvm_req){addr, range, offset, bo == 'a' ? a : bo == 'b' ? b : GPUVM_BO_NONE, kind};
}

struct law {
    const char *name, *have;
    enum gpuvm_req_kind kind;
    const char *request, *ops, *then; /* then NULL: may not be applied */
};

#define MAP GPUVM_REQ_MAP
#define UNMAP GPUVM_REQ_UNMAP
#define MADVISE GPUVM_REQ_MADVISE

static const struct law laws[] = {
    {"4.1 row 1, straight", "[10 10 a 5]", MAP, "[10 10 a 5]", "UNMAP keep [10 10 a 5]; MAP [10 10 a 5]", "[10 10 a 5]"},
    {"4.1 row 1, other offset", "[10 10 a 5]", MAP, "[10 10 a 7]", "UNMAP [10 10 a 5]; MAP [10 10 a 7]", "[10 10 a 7]"},
    {"4.1 row 2", "[10 10 a 5]", MAP, "[10 20 a 5]", "UNMAP keep [10 10 a 5]; MAP [10 20 a 5]", "[10 20 a 5]"},
    {"4.1 row 3", "[10 10 a 5]", MAP, "[10 4 b 0]", "REMAP [10 10 a 5] next [14 6 a 9]; MAP [10 4 b 0]",
     "[10 4 b 0][14 6 a 9]"},
    {"4.1 row 4", "[10 10 a 5]", MAP, "[16 4 a 11]", "REMAP keep [10 10 a 5] prev [10 6 a 5]; MAP [16 4 a 11]",
     "[10 6 a 5][16 4 a 11]"},
    {"4.1 row 5", "[10 10 a 5]", MAP, "[16 9 b 1]", "REMAP [10 10 a 5] prev [10 6 a 5]; MAP [16 9 b 1]",
     "[10 6 a 5][16 9 b 1]"},
    {"4.1 row 6", "[10 10 a 5]", MAP, "[13 4 b 0]",
     "REMAP [10 10 a 5] prev [10 3 a 5] next [17 3 a 12]; MAP [13 4 b 0]", "[10 3 a 5][13 4 b 0][17 3 a 12]"},
    {"4.1 row 7", "[10 10 a 5]", MAP, "[8 12 a 3]", "UNMAP keep [10 10 a 5]; MAP [8 12 a 3]", "[8 12 a 3]"},
    {"4.1 row 8", "[10 10 a 5]", MAP, "[8 20 a 4]", "UNMAP [10 10 a 5]; MAP [8 20 a 4]", "[8 20 a 4]"},
    {"4.1 row 9", "[10 10 a 5]", MAP, "[8 5 a 3]", "REMAP keep [10 10 a 5] next [13 7 a 8]; MAP [8 5 a 3]",
     "[8 5 a 3][13 7 a 8]"},
    {"4.8 three victims", "[10 10 a 5][22 4 a 40][30 10 a 50]", MAP, "[15 20 b 0]",
     "REMAP [10 10 a 5] prev [10 5 a 5]; UNMAP [22 4 a 40]; REMAP [30 10 a 50] next [35 5 a 55]; MAP [15 20 b 0]",
     "[10 5 a 5][15 20 b 0][35 5 a 55]"},
    {"4.8 three victims, straight", "[10 10 a 5][22 4 a 17][30 10 a 25]", MAP, "[15 20 a 10]",
     "REMAP keep [10 10 a 5] prev [10 5 a 5]; UNMAP keep [22 4 a 17]; REMAP keep [30 10 a 25] next [35 5 a 30]; "
     "MAP [15 20 a 10]",
     "[10 5 a 5][15 20 a 10][35 5 a 30]"},
    {"no keep without object; the offset goes on", "[10 10 - 0]", MAP, "[12 2 - 0]",
     "REMAP [10 10 - 0] prev [10 2 - 0] next [14 6 - 4]; MAP [12 2 - 0]", "[10 2 - 0][12 2 - 0][14 6 - 4]"},
    {"no keep without object, identical", "[10 10 - 0]", MAP, "[10 10 - 0]", "UNMAP [10 10 - 0]; MAP [10 10 - 0]",
     "[10 10 - 0]"},
    {"nothing there", "[10 10 a 5]", MAP, "[50 5 b 3]", "MAP [50 5 b 3]", "[10 10 a 5][50 5 b 3]"},
    {"neighbours are not merged", "[10 10 a 5]", MAP, "[20 5 a 15]", "MAP [20 5 a 15]", "[10 10 a 5][20 5 a 15]"},
    {"4.2 both ends cut", "[10 10 a 5][20 10 b 0]", UNMAP, "[15 10 - 0]",
     "REMAP [10 10 a 5] prev [10 5 a 5]; REMAP [20 10 b 0] next [25 5 b 5]", "[10 5 a 5][25 5 b 5]"},
    {"4.2 hole", "[10 10 a 5]", UNMAP, "[13 4 - 0]", "REMAP [10 10 a 5] prev [10 3 a 5] next [17 3 a 12]",
     "[10 3 a 5][17 3 a 12]"},
    {"4.2 whole, no keep", "[10 10 a 5]", UNMAP, "[10 10 a 5]", "UNMAP [10 10 a 5]", ""},
    {"4.2 nothing", "[10 10 a 5]", UNMAP, "[20 10 - 0]", "", "[10 10 a 5]"},
    {"4.3 inside", "[10 10 - 0]", MADVISE, "[12 4 - 0]",
     "REMAP [10 10 - 0] prev [10 2 - 0] next [16 4 - 6]; MAP [12 4 - 0]", "[10 2 - 0][12 4 - 0][16 4 - 6]"},
    {"4.3 inside, with the request's object", "[10 10 - 0]", MADVISE, "[12 4 a 7]",
     "REMAP [10 10 - 0] prev [10 2 - 0] next [16 4 - 6]; MAP [12 4 a 7]", "[10 2 - 0][12 4 a 7][16 4 - 6]"},
    {"4.3 at the front", "[10 10 - 0]", MADVISE, "[10 4 a 7]", "REMAP [10 10 - 0] next [14 6 - 4]; MAP [10 4 a 7]",
     "[10 4 a 7][14 6 - 4]"},
    {"4.3 at the end", "[10 10 - 0]", MADVISE, "[16 4 a 7]", "REMAP [10 10 - 0] prev [10 6 - 0]; MAP [16 4 a 7]",
     "[10 6 - 0][16 4 a 7]"},
    {"4.3 beyond the end", "[10 10 - 0]", MADVISE, "[16 9 a 7]", "REMAP [10 10 - 0] prev [10 6 - 0]; MAP [16 4 - 0]",
     "[10 6 - 0][16 4 - 0]"},
    {"4.3 from before the front", "[10 10 - 0]", MADVISE, "[5 9 a 7]",
     "REMAP [10 10 - 0] next [14 6 - 4]; MAP [10 4 - 0]", "[10 4 - 0][14 6 - 4]"},
    {"4.3 three", "[10 10 - 0][20 10 - 0][30 10 - 0]", MADVISE, "[15 20 - 0]",
     "REMAP [10 10 - 0] prev [10 5 - 0]; MAP [15 5 - 0]; REMAP [30 10 - 0] next [35 5 - 5]; MAP [30 5 - 0]",
     "[10 5 - 0][15 5 - 0][20 10 - 0][30 5 - 0][35 5 - 5]"},
    {"4.3 passes over objects", "[10 10 - 0][20 10 a 0][30 10 - 0]", MADVISE, "[15 20 - 0]",
     "REMAP [10 10 - 0] prev [10 5 - 0]; MAP [15 5 - 0]; REMAP [30 10 - 0] next [35 5 - 5]; MAP [30 5 - 0]",
     "[10 5 - 0][15 5 - 0][20 10 a 0][30 5 - 0][35 5 - 5]"},
    {"4.3 enclosed ones", "[10 10 - 0][20 10 - 0]", MADVISE, "[10 20 - 0]", "", "[10 10 - 0][20 10 - 0]"},
    {"4.3 with object only", "[10 10 a 0]", MADVISE, "[12 2 - 0]", "", "[10 10 a 0]"},
    {"ZERO-RANGE inside, map", "[10 10 a 5]", MAP, "[14 0 b 0]",
     "REMAP [10 10 a 5] prev [10 4 a 5] next [14 6 a 9]; MAP [14 0 b 0]", NULL},
    {"ZERO-RANGE inside, unmap", "[10 10 a 5]", UNMAP, "[14 0 - 0]",
     "REMAP [10 10 a 5] prev [10 4 a 5] next [14 6 a 9]", NULL},
    {"ZERO-RANGE at an edge", "[10 10 a 5]", MAP, "[20 0 b 0]", "MAP [20 0 b 0]", NULL},
    {"ZERO-RANGE at address 0", "[0 10 a 5]", MAP, "[0 0 b 0]", "MAP [0 0 b 0]", NULL},
    {"offsets wrap", "[10 10 a 18446744073709551614]", UNMAP, "[13 1 - 0]",
     "REMAP [10 10 a 18446744073709551614] prev [10 3 a 18446744073709551614] next [14 6 a 2]",
     "[10 3 a 18446744073709551614][14 6 a 2]"},
};

enum { TEXT = 2048 };

static void fill(const char *have)
{
    for (const char *s = have; s && *s; s = strchr(s + 1, '[')) {
        struct gpuvm_req q = parse(s, MAP);
        insert(q.addr, q.range, q.bo, q.offset);
    }
}

static int seen;

static int on_step(void *priv, const struct gpuvm_op *op)
{
    const struct gpuvm_ops *list = priv;
    CHECK(op->kind == list->op[seen].kind && op->addr == list->op[seen].addr, "callback %d", seen);
    seen++;
    return 0;
}

static const struct gpuvm_steps steps = {on_step, on_step, on_step};

/* The four ways to carry a request out give the same. */
static void law_by(const struct law *law, int way)
{
    char text[TEXT];
    size_t failed = 7;
    make_space(0, 1000, 0, 0);
    fill(law->have);
    struct gpuvm_req q = parse(law->request, law->kind);
    CHECK(gpuvm_sm_ops(vm, &q, &ops) >= 0, "%s", law->name);
    print_ops(text, &ops);
    CHECK(!strcmp(text, law->ops), "%s: got %s, want %s", law->name, text, law->ops);
    int want = law->then ? 0 : -EINVAL, rc;
    seen = 0;
    if (way == 0) {
        rc = gpuvm_ops_apply(vm, &ops);
    } else if (way == 1) {
        rc = law->kind == UNMAP ? gpuvm_sm_unmap(vm, q.addr, q.range, &steps, &ops) : gpuvm_sm_map(vm, &q, &steps, &ops);
        EQ(seen, law->then ? ops.count : 0);
    } else {
        gpuvm_ops_commit(vm, &ops);
        rc = gpuvm_exec(vm, &q, 1, way == 2 ? &ops : NULL, &failed);
        rc = rc > 0 ? 0 : rc;
        if (law->then && way == 2) {
            print_ops(text, &ops);
            CHECK(!strcmp(text, law->ops), "%s: exec gave %s", law->name, text);
        }
    }
    CHECK(rc == want, "%s: way %d: got %d, want %d", law->name, way, rc, want);
    print_space(text);
    CHECK(!strcmp(text, law->then ? law->then : law->have), "%s: way %d: space %s", law->name, way, text);
    check_space(vm);
    if (ops.applied) {
        gpuvm_ops_revert(vm, &ops, 0);
        print_space(text);
        CHECK(!strcmp(text, law->have), "%s: way %d: undone to %s", law->name, way, text);
    }
    end_space();
}

static void split_tables(void)
{
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        for (int way = 0; way < 4; way++)
            law_by(&laws[i], way);
}

static void lookups_are_the_kernels(void)
{
    make_space(10, 90, 0, 0);
    gpuvm_va x = insert(20, 10, a, 0), y = insert(30, 10, b, 0), z = insert(51, 4, a, 0);
    EQ(gpuvm_find(vm, 20, 10), x);
    EQ(gpuvm_find(vm, 20, 9), 0);
    EQ(gpuvm_find(vm, 20, 0), 0);
    EQ(gpuvm_find(vm, UINT64_MAX, 1), 0);
    EQ(gpuvm_find_first(vm, 0, 21), x);
    EQ(gpuvm_find_first(vm, 25, 50), x);
    EQ(gpuvm_find_first(vm, 40, 11), 0);
    EQ(gpuvm_find_first(vm, 40, 12), z);
    EQ(gpuvm_find_first(vm, 25, 0), x); /* [25, 24]: has both */
    EQ(gpuvm_find_first(vm, 30, 0), 0);
    EQ(gpuvm_find_first(vm, 0, 0), x); /* [0, 2^64 - 1] */
    EQ(gpuvm_find_prev(vm, 30), x);
    EQ(gpuvm_find_prev(vm, 20), x); /* oddity: one that begins there */
    EQ(gpuvm_find_prev(vm, 41), 0);
    EQ(gpuvm_find_prev(vm, 10), 0); /* 9 is outside the window */
    EQ(gpuvm_find_prev(vm, 0), 0);
    EQ(gpuvm_find_next(vm, 30), y);
    EQ(gpuvm_find_next(vm, 50), z); /* oddity: one that begins one later */
    EQ(gpuvm_find_next(vm, 49), 0);
    EQ(gpuvm_find_next(vm, 100), 0); /* outside */
    EQ(gpuvm_find_next(vm, UINT64_MAX), 0);
    EQ(gpuvm_interval_empty(vm, 40, 11), true);
    EQ(gpuvm_interval_empty(vm, 39, 1), false);
    end_space();
}

static void ranges(void)
{
    make_space(0x1000, 0x1000, 0x1400, 0x100);
    EQ(gpuvm_warnings(vm), 0);
    EQ(gpuvm_range_valid(vm, 0x1000, 0x400), true);
    EQ(gpuvm_range_valid(vm, 0x1000, 0x401), false);
    EQ(gpuvm_range_valid(vm, 0x14ff, 1), false);
    EQ(gpuvm_range_valid(vm, 0x1500, 0xb00), true);
    EQ(gpuvm_range_valid(vm, 0x1500, 0xb01), false);
    EQ(gpuvm_range_valid(vm, 0xfff, 1), false);
    EQ(gpuvm_range_valid(vm, 0x1400, 0), true);
    EQ(gpuvm_range_valid(vm, 0x1450, 0), false);
    EQ(gpuvm_range_valid(vm, 0x2000, 0), true);
    EQ(gpuvm_range_valid(vm, 0x1800, UINT64_MAX), false);
    end_space();
    make_space(0, UINT64_MAX, 0, 0);
    EQ(gpuvm_range_valid(vm, UINT64_MAX, 1), false); /* ends at 2^64 */
    EQ(gpuvm_range_valid(vm, UINT64_MAX - 1, 1), true);
    gpuvm_va va = insert(UINT64_MAX - 1, 1, a, 0);
    EQ(gpuvm_find_first(vm, UINT64_MAX - 1, 1), va);
    EQ(gpuvm_find_first(vm, UINT64_MAX, 1), 0);
    insert(0, UINT64_MAX - 1, b, 0);
    end_space();
}

static void odd_windows(void)
{
    make_space(UINT64_MAX - 10, 100, 0, 0);
    EQ(gpuvm_warnings(vm), GPUVM_WARN_WINDOW_WRAPS);
    EQ(gpuvm_range_valid(vm, UINT64_MAX - 10, 1), false);
    EQ(gpuvm_range_valid(vm, 0, 0), false);
    EQ(gpuvm_insert(vm, UINT64_MAX - 10, 1, a, 0, NULL), -EINVAL);
    end_space();
    make_space(0, 1000, UINT64_MAX - 10, 111); /* its end, as computed: 100 */
    EQ(gpuvm_warnings(vm), GPUVM_WARN_KERNEL_WRAPS);
    EQ(gpuvm_find_first(vm, 0, 0), 0);
    EQ(gpuvm_remove(vm, GPUVM_VA_KERNEL), -ENOENT);
    EQ(gpuvm_range_valid(vm, 0, 10), true); /* the formula: below its end, but its start is not below 10 */
    end_space();
    make_space(0, UINT64_MAX, UINT64_MAX - 10, UINT64_MAX); /* its end, as computed, is behind all small addresses */
    EQ(gpuvm_range_valid(vm, 100, UINT64_MAX - 105), false);
    EQ(gpuvm_range_valid(vm, 100, 100), true);
    end_space();
}

static void reserved_range(void)
{
    char text[TEXT];
    make_space(100, 100, 50, 100); /* need not lie in the window */
    struct gpuvm_mapping m = get(GPUVM_VA_KERNEL);
    EQ(m.addr, 50);
    EQ(m.range, 100);
    EQ(gpuvm_count(vm), 0);
    EQ(gpuvm_find(vm, 50, 100), GPUVM_VA_KERNEL);
    EQ(gpuvm_interval_empty(vm, 60, 1), false);
    EQ(gpuvm_remove(vm, GPUVM_VA_KERNEL), -EPERM);
    EQ(gpuvm_insert(vm, 149, 2, a, 0, NULL), -EINVAL);
    struct gpuvm_req q = {149, 10, 0, a, MAP};
    EQ(gpuvm_exec(vm, &q, 1, NULL, NULL), -EINVAL);
    insert(150, 10, a, 0);
    EQ(gpuvm_prefetch_ops(vm, 0, 1000, &ops), 2); /* no range check, the reserved one included */
    print_ops(text, &ops);
    CHECK(!strcmp(text, "PREFETCH [50 100 - 0]; PREFETCH [150 10 a 0]"), "%s", text);
    EQ(gpuvm_prefetch_ops(vm, 0, 0, &ops), 0);
    EQ(gpuvm_prefetch_ops(vm, 155, 0, &ops), 1); /* strictly inside */
    EQ(gpuvm_ops_apply(vm, &ops), 0); /* changes nothing */
    gpuvm_ops_revert(vm, &ops, 0);
    EQ(gpuvm_count(vm), 1);
    end_space();
}

static void pairs(void)
{
    make_space(0, 1000, 0, 0);
    gpuvm_bo c;
    EQ(gpuvm_bo_cookie(vm, a), 'a');
    EQ(gpuvm_bo_cookie(vm, 99), 0);
    EQ(gpuvm_bo_destroy(vm, 99), -ENOENT);
    EQ(gpuvm_bo_destroy(vm, GPUVM_BO_NONE), -ENOENT);
    EQ(gpuvm_insert(vm, 0, 10, 99, 0, NULL), -ENOENT);
    EQ(gpuvm_bo_unmap_ops(vm, 99, &ops), -ENOENT);
    EQ(gpuvm_bo_unmap_ops(vm, GPUVM_BO_NONE, &ops), -ENOENT);
    gpuvm_va x = insert(500, 10, a, 0), y = insert(0, 10, a, 0), z = insert(200, 10, a, 0);
    insert(300, 10, GPUVM_BO_NONE, 0); /* never linked */
    EQ(gpuvm_bo_first(vm, a), x);
    EQ(gpuvm_bo_next(vm, x), y);
    EQ(gpuvm_bo_next(vm, y), z);
    EQ(gpuvm_bo_next(vm, z), 0);
    EQ(gpuvm_bo_count(vm, a), 3);
    EQ(gpuvm_bo_destroy(vm, a), -EBUSY);
    EQ(gpuvm_remove(vm, y), 0);
    EQ(gpuvm_bo_next(vm, x), z);
    char text[TEXT];
    EQ(gpuvm_bo_unmap_ops(vm, a, &ops), 2);
    print_ops(text, &ops);
    CHECK(!strcmp(text, "UNMAP [500 10 a 0]; UNMAP [200 10 a 0]"), "%s", text);
    EQ(gpuvm_ops_apply(vm, &ops), 0);
    EQ(gpuvm_bo_count(vm, a), 0);
    EQ(gpuvm_bo_destroy(vm, a), -EBUSY); /* victims refer to it */
    EQ(get(x).addr, 500);
    gpuvm_ops_commit(vm, &ops);
    EQ(gpuvm_get(vm, x, &(struct gpuvm_mapping){0}), -ENOENT);
    EQ(gpuvm_bo_destroy(vm, a), 0);
    EQ(gpuvm_bo_create(vm, 'c', &c), 0);
    EQ(gpuvm_bo_cookie(vm, c), 'c');
    end_space();
}

/* A REMAP links prev, then next, then unlinks the victim; a MAP links at the tail: so the order is as in the kernel. */
static void link_order_and_undo(void)
{
    make_space(0, 1000, 0, 0);
    gpuvm_va v[4];
    for (int i = 0; i < 4; i++) {
        v[i] = insert((uint64_t)(300 - 100 * i), 100, a, (uint64_t)i * 100);
        *(int *)gpuvm_user(vm, v[i]) = 10 + i;
    }
    struct gpuvm_req q[2] = {{150, 100, 7, a, MAP}, {20, 10, 0, 0, UNMAP}};
    size_t failed;
    EQ(gpuvm_exec(vm, q, 2, &ops, &failed), 4);
    static const uint64_t order[] = {300, 100, 250, 150, 0, 30}, user[] = {10, 12, 11, 0, 13, 13};
    int n = 0;
    for (gpuvm_va va = gpuvm_bo_first(vm, a); va; va = gpuvm_bo_next(vm, va), n++) {
        CHECK(n < 6 && get(va).addr == order[n], "place %d has %llu", n, (unsigned long long)get(va).addr);
        EQ(*(int *)gpuvm_user(vm, va), user[n]);
    }
    EQ(n, 6);
    struct gpuvm_mapping victim = get(ops.op[0].va);
    EQ(victim.addr, 100);
    EQ(victim.range, 100);
    EQ(victim.bo, a);
    gpuvm_ops_revert(vm, &ops, 3); /* the unmap only */
    EQ(ops.count, 3);
    CHECK(ops.applied == vm, "still applied");
    EQ(gpuvm_find(vm, 0, 100), v[3]);
    gpuvm_ops_revert(vm, &ops, 0);
    CHECK(!ops.applied, "a list undone whole is empty");
    gpuvm_va va = gpuvm_bo_first(vm, a);
    for (int i = 0; i < 4; i++, va = gpuvm_bo_next(vm, va)) {
        EQ(va, v[i]);
        EQ(get(va).addr, 300 - 100 * i);
        EQ(*(int *)gpuvm_user(vm, va), 10 + i);
    }
    EQ(va, 0);
    end_space();
}

static void list_rules(void)
{
    make_space(0, 1000, 0, 0);
    struct gpuvm_req q[3] = {{0, 10, 0, a, MAP}, {10, 10, 0, a, MAP}, {990, 11, 0, a, MAP}}, bad = {0, 1, 0, 0, 3};
    size_t failed = 9;
    EQ(gpuvm_exec(vm, q, 3, &ops, &failed), -EINVAL);
    EQ(failed, 2);
    EQ(gpuvm_count(vm), 0);
    EQ(gpuvm_exec(vm, &bad, 1, NULL, &failed), -EINVAL);
    EQ(gpuvm_sm_ops(vm, &bad, &ops), -EINVAL);
    q[1].bo = 77;
    EQ(gpuvm_exec(vm, q, 2, NULL, &failed), -ENOENT);
    EQ(failed, 1);
    EQ(gpuvm_sm_ops(vm, &q[1], &ops), -ENOENT);
    EQ(gpuvm_sm_ops(vm, &q[0], &ops), 1);
    EQ(gpuvm_exec(vm, q, 1, &ops, &failed), -EINVAL); /* a dry list with ops */
    insert(5, 10, b, 0);
    EQ(gpuvm_ops_apply(vm, &ops), -EINVAL); /* does not fit any more */
    EQ(ops.count, 1);
    EQ(gpuvm_sm_ops(vm, &q[0], &ops), 2);
    EQ(gpuvm_ops_apply(vm, &ops), 0);
    EQ(gpuvm_ops_apply(vm, &ops), -EINVAL); /* not dry */
    EQ(gpuvm_sm_ops(vm, &q[0], &ops), -EINVAL);
    EQ(gpuvm_prefetch_ops(vm, 0, 1, &ops), -EINVAL);
    EQ(gpuvm_bo_unmap_ops(vm, a, &ops), -EINVAL);
    gpuvm_ops_commit(vm, &ops);
    EQ(gpuvm_insert(vm, 9, 5, a, 0, NULL), -EEXIST);
    EQ(gpuvm_insert(vm, 9, 0, a, 0, NULL), -EINVAL);
    EQ(gpuvm_remove(vm, 0), -ENOENT);
    EQ(gpuvm_remove(vm, 12345), -ENOENT);
    struct gpuvm_steps some = {NULL, on_step, on_step}, few = {on_step, NULL, on_step};
    EQ(gpuvm_sm_map(vm, &q[0], &some, NULL), -EINVAL);
    EQ(gpuvm_sm_unmap(vm, 500, 1, &some, NULL), 0); /* nothing there; map is not needed */
    EQ(gpuvm_sm_unmap(vm, 500, 1, &few, NULL), -EINVAL);
    q[0].kind = UNMAP;
    EQ(gpuvm_sm_map(vm, &q[0], &steps, NULL), -EINVAL);
    struct gpuvm_config config = {.size = 1};
    struct gpuvm *other;
    EQ(gpuvm_create(&config, &other), -EINVAL);
    config = (struct gpuvm_config){.size = sizeof config, .range = 100, .user_size = 4097};
    EQ(gpuvm_create(&config, &other), -EINVAL);
    config.user_size = 0;
    EQ(gpuvm_create(&config, &other), 0);
    EQ(gpuvm_exec(vm, q, 1, &ops, NULL), 1);
    EQ(gpuvm_exec(other, q, 1, &ops, NULL), -EINVAL); /* a list of another space */
    EQ(gpuvm_user(other, GPUVM_VA_KERNEL) == NULL, true);
    gpuvm_destroy(other);
    gpuvm_destroy(NULL);
    end_space();
}

/* Pieces that a split of the current mapping leaves are not visited; removal is safe; so is emptying all. */
static void iteration(void)
{
    enum { N = 200 };
    make_space(0, 100 * N, 0, 0);
    for (int i = 0; i < N; i++)
        insert((uint64_t)i * 10, 10, i % 2 ? a : b, 0);
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    int n = 0;
    gpuvm_iter_init(&it, vm, 0, 0);
    while (gpuvm_iter_next(&it, &m)) {
        EQ(m.addr, n++ * 10);
        struct gpuvm_req q = {m.addr + 4, 2, 0, 0, UNMAP};
        EQ(gpuvm_exec(vm, &q, 1, NULL, NULL), 1);
    }
    EQ(n, N);
    EQ(gpuvm_count(vm), 2 * N);
    gpuvm_iter_init(&it, vm, 5, 12); /* [5, 17) */
    for (n = 0; gpuvm_iter_next(&it, &m); n++)
        EQ(m.addr, n == 0 ? 6 : n == 1 ? 10 : 16);
    EQ(n, 3);
    struct gpuvm_run run;
    gpuvm_iter_init(&it, vm, 0, 0);
    for (n = 0; gpuvm_iter_run(&it, &run); n += (int)run.count)
        for (size_t i = 0; i < run.count; i++)
            EQ(get(run.va[i]).addr, run.start[i]);
    EQ(n, 2 * N);
    gpuvm_iter_init(&it, vm, 0, 0);
    for (n = 0; gpuvm_iter_next(&it, &m); n++)
        EQ(gpuvm_remove(vm, m.va), 0);
    EQ(n, 2 * N);
    EQ(gpuvm_count(vm), 0);
    gpuvm_iter_init(&it, vm, 0, 0);
    EQ(gpuvm_iter_next(&it, &m), false);
    end_space();
}

static int insert_more(void *priv, const struct gpuvm_op *op)
{
    (void)op;
    return gpuvm_insert(priv, 500, 1, 0, 0, NULL);
}

/* What a callback may not do is refused, and harms nothing. */
static void callbacks_may_not_change_the_space(void)
{
    static const struct gpuvm_steps bad = {insert_more, insert_more, insert_more};
    make_space(0, 1000, 0, 0);
    insert(0, 10, a, 0);
    struct gpuvm_req q = {0, 20, 0, b, MAP};
    EQ(gpuvm_sm_map(vm, &q, &bad, vm), -EINVAL);
    EQ(gpuvm_count(vm), 2);
    end_space();
}

static void sequence_tells_the_younger(void)
{
    make_space(0, 1000, 0, 0);
    gpuvm_va x = insert(0, 10, a, 0), y = insert(10, 10, a, 0);
    CHECK(get(x).seq < get(y).seq, "%u, %u", get(x).seq, get(y).seq);
    EQ(gpuvm_remove(vm, y), 0);
    gpuvm_va z = insert(20, 10, a, 0);
    CHECK(get(z).seq > get(x).seq + 1, "%u", get(z).seq);
    EQ(gpuvm_version(), GPUVM_VERSION);
    end_space();
}

int main(void)
{
    split_tables();
    lookups_are_the_kernels();
    ranges();
    odd_windows();
    reserved_range();
    pairs();
    link_order_and_undo();
    list_rules();
    iteration();
    sequence_tells_the_younger();
    callbacks_may_not_change_the_space();
    return 0;
}
