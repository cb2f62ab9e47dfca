/*
 * The walker that shows every step. Reads nothing outside the space's windows, ends after at most one step a level:
 * tables may hold anything.
 */
#include "format_private.h"

const char *nvmmu_fault_name(enum nvmmu_fault fault)
{
    static const char *const names[] = {"PDE", "PDE_SIZE", "PTE", "VA_LIMIT_VIOLATION"};

    return (unsigned)fault < sizeof(names) / sizeof(names[0]) ? names[fault] : NULL;
}

const uint64_t *nvmmu__window_search(const struct nvmmu_space *s, unsigned aperture, uint64_t addr, uint64_t size)
{
    const uint64_t *at = NULL;

    for (size_t i = 0; i < s->window_count && !at; i++)
        at = nvmmu__window_holds(&s->windows[i], aperture, addr, size);
    return at;
}

static void unmapped(struct nvmmu_walk *w, enum nvmmu_fault fault, enum nvmmu_level level, unsigned shift)
{
    w->state = NVMMU_UNMAPPED;
    w->fault = fault;
    w->level = level;
    w->shift = shift;
}

static void mapped(struct nvmmu_walk *w, uint64_t va, const struct nvmmu_step *step, unsigned shift)
{
    w->state = NVMMU_MAPPED;
    w->level = step->level;
    w->shift = shift;
    w->page = step->entry.page;
    w->pa = step->entry.page.addr + (va & ((1ull << (shift + step->entry.page.block)) - 1));
}

static void sparse(struct nvmmu_walk *w, enum nvmmu_level level, unsigned shift)
{
    w->state = NVMMU_SPARSE;
    w->level = level;
    w->shift = shift;
}

/* Reads the entry for `va` of the table that `to` points at. NULL: outside every window. */
static struct nvmmu_step *step_into(const struct nvmmu_space *s, const struct nvmmu_level_info *l,
                                    const struct nvmmu_pde *to, uint64_t va, struct nvmmu_walk *w)
{
    const uint64_t *table = nvmmu__window_at(s, to->aperture, to->addr, nvmmu__table_bytes(l) >> to->size);
    struct nvmmu_step *step = &w->step[w->step_count];
    unsigned words = l->entry_bytes / 8u;

    if (!table)
        return NULL;
    w->step_count++;
    step->level = l->level;
    step->aperture = to->aperture;
    step->table = to->addr;
    step->index = (uint32_t)nvmmu__index(l, va);
    step->word[0] = s->format->gart ? s->format->gart->load(table, step->index)
                                    : nvmmu__load(table + step->index * words);
    step->word[1] = words == 2 ? nvmmu__load(table + step->index * words + 1) : 0;
    s->format->decode(s->format, l->level, step->word, &step->entry);
    return step;
}

/* Leaf tables may be short. */
static bool is_beyond(unsigned pd0_shift, const struct nvmmu_entry *e, uint64_t va)
{
    unsigned size = e->next.present ? e->next.size : e->big.size;

    return size && (va & ((1ull << pd0_shift) - 1)) >> (pd0_shift - size);
}

/* PD0's entry points at one or two leaf tables: the LPT's entry decides, unless it leaves it to the SPT. */
static void walk_leaf(const struct nvmmu_space *s, uint64_t va, const struct nvmmu_entry *pd0, struct nvmmu_walk *w)
{
    const struct nvmmu_level_info *lpt = &s->format->level[s->format->level_count - 2];
    const struct nvmmu_level_info *l = pd0->big.present ? lpt : lpt + 1;
    const struct nvmmu_step *step, *small;
    unsigned shift = lpt->shift + lpt->index_bits;

    if (is_beyond(shift, pd0, va)) {
        unmapped(w, NVMMU_FAULT_PDE_SIZE, NVMMU_PD0, shift);
        return;
    }
    step = step_into(s, l, pd0->big.present ? &pd0->big : &pd0->next, va, w);
    /* As for the quick walk, an SPT outside every window is one that is not there. */
    if (step && l == lpt && step->entry.state == NVMMU_ENTRY_INVALID && pd0->next.present &&
        (small = step_into(s, l + 1, &pd0->next, va, w))) {
        l++;
        step = small;
    }
    if (!step)
        unmapped(w, NVMMU_FAULT_PDE, l[0].level, l[0].shift);
    else if (step->entry.state == NVMMU_ENTRY_PAGE)
        mapped(w, va, step, l->shift);
    else if (step->entry.state == NVMMU_ENTRY_SPARSE)
        sparse(w, l->level, l->shift);
    else
        unmapped(w, NVMMU_FAULT_PTE, l->level, l->shift);
}

void nvmmu_walk(const struct nvmmu_space *s, uint64_t va, struct nvmmu_walk *out)
{
    const struct nvmmu_format *f = s->format;
    struct nvmmu_pde to = {.addr = s->root, .aperture = s->root_aperture, .present = true};
    struct nvmmu_entry root = {.next = to};

    *out = (struct nvmmu_walk){0};
    if (va >> f->va_bits) {
        unmapped(out, NVMMU_FAULT_VA_LIMIT, f->level[f->gart ? 1 : 0].level, f->va_bits);
        return;
    }
    for (unsigned i = 0; i < f->level_count - 2u; i++) {
        const struct nvmmu_level_info *l = &f->level[i];
        const struct nvmmu_step *step = step_into(s, l, &to, va, out);

        if (!step) {
            unmapped(out, NVMMU_FAULT_PDE, l->level, l->shift);
            return;
        }
        switch (step->entry.state) {
        case NVMMU_ENTRY_TABLE:
            to = step->entry.next;
            continue;
        case NVMMU_ENTRY_PAGE:
            mapped(out, va, step, l->shift);
            return;
        case NVMMU_ENTRY_SPARSE:
            sparse(out, l->level, l->shift);
            return;
        default:
            unmapped(out, step->word[0] & f->page_bit ? NVMMU_FAULT_PDE_SIZE : NVMMU_FAULT_PDE, l->level, l->shift);
            return;
        }
    }
    walk_leaf(s, va, out->step_count ? &out->step[out->step_count - 1].entry : &root, out);
}

void nvmmu_translate(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out)
{
    s->format->walks->translate(s, va, out);
}

/* ---- the cursor ------------------------------------------------------------------------------------------- */

void nvmmu_cursor_init(struct nvmmu_cursor *c, const struct nvmmu_space *s)
{
    const struct nvmmu_walks *walks = s->format->walks;

    c->space = *s;
    c->reading = walks->reading;
    c->tell = walks->reading.valid | walks->reading.system | walks->reading.block;
    c->seek = walks->seek;
    walks->look(s, &c->views);
    nvmmu_cursor_forget(c);
}

void nvmmu_cursor_forget(struct nvmmu_cursor *c)
{
    c->span = 0;
    c->last = ~0ull;
    for (unsigned i = 0; i < NVMMU_CURSOR_DIRECTORIES; i++)
        c->directory[i] = (struct nvmmu_cursor_directory){~0ull, NULL};
}

struct nvmmu_leaf nvmmu__cursor_far(struct nvmmu_cursor *c, uint64_t va)
{
    const struct nvmmu_format *f = c->space.format;
    const struct nvmmu_level_info *pd0 = &f->level[f->level_count - 3];
    uint64_t directory = va >> (pd0->shift + pd0->index_bits);
    struct nvmmu_spot spot;
    const uint64_t *table = f->walks->directory(&c->space, &c->views, va, &spot);

    if (!table)
        return (struct nvmmu_leaf){0};
    c->directory[directory % NVMMU_CURSOR_DIRECTORIES] = (struct nvmmu_cursor_directory){directory, table};
    return c->seek(c, va);
}
