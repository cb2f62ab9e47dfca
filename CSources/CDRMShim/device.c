/*
 * Starts the device when it is first asked for, and forgets it in a child after fork(): its threads are not there. What
 * the child has open of it answers ENODEV; what it opens then is a device of its own.
 *
 * Locking: one lock, held while the device is made. Its making comes back to our own functions, for what is not ours.
 * fork() takes it, and then those of the other files, in the order they nest: a child has no thread to give them back.
 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "interpose.h"
#include "ranges.h"

struct drmshim_ops drmshim_ops;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(void *) made;
static int failure;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    folders_before_fork();
    messages_before_fork();
    files_before_fork();
    ranges_before_fork();
}

static void after_fork(bool in_child)
{
    ranges_after_fork(in_child);
    files_after_fork(in_child);
    messages_after_fork();
    folders_after_fork();
    if (in_child)
        atomic_store(&made, NULL);
    pthread_mutex_unlock(&lock);
}

static void in_parent(void)
{
    after_fork(false);
}

static void in_child(void)
{
    after_fork(true);
}

/* At once: a thread that forks may come before the device. */
__attribute__((constructor)) static void start(void)
{
    int result = pthread_atfork(before_fork, in_parent, in_child);
    if (result)
        failure = -result;
}

static void make(void)
{
    if (!drmshim_ops.create)
        drmshim_start(&drmshim_ops);
    void *device = NULL;
    if (failure == 0)
        failure = drmshim_ops.create(&device);
    if (failure == 0)
        atomic_store(&made, device);
}

int device_get(void **device)
{
    *device = atomic_load(&made);
    if (*device)
        return 0;
    pthread_mutex_lock(&lock);
    if (failure == 0 && !atomic_load(&made))
        make();
    *device = atomic_load(&made);
    int result = failure;
    pthread_mutex_unlock(&lock);
    return result;
}

int device_identify(struct drmshim_identity *out)
{
    void *device;
    int result = device_get(&device);
    if (result == 0)
        drmshim_ops.identify(device, out);
    return result;
}

int drmshim_add(int fd, bool writable, void *object)
{
    return files_add(fd, NULL, writable ? O_RDWR : O_RDONLY, object, drmshim_ops.release);
}

struct drmshim_file *drmshim_get(int fd)
{
    return files_get(fd);
}

void *drmshim_object(const struct drmshim_file *file)
{
    return file->object;
}

void drmshim_put(struct drmshim_file *file)
{
    files_put(file);
}
