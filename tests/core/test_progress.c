/* The live line and the log lines. Standard error is a file or a pseudo-terminal here. */
#include <fcntl.h>
#include <poll.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/log.h"
#include "core/progress.h"
#include "tests/support/support.h"

static int lines_logged, lines_on_terminal;
static char last_line[2048];

static void sink(vg_log_level level, const char *line, void *context)
{
    (void)level;
    (void)context;
    lines_logged++;
    if (!vg_console_has_progress()) lines_on_terminal++;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void test_format(void **state)
{
    (void)state;
    char text[200], small[12];
    vg_progress progress = {
        .what = "pretrain", .start = 1000, .total = 5000, .step = 2000, .loss = 0.12341, .began = 50};
    progress.segments = 81200;
    vg_progress_format(&progress, 150, text, sizeof text);
    assert_string_equal(text, "pretrain  step 2000/5000  loss 0.1234  812 segments/s  ETA 0:05:00");
    progress.segments = 250;
    progress.loss = NAN;
    progress.total = 0;
    vg_progress_format(&progress, 150, text, sizeof text);
    assert_string_equal(text, "pretrain  step 2000  2.5 segments/s");
    vg_progress_format(&progress, 50, text, sizeof text); /* no time has passed */
    assert_string_equal(text, "pretrain  step 2000");
    vg_progress_format(&progress, 150, small, sizeof small);
    assert_string_equal(small, "pretrain  s");
}

/* Runs `updates` updates with standard error going to `descriptor`. */
static void run(int descriptor, int updates, double log_every)
{
    vg_progress progress;
    fflush(stderr);
    int held = dup(STDERR_FILENO);
    assert_true(held >= 0 && dup2(descriptor, STDERR_FILENO) >= 0);
    lines_logged = lines_on_terminal = 0;
    vg_log_set_sink(sink, NULL);
    vg_progress_begin(&progress, "train", 0, updates);
    progress.log_every = log_every;
    for (int step = 1; step <= updates; step++) {
        vg_progress_update(&progress, step, 1.0 / step, 4.0 * step);
        if (step == updates / 2) vg_console_line("a warning");
    }
    vg_progress_end(&progress);
    vg_log_set_sink(NULL, NULL);
    fflush(stderr);
    dup2(held, STDERR_FILENO);
    close(held);
}

static void test_plain(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "err");
    int file = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(file >= 0);
    run(file, 5000, 1e9);
    close(file);
    char *text = support_read_file(path, NULL);
    assert_string_equal(text, "a warning\n"); /* no live line */
    assert_int_equal(lines_logged, 2);        /* the first and the last */
    assert_int_equal(lines_on_terminal, 2);
    assert_non_null(strstr(last_line, "train  step 5000/5000"));
    free(text);
    file = open(path, O_RDWR | O_TRUNC);
    run(file, 10, 0);
    assert_int_equal(lines_logged, 10);
    run(file, 0, 0);
    assert_int_equal(lines_logged, 0);
    run(file, 1, 1e9);
    assert_int_equal(lines_logged, 1);
    close(file);
    free(path);
    free(folder);
}

static void test_terminal(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        print_message("skipped: no pseudo-terminal here\n");
        skip();
    }
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    struct winsize window = {.ws_row = 24, .ws_col = 30};
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &window), 0);
    run(terminal, 20000, 1e9);
    char text[4096];
    /* The kernel hands a terminal's output on a little later and in pieces: read until it is silent. */
    ssize_t got = 0;
    struct pollfd waiting = {.fd = master, .events = POLLIN};
    while (got < (ssize_t)sizeof text - 1 && poll(&waiting, 1, 500) > 0) {
        ssize_t piece = read(master, text + got, sizeof text - 1 - (size_t)got);
        if (piece <= 0) break;
        got += piece;
    }
    assert_true(got > 0);
    text[got] = 0;
    close(terminal);
    close(master);
    /* Few redraws for many updates, none wider than the terminal, the warning on a line of its own. */
    int redraws = 0;
    for (const char *at = text; (at = strstr(at, "\rtrain")); at++) {
        const char *end = strstr(at, "\033[K");
        assert_non_null(end);
        assert_true(end - at - 1 <= 29);
        redraws++;
    }
    assert_in_range(redraws, 1, 60);
    assert_non_null(strstr(text, "\r\033[Ka warning\r\n"));
    assert_int_equal(text[got - 1], '\n');
    assert_int_equal(lines_logged, 2);
    assert_int_equal(lines_on_terminal, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
