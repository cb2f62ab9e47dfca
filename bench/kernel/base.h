/*
 * What the kernel's sources need of the kernel around them, for userspace and one thread: types, lists' and trees'
 * primitives, reference counts, errors, warnings, memory. Locks are nothing; reference counts stay atomic, as they
 * are in the kernel. The build makes a header with nothing but this for each kernel header that is not there.
 */
#ifndef BENCH_KERNEL_BASE_H
#define BENCH_KERNEL_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef unsigned int gfp_t;
typedef u64 dma_addr_t;
typedef u64 phys_addr_t;
typedef u64 resource_size_t;

/* ---- compiler ---- */

#define likely(x)        __builtin_expect(!!(x), 1)
#define unlikely(x)      __builtin_expect(!!(x), 0)
#define __maybe_unused   __attribute__((unused))
#define __must_check
#define __rcu
#define __user
#define __iomem
#define __packed         __attribute__((packed))
#define __aligned(n)     __attribute__((aligned(n)))
#define fallthrough      __attribute__((fallthrough))
#define barrier()        __asm__ volatile("" ::: "memory")
#define BENCH_PASTE(a, b)  a##b
#define BENCH_PASTE2(a, b) BENCH_PASTE(a, b)
#define __UNIQUE_ID(name)  BENCH_PASTE2(unique_##name, __COUNTER__)

#define READ_ONCE(x)            (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)        (*(volatile __typeof__(x) *)&(x) = (v))
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_load_acquire(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_mb(x, v)      __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define rcu_assign_pointer(p, v) smp_store_release(&(p), v)
#define rcu_dereference_raw(p)  READ_ONCE(p)
#define xchg(p, v)              __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define try_cmpxchg(p, old, v)  __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
#define mb()                    __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define wmb()                   __atomic_thread_fence(__ATOMIC_RELEASE)

#define container_of(p, type, member)       ((type *)(void *)((char *)(p) - offsetof(type, member)))
#define container_of_const(p, type, member) container_of(p, type, member)

#define EXPORT_SYMBOL(s)
#define EXPORT_SYMBOL_GPL(s)
#define MODULE_DESCRIPTION(s)
#define MODULE_LICENSE(s)
#define IS_ENABLED(option) 0
#define might_sleep()

/* ---- numbers ---- */

#define BIT(n)             (1ul << (n))
#define BIT_ULL(n)         (1ull << (n))
#define ARRAY_SIZE(a)      (sizeof(a) / sizeof *(a))
#define ALIGN(x, a)        (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)   (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define lower_32_bits(n)   ((u32)(n))
#define upper_32_bits(n)   ((u32)((u64)(n) >> 32))
#define check_add_overflow(a, b, sum) __builtin_add_overflow(a, b, sum)
#define min(a, b)          ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)          ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b)     min((t)(a), (t)(b))
#define max_t(t, a, b)     max((t)(a), (t)(b))

enum { PAGE_SHIFT = 12 };
#define PAGE_SIZE (1ul << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/* ---- lists and trees: what their headers leave to others ---- */

struct list_head {
    struct list_head *next, *prev;
};
struct hlist_node {
    struct hlist_node *next, **pprev;
};
struct hlist_head {
    struct hlist_node *first;
};
struct rcu_head {
    void *unused;
};
#define LIST_POISON1 ((void *)0x100)
#define LIST_POISON2 ((void *)0x122)

/* ---- errors and warnings: a warning is counted, not printed ---- */

extern unsigned bench_kernel_warnings;

static inline void *ERR_PTR(long error) { return (void *)error; }
static inline long PTR_ERR(const void *p) { return (long)p; }
static inline bool IS_ERR(const void *p) { return (unsigned long)p >= -4095ul; }
static inline bool IS_ERR_OR_NULL(const void *p) { return !p || IS_ERR(p); }
static inline int PTR_ERR_OR_ZERO(const void *p) { return IS_ERR(p) ? (int)PTR_ERR(p) : 0; }

#define WARN_ON(c)         ({ bool c_ = (c); if (unlikely(c_)) bench_kernel_warnings++; unlikely(c_); })
#define WARN(c, ...)       WARN_ON(c)
#define WARN_ON_ONCE(c)    WARN_ON(c)
#define BUG_ON(c)          ({ if (unlikely(c)) abort(); })
#define BUG()              abort()

/* ---- reference counts ---- */

typedef struct {
    int refs;
} refcount_t;
struct kref {
    refcount_t refcount;
};

static inline void refcount_set(refcount_t *r, int n) { __atomic_store_n(&r->refs, n, __ATOMIC_RELAXED); }
static inline unsigned refcount_read(const refcount_t *r) { return (unsigned)__atomic_load_n(&r->refs, __ATOMIC_RELAXED); }
static inline void refcount_inc(refcount_t *r)
{
    if (unlikely(__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED) <= 0))
        bench_kernel_warnings++;
}
static inline bool refcount_dec_and_test(refcount_t *r)
{
    return __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL) == 1;
}
static inline bool refcount_inc_not_zero(refcount_t *r)
{
    int old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

    while (old && !__atomic_compare_exchange_n(&r->refs, &old, old + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old != 0;
}

static inline void kref_init(struct kref *k) { refcount_set(&k->refcount, 1); }
static inline unsigned kref_read(const struct kref *k) { return refcount_read(&k->refcount); }
static inline void kref_get(struct kref *k) { refcount_inc(&k->refcount); }
static inline bool kref_get_unless_zero(struct kref *k) { return refcount_inc_not_zero(&k->refcount); }
static inline int kref_put(struct kref *k, void (*release)(struct kref *))
{
    if (!refcount_dec_and_test(&k->refcount))
        return 0;
    release(k);
    return 1;
}

/* ---- locks: one thread has no use for them ---- */

struct lock_class_key {
    char unused;
};
typedef struct {
    char unused;
} spinlock_t;
struct mutex {
    char unused;
};
#define spin_lock_init(l)         ((void)(l))
#define spin_lock(l)              ((void)(l))
#define spin_unlock(l)            ((void)(l))
#define mutex_init(l)             ((void)(l))
#define __mutex_init(l, name, k)  ((void)(l), (void)(k))
#define mutex_lock(l)             ((void)(l))
#define mutex_unlock(l)           ((void)(l))
#define kref_put_mutex(k, release, l) kref_put(k, release)

/* ---- memory: slab.c ---- */

void *bench_kernel_alloc(size_t size);
void bench_kernel_free(const void *p);

enum { GFP_KERNEL = 0, __GFP_ZERO = 0 };

static inline void *kmalloc(size_t size, gfp_t flags)
{
    (void)flags;
    return bench_kernel_alloc(size);
}
static inline void *kzalloc(size_t size, gfp_t flags)
{
    void *p = kmalloc(size, flags);

    return p ? memset(p, 0, size) : NULL;
}
static inline void *kmemdup(const void *from, size_t size, gfp_t flags)
{
    void *p = kmalloc(size, flags);

    return p ? memcpy(p, from, size) : NULL;
}
static inline void kfree(const void *p) { bench_kernel_free(p); }

#define kzalloc_obj(x, ...)       ((__typeof__(x) *)kzalloc(sizeof(x), GFP_KERNEL))
#define kmalloc_obj(x, ...)       ((__typeof__(x) *)kmalloc(sizeof(x), GFP_KERNEL))
#define kzalloc_objs(x, n, ...)   ((__typeof__(x) *)kzalloc(sizeof(x) * (n), GFP_KERNEL))
#define kmalloc_objs(x, n, ...)   ((__typeof__(x) *)kmalloc(sizeof(x) * (n), GFP_KERNEL))
#define kcalloc(n, size, flags)   kzalloc((n) * (size), flags)
#define kmalloc_array(n, size, flags)  kmalloc((n) * (size), flags)
#define kvmalloc_array(n, size, flags) malloc((n) * (size))
#define kvmalloc(size, flags)     malloc(size)
#define kvzalloc(size, flags)     calloc(1, size)
#define kvrealloc(p, size, flags) realloc(p, size)
#define kvfree(p)                 free(p)

#endif
