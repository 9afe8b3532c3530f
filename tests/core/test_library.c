/* Where libraries are looked for (core/library.h), and what is said when none will do. The libraries
 * are two of our own, linked into folders laid out as toolkits and Python's packages are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/library.h"
#include "tests/support/support.h"

static const char soname[] = "libvagus_sample.so.7";
static const char *const names[] = {"sample_first", "sample_second"};

/* folder/below/libvagus_sample.so.7 -> the file */
static void place(const char *folder, const char *below, const char *file)
{
    char *inner = support_path(folder, below), *path = support_path(inner, soname);
    assert_ok(vg_folder_make(inner));
    assert_int_equal(symlink(file, path), 0);
    free(path);
    free(inner);
}

static vg_status look(vg__library *library)
{
    vg__function functions[2];
    vg_status status = vg__library_open(soname, names, functions, 2, library);
    if (status != VG_OK) return status;
    assert_int_equal(((int (*)(void))functions[0])(), 1);
    assert_int_equal(((int (*)(void))functions[1])(), 2);
    return VG_OK;
}

/* Found through this variable below this folder? */
static void found_by(const char *variable, const char *below)
{
    char *folder = support_temp_dir();
    vg__library library;
    place(folder, below, SAMPLE_WHOLE);
    assert_fails(look(&library), VG_ERR_NOT_FOUND, soname);
    setenv(variable, folder, 1);
    assert_ok(look(&library));
    if (strncmp(library.path, folder, strlen(folder)) && strcmp(library.path, SAMPLE_WHOLE))
        fail_msg("%s: found at %s", below, library.path);
    vg__library_close(&library);
    assert_null(library.handle);
    unsetenv(variable);
    free(folder);
}

static void test_places(void **state)
{
    (void)state;
    static const char *const below[] = {".",         "lib64",      "lib",     "cu13/lib",
                                        "cudnn/lib", "cublas/lib", "nccl/lib"};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) found_by("VAGUS_CUDA_LIBRARIES", below[i]);
    found_by("CUDA_HOME", "lib64");
    found_by("VIRTUAL_ENV", "lib/python3.11/site-packages/nvidia/cudnn/lib");
    found_by("CONDA_PREFIX", "lib/python3.12/site-packages/nvidia/cu13/lib");
}

/* Empty and missing folders in the list are stepped over, and so is a copy that lacks a function. */
static void test_the_first_that_will_do(void **state)
{
    (void)state;
    char *old = support_temp_dir(), *whole = support_temp_dir(), list[1024];
    vg__library library;
    place(old, ".", SAMPLE_WITHOUT_SECOND);
    place(whole, "lib", SAMPLE_WHOLE);
    snprintf(list, sizeof list, ":/nowhere::%s:%s", old, whole);
    setenv("VAGUS_CUDA_LIBRARIES", list, 1);
    assert_ok(look(&library));
    vg__library_close(&library);
    setenv("VAGUS_CUDA_LIBRARIES", old, 1);
    assert_fails(look(&library), VG_ERR_NOT_FOUND, "has no sample_second: too old?");
    assert_null(library.handle);
    setenv("VAGUS_CUDA_LIBRARIES", "none", 1);
    assert_fails(look(&library), VG_ERR_NOT_FOUND, "VAGUS_CUDA_LIBRARIES is none");
    unsetenv("VAGUS_CUDA_LIBRARIES");
    free(old);
    free(whole);
}

/* A file that is there and does not open is told; that most places have none is not. */
static void test_what_was_wrong(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, soname);
    vg__library library;
    support_write_file(path, "no library", 10);
    setenv("VAGUS_CUDA_LIBRARIES", folder, 1);
    assert_fails(look(&library), VG_ERR_NOT_FOUND, path);
    unsetenv("VAGUS_CUDA_LIBRARIES");
    assert_fails(look(&library), VG_ERR_NOT_FOUND, "name its folder in VAGUS_CUDA_LIBRARIES");
    free(path);
    free(folder);
}

/* MPI has places of its own, and CUDA's mean nothing to it. */
static void test_families(void **state)
{
    (void)state;
    static const char *const homes[] = {"MPI_HOME", "OPAL_PREFIX"};
    vg__function functions[2];
    vg__library library;
    for (int i = 0; i < 2; i++) {
        char *folder = support_temp_dir();
        place(folder, "lib", SAMPLE_WHOLE);
        setenv("CUDA_HOME", folder, 1);
        assert_fails(vg__library_open_of(&vg__library_mpi, soname, names, functions, 2, &library),
                     VG_ERR_NOT_FOUND, "name its folder in VAGUS_MPI_LIBRARIES");
        unsetenv("CUDA_HOME");
        setenv(homes[i], folder, 1);
        assert_ok(vg__library_open_of(&vg__library_mpi, soname, names, functions, 2, &library));
        vg__library_close(&library);
        setenv("VAGUS_MPI_LIBRARIES", "none", 1);
        assert_fails(vg__library_open_of(&vg__library_mpi, soname, names, functions, 2, &library),
                     VG_ERR_NOT_FOUND, "VAGUS_MPI_LIBRARIES is none");
        unsetenv("VAGUS_MPI_LIBRARIES");
        unsetenv(homes[i]);
        free(folder);
    }
}

static int setup(void **state)
{
    (void)state;
    static const char *const variables[] = {"VAGUS_CUDA_LIBRARIES", "CUDA_HOME",           "VIRTUAL_ENV",
                                            "CONDA_PREFIX",         "VAGUS_MPI_LIBRARIES", "MPI_HOME",
                                            "OPAL_PREFIX"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places), cmocka_unit_test(test_the_first_that_will_do),
        cmocka_unit_test(test_what_was_wrong), cmocka_unit_test(test_families)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
