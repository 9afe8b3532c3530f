#define _GNU_SOURCE /* pipe2 */
#include "experiments/runner/launch/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static struct sigaction before[NUMBERS];
static int taken; /* so many of them */
static int wake[2] = {-1, -1};
static atomic_int children, terminations, interrupts;

static void handle(int number)
{
    int error = errno;
    atomic_fetch_add(number == SIGCHLD ? &children : number == SIGINT ? &interrupts : &terminations, 1);
    if (write(wake[1], "", 1) < 0) { /* full: it is readable, which is all that counts */
    }
    errno = error;
}

void vg__signals_give_back(void)
{
    while (taken > 0) {
        taken--;
        sigaction(numbers[taken], &before[taken], NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (wake[i] >= 0) close(wake[i]);
        wake[i] = -1;
    }
}

vg_status vg__signals_take(void)
{
    atomic_store(&children, 0);
    atomic_store(&terminations, 0);
    atomic_store(&interrupts, 0);
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return vg_fail(VG_ERR_IO, "launch: cannot make a pipe: %s", strerror(errno));
    for (taken = 0; taken < NUMBERS; taken++) {
        const int number = numbers[taken];
        struct sigaction action = {.sa_handler = number == SIGPIPE ? SIG_IGN : handle};
        sigemptyset(&action.sa_mask);
        if (sigaction(number, NULL, &before[taken]) != 0) break;
        if (number == SIGHUP && before[taken].sa_handler == SIG_IGN) continue;
        if (sigaction(number, &action, NULL) != 0) break;
    }
    if (taken == NUMBERS) return VG_OK;
    vg_status status = vg_fail(VG_ERR_IO, "launch: cannot handle signals: %s", strerror(errno));
    vg__signals_give_back();
    return status;
}

int vg__signals_wake(void)
{
    return wake[0];
}

void vg__signals_clear(void)
{
    char bytes[64];
    while (read(wake[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

bool vg__signals_child(void)
{
    return atomic_exchange(&children, 0) != 0;
}

int vg__signals_terminations(void)
{
    return atomic_exchange(&terminations, 0);
}

int vg__signals_interrupts(void)
{
    return atomic_exchange(&interrupts, 0);
}
