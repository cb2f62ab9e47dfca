/*
 * What programs find of the GPU in the file system, by every function that looks there; and that nothing else is touched.
 */
#include "client.h"

#include <dirent.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define CHAR "/sys/dev/char/226:128"

static void check_node(const struct stat *s)
{
    CHECK(S_ISCHR(s->st_mode) && major(s->st_rdev) == 226 && minor(s->st_rdev) == 128);
}

/* A descriptor's number that is another's after it was closed, also where nobody has asked for the device yet. */
static void reuse(void)
{
    struct stat s;
    int ends[2], folder = open("/dev/dri", O_RDONLY | O_DIRECTORY);
    CHECK(folder >= 0 && close(folder) == 0);
    CHECK(pipe(ends) == 0 && ends[0] == folder);
    CHECK(fstat(ends[0], &s) == 0 && S_ISFIFO(s.st_mode));
    close(ends[0]);
    close(ends[1]);
}

static void node(void)
{
    struct stat s;
    struct statx x;
    CHECK(stat(NODE, &s) == 0);
    check_node(&s);
    CHECK(lstat("/dev//dri/./renderD128", &s) == 0);
    check_node(&s);
    CHECK(fstatat(AT_FDCWD, NODE, &s, 0) == 0);
    check_node(&s);
    CHECK(stat("/dev/char/226:128", &s) == 0);
    check_node(&s);
    CHECK(statx(AT_FDCWD, NODE, 0, STATX_ALL, &x) == 0 && x.stx_rdev_major == 226 && x.stx_rdev_minor == 128);
    int fd = open_node();
    CHECK(fstat(fd, &s) == 0);
    check_node(&s);
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x) == 0 && x.stx_rdev_minor == 128);
    close(fd);
    fd = openat(AT_FDCWD, NODE, O_RDWR);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(access(NODE, R_OK | W_OK) == 0);
    FAILS(access(NODE, X_OK), EACCES);
    FAILS(open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    char text[64];
    FAILS(getxattr(NODE, "user.none", text, sizeof(text)), EOPNOTSUPP);
    FAILS(lgetxattr(NODE, "user.none", text, sizeof(text)), EOPNOTSUPP);
    FAILS(listxattr(NODE, text, sizeof(text)), EOPNOTSUPP);
    FAILS(llistxattr(NODE, text, sizeof(text)), EOPNOTSUPP);
    FAILS(open(NODE, O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void hidden(void)
{
    static const char *const paths[] = {
        "/dev/dri/card0", "/dev/dri/renderD129", "/dev/char/226:0", "/sys/dev/char/226:0", "/sys/dev/char/226:129/device", CHAR "/no",
        "/sys/class/drm/card0",
    };
    struct stat s;
    char text[64];
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        FAILS(open(paths[i], O_RDONLY), ENOENT);
        FAILS(stat(paths[i], &s), ENOENT);
        FAILS(access(paths[i], F_OK), ENOENT);
        FAILS(readlink(paths[i], text, sizeof(text)), ENOENT);
        CHECK(!fopen(paths[i], "r") && errno == ENOENT);
        CHECK(!opendir(paths[i]) && errno == ENOENT);
        CHECK(!realpath(paths[i], NULL) && errno == ENOENT);
    }
}

static int count(DIR *dir, const char *name)
{
    int n = 0;
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, name) == 0;
    return n;
}

/* The places of a folder's entries, and the older way to read them. */
static void positions(const char *path)
{
    DIR *dir = opendir(path);
    CHECK(dir);
    long first = telldir(dir);
    char names[2][256];
    strcpy(names[0], readdir(dir)->d_name);
    long second = telldir(dir);
    strcpy(names[1], readdir(dir)->d_name);
    CHECK(strcmp(names[0], names[1]) != 0);
    seekdir(dir, second);
    CHECK(strcmp(readdir(dir)->d_name, names[1]) == 0);
    seekdir(dir, first);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct dirent entry, *found;
    for (int i = 0; i < 2; i++)
        CHECK(readdir_r(dir, &entry, &found) == 0 && found == &entry && strcmp(entry.d_name, names[i]) == 0);
    while (found)
        CHECK(readdir_r(dir, &entry, &found) == 0);
#pragma GCC diagnostic warning "-Wdeprecated-declarations"
    CHECK(closedir(dir) == 0);
}

static void folders(void)
{
    DIR *dir = opendir("/dev/dri");
    CHECK(count(dir, "renderD128") == 1);
    rewinddir(dir);
    CHECK(count(dir, "renderD128") == 1);
    struct stat s;
    CHECK(fstatat(dirfd(dir), "renderD128", &s, 0) == 0);
    check_node(&s);
    CHECK(closedir(dir) == 0);
    int fd = open("/dev/dri", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && fstat(fd, &s) == 0 && S_ISDIR(s.st_mode));
    int inner = openat(fd, "renderD128", O_RDWR);
    CHECK(inner >= 0 && close(inner) == 0);
    dir = fdopendir(fd);
    CHECK(count(dir, "renderD128") == 1 && closedir(dir) == 0);
    dir = opendir(CHAR "/device");
    CHECK(count(dir, "vendor") == 1 && closedir(dir) == 0);
    dir = opendir(CHAR "/device/drm");
    CHECK(count(dir, "renderD128") == 1 && closedir(dir) == 0);
    positions(CHAR "/device");
    positions("/proc/self"); /* libc's */
}

static void expect(const char *path, const char *text)
{
    char read[512];
    FILE *file = fopen(path, "r");
    CHECK(file);
    size_t n = fread(read, 1, sizeof(read) - 1, file);
    read[n] = 0;
    CHECK(fclose(file) == 0);
    if (!strstr(read, text))
        printf("%s: %s\n", path, read);
    CHECK(strstr(read, text));
}

static void texts(void)
{
    expect(CHAR "/device/uevent", "PCI_SLOT_NAME=0000:01:00.0\n");
    expect(CHAR "/uevent", "DEVNAME=dri/renderD128\n");
    expect(CHAR "/device/vendor", "0x10de\n");
    expect(CHAR "/device/device", "0x2172\n");
    expect("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n");
    expect("/sys/class/drm/renderD128/dev", "226:128\n");
    FAILS(open(CHAR "/device/vendor", O_RDWR), EACCES);

    char link[PATH_MAX] = "", path[PATH_MAX];
    CHECK(readlink(CHAR "/device/subsystem", link, sizeof(link)) > 0 && strcmp(strrchr(link, '/'), "/pci") == 0);
    FAILS(readlink(CHAR "/device/vendor", link, sizeof(link)), EINVAL);
    struct stat s;
    CHECK(lstat(CHAR, &s) == 0 && S_ISLNK(s.st_mode) && stat(CHAR, &s) == 0 && S_ISDIR(s.st_mode));
    CHECK(realpath(CHAR "/device", path) == path && strcmp(strrchr(path, '/'), "/0000:01:00.0") == 0);
    expect(strcat(path, "/vendor"), "0x10de\n");
    char *node = realpath("/dev/char/226:128", NULL);
    CHECK(strcmp(node, NODE) == 0);
    free(node);
}

/* libc's business, also where the name looks a bit like ours. */
static void others(void)
{
    struct stat s;
    char folder[] = "/tmp/dri-XXXXXX", path[64];
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/renderD128", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & 0777 & ~0640) == 0);
    FAILS(ioctl(fd, NVU_VERSION, &s), ENOTTY);
    CHECK(close(fd) == 0 && access(path, R_OK) == 0);
    DIR *dir = opendir(folder);
    CHECK(count(dir, "renderD128") == 1 && closedir(dir) == 0);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    FAILS(open(path, O_RDONLY), ENOENT);
    FAILS(stat("", &s), ENOENT);
    CHECK(stat("/sys", &s) == 0 && S_ISDIR(s.st_mode) && stat("/dev/null", &s) == 0);
    char *self = realpath("/proc/self/exe", NULL);
    CHECK(self);
    free(self);
}

int main(void)
{
    reuse(); /* before anything makes the device */
    node();
    hidden();
    folders();
    texts();
    others();
    puts("paths: passed");
    return 0;
}
