/*
 * The table of descriptors: an array in parts that are made when needed and stay.
 *
 * Invariants: a slot holds one reference of its file; a file whose last reference goes is released, outside the lock,
 * by who gave it back. A child of vfork() has our memory but descriptors of its own: what it closes and duplicates
 * changes nothing here.
 *
 * Locking: one lock for slots and references, held over neither allocation, nor closing, nor the device. Whether a slot
 * is empty can be seen without it: descriptors that are not ours cost a look.
 */
#include "files.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARTS = 1024, SLOTS = 1024 };

struct part {
    _Atomic(struct drmshim_file *) slots[SLOTS];
};

static _Atomic(struct part *) parts[PARTS];
static _Atomic(int) end;
static _Atomic(uint64_t) serial;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Whose descriptors they are; 0: the first process's, before our constructors. */
static _Atomic(pid_t) process;

__attribute__((constructor)) static void start(void)
{
    atomic_store(&process, getpid());
}

static bool is_own_process(void)
{
    pid_t own = atomic_load(&process);
    return own == 0 || own == getpid();
}

static _Atomic(struct drmshim_file *) *slot(int fd)
{
    struct part *part = fd >= 0 && fd < PARTS * SLOTS ? atomic_load(&parts[fd / SLOTS]) : NULL;
    return part ? &part->slots[fd % SLOTS] : NULL;
}

static int make_slot(int fd)
{
    if (fd < 0 || fd >= PARTS * SLOTS)
        return -EMFILE;
    if (slot(fd))
        return 0;
    struct part *none = NULL, *new = calloc(1, sizeof(*new));
    if (!new)
        return -ENOMEM;
    if (!atomic_compare_exchange_strong(&parts[fd / SLOTS], &none, new))
        free(new);
    return 0;
}

struct drmshim_file *files_get(int fd)
{
    _Atomic(struct drmshim_file *) *s = slot(fd);
    if (!s || !atomic_load(s))
        return NULL;
    pthread_mutex_lock(&lock);
    struct drmshim_file *file = atomic_load(s);
    if (file)
        file->refs++;
    pthread_mutex_unlock(&lock);
    return file;
}

void files_put(struct drmshim_file *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&lock);
    bool is_last = --file->refs == 0;
    pthread_mutex_unlock(&lock);
    if (!is_last)
        return;
    if (file->object)
        file->release(file->object);
    free(file);
}

/* `reference` is the slot's from now on. */
static void put_in(int fd, struct drmshim_file *reference)
{
    if (!is_own_process()) {
        files_put(reference);
        return;
    }
    pthread_mutex_lock(&lock);
    struct drmshim_file *old = atomic_exchange(slot(fd), reference);
    if (reference && fd >= atomic_load(&end))
        atomic_store(&end, fd + 1);
    pthread_mutex_unlock(&lock);
    files_put(old);
}

int files_add(int fd, const struct node *node, int access, void *object, void (*release)(void *object))
{
    struct drmshim_file *file = malloc(sizeof(*file));
    int result = file ? make_slot(fd) : -ENOMEM;
    if (result) {
        free(file);
        return result;
    }
    *file = (struct drmshim_file){
        .refs = 1, .serial = ++serial, .access = access, .release = release, .object = object, .node = node,
    };
    put_in(fd, file);
    return 0;
}

int files_set(int fd, struct drmshim_file *file)
{
    if (!file) {
        files_put(files_take(fd));
        return 0;
    }
    int result = make_slot(fd);
    if (result)
        return result;
    pthread_mutex_lock(&lock);
    file->refs++;
    pthread_mutex_unlock(&lock);
    put_in(fd, file);
    return 0;
}

struct drmshim_file *files_take(int fd)
{
    _Atomic(struct drmshim_file *) *s = slot(fd);
    if (!s || !atomic_load(s) || !is_own_process())
        return NULL;
    pthread_mutex_lock(&lock);
    struct drmshim_file *file = atomic_exchange(s, NULL);
    pthread_mutex_unlock(&lock);
    return file;
}

uint64_t files_serial(int fd)
{
    struct drmshim_file *file = files_get(fd);
    uint64_t result = file ? file->serial : 0;
    files_put(file);
    return result;
}

int files_end(void)
{
    return atomic_load(&end);
}

void files_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void files_after_fork(bool in_child)
{
    for (int fd = 0; in_child && fd < atomic_load(&end); fd++) {
        struct drmshim_file *file = slot(fd) ? atomic_load(slot(fd)) : NULL;
        if (file)
            file->object = NULL;
    }
    if (in_child)
        atomic_store(&process, getpid());
    pthread_mutex_unlock(&lock);
}
