#include "core/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught; /* the first signal */
static bool installed;
static struct sigaction before_int, before_term;

static void handle(int signal_number)
{
    if (signal_number == SIGINT && caught == SIGINT) _exit(130);
    if (!caught || signal_number == SIGINT) caught = signal_number;
}

vg_status vg_signals_install(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    caught = 0;
    if (installed) return VG_OK;
    if (sigaction(SIGINT, &action, &before_int) != 0)
        return vg_fail(VG_ERR_IO, "cannot handle SIGINT: %s", strerror(errno));
    if (sigaction(SIGTERM, &action, &before_term) != 0) {
        int error = errno;
        sigaction(SIGINT, &before_int, NULL);
        return vg_fail(VG_ERR_IO, "cannot handle SIGTERM: %s", strerror(error));
    }
    installed = true;
    return VG_OK;
}

void vg_signals_uninstall(void)
{
    if (!installed) return;
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
    installed = false;
}

bool vg_stop_requested(void)
{
    return caught != 0;
}

int vg_stop_signal(void)
{
    return (int)caught;
}

void vg_stop_request(void)
{
    caught = SIGTERM;
}
