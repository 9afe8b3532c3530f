/* OpenSSL's: libcurl brings that library along, and it knows the processor's instructions for this. */
#include "core/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/file.h"

struct vg_sha256 {
    EVP_MD_CTX *context;
};

static vg_status failed(const char *doing)
{
    return vg_fail(VG_ERR_MEMORY, "OpenSSL cannot %s a SHA-256 sum", doing);
}

vg_status vg_sha256_create(vg_sha256 **out)
{
    vg_sha256 *hash = calloc(1, sizeof *hash);
    if (hash) hash->context = EVP_MD_CTX_new();
    if (!hash || !hash->context) {
        free(hash);
        return failed("begin");
    }
    vg_status status = vg_sha256_begin(hash);
    if (status == VG_OK)
        *out = hash;
    else
        vg_sha256_destroy(hash);
    return status;
}

vg_status vg_sha256_begin(vg_sha256 *hash)
{
    return EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1 ? VG_OK : failed("begin");
}

vg_status vg_sha256_add(vg_sha256 *hash, const void *bytes, size_t count)
{
    return EVP_DigestUpdate(hash->context, bytes, count) == 1 ? VG_OK : failed("continue");
}

vg_status vg_sha256_end(const vg_sha256 *hash, char text[VG_SHA256_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool done = copy && EVP_MD_CTX_copy_ex(copy, hash->context) == 1 &&
                EVP_DigestFinal_ex(copy, sum, &count) == 1 && count == 32;
    EVP_MD_CTX_free(copy);
    if (!done) return failed("end");
    for (unsigned i = 0; i < count; i++) {
        text[2 * i] = digits[sum[i] >> 4];
        text[2 * i + 1] = digits[sum[i] & 15];
    }
    text[2 * count] = 0;
    return VG_OK;
}

void vg_sha256_destroy(vg_sha256 *hash)
{
    if (hash) EVP_MD_CTX_free(hash->context);
    free(hash);
}

vg_status vg_sha256_file(const char *path, char text[VG_SHA256_TEXT])
{
    enum { PIECE = 1 << 18 };
    vg_status status = VG_OK;
    vg_sha256 *hash = NULL;
    char *piece = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return vg__file_fail("open", path, errno);
    VG_TRY_OUT(vg_sha256_create(&hash));
    piece = malloc(PIECE);
    if (!piece) {
        status = failed("read the bytes for");
        goto out;
    }
    for (;;) {
        ssize_t count = read(descriptor, piece, PIECE);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            status = vg__file_fail("read", path, errno);
            goto out;
        }
        if (count == 0) break;
        VG_TRY_OUT(vg_sha256_add(hash, piece, (size_t)count));
    }
    status = vg_sha256_end(hash, text);
out:
    close(descriptor);
    free(piece);
    vg_sha256_destroy(hash);
    return status;
}

bool vg_sha256_is_text(const char *text)
{
    return strlen(text) == VG_SHA256_TEXT - 1 && strspn(text, "0123456789abcdefABCDEF") == VG_SHA256_TEXT - 1;
}

bool vg_sha256_equal(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}
