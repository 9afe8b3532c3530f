#define _GNU_SOURCE /* dladdr */
#include "core/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 128, STAND_INS = 4 };

static struct {
    const char *soname;
    vg__function (*resolve)(const char *name);
} stand_ins[STAND_INS];

void vg__library_stand_in(const char *soname, vg__function (*resolve)(const char *name))
{
    for (int i = 0; i < STAND_INS; i++)
        if (!stand_ins[i].soname || !strcmp(stand_ins[i].soname, soname)) {
            stand_ins[i].soname = soname;
            stand_ins[i].resolve = resolve;
            return;
        }
    VG_ASSERT(!"room for a stand-in");
}

static bool stand_ins_alone;

void vg__library_stand_ins_alone(void)
{
    stand_ins_alone = true;
}

/* The places to look at, in order. "" is the loader's own search. */
typedef struct place_list {
    int count;
    char path[PLACES][512];
} place_list;

static void add(place_list *places, const char *soname, const char *format, const char *folder, int length)
{
    if (places->count == PLACES) return;
    char *path = places->path[places->count];
    int used = snprintf(path, sizeof places->path[0], format, length, folder);
    if (used < 0 || (size_t)used >= sizeof places->path[0]) return;
    used += snprintf(path + used, sizeof places->path[0] - (size_t)used, "/%s", soname);
    if ((size_t)used < sizeof places->path[0]) places->count++;
}

/* A folder as such, as a toolkit, and as Python's packages nvidia-cublas, nvidia-nccl-cu13, ... lay
 * themselves out. */
const vg__library_family vg__library_cuda = {
    .variable = "VAGUS_CUDA_LIBRARIES",
    .homes = (const char *const[]){"CUDA_HOME", "/usr/local/cuda", NULL},
    .called = "in CUDA_HOME, in /usr/local/cuda or in the active Python environment",
    .below = (const char *const[]){"%.*s", "%.*s/lib64", "%.*s/lib", "%.*s/cu13/lib", "%.*s/cudnn/lib",
                                   "%.*s/cublas/lib", "%.*s/cuda_nvrtc/lib", "%.*s/nccl/lib", NULL},
    .python = true,
    .emulated = true,
};

/* OPAL_PREFIX is Open MPI's own variable for an installation that was moved. */
const vg__library_family vg__library_mpi = {
    .variable = "VAGUS_MPI_LIBRARIES",
    .homes = (const char *const[]){"MPI_HOME", "OPAL_PREFIX", NULL},
    .called = "in MPI_HOME or in OPAL_PREFIX",
    .below = (const char *const[]){"%.*s", "%.*s/lib", "%.*s/lib64", NULL},
    .global = true,
};

static void add_folder(place_list *places, const vg__library_family *family, const char *soname,
                       const char *folder, int length)
{
    for (const char *const *below = family->below; *below; below++)
        add(places, soname, *below, folder, length);
}

static void add_python(place_list *places, const vg__library_family *family, const char *soname,
                       const char *environment)
{
    const char *root = getenv(environment);
    char pattern[512];
    if (!root || (size_t)snprintf(pattern, sizeof pattern, "%s/lib/python3*/site-packages/nvidia", root) >=
                     sizeof pattern)
        return;
    glob_t found;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            add_folder(places, family, soname, found.gl_pathv[i], (int)strlen(found.gl_pathv[i]));
    globfree(&found);
}

static void list_places(place_list *places, const vg__library_family *family, const char *soname)
{
    const char *folders = getenv(family->variable);
    places->count = 0;
    while (folders && *folders) {
        int length = (int)strcspn(folders, ":");
        if (length) add_folder(places, family, soname, folders, length);
        folders += length + (folders[length] == ':');
    }
    snprintf(places->path[places->count++], sizeof places->path[0], "%s", soname);
    for (const char *const *home = family->homes; *home; home++) {
        const char *folder = **home == '/' ? *home : getenv(*home);
        if (folder && *folder) add_folder(places, family, soname, folder, (int)strlen(folder));
    }
    if (!family->python) return;
    add_python(places, family, soname, "VIRTUAL_ENV");
    add_python(places, family, soname, "CONDA_PREFIX");
}

/* Object and function pointers are of one size where there is a dlsym(). */
static vg__function symbol(void *handle, const char *name)
{
    void *address = dlsym(handle, name);
    vg__function function;
    memcpy(&function, &address, sizeof function);
    return function;
}

/* The first function that is missing, or NULL. */
static const char *resolve_all(void *handle, vg__function (*resolve)(const char *name),
                               const char *const *names, vg__function *functions, int count)
{
    for (int i = 0; i < count; i++) {
        functions[i] = resolve ? resolve(names[i]) : symbol(handle, names[i]);
        if (!functions[i]) return names[i];
    }
    return NULL;
}

/* The file itself, where the loader knows it: the place may have been a bare name. */
static void note_path(vg__library *library, vg__function function, const char *place)
{
    void *address;
    Dl_info info;
    memcpy(&address, &function, sizeof address);
    snprintf(library->path, sizeof library->path, "%s",
             function && dladdr(address, &info) && info.dli_fname ? info.dli_fname : place);
}

vg_status vg__library_open(const char *soname, const char *const *names, vg__function *functions, int count,
                           vg__library *out)
{
    return vg__library_open_of(&vg__library_cuda, soname, names, functions, count, out);
}

vg_status vg__library_open_of(const vg__library_family *family, const char *soname, const char *const *names,
                              vg__function *functions, int count, vg__library *out)
{
    *out = (vg__library){0};
    for (int i = 0; i < STAND_INS; i++)
        if (stand_ins[i].resolve && !strcmp(stand_ins[i].soname, soname)) {
            const char *missing = resolve_all(NULL, stand_ins[i].resolve, names, functions, count);
            if (missing) return vg_fail(VG_ERR_NOT_FOUND, "the stand-in of %s has no %s", soname, missing);
            snprintf(out->path, sizeof out->path, "a stand-in of %s", soname);
            return VG_OK;
        }
    if (stand_ins_alone && family->emulated)
        return vg_fail(VG_ERR_NOT_FOUND, "%s has no stand-in on the emulated device", soname);
    const char *wanted = getenv(family->variable);
    if (wanted && !strcmp(wanted, "none"))
        return vg_fail(VG_ERR_NOT_FOUND, "%s is not looked for, since %s is none", soname, family->variable);

    place_list *places = malloc(sizeof *places);
    if (!places) return vg_fail(VG_ERR_MEMORY, "no memory to look for %s", soname);
    list_places(places, family, soname);
    char wrong[1024] = "";
    for (int i = 0; i < places->count && !out->handle; i++) {
        const char *place = places->path[i], *missing;
        void *handle = dlopen(place, RTLD_NOW | (family->global ? RTLD_GLOBAL : RTLD_LOCAL));
        const char *why = handle ? NULL : dlerror();
        if (!handle) { /* most places do not exist, which is no news; a file that does not open is */
            if (why && !strstr(why, "No such file") && !wrong[0]) snprintf(wrong, sizeof wrong, " (%s)", why);
            continue;
        }
        missing = resolve_all(handle, NULL, names, functions, count);
        if (missing) {
            snprintf(wrong, sizeof wrong, " (%s has no %s: too old?)", place, missing);
            dlclose(handle);
            continue;
        }
        out->handle = handle;
        note_path(out, count ? functions[0] : NULL, place);
    }
    free(places);
    if (out->handle) return VG_OK;
    return vg_fail(VG_ERR_NOT_FOUND,
                   "there is no usable %s where the loader looks, %s%s; name its folder in %s", soname,
                   family->called, wrong, family->variable);
}

void vg__library_close(vg__library *library)
{
    if (library->handle) dlclose(library->handle);
    *library = (vg__library){0};
}
