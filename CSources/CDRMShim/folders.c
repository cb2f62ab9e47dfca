/*
 * opendir() and its kin. A stream of ours is known by its address, which libc does not give to another as long as it is
 * open; the list of them has a lock of its own. Whether it is empty can be seen without.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interpose.h"

struct stream {
    struct stream *next;
    const struct node *folder;
    int fd;
    size_t position;
    struct dirent64 entry;
};

static _Atomic(struct stream *) streams;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct stream *find(DIR *dir)
{
    if (!atomic_load(&streams))
        return NULL;
    pthread_mutex_lock(&lock);
    struct stream *stream = atomic_load(&streams);
    while (stream && (DIR *)stream != dir)
        stream = stream->next;
    pthread_mutex_unlock(&lock);
    return stream;
}

static DIR *make(const struct node *folder, int fd)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->folder = folder;
    stream->fd = fd;
    pthread_mutex_lock(&lock);
    stream->next = atomic_load(&streams);
    atomic_store(&streams, stream);
    pthread_mutex_unlock(&lock);
    return (DIR *)stream;
}

INTERPOSE DIR *fdopendir(int fd)
{
    struct drmshim_file *file = files_get(fd);
    const struct node *node = file ? file->node : NULL;
    files_put(file);
    if (!file)
        return libc()->fdopendir(fd);
    if (node && S_ISDIR(node->mode))
        return make(node, fd);
    errno = ENOTDIR;
    return NULL;
}

INTERPOSE DIR *opendir(const char *path)
{
    const struct node *node;
    enum whose whose = paths_find(NULL, path, true, &node);
    if (whose == LIBCS)
        return libc()->opendir(path);
    int fd = whose == OURS ? open_node(node, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : returned(-ENOENT);
    if (fd < 0)
        return NULL;
    DIR *dir = make(node, fd);
    if (!dir)
        close(fd);
    return dir;
}

static unsigned char type_of(const struct node *node)
{
    return (unsigned char)(node->mode >> 12);
}

static struct dirent64 *next(struct stream *stream)
{
    const struct node *child = paths_child(stream->folder, stream->position);
    if (!child)
        return NULL;
    struct stat64 stat;
    paths_stat(child, &stat);
    stream->entry.d_ino = stat.st_ino;
    stream->entry.d_off = (off64_t)++stream->position;
    stream->entry.d_reclen = sizeof(stream->entry);
    stream->entry.d_type = type_of(child);
    strcpy(stream->entry.d_name, paths_name(child));
    return &stream->entry;
}

INTERPOSE struct dirent64 *readdir64(DIR *dir)
{
    struct stream *stream = find(dir);
    return stream ? next(stream) : libc()->readdir64(dir);
}

_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "both kinds of dirent are one on 64-bit hosts");

INTERPOSE struct dirent *readdir(DIR *dir)
{
    return (struct dirent *)readdir64(dir);
}

static int read_into(DIR *dir, struct dirent64 *entry, struct dirent64 **out)
{
    struct stream *stream = find(dir);
    if (!stream)
        return libc()->readdir64_r(dir, entry, out);
    const struct dirent64 *found = next(stream);
    *out = found ? memcpy(entry, found, sizeof(*entry)) : NULL;
    return 0;
}

INTERPOSE int readdir64_r(DIR *dir, struct dirent64 *entry, struct dirent64 **out)
{
    return read_into(dir, entry, out);
}

INTERPOSE int readdir_r(DIR *dir, struct dirent *entry, struct dirent **out)
{
    return read_into(dir, (struct dirent64 *)entry, (struct dirent64 **)out);
}

INTERPOSE long telldir(DIR *dir)
{
    struct stream *stream = find(dir);
    return stream ? (long)stream->position : libc()->telldir(dir);
}

INTERPOSE void seekdir(DIR *dir, long position)
{
    struct stream *stream = find(dir);
    if (stream)
        stream->position = (size_t)position;
    else
        libc()->seekdir(dir, position);
}

INTERPOSE void rewinddir(DIR *dir)
{
    struct stream *stream = find(dir);
    if (stream)
        stream->position = 0;
    else
        libc()->rewinddir(dir);
}

INTERPOSE int dirfd(DIR *dir)
{
    struct stream *stream = find(dir);
    return stream ? stream->fd : libc()->dirfd(dir);
}

INTERPOSE int closedir(DIR *dir)
{
    struct stream *stream = find(dir);
    if (!stream)
        return libc()->closedir(dir);
    pthread_mutex_lock(&lock);
    struct stream *previous = NULL;
    for (struct stream *other = atomic_load(&streams); other != stream; other = other->next)
        previous = other;
    if (previous)
        previous->next = stream->next;
    else
        atomic_store(&streams, stream->next);
    pthread_mutex_unlock(&lock);
    int result = close(stream->fd);
    free(stream);
    return result;
}

void folders_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void folders_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}
