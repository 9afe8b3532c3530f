/* Errors: one list of codes, and one cause per thread, recorded where the error arises.
 *
 * A function that can fail returns a vg_status: 0 or a negative code. Whoever detects the error calls
 * vg_fail() with a sentence naming the file, the key or dataset, the place and the way out; whoever passes
 * it on uses VG_TRY. Bad input returns a status; only a programmer's mistake asserts. */
#ifndef VAGUS_CORE_STATUS_H
#define VAGUS_CORE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define VG_STATUS_MAP(X)                                                                                     \
    X(OK, 0, "done")                                                                                         \
    X(ERR_MEMORY, -1, "out of memory")                                                                       \
    X(ERR_IO, -2, "a file could not be read or written")                                                     \
    X(ERR_FORMAT, -3, "a file's content is malformed")                                                       \
    X(ERR_CONFIG, -4, "usage or configuration error")                                                        \
    X(ERR_SHAPE, -5, "shapes or types do not fit")                                                           \
    X(ERR_DATA, -6, "the data cannot be used")                                                               \
    X(ERR_NOT_FOUND, -7, "not found")                                                                        \
    X(ERR_UNSUPPORTED, -8, "not supported")                                                                  \
    X(ERR_DEVICE, -9, "the device or its library failed")                                                    \
    X(ERR_NUMERIC, -10, "a number is not finite")                                                            \
    X(ERR_PREEMPTED, -11, "stopped on request, resumable")                                                   \
    X(ERR_PEER, -12, "another rank of the run is lost or silent")

typedef enum vg_status {
#define VG_STATUS_ENUM(name, code, text) VG_##name = (code),
    VG_STATUS_MAP(VG_STATUS_ENUM)
#undef VG_STATUS_ENUM
} vg_status;

#define VG_NODISCARD             __attribute__((warn_unused_result))
#define VG_PRINTF(string, first) __attribute__((format(printf, string, first)))
#define VG_API                   __attribute__((visibility("default")))

/* The name ("ERR_IO") and the meaning of a code; both are static strings, also for an unknown code. */
VG_API const char *vg_status_name(vg_status status);
VG_API const char *vg_status_text(vg_status status);

/* The sentence recorded by this thread's latest vg_fail(), "" if there was none. Valid until the thread's
 * next vg_fail(). vg_cause_where() is "file:line" of that call, for a debug log. */
VG_API const char *vg_cause(void);
VG_API const char *vg_cause_where(void);

/* Records the cause and returns `status`; the only way an error is born. */
#define vg_fail(status, ...) vg__fail((status), __FILE__, __LINE__, __VA_ARGS__)
VG_API vg_status vg__fail(vg_status status, const char *file, int line, const char *format, ...)
    VG_PRINTF(4, 5);

/* Puts "context: " in front of the recorded cause and returns `status`; for a caller that knows a name the
 * callee does not (which experiment file, which recording). */
VG_API vg_status vg_context(vg_status status, const char *format, ...) VG_PRINTF(2, 3);

/* Passes an error on: returns it, or jumps to the function's single `out:` label with `status` set. */
#define VG_TRY(expression)                                                                                   \
    do {                                                                                                     \
        vg_status vg_try_status_ = (expression);                                                             \
        if (vg_try_status_ != VG_OK) return vg_try_status_;                                                  \
    } while (0)
#define VG_TRY_OUT(expression)                                                                               \
    do {                                                                                                     \
        status = (expression);                                                                               \
        if (status != VG_OK) goto out;                                                                       \
    } while (0)

/* A programmer's mistake: prints the claim and aborts, in release builds too. Never for file content. */
#define VG_ASSERT(claim) ((claim) ? (void)0 : vg__assert_failed(#claim, __FILE__, __LINE__))
VG_API void vg__assert_failed(const char *claim, const char *file, int line) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
