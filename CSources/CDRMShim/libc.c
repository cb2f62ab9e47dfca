/*
 * Finds the functions behind ours, all at once, at the first call: a constructor's or, when another library's came
 * first, an interposer's. Two threads may both fill the table, with the same.
 */
#include "libc.h"

#include <dlfcn.h>
#include <stdatomic.h>

static struct libc table;

__attribute__((constructor)) static void load(void)
{
#define X(result, name, parameters) *(void **)&table.name = dlsym(RTLD_NEXT, #name);
    LIBC_FUNCTIONS(X)
#undef X
    atomic_store_explicit(&table.is_loaded, true, memory_order_release);
}

const struct libc *libc(void)
{
    if (!atomic_load_explicit(&table.is_loaded, memory_order_acquire))
        load();
    return &table;
}
