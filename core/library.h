/* Libraries that are opened while the program runs, so that one binary works with and without them: NVIDIA's,
 * and MPI. Where they are looked for, and a table of functions by name. The first of these that has the
 * library wins: $VAGUS_CUDA_LIBRARIES      folders, separated by colons; "none" alone: no library at all the
 * loader                 ld.so.conf, LD_LIBRARY_PATH $CUDA_HOME, /usr/local/cuda $VIRTUAL_ENV, $CONDA_PREFIX:
 * the folders of Python's nvidia-* packages A folder may hold the libraries itself, or be a toolkit (lib64,
 * lib), or Python's site-packages/nvidia. For files that cage a foreign library: kernels/cuda, core/group. */
#ifndef VAGUS_CORE_LIBRARY_H
#define VAGUS_CORE_LIBRARY_H

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

/* Opens the library with this soname and fills functions[i] with names[i]. A copy that lacks a function is
 * passed over for the next place. ERR_NOT_FOUND tells where it was looked for and what was wrong there. */
VG_NODISCARD vg_status vg__library_open(const char *soname, const char *const *names, vg__function *functions,
                                        int count, vg__library *out);
void vg__library_close(vg__library *library); /* {0} is fine */

/* From now on `soname` is answered by `resolve` (NULL for a name it does not have) instead of a file; NULL
 * brings files back. For the tests. */
void vg__library_stand_in(const char *soname, vg__function (*resolve)(const char *name));

/* From now on no file is opened at all. For an emulated device, whose memory means nothing to a library that
 * found a GPU. */
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
