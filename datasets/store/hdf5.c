#include "datasets/store/hdf5.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <hdf5.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Guarded by the lock: how HDF5 told errors before vg__hdf5_enter(), and the first reason it gave since. The
 * reason is taken at once, because the next successful call (closing something, say) would wipe it out. */
static H5E_auto2_t teller;
static void *teller_data;
static char reason[512];

/* HDF5 walks upward from where the error arose; the first entry with a description is the reason. */
static herr_t take_reason(unsigned number, const H5E_error2_t *error, void *data)
{
    (void)number;
    (void)data;
    if (!reason[0] && error->desc) snprintf(reason, sizeof reason, "%s", error->desc);
    return 0;
}

/* HDF5 calls this in place of printing whenever one of its functions fails. */
static herr_t remember(hid_t stack, void *data)
{
    return H5Ewalk2(stack, H5E_WALK_UPWARD, take_reason, data);
}

void vg__hdf5_enter(void)
{
    static bool entered;
    pthread_mutex_lock(&lock);
    /* HDF5 would clean up at exit, and complains on stderr then when opening a damaged file has left
     * something behind inside it. We close what we open, so there is nothing to clean up. */
    if (!entered) H5dont_atexit();
    entered = true;
    H5Eget_auto2(H5E_DEFAULT, &teller, &teller_data);
    H5Eset_auto2(H5E_DEFAULT, remember, NULL);
    H5Eclear2(H5E_DEFAULT);
    reason[0] = 0;
}

void vg__hdf5_leave(void)
{
    H5Eset_auto2(H5E_DEFAULT, teller, teller_data);
    pthread_mutex_unlock(&lock);
}

const char *vg__hdf5_words(char *text, size_t size)
{
    snprintf(text, size, "%s", reason[0] ? reason : "no reason given");
    reason[0] = 0;
    return text;
}

vg_status vg__hdf5_fail(vg_status status, const char *format, ...)
{
    char claim[1024], words[512];
    vg__hdf5_words(words, sizeof words);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(claim, sizeof claim, format, arguments);
    va_end(arguments);
    return vg_fail(status, "%s (HDF5: %s)", claim, words);
}
