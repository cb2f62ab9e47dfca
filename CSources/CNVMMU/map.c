/*
 * Entries of referenced pages: written by map, cleared by unmap. Everything is checked before the first entry
 * changes; nothing is allocated. Parts of an object that are mapped in a row share what was found for the one before:
 * the source, the piece of memory and the table.
 */
#include <errno.h>

#include "vmm_private.h"

/* ---- what map was asked for --------------------------------------------------------------------------------- */

/* Where in the object we are. */
struct place {
    const struct nvmmu_piece *piece;
    uint64_t offset; /* into *piece */
};

/* A part that was checked. */
struct plan {
    const struct source *source;
    struct place first;
    unsigned depth, h;
};

/* Where entries of one table show one piece of memory, by pages of one size and kind. */
struct spot {
    uint64_t va, covers;    /* of the table; covers 0: there is no spot */
    uint64_t offset, bytes; /* of the object. All of that suits */
    unsigned shift;
    uint8_t kind;
    uint8_t h;
    const struct shape *sh;
    struct table *t;
    uint64_t word, step; /* of the page at `offset`, and what each further one adds */
};

/* Parts of an object that are mapped in a row. */
struct row {
    const struct nvmmu_map *m; /* but for what each part has itself */
    uint64_t asked;
    const struct nvmmu_piece *piece; /* that the last one began in, if it was looked for, */
    uint64_t begin;                  /* which begins so far into the object */
    struct spot spot;
};

/* The kind as it is written, and its tags. `plain` is the uncompressed kind. */
static int kind_init(const struct nvmmu_vmm *vmm, const struct nvmmu_map *m, unsigned kind, unsigned plain,
                     struct source *s)
{
    const struct nvmmu_format *f = vmm->format;
    bool compressible = plain != kind, keep = vmm->gsp_rm || f->traits & NVMMU_TRAIT_PCF;

    if (compressible && f->traits & NVMMU_TRAIT_OBJECT_TAGS) {
        if (s->pte.aperture != NVMMU_VRAM || !(vmm->pages_of[s->shift].flags & NVMMU_PAGE_COMP))
            return -EINVAL;
        keep = m->comptags;
        s->tags = keep ? TAGS_BY_OFFSET : UNTAGGED;
    } else if (compressible && keep && f->traits & NVMMU_TRAIT_TAGS && s->shift >= 16) {
        s->tags = TAGS_BY_ADDRESS; /* a line for every 64 KiB of VRAM; smaller pages get none */
    }
    s->pte.kind = (uint16_t)(keep ? kind : plain);
    return 0;
}

/* Tesla: VRAM must suit the kind, and compression is a mode beside it. */
static int storage_init(const struct nvmmu_vmm *vmm, const struct nvmmu_map *m, unsigned kind, struct source *s)
{
    bool vram = m->target == NVMMU_VRAM;

    if (vram && nvmmu_kind_storage(vmm->format, kind) != (m->storage ? m->storage : 1))
        return -EINVAL;
    if (vram && vmm->stolen) {
        s->base = vmm->stolen;
        s->pte.aperture = NVMMU_NCOH;
    }
    s->pte.kind = (uint16_t)kind;
    s->pte.comp = m->defaults ? 0 : m->comp;
    if (!s->pte.comp)
        return 0;
    s->tags = TAGS_BY_OFFSET;
    return s->pte.aperture == NVMMU_VRAM && vmm->pages_of[s->shift].flags & NVMMU_PAGE_COMP ? 0 : -EINVAL;
}

static int attributes_init(const struct nvmmu_vmm *vmm, const struct nvmmu_map *m, const struct nvmmu_part *p,
                           struct source *out)
{
    const struct nvmmu_format *f = vmm->format;
    unsigned kind = m->defaults ? 0 : p->kind;
    bool by_target = (m->defaults || f->traits & NVMMU_TRAIT_PCF) && !(f->traits & NVMMU_TRAIT_NO_VOL);
    uint8_t need = m->target == NVMMU_VRAM ? NVMMU_PAGE_VRAM : NVMMU_PAGE_HOST;
    int plain = nvmmu_kind_uncompressed(f, kind);

    if (m->target > NVMMU_NCOH || f->aperture[m->target] == NVMMU_REFUSED ||
        !(vmm->pages_of[p->shift].flags & need) || plain < 0)
        return -EINVAL;
    *out = (struct source){
        .shift = p->shift,
        .comptag = m->comptag,
        .pte = {
            .aperture = f->aperture[m->target],
            .vol = by_target ? m->target == NVMMU_HOST : !m->defaults && m->vol,
            .ro = !m->defaults && m->ro,
            .priv = !m->defaults && m->priv,
            .acd = f->traits & NVMMU_TRAIT_PCF,
        },
    };
    if (out->pte.vol && f->traits & NVMMU_TRAIT_NO_VOL)
        return -EINVAL;
    if (f->gart && (out->pte.ro || out->pte.priv))
        return -EINVAL; /* nouveau takes empty arguments only */
    if (f->kinds->storage)
        return storage_init(vmm, m, kind, out);
    return kind_init(vmm, m, kind, (unsigned)plain, out);
}

/* The tag field of the page at `offset` into the object. Halves go (t, 0) (t + 1, 1) (t + 1, 0) (t + 2, 1) …, as
 * nouveau writes them. */
static uint32_t object_tag(const struct nvmmu_format *f, const struct source *s, uint64_t offset)
{
    const uint32_t too_wide = UINT32_MAX, upper_half = 1u << 16;
    uint64_t n = offset >> s->shift, line = s->comptag + n * (s->pte.comp ? s->pte.comp : 1);

    if (s->shift == 16 && f->traits & NVMMU_TRAIT_TAG_HALVES) {
        line = s->comptag + (n + 1) / 2;
        return line >> 16 ? too_wide : (uint32_t)line | (n & 1 ? upper_half : 0);
    }
    return line > too_wide ? too_wide : (uint32_t)line;
}

/* The page at `addr`, `offset` into the object. */
static struct nvmmu_pte source_pte(const struct nvmmu_format *f, const struct source *s, uint64_t addr, uint64_t offset)
{
    struct nvmmu_pte pte = s->pte;

    pte.addr = addr + s->base;
    if (s->tags == TAGS_BY_ADDRESS)
        pte.comptag = (uint32_t)(1 + (addr >> 16));
    else if (s->tags == TAGS_BY_OFFSET)
        pte.comptag = object_tag(f, s, offset);
    return pte;
}

static int source_word(const struct nvmmu_format *f, const struct source *s, uint64_t addr, uint64_t offset,
                       uint64_t *word)
{
    struct nvmmu_pte pte = source_pte(f, s, addr, offset);

    return pte.addr < addr ? -EINVAL : f->pte_encode(f, &pte, word);
}

/* Words of pages in a row. Halves of lines do not rise evenly. */
static int words_init(const struct nvmmu_format *f, struct source *s)
{
    uint64_t page = 1ull << s->shift, next;

    if (source_word(f, s, 0, 0, &s->word))
        return -EINVAL;
    s->step = page >> f->address_shift;
    if (s->tags && !source_word(f, s, page, page, &next)) /* -EINVAL: there is no second page */
        s->step = next - s->word;
    s->each = f->gart || (s->tags == TAGS_BY_OFFSET && s->shift == 16 && f->traits & NVMMU_TRAIT_TAG_HALVES);
    s->even = !s->each && s->tags != TAGS_BY_OFFSET;
    s->plain = s->even && !s->tags && !f->block_low;
    return 0;
}

/* Of a source, but for the size and the kind of its pages. */
static uint64_t asked_of(const struct nvmmu_map *m)
{
    return 1 | (uint64_t)m->vol << 1 | (uint64_t)m->ro << 2 | (uint64_t)m->priv << 3 | (uint64_t)m->defaults << 4 |
           (uint64_t)m->comptags << 5 | (uint64_t)m->target << 24 | (uint64_t)m->storage << 32 | (uint64_t)m->comp << 40;
}

/* NULL: what is asked for is refused. */
static const struct source *source_of(struct nvmmu_vmm *vmm, const struct row *row, const struct nvmmu_part *p)
{
    struct source *s = &vmm->source;
    uint64_t asked = row->asked | (uint64_t)p->shift << 8 | (uint64_t)p->kind << 16;

    if (s->asked == asked && s->comptag == row->m->comptag)
        return s;
    if (attributes_init(vmm, row->m, p, s) || words_init(vmm->format, s)) {
        s->asked = 0;
        return NULL;
    }
    s->asked = asked;
    return s;
}

/* ---- the object's memory ------------------------------------------------------------------------------------ */

/* Where it is `offset` into the object, or behind its last piece. */
static inline struct place place_at(struct row *row, uint64_t offset)
{
    const struct nvmmu_piece *end = row->m->pieces + row->m->piece_count;

    if (offset < row->begin)
        row->piece = row->m->pieces, row->begin = 0;
    for (; row->piece < end && offset - row->begin >= row->piece->size; row->piece++)
        row->begin += row->piece->size;
    return (struct place){row->piece, offset - row->begin};
}

/* The aperture has no such addresses, given those or-ed together that bound the memory. */
static bool too_high(const struct nvmmu_format *f, const struct source *s, uint64_t any)
{
    return any >> f->address_bits[s->pte.aperture];
}

/* Tags rise with the address or the offset: the last speak for all. */
static int pieces_check(const struct nvmmu_format *f, const struct source *s, const struct nvmmu_map *m,
                        const struct nvmmu_part *p, const struct place *first)
{
    const struct nvmmu_piece *piece = first->piece, *end = m->pieces + m->piece_count;
    const uint64_t page = 1ull << s->shift;
    uint64_t left = p->size, begin = first->offset, any = 0, odd = 0, highest = 0, word;

    for (; left && piece < end; piece++, begin = 0) {
        uint64_t addr = piece->addr + begin, n = piece->size - begin < left ? piece->size - begin : left;

        if (!n)
            continue;
        any |= piece->addr | addr; /* the last byte is highest, or further than it fits */
        odd |= addr | n;
        highest = addr + (n - 1) > highest ? addr + (n - 1) : highest;
        left -= n;
    }
    if (left || odd & (page - 1) || too_high(f, s, any | highest | (highest + s->base)))
        return -EINVAL;
    return s->tags ? source_word(f, s, highest + 1 - page, p->offset + p->size - page, &word) : 0;
}

static int pages_check(const struct nvmmu_vmm *vmm, const struct source *s, const struct nvmmu_map *m,
                       const struct nvmmu_part *p)
{
    const uint64_t *page = m->pages + (p->offset >> 12);
    size_t n = p->size >> 12;
    uint64_t any;

    if (p->offset >> 12 > m->page_count || n > m->page_count - (p->offset >> 12))
        return -EINVAL;
    any = vmm->stores->any(page, n);
    for (size_t i = 0; s->base && i < n; i++)
        any |= page[i] + s->base;
    return any & 0xfff || too_high(vmm->format, s, any) ? -EINVAL : 0;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* n entries one by one: tags need not rise evenly, nor entries be 64-bit words. Such entries have one word. */
static void write_each(struct nvmmu_vmm *vmm, const struct source *s, struct table *t, unsigned h, uint32_t i,
                       uint32_t n, uint64_t addr, uint64_t offset)
{
    uint64_t word;

    for (uint64_t k = 0; k < n; k++) {
        source_word(vmm->format, s, addr + (k << s->shift), offset + (k << s->shift), &word);
        if (vmm->format->gart)
            vmm->format->gart->store(t->hw[h].cpu, i + (uint32_t)k, word);
        else
            nvmmu__store(entry_at(shape_of(vmm, t), t, h, i + (uint32_t)k), word);
    }
}

/* n entries in runs: as many as a power of two of them, aligned to that, say the same. `word` is the first page's, on its
 * own. */
static void write_blocks(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n, uint64_t word,
                         uint64_t step)
{
    const struct shape *sh = shape_of(vmm, t);
    const unsigned largest = 7;

    while (n) {
        unsigned aligned = (unsigned)__builtin_ctz(i | 1u << largest), fits = 31 - (unsigned)__builtin_clz(n);
        uint64_t block = fits < aligned ? fits : aligned;
        uint32_t run = 1u << block;
        uint64_t *at = entry_at(sh, t, h, i);

        vmm->stores->fill(&at, 1, run, word | block << vmm->format->block_low);
        i += run;
        n -= run;
        word += run * step;
    }
}

/* Entries up to i, or from i on, will change: a run that goes over i becomes two. */
static void block_cut(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i)
{
    const struct nvmmu_format *f = vmm->format;
    const struct shape *sh = shape_of(vmm, t);
    struct nvmmu_entry e;
    uint64_t word, next;
    uint32_t first, n;

    if (i == sh->entries[h] || !entry_is_page(vmm, sh, t, h, i))
        return;
    n = 1u << nvmmu__block(f, *entry_at(sh, t, h, i));
    first = i & ~(n - 1);
    if (i == first)
        return;
    f->decode(f, sh->level[h]->level, (uint64_t[2]){*entry_at(sh, t, h, i), 0}, &e);
    e.page.block = 0;
    f->pte_encode(f, &e.page, &word);
    e.page.addr += entry_bytes_of_va(sh, h);
    e.page.comptag += e.page.comp;
    f->pte_encode(f, &e.page, &next);
    write_blocks(vmm, t, h, first, i - first, word, next - word);
    write_blocks(vmm, t, h, i, n - (i - first), word + (i - first) * (next - word), next - word);
    wrote(vmm, t, h, first, n);
}

static void blocks_cut(struct nvmmu_vmm *vmm, const struct span *s)
{
    for (uint32_t k = 0; vmm->format->block_low && k < s->tables; k++) {
        block_cut(vmm, s->slot[k], s->h, s->c.index);
        block_cut(vmm, s->slot[k], s->h, s->c.index + s->c.count);
    }
}

/* The list goes on with the step's first page. */
static void write_pages(struct nvmmu_vmm *vmm, const struct source *s, const struct span *to, const uint64_t *page)
{
    const struct chunk c = to->c;

    for (uint32_t k = 0; k < to->tables; k++, page += c.count) {
        struct table *t = to->slot[k];

        if (!s->each && !s->base)
            vmm->stores->list(entry_at(to->sh, t, to->h, c.index), c.count, s->word, page, vmm->format->address_shift);
        for (uint32_t i = 0; (s->each || s->base) && i < c.count; i++)
            write_each(vmm, s, t, to->h, c.index + i, 1, page[i], 0);
    }
}

/* Rows of n entries in memory become words that rise from entry to entry, from row to row too. */
static inline void words_ramp(const struct nvmmu_vmm *vmm, const struct shape *sh, uint64_t *const *at, size_t rows,
                              size_t n, uint64_t word, uint64_t step)
{
    if (n == 1 && rows == 1)
        entry_write(at[0], sh->words, word);
    else if (sh->words == 1)
        vmm->stores->ramp(at, rows, n, word, step);
    else
        for (size_t r = 0; r < rows; r++, word += n * step)
            vmm->stores->ramp_pairs(at[r], n, word, step);
}

/* n entries from the i-th on of each of some tables in a row, from memory that begins `offset` into the object. */
static void write_run(struct nvmmu_vmm *vmm, const struct source *s, struct table **t, uint32_t tables, unsigned h,
                      uint32_t i, uint32_t n, uint64_t addr, uint64_t offset)
{
    const struct shape *sh = shape_of(vmm, t[0]);
    const uint64_t size = (uint64_t)n << s->shift;
    uint64_t word = s->word + (addr >> s->shift) * s->step, *at[SPAN_TABLES];

    if (!s->even && !s->each)
        source_word(vmm->format, s, addr, offset, &word);
    if (!s->each && !vmm->format->block_low) {
        rows_at(sh, t, tables, h, i, at);
        words_ramp(vmm, sh, at, tables, n, word, s->step);
        return;
    }
    for (uint32_t k = 0; k < tables; k++, word += n * s->step, addr += size, offset += size) {
        if (s->each)
            write_each(vmm, s, t[k], h, i, n, addr, offset);
        else
            write_blocks(vmm, t[k], h, i, n, word, s->step);
    }
}

static void write_pieces(struct nvmmu_vmm *vmm, const struct source *s, const struct span *to, struct place *at,
                         uint64_t offset)
{
    const uint64_t word = s->word, step = s->step, page = 1ull << s->shift;
    const unsigned shift = s->shift, words = to->sh->words;
    const uint32_t count = to->c.count;
    const bool even = s->even;
    const struct nvmmu_piece *piece = at->piece;
    uint64_t begin = at->offset; /* in the piece */

    for (uint32_t k = 0, i = 0; k < to->tables;) {
        uint64_t *entry = entry_at(to->sh, to->slot[k], to->h, to->c.index);
        uint64_t pages, tables = 1;
        uint32_t n;

        /* Pieces of one page are common. */
        for (; i < count && even && piece->size == page; piece++, i++)
            entry_write(&entry[i * words], words, word + (piece->addr >> shift) * step);
        if (i < count) {
            pages = (piece->size - begin) >> shift;
            n = pages < count - i ? (uint32_t)pages : count - i;
            if (n == count && to->tables - k > 1) { /* whole tables */
                tables = pages >> to->sh->level[to->h]->index_bits;
                tables = tables < to->tables - k ? tables : to->tables - k;
            }
            write_run(vmm, s, &to->slot[k], (uint32_t)tables, to->h, to->c.index + i, n, piece->addr + begin,
                      offset + ((k * (uint64_t)count + i) << shift));
            i += n;
            begin += tables * n << shift;
            if (begin == piece->size)
                piece++, begin = 0;
        }
        if (i == count)
            k += (uint32_t)tables, i = 0;
    }
    *at = (struct place){piece, begin};
}

/* ---- parts --------------------------------------------------------------------------------------------------- */

static inline struct nvmmu_part part_of(const struct nvmmu_map *m)
{
    return (struct nvmmu_part){.va = m->va, .size = m->size, .offset = m->offset, .shift = m->shift, .kind = m->kind};
}

static inline void row_start(struct row *row, const struct nvmmu_map *m)
{
    row->m = m;
    row->asked = asked_of(m);
    row->piece = m->pieces;
    row->begin = 0;
    row->spot = (struct spot){0};
}

/* Everything but the references. */
static inline int part_check(struct nvmmu_vmm *vmm, struct row *row, const struct nvmmu_part *p, struct plan *plan)
{
    const struct nvmmu_map *m = row->m;
    int ret = nvmmu__pages_check(vmm, p->va, p->size, p->shift, &plan->depth, &plan->h);

    plan->first = (struct place){0};
    if (ret || m->object_shift < p->shift || p->offset & ((1ull << p->shift) - 1) || !m->pieces == !m->pages ||
        (m->pages && p->shift != 12))
        return -EINVAL;
    plan->source = source_of(vmm, row, p);
    if (!plan->source)
        return -EINVAL;
    if (m->pages)
        return pages_check(vmm, plan->source, m, p);
    plan->first = place_at(row, p->offset);
    return pieces_check(vmm->format, plan->source, m, p, &plan->first);
}

int nvmmu__map_check(struct nvmmu_vmm *vmm, const struct nvmmu_map *m)
{
    const struct nvmmu_part p = part_of(m);
    struct row row;
    struct plan plan;

    row_start(&row, m);
    return part_check(vmm, &row, &p, &plan);
}

/* All there is left to ask of such a part is whether it is referenced, which nothing outside of clients' areas is. */
static inline bool at_spot(const struct spot *spot, const struct nvmmu_part *p)
{
    const uint64_t va = p->va - spot->va, offset = p->offset - spot->offset;

    return va < spot->covers && p->size <= spot->covers - va && offset < spot->bytes &&
           p->size <= spot->bytes - offset && p->shift == spot->shift && p->kind == spot->kind && p->size &&
           !((va | offset | p->size) & ((1ull << p->shift) - 1));
}

/* The spot of a part. false: it has none. */
static inline bool spot_find(struct nvmmu_vmm *vmm, const struct row *row, const struct nvmmu_part *p,
                             const struct plan *plan, struct spot *spot)
{
    const struct source *s = plan->source;
    const struct nvmmu_piece *piece = plan->first.piece;
    const struct shape *sh = &vmm->shape[plan->depth];
    const uint64_t page = 1ull << p->shift, last = piece->addr + (piece->size - 1);
    struct table *t;
    bool whole;

    if (!s->plain || p->size > piece->size - plan->first.offset)
        return false;
    t = nvmmu__table_at(vmm, p->va, plan->depth);
    if (!t || p->size > sh->covers - (p->va - t->va))
        return false;
    whole = !((piece->addr | row->begin) & (page - 1)) &&
            !too_high(vmm->format, s, piece->addr | (piece->size - 1) | last);
    *spot = (struct spot){
        .va = t->va,
        .covers = sh->covers,
        .offset = whole ? row->begin : p->offset,
        .bytes = whole ? piece->size : p->size,
        .shift = p->shift,
        .kind = p->kind,
        .h = (uint8_t)plan->h,
        .sh = sh,
        .t = t,
        .word = s->word + ((whole ? piece->addr : piece->addr + plan->first.offset) >> p->shift) * s->step,
        .step = s->step,
    };
    return true;
}

static inline int spot_map(struct nvmmu_vmm *vmm, const struct spot *spot, const struct nvmmu_part *p)
{
    const struct chunk c = {(uint32_t)((p->va - spot->va) >> p->shift), (uint32_t)(p->size >> p->shift)};
    const uint64_t word = spot->word + ((p->offset - spot->offset) >> p->shift) * spot->step;
    uint64_t *at;

    if (!held(vmm, spot->sh, &spot->t, 1, spot->h, c))
        return -EINVAL;
    at = entry_at(spot->sh, spot->t, spot->h, c.index);
    words_ramp(vmm, spot->sh, &at, 1, c.count, word, spot->step);
    wrote(vmm, spot->t, spot->h, c.index, c.count);
    nvmmu__changed(vmm, spot->t->depth, p->va, p->size);
    return 0;
}

static int span_map(struct nvmmu_vmm *vmm, const struct row *row, const struct nvmmu_part *p, struct plan *plan)
{
    struct span span;

    span_first(vmm, &span, p->va, p->va + p->size, plan->depth, plan->h);
    if (!nvmmu__referenced(vmm, &span))
        return -EINVAL;
    do {
        uint64_t offset = p->offset + (span.va - p->va);

        blocks_cut(vmm, &span);
        if (row->m->pages)
            write_pages(vmm, plan->source, &span, row->m->pages + (offset >> 12));
        else
            write_pieces(vmm, plan->source, &span, &plan->first, offset);
        for (uint32_t k = 0; k < span.tables; k++)
            wrote(vmm, span.slot[k], plan->h, span.c.index, span.c.count);
    } while (span_next(vmm, &span));
    nvmmu__changed(vmm, plan->depth, p->va, p->size);
    return 0;
}

static inline int part_map(struct nvmmu_vmm *vmm, struct row *row, const struct nvmmu_part *p)
{
    struct plan plan;

    if (!at_spot(&row->spot, p)) {
        if (part_check(vmm, row, p, &plan))
            return -EINVAL;
        if (row->m->pages || !spot_find(vmm, row, p, &plan, &row->spot))
            return span_map(vmm, row, p, &plan);
    }
    return spot_map(vmm, &row->spot, p);
}

size_t nvmmu_vmm_map_parts(struct nvmmu_vmm *vmm, const struct nvmmu_map *map, const struct nvmmu_part *parts,
                           size_t n)
{
    struct row row;
    size_t done = 0;

    row_start(&row, map);
    nvmmu_vmm_begin(vmm);
    while (done < n && !part_map(vmm, &row, &parts[done]))
        done++;
    nvmmu_vmm_end(vmm);
    return done;
}

int nvmmu_vmm_map(struct nvmmu_vmm *vmm, const struct nvmmu_map *m)
{
    const struct nvmmu_part part = part_of(m);

    return nvmmu_vmm_map_parts(vmm, m, &part, 1) ? 0 : -EINVAL;
}

/* ---- clearing ----------------------------------------------------------------------------------------------- */

/* Nothing in the table makes one of the entries differ from its neighbours when it is empty. */
static bool plain_when_empty(const struct shape *sh, const struct table *t, unsigned h, const struct chunk *c)
{
    if (!t->child && t->refs[LPT] == t->held[LPT] && t->refs[SPT] == (h == SPT ? t->held[SPT] : 0))
        return true; /* references on pages, and no others */
    if (t->child) {
        for (uint32_t k = c->index; t->children && k < c->index + c->count; k++)
            if (t->child[k])
                return false;
        return !bits_any(sparse_of(sh, t, 0), c->index, c->count);
    }
    if (h == LPT)
        return !t->refs[SPT] && !bits_any(sparse_of(sh, t, LPT), c->index, c->count);
    return !bits_any(sparse_of(sh, t, SPT), c->index, c->count) &&
           !bits_any(sparse_of(sh, t, LPT), 0, sh->entries[LPT]);
}

/* What was under the page shows again: tables, small entries, a sparse range. */
static void entry_clear(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, bool sparse)
{
    const struct shape *sh = shape_of(vmm, t);

    if (t->child && t->child[i])
        nvmmu__table_link(vmm, t->child[i]);
    else if (!t->child && h == LPT && small_in_use(sh, t, i))
        entries_fill(vmm, t, h, i, 1, 0);
    else
        entries_fill(vmm, t, h, i, 1, empty_word(vmm, t, h, sparse || entry_sparse(sh, t, h, i)));
}

/* The entries of a step: of tables at once that become empty alike. */
static void step_clear(struct nvmmu_vmm *vmm, const struct span *s, bool sparse)
{
    const struct chunk c = s->c;
    uint32_t k = 0, end = 0;

    for (; k < s->tables; k = end) {
        struct table **t = &s->slot[k];
        const bool below = t[0]->sparse;

        while (end < s->tables && plain_when_empty(s->sh, s->slot[end], s->h, &c) && s->slot[end]->sparse == below)
            end++;
        if (end > k) {
            rows_fill(vmm, s->sh, t, end - k, s->h, c.index, c.count,
                      shape_empty_word(vmm->format, s->sh, s->h, sparse || below));
            continue;
        }
        for (uint32_t i = c.index; i < c.index + c.count; i++)
            entry_clear(vmm, t[0], s->h, i, sparse);
        end = k + 1;
    }
}

int nvmmu_vmm_unmap(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift, bool sparse)
{
    struct span s;
    unsigned depth, h;
    int ret = nvmmu__pages_check(vmm, va, size, shift, &depth, &h);

    if (ret)
        return ret;
    span_first(vmm, &s, va, va + size, depth, h);
    if (!nvmmu__referenced(vmm, &s))
        return -EINVAL;
    nvmmu_vmm_begin(vmm);
    do {
        blocks_cut(vmm, &s);
        step_clear(vmm, &s, sparse);
    } while (span_next(vmm, &s));
    nvmmu__changed(vmm, depth, va, size);
    nvmmu_vmm_end(vmm);
    return 0;
}
