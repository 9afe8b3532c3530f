#define _GNU_SOURCE /* environ */
#include "experiments/runner/launch/meeting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

vg_status vg_launch_master(const char *text, vg_launch_options *options)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t length = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        host++;
        length -= 2;
    } else if (length && memchr(text, ':', length)) {
        return vg_fail(VG_ERR_CONFIG,
                       "launch: --master %s: an IPv6 address stands in brackets: [ADDRESS]:PORT", text);
    }
    if (!length || length >= sizeof options->master || colon[1] < '0' || colon[1] > '9' || *end || port < 1 ||
        port > 65535)
        return vg_fail(VG_ERR_CONFIG,
                       "launch: --master %s: it is HOST:PORT of the first node, the port from 1 to 65535",
                       text);
    snprintf(options->master, sizeof options->master, "%.*s", (int)length, host);
    options->port = (int)port;
    return VG_OK;
}

/* -1 with errno. */
static int listen_at(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0;
    if (fd < 0) return -1;
    if (address->sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address, size) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* At every address of this machine: HOST may be a name that only the others know it by. */
static int listen_everywhere(int port)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int fd = listen_at((struct sockaddr *)&six, sizeof six);
    if (fd < 0 && errno != EADDRINUSE && errno != EACCES) /* no IPv6 here */
        fd = listen_at((struct sockaddr *)&four, sizeof four);
    return fd;
}

static int listen_on_loopback(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = listen_at((struct sockaddr *)&address, sizeof address);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* The same on every node without a word between them. The port tells runs of one machine apart, and nodes
 * started with other numbers do not belong; the host's name is left out, since each node may spell it in its
 * own way. One node asks nobody. */
static vg_status name_job(const vg_launch_options *options, vg__meeting *meeting)
{
    const char *given = getenv("VAGUS_JOB");
    uint64_t number = 0;
    if (given && strlen(given) >= sizeof meeting->job)
        return vg_fail(VG_ERR_CONFIG, "launch: VAGUS_JOB has %zu letters, and at most %zu are allowed",
                       strlen(given), sizeof meeting->job - 1);
    if (given && *given) {
        snprintf(meeting->job, sizeof meeting->job, "%s", given);
    } else if (options->nodes > 1) {
        snprintf(meeting->job, sizeof meeting->job, "launch-%d-%dx%d", meeting->port, options->nodes,
                 options->ranks);
    } else {
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            return vg_fail(VG_ERR_IO, "launch: no random bytes to name the job by: %s", strerror(errno));
        snprintf(meeting->job, sizeof meeting->job, "launch-%016llx", (unsigned long long)number);
    }
    return VG_OK;
}

vg_status vg__meeting_open(const vg_launch_options *options, vg__meeting *out)
{
    *out = (vg__meeting){.port = options->port, .listener = -1};
    snprintf(out->master, sizeof out->master, "%s", *options->master ? options->master : "127.0.0.1");
    const char *requeued = getenv("SLURM_RESTART_COUNT");
    if (requeued && atoi(requeued) > 0) out->requeued = atoi(requeued);
    VG_TRY(name_job(options, out));
    if (options->node > 0) return VG_OK;
    out->listener = *options->master ? listen_everywhere(options->port) : listen_on_loopback(&out->port);
    if (out->listener >= 0) return VG_OK;
    if (!*options->master)
        return vg_fail(VG_ERR_IO, "launch: cannot listen on 127.0.0.1: %s", strerror(errno));
    return vg_fail(VG_ERR_IO, "launch: --master: cannot listen at port %d of this machine: %s%s",
                   options->port, strerror(errno),
                   errno == EADDRINUSE ? "; another run has it, or take another port" : "");
}

void vg__meeting_close(vg__meeting *meeting)
{
    if (meeting->listener >= 0) close(meeting->listener);
    meeting->listener = -1;
}

/* ---- Environment -------------------------------------------------------------------------------------- */

static const char *const own_names[] = {"RANK",           "WORLD_SIZE",    "LOCAL_RANK",   "LOCAL_WORLD_SIZE",
                                        "MASTER_ADDR",    "MASTER_PORT",   "VAGUS_LAUNCH", "VAGUS_JOB",
                                        "VAGUS_RESTARTS", "VAGUS_LISTENER"};
enum { OWN = sizeof own_names / sizeof *own_names };

struct vg__environment {
    int used; /* of own */
    char own[OWN][288];
    char *entries[]; /* own ones, inherited ones, NULL */
};

static bool is_own(const char *entry)
{
    for (int i = 0; i < OWN; i++) {
        size_t length = strlen(own_names[i]);
        if (!strncmp(entry, own_names[i], length) && entry[length] == '=') return true;
    }
    return false;
}

vg_status vg__environment_create(vg__environment **out)
{
    size_t count = 0;
    while (environ && environ[count]) count++;
    *out = calloc(1, sizeof **out + (OWN + count + 1) * sizeof(char *));
    return *out ? VG_OK : vg_fail(VG_ERR_MEMORY, "launch: no memory for the ranks' environment");
}

void vg__environment_destroy(vg__environment *environment)
{
    free(environment);
}

static void set(vg__environment *environment, const char *name, const char *format, ...) VG_PRINTF(3, 4);
static void set(vg__environment *environment, const char *name, const char *format, ...)
{
    char *own = environment->own[environment->used];
    size_t size = sizeof environment->own[0];
    int length = snprintf(own, size, "%s=", name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(own + length, size - (size_t)length, format, arguments);
    va_end(arguments);
    environment->entries[environment->used++] = own;
}

char *const *vg__environment_fill(vg__environment *environment, const vg_launch_options *options,
                                  const vg__meeting *meeting, int local_rank, int restarts)
{
    environment->used = 0;
    set(environment, "RANK", "%d", options->node * options->ranks + local_rank);
    set(environment, "WORLD_SIZE", "%d", options->nodes * options->ranks);
    set(environment, "LOCAL_RANK", "%d", local_rank);
    set(environment, "LOCAL_WORLD_SIZE", "%d", options->ranks);
    set(environment, "MASTER_ADDR", "%s", meeting->master);
    set(environment, "MASTER_PORT", "%d", meeting->port);
    set(environment, "VAGUS_LAUNCH", "1");
    set(environment, "VAGUS_JOB", "%s", meeting->job);
    set(environment, "VAGUS_RESTARTS", "%d", meeting->requeued + restarts);
    if (meeting->listener >= 0 && local_rank == 0)
        set(environment, "VAGUS_LISTENER", "%d", meeting->listener);
    int count = environment->used;
    for (char **entry = environ; entry && *entry; entry++)
        if (!is_own(*entry)) environment->entries[count++] = *entry;
    environment->entries[count] = NULL;
    return environment->entries;
}
