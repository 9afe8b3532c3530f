/* A test program that runs itself as several ranks: each is a process of its own, `PROGRAM rank ...`, which
 * meets the others over a socket that the test opened, and fails by its exit code. */
#ifndef VAGUS_TESTS_MODELS_RANKS_H
#define VAGUS_TESTS_MODELS_RANKS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/group/group.h"
#include "tests/support/support.h"

enum { RANKS_MOST = 8, RANKS_SECONDS = 60 };

static inline int ranks_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, 16));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Runs `size` ranks with this text, and waits for them; any that does not end well fails the test. They end
 * with this process, and by themselves when they take too long. */
static inline void ranks_run(int size, const char *text)
{
    pid_t ranks[RANKS_MOST];
    int port = 0, listener = size > 1 ? ranks_listen(&port) : -1, failed = 0;
    assert_true(size <= RANKS_MOST);
    fflush(NULL);
    for (int rank = 0; rank < size; rank++) {
        char numbers[4][16];
        snprintf(numbers[0], 16, "%d", rank);
        snprintf(numbers[1], 16, "%d", size);
        snprintf(numbers[2], 16, "%d", port);
        snprintf(numbers[3], 16, "%d", rank ? -1 : listener);
        pid_t parent = getpid();
        ranks[rank] = fork();
        assert_true(ranks[rank] >= 0);
        if (ranks[rank]) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        if (rank && listener >= 0) close(listener);
        alarm(getenv("VAGUS_SANITIZED") && *getenv("VAGUS_SANITIZED") ? 10 * RANKS_SECONDS : RANKS_SECONDS);
        execl("/proc/self/exe", "rank", "rank", numbers[0], numbers[1], numbers[2], numbers[3], text,
              (char *)NULL);
        _exit(127);
    }
    if (listener >= 0) close(listener);
    for (int rank = 0; rank < size; rank++) {
        int status;
        assert_true(waitpid(ranks[rank], &status, 0) == ranks[rank]);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        print_error("rank %d of %d ended with %s %d\n", rank, size, WIFEXITED(status) ? "code" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        failed++;
    }
    if (failed) fail_msg("%d of %d ranks failed: %s", failed, size, text);
}

/* In such a process: its place and text; false in the test itself. Asserts there print and end the process.
 */
static inline bool ranks_is_one(int argc, char **argv, vg_place *place, const char **text)
{
    if (argc != 7 || strcmp(argv[1], "rank")) return false;
    *place = (vg_place){.starter = VG_STARTER_LAUNCH,
                        .rank = atoi(argv[2]),
                        .size = atoi(argv[3]),
                        .local_rank = atoi(argv[2]),
                        .local_size = atoi(argv[3]),
                        .master = "127.0.0.1",
                        .port = atoi(argv[4]),
                        .ports = 1,
                        .listener = atoi(argv[5]),
                        .job = "test"};
    *text = argv[6];
    return true;
}

#endif
