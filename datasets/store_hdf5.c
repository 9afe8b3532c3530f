#include "datasets/store_hdf5.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <hdf5.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The printing in force before vg__hdf5_enter(); guarded by the lock. */
static H5E_auto2_t printer;
static void *printer_data;

void vg__hdf5_enter(void)
{
    pthread_mutex_lock(&lock);
    H5Eget_auto2(H5E_DEFAULT, &printer, &printer_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5Eclear2(H5E_DEFAULT);
}

void vg__hdf5_leave(void)
{
    H5Eset_auto2(H5E_DEFAULT, printer, printer_data);
    pthread_mutex_unlock(&lock);
}

struct words {
    char *text;
    size_t size;
};

/* HDF5 walks upward from where the error arose; the first entry with a description is the reason. */
static herr_t take_words(unsigned number, const H5E_error2_t *error, void *data)
{
    (void)number;
    struct words *words = data;
    if (words->text[0] || !error->desc || !error->desc[0]) return 0;
    snprintf(words->text, words->size, "%s", error->desc);
    return 0;
}

const char *vg__hdf5_words(char *text, size_t size)
{
    text[0] = 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, &(struct words){text, size});
    if (!text[0]) snprintf(text, size, "HDF5 gives no reason");
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
    H5Eclear2(H5E_DEFAULT);
    return vg_fail(status, "%s (HDF5: %s)", claim, words);
}
