/*
 * The tree is a table of what there is and a list of links within it; both are constant.
 */
#include "paths.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define SLOT "0000:01:00.0"
#define PCI_FOLDER "/sys/devices/pci0000:00/" SLOT
#define SOC_FOLDER "/sys/devices/platform/gpu"

static bool is_soc(const struct drmshim_identity *id)
{
    return id->vendor == 0;
}

static int print_uevent(const struct drmshim_identity *id, char *out, size_t n)
{
    if (is_soc(id))
        return snprintf(out, n, "DRIVER=nouveau\nOF_NAME=gpu\nOF_FULLNAME=/gpu\nOF_COMPATIBLE_0=%s\nOF_COMPATIBLE_N=1\n",
                        id->compatible);
    return snprintf(out, n, "DRIVER=nouveau\nPCI_CLASS=30000\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=" SLOT "\n",
                    id->vendor, id->device, id->vendor, id->device);
}

static int print_vendor(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "0x%04x\n", id->vendor);
}

static int print_device(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "0x%04x\n", id->device);
}

static int print_class(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "0x030000\n");
}

static int print_revision(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "0xa1\n");
}

static int print_boot_vga(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "1\n");
}

static int print_node_path(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "../dri/renderD%d", RENDER_MINOR);
}

static int print_bus(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "/sys/bus/%s", is_soc(id) ? "platform" : "pci");
}

static int print_driver(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "/sys/bus/%s/drivers/nouveau", is_soc(id) ? "platform" : "pci");
}

static int print_node_uevent(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "MAJOR=%d\nMINOR=%d\nDEVNAME=dri/renderD%d\nDEVTYPE=drm_minor\n", DRM_MAJOR, RENDER_MINOR,
                    RENDER_MINOR);
}

static int print_node_number(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "%d:%d\n", DRM_MAJOR, RENDER_MINOR);
}

static int print_node_class(const struct drmshim_identity *id, char *out, size_t n)
{
    (void)id;
    return snprintf(out, n, "/sys/class/drm");
}

static int print_folder(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "%s", is_soc(id) ? SOC_FOLDER : PCI_FOLDER);
}

static int print_node_folder(const struct drmshim_identity *id, char *out, size_t n)
{
    return snprintf(out, n, "%s/drm/renderD%d", is_soc(id) ? SOC_FOLDER : PCI_FOLDER, RENDER_MINOR);
}

enum { FOLDER = S_IFDIR | 0755, TEXT = S_IFREG | 0444, LINK = S_IFLNK | 0777 };

static const struct node nodes[] = {
    {"/dev/dri", FOLDER, NULL},
    {"/dev/dri/renderD128", S_IFCHR | 0666, NULL},
    {"/dev/char/226:128", LINK, print_node_path},
    {"/sys/class/drm", FOLDER, NULL},
    {"/sys/class/drm/renderD128", LINK, print_node_folder},
    {"/sys/dev/char/226:128", LINK, print_node_folder},
    {"/sys/bus/pci/devices/" SLOT, LINK, print_folder},
    {"@", FOLDER, NULL},
    {"@/uevent", TEXT, print_uevent},
    {"@/vendor", TEXT, print_vendor},
    {"@/device", TEXT, print_device},
    {"@/subsystem_vendor", TEXT, print_vendor},
    {"@/subsystem_device", TEXT, print_device},
    {"@/class", TEXT, print_class},
    {"@/revision", TEXT, print_revision},
    {"@/boot_vga", TEXT, print_boot_vga},
    {"@/subsystem", LINK, print_bus},
    {"@/driver", LINK, print_driver},
    {"@/drm", FOLDER, NULL},
    {"@/drm/renderD128", FOLDER, NULL},
    {"@/drm/renderD128/uevent", TEXT, print_node_uevent},
    {"@/drm/renderD128/dev", TEXT, print_node_number},
    {"@/drm/renderD128/device", LINK, print_folder},
    {"@/drm/renderD128/subsystem", LINK, print_node_class},
};
enum { NODES = sizeof(nodes) / sizeof(*nodes) };

/* Where links lead, and other names of the folder. */
static const struct {
    const char *from, *to;
} links[] = {
    {PCI_FOLDER, "@"},
    {SOC_FOLDER, "@"},
    {"/sys/bus/pci/devices/" SLOT, "@"},
    {"/dev/char/226:128", "/dev/dri/renderD128"},
    {"/sys/dev/char/226:128", "@/drm/renderD128"},
    {"/sys/class/drm/renderD128", "@/drm/renderD128"},
    {"@/drm/renderD128/device", "@"},
    {"@/drm/renderD128/subsystem", "/sys/class/drm"},
};
enum { LINKS = sizeof(links) / sizeof(*links) };

/* What is nobody's below these, if it is not in the table. */
static const char *const hidden[] = {"/dev/dri/", "/dev/char/226:", "/sys/class/drm/", "/sys/dev/char/226:", "@/"};

/* Longer paths are none of ours. */
enum { LONGEST = 192 };

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Appends the parts of `path`, without empty ones, "." and "..". */
static bool append(char out[LONGEST], const char *path)
{
    size_t n = strlen(out);
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.') {
            while (n > 0 && out[--n] != '/')
                ;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (n + length + 2 > LONGEST)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, length);
            n += length;
        }
        out[n] = 0;
        path += length + (path[length] == '/');
    }
    return true;
}

/* Follows one link of the path; at its end only with `follow`. */
static bool follow_link(char path[LONGEST], bool follow)
{
    for (size_t i = 0; i < LINKS; i++) {
        size_t length = strlen(links[i].from);
        if (strncmp(path, links[i].from, length) != 0 || (path[length] != '/' && path[length] != 0))
            continue;
        bool is_name = strcmp(links[i].from, PCI_FOLDER) == 0 || strcmp(links[i].from, SOC_FOLDER) == 0;
        if (path[length] == 0 && !follow && !is_name)
            return false;
        char rest[LONGEST];
        strcpy(rest, path + length);
        size_t to = strlen(links[i].to);
        if (to + strlen(rest) >= LONGEST)
            return false;
        memcpy(path, links[i].to, to);
        strcpy(path + to, rest);
        return true;
    }
    return false;
}

bool paths_is_empty(const char *path)
{
    return path && !*path;
}

enum whose paths_find(const struct node *folder, const char *path, bool follow, const struct node **out)
{
    char whole[LONGEST] = "";
    if (!path || (path[0] != '/' && !folder))
        return LIBCS;
    if (path[0] == '/' && !strstr(path, "dri") && !strstr(path, "/sys") && !strstr(path, "226:"))
        return LIBCS;
    if (path[0] != '/')
        strcpy(whole, folder->path);
    if (!append(whole, path))
        return LIBCS;
    while (follow_link(whole, follow))
        ;
    for (size_t i = 0; i < NODES; i++) {
        if (strcmp(whole, nodes[i].path) == 0) {
            *out = &nodes[i];
            return OURS;
        }
    }
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
        if (has_prefix(whole, hidden[i]))
            return NOBODYS;
    }
    return LIBCS;
}

void paths_print(const struct node *node, const struct drmshim_identity *identity, char out[PATH_MAX])
{
    bool is_in_folder = node->path[0] == '@';
    int n = is_in_folder ? print_folder(identity, out, PATH_MAX) : 0;
    snprintf(out + n, PATH_MAX - (size_t)n, "%s", node->path + is_in_folder);
}

const char *paths_name(const struct node *node)
{
    const char *slash = strrchr(node->path, '/');
    return slash ? slash + 1 : node->path;
}

const struct node *paths_child(const struct node *folder, size_t i)
{
    size_t length = strlen(folder->path);
    for (size_t k = 0; k < NODES; k++) {
        const char *path = nodes[k].path;
        bool is_child = has_prefix(path, folder->path) && path[length] == '/' && !strchr(path + length + 1, '/');
        if (is_child && i-- == 0)
            return &nodes[k];
    }
    return NULL;
}

void paths_stat(const struct node *node, struct stat64 *out)
{
    *out = (struct stat64){
        .st_dev = makedev(0, 5),
        .st_ino = (ino_t)(node - nodes) + 1000,
        .st_mode = node->mode,
        .st_nlink = 1,
        .st_blksize = 4096,
    };
    if (S_ISCHR(node->mode))
        out->st_rdev = makedev(DRM_MAJOR, RENDER_MINOR);
    else if (S_ISREG(node->mode))
        out->st_size = 4096;
}
