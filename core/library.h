/* Libraries that are opened while the program runs, so that one binary works with and without them: NVIDIA's,
 * and MPI. Where they are looked for, and a table of functions by name. A family of libraries has its places;
 * the first of these that has the library wins:
 *     a variable of Vagus    folders, separated by colons; "none" alone: no library at all
 *     the loader             ld.so.conf, LD_LIBRARY_PATH
 *     the family's homes     an installation's own variables and folders
 *     $VIRTUAL_ENV, $CONDA_PREFIX  for CUDA: the folders of Python's nvidia-* packages
 * A folder may hold the libraries itself, or be a toolkit (lib64, lib), or Python's site-packages/nvidia. For
 * files that cage a foreign library: kernels/cuda, core/group. */
#ifndef VAGUS_CORE_LIBRARY_H
#define VAGUS_CORE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*vg__function)(void);

typedef struct vg__library {
    void *handle;   /* NULL for a stand-in */
    char path[512]; /* the file that was opened */
} vg__library;

/* homes: environment variables, and folders (they begin with a slash). below: where in a folder a library may
 * be. Both end with NULL. */
typedef struct vg__library_family {
    const char *variable; /* of Vagus */
    const char *const *homes, *const *below;
    const char *called; /* the homes, for messages */
    bool python;        /* Python's nvidia-* packages are looked at */
    bool global;        /* libraries that it opens itself need its names: MPI's components do */
    bool emulated;      /* of a device that can be emulated: see vg__library_stand_ins_alone() */
} vg__library_family;
extern const vg__library_family vg__library_cuda, vg__library_mpi;

/* Opens the library with this soname and fills functions[i] with names[i], which may be a variable's name as
 * well (its address then). A copy that lacks one is passed over for the next place. ERR_NOT_FOUND tells where
 * it was looked for and what was wrong there. */
VG_NODISCARD vg_status vg__library_open_of(const vg__library_family *family, const char *soname,
                                           const char *const *names, vg__function *functions, int count,
                                           vg__library *out);

/* One of CUDA's family. */
VG_NODISCARD vg_status vg__library_open(const char *soname, const char *const *names, vg__function *functions,
                                        int count, vg__library *out);
void vg__library_close(vg__library *library); /* {0} is fine */

/* From now on `soname` is answered by `resolve` (NULL for a name it does not have) instead of a file; NULL
 * brings files back. For the tests. */
void vg__library_stand_in(const char *soname, vg__function (*resolve)(const char *name));

/* From now on no file of an emulated family (CUDA's) is opened at all. For an emulated device, whose memory
 * means nothing to a library that found a GPU. */
void vg__library_stand_ins_alone(void);

/* The table of a library's functions, in C, from an X-macro list of their names: the type `functions`, where
 * `by` has them under their own names and `all` as the loader sees them; `names`; and FUNCTION_COUNT. Ends
 * with a semicolon. */
#define VG__LIBRARY_MEMBER(name) __typeof__(&name) name;
#define VG__LIBRARY_ONE(name)    +1
#define VG__LIBRARY_NAME(name)   #name,
#define VG__LIBRARY_TABLE(LIST)                                                                              \
    typedef union functions {                                                                                \
        struct {                                                                                             \
            LIST(VG__LIBRARY_MEMBER)                                                                         \
        } by;                                                                                                \
        vg__function all[0 LIST(VG__LIBRARY_ONE)];                                                           \
    } functions;                                                                                             \
    static const char *const names[] = {LIST(VG__LIBRARY_NAME)};                                             \
    enum { FUNCTION_COUNT = sizeof names / sizeof *names };                                                  \
    _Static_assert(sizeof(functions) == FUNCTION_COUNT * sizeof(vg__function), "a table of functions alone")

#ifdef __cplusplus
}
#endif
#endif
