/* The launcher with shell scripts in the place of ranks: their environment and descriptors, output, exit
 * codes, restarts, signals, and that nothing is left behind. Each launch runs in a child of the test, which
 * adopts whatever that child leaves. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "experiments/runner/launch/launch.h"
#include "experiments/runner/launch/meeting.h"
#include "tests/support/support.h"

enum { INTERRUPTED = 130, PREEMPTED = 75 };

static const char *folder;
static char *out_path, *err_path, *out, *err; /* of the last launch: files, then their content */

static int readers_end = -1; /* of a pipe that the next launch writes to; not to be held open by it */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void rest(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)(1e9 * (seconds - (double)(long)seconds))};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

static vg_launch_options ranks(int count)
{
    vg_launch_options options = vg_launch_defaults();
    options.executable = "/bin/sh";
    options.ranks = count;
    options.max_restarts = 0;
    options.pause = 0.05;
    options.kill_after = 0.3;
    options.grace = 20;
    return options;
}

static int exit_code(vg_status status, bool interrupted)
{
    return interrupted                  ? INTERRUPTED
           : status == VG_OK            ? 0
           : status == VG_ERR_CONFIG    ? 2
           : status == VG_ERR_PREEMPTED ? PREEMPTED
                                        : 1;
}

/* Starts a launch of `script` in a child. Its own descriptors beyond 0, 1 and 2 do not reach the ranks, so
 * that a test can say exactly what they have. */
static pid_t begin(vg_launch_options options, const char *script)
{
    char sh[] = "sh", c[] = "-c", *words[] = {sh, c, (char *)script, NULL};
    fflush(NULL);
    const pid_t test = getpid(), child = fork();
    assert_true(child >= 0);
    if (child) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != test) _exit(1);
    if (readers_end >= 0) close(readers_end);
    options.words = words;
    if (options.out == STDOUT_FILENO)
        options.out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (options.err == STDERR_FILENO)
        options.err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    for (int fd = 3; fd < 256; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    bool interrupted = false;
    vg_status status = vg_launch_run(&options, &interrupted);
    if (status != VG_OK) dprintf(options.err, "cause: %s\n", vg_cause());
    _exit(exit_code(status, interrupted));
}

static void forget(void)
{
    free(out);
    free(err);
    out = err = NULL;
}

/* The exit code, -signal when one ended it. Nobody may be left. */
static int end(pid_t child)
{
    int how = 0;
    size_t size;
    assert_int_equal(waitpid(child, &how, 0), child);
    forget();
    out = support_read_file(out_path, &size);
    err = support_read_file(err_path, &size);
    return WIFSIGNALED(how) ? -WTERMSIG(how) : WEXITSTATUS(how);
}

/* Whoever a rank had started was killed with it, and only waits to be counted. */
static void assert_nobody_left(void)
{
    int how;
    for (int i = 0; i < 3000; i++) {
        pid_t found = waitpid(-1, &how, WNOHANG);
        if (found < 0 && errno == ECHILD) return;
        if (found == 0) rest(0.001);
    }
    fail_msg("a process of the launch is still there");
}

static int launch(vg_launch_options options, const char *script)
{
    int code = end(begin(options, script));
    assert_nobody_left();
    return code;
}

static void assert_says(const char *text, const char *wanted)
{
    if (!strstr(text, wanted)) fail_msg("\"%s\" does not say \"%s\"", text, wanted);
}

static int count(const char *text, const char *wanted)
{
    int found = 0;
    for (; (text = strstr(text, wanted)); text += strlen(wanted)) found++;
    return found;
}

/* Waits until a file that a script writes is there, and is not empty. */
static char *awaited(const char *name)
{
    char *path = support_path(folder, name), *content = NULL;
    for (int i = 0; i < 20000 && !content; i++) {
        size_t size = 0;
        if (access(path, F_OK) == 0) content = support_read_file(path, &size);
        if (content && (!size || !strchr(content, '\n'))) {
            free(content);
            content = NULL;
        }
        if (!content) rest(0.001);
    }
    if (!content) fail_msg("%s has not appeared", path);
    free(path);
    return content;
}

static int set_up(void **state)
{
    (void)state;
    folder = support_temp_dir();
    out_path = support_path(folder, "out");
    err_path = support_path(folder, "err");
    setenv("HERE", folder, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    free((char *)folder);
    free(out_path);
    free(err_path);
    return 0;
}

/* ---- Place ------------------------------------------------------------------------------------------------
 */

static const char place[] = "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT "
                            "$VAGUS_LAUNCH $VAGUS_JOB $VAGUS_RESTARTS ${VAGUS_LISTENER-none} $KEPT";

static void test_environment(void **state)
{
    (void)state;
    static const char *const wrong[] = {"RANK",           "WORLD_SIZE",     "LOCAL_RANK",  "LOCAL_WORLD_SIZE",
                                        "VAGUS_RESTARTS", "VAGUS_LISTENER", "MASTER_ADDR", "MASTER_PORT"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) setenv(wrong[i], "77", 1);
    setenv("KEPT", "kept as it was", 1);
    assert_int_equal(launch(ranks(3), place), 0);
    char job[64], first_job[64] = "";
    int port, first_port = 0;
    for (int rank = 0; rank < 3; rank++) {
        char begin_of_line[64];
        snprintf(begin_of_line, sizeof begin_of_line, "[%d] %d/3 %d/3 127.0.0.1:", rank, rank, rank);
        const char *line = strstr(out, begin_of_line);
        if (!line) fail_msg("no \"%s\" in \"%s\"", begin_of_line, out);
        char listener[16];
        int restarts;
        assert_int_equal(
            sscanf(line + strlen(begin_of_line), "%d 1 %63s %d %15s", &port, job, &restarts, listener), 4);
        assert_int_equal(restarts, 0);
        assert_true(rank == 0 ? atoi(listener) > 2 : !strcmp(listener, "none"));
        assert_true(port > 0 && (!first_port || port == first_port));
        assert_true(!*first_job || !strcmp(job, first_job));
        first_port = port;
        strcpy(first_job, job);
    }
    assert_int_equal(count(out, " kept as it was\n"), 3);
    /* Another launch is another job, unless the user names it; a requeue counts as a restart. */
    assert_int_equal(launch(ranks(1), place), 0);
    assert_null(strstr(out, first_job));
    setenv("VAGUS_JOB", "mine", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    assert_int_equal(launch(ranks(1), place), 0);
    assert_says(out, " 1 mine 2 ");
    char *long_name = calloc(1, 65);
    memset(long_name, 'x', 64);
    setenv("VAGUS_JOB", long_name, 1);
    free(long_name);
    assert_int_equal(launch(ranks(1), place), 2);
    assert_says(err, "VAGUS_JOB has 64 letters");
    unsetenv("VAGUS_JOB");
    unsetenv("SLURM_RESTART_COUNT");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) unsetenv(wrong[i]);
    unsetenv("KEPT");
    setenv("VAGUS_LAUNCH", "1", 1);
    assert_int_equal(launch(ranks(1), place), 2);
    assert_says(err, "ranks do not launch ranks");
    unsetenv("VAGUS_LAUNCH");
}

static void test_nodes(void **state)
{
    (void)state;
    vg_launch_options options = ranks(2);
    /* A free port: taken, and let go again. */
    vg__meeting meeting;
    assert_ok(vg__meeting_open(&options, &meeting));
    char master[64];
    snprintf(master, sizeof master, "localhost:%d", meeting.port);
    options.nodes = 3;
    options.node = 2;
    assert_ok(vg_launch_master(master, &options));
    assert_int_equal(launch(options, place), 0);
    char wanted[256];
    for (int rank = 4; rank < 6; rank++) {
        snprintf(wanted, sizeof wanted, "[%d] %d/6 %d/2 %s 1 launch-%d-3x2 0 none \n", rank, rank, rank - 4,
                 master, meeting.port);
        wanted[strlen(wanted) - 2] = '\n';
        wanted[strlen(wanted) - 1] = 0;
        assert_says(out, wanted);
    }
    options.node = 0;
    assert_int_equal(launch(options, place), 1);
    snprintf(wanted, sizeof wanted, "--master: cannot listen at port %d", meeting.port);
    assert_says(err, wanted);
    vg__meeting_close(&meeting);
    assert_int_equal(launch(options, place), 0);
    snprintf(wanted, sizeof wanted, "[0] 0/6 0/2 %s 1 launch-%d-3x2 0 ", master, meeting.port);
    assert_says(out, wanted);

    static const char *const bad[] = {"host", "host:", ":1",   "host:0", "host:65536", "host:12x", "a::b:1",
                                      "[]:5", "h:-1",  "h: 1", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(vg_launch_master(bad[i], &options), VG_ERR_CONFIG, "--master");
    assert_ok(vg_launch_master("[fe80::1%eth0]:65535", &options));
    assert_string_equal(options.master, "fe80::1%eth0");
    assert_int_equal(options.port, 65535);
}

static bool answers(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

/* The socket of rank 0 stays open over restarts, at the same port. */
static void test_port(void **state)
{
    (void)state;
    static const char script[] =
        "[ $RANK = 1 ] && exit 0; echo $MASTER_PORT > $HERE/port$VAGUS_RESTARTS; "
        "while [ ! -e $HERE/go$VAGUS_RESTARTS ]; do sleep 0.01; done; exit $((1 - VAGUS_RESTARTS))";
    vg_launch_options options = ranks(2);
    options.max_restarts = 1;
    pid_t child = begin(options, script);
    char *before = awaited("port0"), *after, *go;
    assert_true(answers(atoi(before)));
    support_write_file(go = support_path(folder, "go0"), "", 0);
    free(go);
    after = awaited("port1");
    assert_string_equal(before, after);
    assert_true(answers(atoi(after)));
    support_write_file(go = support_path(folder, "go1"), "", 0);
    free(go);
    assert_int_equal(end(child), 0);
    assert_nobody_left();
    assert_false(answers(atoi(after)));
    free(before);
    free(after);
}

/* Where descriptor `fd` of a process leads to; "" when there is none. */
static const char *leads_to(int process, int fd)
{
    static char target[256];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", process, fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    return target;
}

/* A rank has its stdin, its own two pipes, and rank 0 the socket that listens: no other rank's, and nothing
 * of the launcher's. */
static void test_descriptors(void **state)
{
    (void)state;
    pid_t child = begin(ranks(3), "echo $$ $VAGUS_LISTENER > $HERE/ready$RANK; exec sleep 20");
    char pipes[6][256];
    for (int rank = 0; rank < 3; rank++) {
        char name[16], program[32] = "";
        int process = 0, listener = -1;
        snprintf(name, sizeof name, "ready%d", rank);
        char *text = awaited(name);
        assert_int_equal(sscanf(text, "%d %d", &process, &listener), rank == 0 ? 2 : 1);
        free(text);
        /* The shell's own descriptors are gone once it has become another program. */
        for (int i = 0; i < 10000 && strcmp(program, "sleep\n") != 0; i++) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%d/comm", process);
            FILE *file = fopen(path, "r");
            assert_non_null(file);
            if (!fgets(program, sizeof program, file)) program[0] = 0;
            fclose(file);
            rest(0.001);
        }
        assert_int_equal(getpgid(process), process); /* a terminal's Ctrl-C does not reach it by itself */
        assert_string_equal(leads_to(process, 0), "/dev/null");
        for (int i = 0; i < 2; i++) {
            snprintf(pipes[2 * rank + i], sizeof pipes[0], "%s", leads_to(process, 1 + i));
            assert_memory_equal(pipes[2 * rank + i], "pipe:", 5);
            for (int k = 0; k < 2 * rank + i; k++) assert_string_not_equal(pipes[k], pipes[2 * rank + i]);
        }
        if (listener >= 0) assert_memory_equal(leads_to(process, listener), "socket:", 7);
        for (int fd = 3; fd < 256; fd++) {
            /* A program that starts opens files of its own for a moment. */
            for (int i = 0; i < 3000 && fd != listener && *leads_to(process, fd); i++) rest(0.001);
            if (fd != listener) assert_string_equal(leads_to(process, fd), "");
        }
    }
    kill(child, SIGTERM);
    assert_int_equal(end(child), PREEMPTED);
    assert_nobody_left();
}

/* ---- Output -----------------------------------------------------------------------------------------------
 */

static void test_lines(void **state)
{
    (void)state;
    /* In parts, empty ones, and a last one without its newline; on both ways. */
    assert_int_equal(
        launch(ranks(1), "printf 'a'; sleep 0.05; printf 'b\\n\\n'; echo wrong >&2; printf 'the end'"), 0);
    assert_string_equal(out, "[0] ab\n[0] \n[0] the end\n");
    assert_says(err, "\n[0] wrong\n");
    assert_int_equal(launch(ranks(11), "echo $RANK"), 0);
    for (int rank = 0; rank < 11; rank++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "[%2d] %d\n", rank, rank);
        assert_says(out, wanted);
    }
    assert_int_equal(strlen(out), 10 * 7 + 8);
}

/* Its bytes in order, whatever the pieces; those of the other rank between them. */
static void test_long_line(void **state)
{
    (void)state;
    enum { NUMBERS = 40000 };
    assert_int_equal(launch(ranks(2), "i=0; while [ $i -lt 200 ]; do printf %s$i, $RANK; i=$((i+1)); done; "
                                      "seq -s, 1 40000 | tr -d '\\n'; printf '\\nafter\\n'"),
                     0);
    for (int rank = 0; rank < 2; rank++) {
        char start[8], go_on[8], *joined = calloc(1, strlen(out) + 1), *end_of = joined, wanted[32];
        snprintf(start, sizeof start, "[%d] ", rank);
        snprintf(go_on, sizeof go_on, "[%d]+", rank);
        int lines = 0, pieces = 0;
        for (char *line = out; *line; line += strcspn(line, "\n") + 1) {
            size_t length = strcspn(line, "\n");
            lines += !strncmp(line, start, 4);
            pieces += !strncmp(line, go_on, 4);
            if (strncmp(line, start, 4) && strncmp(line, go_on, 4)) continue;
            if (lines == 2) break;
            memcpy(end_of, line + 4, length - 4);
            end_of += length - 4;
        }
        assert_int_equal(lines, 2);
        assert_true(pieces >= 10);
        char *at = joined;
        for (int i = 0; i < 200; i++, at += strlen(wanted)) {
            snprintf(wanted, sizeof wanted, "%d%d,", rank, i);
            assert_memory_equal(at, wanted, strlen(wanted));
        }
        for (int i = 1; i <= NUMBERS; i++, at += strlen(wanted)) {
            snprintf(wanted, sizeof wanted, "%d%s", i, i < NUMBERS ? "," : "");
            assert_memory_equal(at, wanted, strlen(wanted));
        }
        assert_true(at == end_of);
        free(joined);
    }
    assert_int_equal(count(out, "] after\n"), 2);
}

/* Two ranks, both ways into one pipe, a reader slower than they are: every line whole, in order, none lost.
 */
static void read_lines(int lines, size_t length)
{
    int ends[2];
    char script[256], *tail = calloc(1, length + 1), *line = calloc(1, length + 512);
    assert_int_equal(pipe(ends), 0);
    memset(tail, 'm', length);
    setenv("TAIL", tail, 1);
    snprintf(script, sizeof script,
             "seq -f \"$RANK out %%g of $TAIL\" 1 %d & seq -f \"$RANK err %%g of $TAIL\" 1 %d >&2; wait",
             lines, lines);
    vg_launch_options options = ranks(2);
    options.out = options.err = ends[1];
    pid_t child = begin(options, script);
    close(ends[1]);
    FILE *reader = fdopen(ends[0], "r");
    int seen[2][2] = {{0}};
    for (int read = 0; fgets(line, (int)length + 512, reader); read++) {
        int front, rank, number, at = 0;
        char way[8];
        if (read % (lines / 3) == 0) rest(0.05);
        if (!strncmp(line, "launch: ", 8)) continue;
        if (sscanf(line, "[%d] %d %3s %d of %n", &front, &rank, way, &number, &at) != 4 || !at ||
            strncmp(line + at, tail, length) != 0 || strcmp(line + at + length, "\n") != 0 || front != rank ||
            rank < 0 || rank > 1)
            fail_msg("a torn line: %.200s", line);
        int *last = &seen[rank][!strcmp(way, "err")];
        if (number != ++*last) fail_msg("line %d where %d was due", number, *last);
    }
    fclose(reader);
    for (int i = 0; i < 4; i++) assert_int_equal(seen[i / 2][i % 2], lines);
    support_write_file(out_path, "", 0);
    support_write_file(err_path, "", 0);
    assert_int_equal(end(child), 0);
    assert_nobody_left();
    unsetenv("TAIL");
    free(tail);
    free(line);
}

static void test_no_line_is_mixed(void **state)
{
    (void)state;
    read_lines(30000, 4);
    read_lines(600, 6000); /* longer than what a pipe takes at once */
}

/* A reader that goes away ends nobody, but is not passed over in silence. */
static void test_reader_gone(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    vg_launch_options options = ranks(2);
    options.out = ends[1];
    readers_end = ends[0];
    pid_t child = begin(options, "sleep 0.1; echo a; sleep 0.1; echo b; echo done > $HERE/$RANK.done");
    readers_end = -1;
    close(ends[0]);
    close(ends[1]);
    support_write_file(out_path, "", 0);
    assert_int_equal(end(child), 1);
    assert_nobody_left();
    free(awaited("0.done"));
    free(awaited("1.done"));
    assert_says(err, "output could not be written: Broken pipe");
}

/* ---- Ends and restarts ------------------------------------------------------------------------------------
 */

static void test_exit_codes(void **state)
{
    (void)state;
    vg_launch_options options = ranks(3);
    options.max_restarts = 2;
    assert_int_equal(launch(options, "exit 0"), 0);
    assert_int_equal(launch(options, "[ $RANK = 1 ] && exit 75; exit 0"), PREEMPTED);
    assert_says(err, "--resume");
    assert_int_equal(launch(options, "exit 75"), PREEMPTED);
    /* Configuration is not mended by another start; nor is a program that is not there. */
    assert_int_equal(launch(options, "[ $RANK = 0 ] || sleep 0.3; echo ran; exit 2"), 2);
    assert_int_equal(count(out, "ran\n"), 3);
    assert_says(err, "rank 0 ended with exit code 2 first");
    options.executable = "/nowhere/sh";
    assert_int_equal(launch(options, ""), 1);
    assert_says(err, "[1] vagus: error: cannot start /nowhere/sh: No such file");
    assert_null(strstr(err, "restart"));
}

static void test_restarts(void **state)
{
    (void)state;
    vg_launch_options options = ranks(3);
    options.max_restarts = 3;
    /* Rank 1 fails twice by a signal, once by a code; then all is well. */
    assert_int_equal(launch(options, "echo start $VAGUS_RESTARTS; [ $RANK = 1 ] && case $VAGUS_RESTARTS in "
                                     "0) kill -9 $$;; 1) kill -SEGV $$;; 2) exit 7;; esac; exit 0"),
                     0);
    for (int i = 0; i <= 3; i++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "start %d\n", i);
        assert_int_equal(count(out, wanted), 3);
    }
    assert_says(err, "was ended by SIGKILL");
    assert_says(err, "was ended by SIGSEGV");
    assert_says(err, "ended with exit code 7");
    assert_says(err, "restart 3 of 3 in 0.2 s");
    /* Used up, the first of the last try is named: rank 2, which the others follow. */
    options.max_restarts = 1;
    double start = now();
    assert_int_equal(launch(options, "echo start; [ $RANK = 2 ] && exit 9; sleep 0.3; exit 1"), 1);
    assert_true(now() - start < 15);
    assert_int_equal(count(out, "start\n"), 6);
    assert_says(err, "rank 2 ended with exit code 9 first; the restarts are used up (1)");
    /* One that was killed is the cause, although another's end was seen before; but not where configuration
     * was wrong, or the launcher itself has killed it. */
    options.max_restarts = 0;
    assert_int_equal(
        launch(options, "case $RANK in 0) exit 1;; 1) sleep 0.3; kill -9 $$;; 2) sleep 0.3; exit 1;; esac"),
        1);
    assert_says(err, "rank 1 was ended by SIGKILL first");
    assert_int_equal(launch(options, "case $RANK in 0) exit 2;; 1) sleep 0.3; kill -9 $$;; 2) exit 0;; esac"),
                     2);
    options.grace = 0.1;
    assert_int_equal(launch(options, "case $RANK in 0) exit 1;; *) sleep 20;; esac"), 1);
    assert_says(err, "rank 0 ended with exit code 1 first");
    /* After a failure 75 of the others is still a failure of the run. */
    options.max_restarts = 0;
    assert_int_equal(launch(options, "[ $RANK = 0 ] && kill -9 $$; sleep 0.1; exit 75"), 1);
}

/* Who does not end by itself: one that ignores SIGTERM, one that is stopped, one that listens. */
static void test_grace(void **state)
{
    (void)state;
    vg_launch_options options = ranks(4);
    options.grace = 0.4;
    double start = now();
    assert_int_equal(
        launch(options, "case $RANK in 0) trap '' TERM; echo deaf; sleep 30 & wait; sleep 30;; "
                        "1) kill -STOP $$; sleep 30;; 2) trap 'echo heard; exit 1' TERM; sleep 30 & wait;; "
                        "3) sleep 0.3; exit 3;; esac"),
        1);
    double seconds = now() - start;
    if (!(seconds >= 0.4 + 0.3 && seconds < 20)) fail_msg("took %g s", seconds);
    assert_says(out, "[2] heard");
    assert_says(err, "was stopped by a signal");
    assert_says(err, "still there after 0.4 s: SIGTERM");
    assert_says(err, "still there after SIGTERM: SIGKILL");
    assert_says(err, "rank 3 ended with exit code 3 first");
}

/* ---- Signals ----------------------------------------------------------------------------------------------
 */

/* "READY" says that its trap is set. What it is sent it writes down, once each. */
static const char listening[] =
    "trap 'echo INT >> $HERE/heard$RANK; exit 75' INT; "
    "trap 'echo TERM >> $HERE/heard$RANK; exit 75' TERM; echo ready > $HERE/ready$RANK; "
    "i=0; while [ $i -lt 3000 ]; do sleep 0.01; i=$((i+1)); done";

static void await_ready(int count_of_ranks)
{
    for (int rank = 0; rank < count_of_ranks; rank++) {
        char name[16];
        snprintf(name, sizeof name, "ready%d", rank);
        free(awaited(name));
        char *path = support_path(folder, name);
        unlink(path);
        free(path);
    }
}

static void test_passed_on(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *heard;
    } cases[] = {{SIGTERM, "TERM\n"}, {SIGINT, "INT\n"}, {SIGHUP, "TERM\n"}};
    for (size_t i = 0; i < 3; i++) {
        vg_launch_options options = ranks(2);
        options.max_restarts = 5;
        pid_t child = begin(options, listening);
        await_ready(2);
        kill(child, cases[i].number);
        assert_int_equal(end(child), PREEMPTED);
        assert_nobody_left();
        for (int rank = 0; rank < 2; rank++) {
            char name[16];
            snprintf(name, sizeof name, "heard%d", rank);
            char *heard = awaited(name), *path = support_path(folder, name);
            assert_string_equal(heard, cases[i].heard);
            unlink(path);
            free(heard);
            free(path);
        }
    }
}

static void test_stops(void **state)
{
    (void)state;
    vg_launch_options options = ranks(2);
    options.max_restarts = 5;
    options.grace = 0.2;
    /* Not listening yet: nothing is lost, and nothing is started again. That the other one fails follows. */
    pid_t child = begin(
        options,
        "[ $RANK = 1 ] && { trap 'sleep 0.3; exit 1' TERM; echo ready > $HERE/ready1; sleep 30 & wait; };"
        "echo ready > $HERE/ready0; sleep 30");
    await_ready(2);
    kill(child, SIGTERM);
    assert_int_equal(end(child), PREEMPTED);
    assert_nobody_left();
    assert_says(err, "before they could save");
    assert_null(strstr(err, "restart"));

    /* The same when a scheduler asks every process by itself. */
    child = begin(options, "echo $$ > $HERE/pid$RANK; echo ready > $HERE/ready$RANK; exec sleep 30");
    await_ready(2);
    int pids[2];
    for (int rank = 0; rank < 2; rank++) {
        char name[16];
        snprintf(name, sizeof name, "pid%d", rank);
        char *text = awaited(name);
        pids[rank] = atoi(text);
        free(text);
    }
    kill(child, SIGSTOP); /* so that all of it is there when it looks */
    for (int rank = 0; rank < 2; rank++) kill(pids[rank], SIGTERM);
    rest(0.1);
    kill(child, SIGTERM);
    kill(child, SIGCONT);
    assert_int_equal(end(child), PREEMPTED);
    assert_nobody_left();

    /* The user's patience is over. */
    child = begin(options, "trap '' INT; echo ready > $HERE/ready$RANK; while :; do sleep 0.05; done");
    await_ready(2);
    kill(child, SIGINT);
    rest(0.1);
    kill(child, SIGINT);
    assert_int_equal(end(child), INTERRUPTED);
    assert_nobody_left();
    assert_says(err, "a second SIGINT");

    /* A failure after the request is not mended; it is one. */
    child = begin(options, "trap 'exit 4' TERM; echo ready > $HERE/ready$RANK; while :; do sleep 0.05; done");
    await_ready(2);
    kill(child, SIGTERM);
    assert_int_equal(end(child), 1);
    assert_nobody_left();
    assert_says(err, "ended with exit code 4 first");

    /* In the pause before a restart. */
    options.pause = 25;
    child = begin(options, "echo ready > $HERE/ready$RANK; exit 1");
    await_ready(2);
    for (int i = 0; i < 10000 && kill(child, 0) == 0; i++) {
        size_t size;
        forget();
        err = support_read_file(err_path, &size);
        if (strstr(err, "restart 1 of 5 in 25 s")) break;
        rest(0.001);
    }
    double start = now();
    kill(child, SIGTERM);
    assert_int_equal(end(child), PREEMPTED);
    assert_true(now() - start < 10);
    assert_nobody_left();
    assert_says(err, "before the restart");
}

/* kill -9 of the launcher: the ranks, adopted by this test, have been killed too. */
static void test_launcher_killed(void **state)
{
    (void)state;
    pid_t child = begin(ranks(3), "trap '' TERM INT HUP; echo $$ > $HERE/ready$RANK; exec sleep 40");
    await_ready(3);
    kill(child, SIGKILL);
    assert_int_equal(end(child), -SIGKILL);
    for (int i = 0; i < 3; i++) {
        int how;
        assert_true(waitpid(-1, &how, 0) > 0);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    }
    assert_nobody_left();
}

/* What a rank has started and left behind goes with it, and holds up nobody through the pipe it has
 * inherited. */
static void test_left_behind(void **state)
{
    (void)state;
    double start = now();
    int code = end(begin(ranks(2), "sleep 40 & echo over"));
    assert_int_equal(code, 0);
    assert_true(now() - start < 20);
    for (int i = 0; i < 2; i++) {
        int how;
        assert_true(waitpid(-1, &how, 0) > 0);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    }
    assert_nobody_left();
    assert_int_equal(count(out, "over\n"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_line_is_mixed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exit_codes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_launcher_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_behind, set_up, tear_down),
    };
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    unsetenv("VAGUS_LAUNCH");
    unsetenv("VAGUS_JOB");
    unsetenv("SLURM_RESTART_COUNT");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
