#define _GNU_SOURCE /* accept4 */
#include "core/group/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char *vg__wire_word(vg__wire_end end)
{
    switch (end) {
    case VG__WIRE_DONE:
        return "all went well";
    case VG__WIRE_LATE:
        return "it took too long";
    case VG__WIRE_ALARM:
        return "the run was ended elsewhere";
    case VG__WIRE_CLOSED:
        return "its connection was closed";
    case VG__WIRE_FAILED:
        break;
    }
    return strerror(errno);
}

double vg__wire_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void vg__wire_close(int *wire)
{
    int kept = errno;
    if (*wire >= 0) close(*wire);
    *wire = -1;
    errno = kept;
}

static void set_up(int wire)
{
    int yes = 1;
    setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* One socket for both families where the machine has IPv6, else IPv4 alone. */
static int listen_at(int family, int port)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_addr = in6addr_any, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY), .sin_port = htons((uint16_t)port)};
    int yes = 1, no = 0;
    int wire = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire < 0) return -1;
    /* a port that only the remains of closed connections still hold is free */
    setsockopt(wire, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (family == AF_INET6) setsockopt(wire, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    int bound = family == AF_INET6 ? bind(wire, (struct sockaddr *)&six, sizeof six)
                                   : bind(wire, (struct sockaddr *)&four, sizeof four);
    if (bound || listen(wire, SOMAXCONN)) vg__wire_close(&wire);
    return wire;
}

int vg__wire_listen(int port, int ports, int *taken)
{
    for (int i = 0; i < ports; i++) {
        int wire = listen_at(AF_INET6, port + i);
        if (wire < 0 && errno != EADDRINUSE && errno != EACCES) wire = listen_at(AF_INET, port + i);
        if (wire < 0) continue;
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        if (getsockname(wire, (struct sockaddr *)&address, &size)) {
            vg__wire_close(&wire);
            return -1;
        }
        in_port_t number = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                         : ((struct sockaddr_in *)&address)->sin_port;
        *taken = ntohs(number);
        return wire;
    }
    return -1;
}

int vg__wire_accept(int listener)
{
    for (;;) {
        int wire = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (wire >= 0) set_up(wire);
        if (wire >= 0 || (errno != EINTR && errno != ECONNABORTED)) return wire;
    }
}

/* poll() counts in milliseconds; what is left is rounded up, so that nobody spins at the end. */
static int milliseconds(double deadline)
{
    double left = 1e3 * (deadline - vg__wire_now());
    if (!(left > 0)) return 0;
    return left > 3.6e6 ? 3600000 : (int)left + 1;
}

vg__wire_end vg__wire_wait(int wire, short events, double deadline, int alarm)
{
    struct pollfd polled[2] = {{.fd = wire, .events = events}, {.fd = alarm, .events = POLLIN}};
    for (;;) {
        int ready = poll(polled, 2, milliseconds(deadline));
        if (ready < 0 && errno != EINTR) return VG__WIRE_FAILED;
        if (ready > 0 && polled[1].revents) return VG__WIRE_ALARM;
        if (ready > 0 && polled[0].revents) return VG__WIRE_DONE;
        if (vg__wire_now() >= deadline) return VG__WIRE_LATE;
    }
}

static vg__wire_end connect_to(const struct addrinfo *address, double deadline, int alarm, int *wire)
{
    *wire = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*wire < 0) return VG__WIRE_FAILED;
    set_up(*wire);
    if (!connect(*wire, address->ai_addr, address->ai_addrlen)) return VG__WIRE_DONE;
    vg__wire_end end = VG__WIRE_FAILED;
    if (errno == EINPROGRESS || errno == EINTR) end = vg__wire_wait(*wire, POLLOUT, deadline, alarm);
    if (end == VG__WIRE_DONE) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(*wire, SOL_SOCKET, SO_ERROR, &error, &size)) error = errno;
        if (!error) return VG__WIRE_DONE;
        errno = error;
        end = VG__WIRE_FAILED;
    }
    vg__wire_close(wire);
    return end;
}

vg__wire_end vg__wire_connect(const char *host, int port, double deadline, int alarm, int *wire)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *addresses = NULL;
    char service[16];
    *wire = -1;
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &addresses)) {
        errno = EHOSTUNREACH;
        return VG__WIRE_FAILED;
    }
    vg__wire_end end = VG__WIRE_FAILED;
    errno = EHOSTUNREACH;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
        /* an address that swallows everything must leave some time to the next one */
        double now = vg__wire_now(), until = address->ai_next ? now + 0.5 * (deadline - now) : deadline;
        end = connect_to(address, until, alarm, wire);
        if (end == VG__WIRE_DONE || end == VG__WIRE_ALARM) break;
    }
    int kept = errno;
    freeaddrinfo(addresses);
    errno = kept;
    return end;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static vg__wire_end ended(void)
{
    return errno == EPIPE || errno == ECONNRESET ? VG__WIRE_CLOSED : VG__WIRE_FAILED;
}

vg__wire_end vg__wire_send_some(int wire, const void *bytes, int64_t count, int64_t *moved)
{
    *moved = 0;
    while (*moved < count) {
        ssize_t sent = send(wire, (const char *)bytes + *moved, (size_t)(count - *moved), MSG_NOSIGNAL);
        if (sent < 0) return would_block() ? VG__WIRE_DONE : ended();
        *moved += sent;
    }
    return VG__WIRE_DONE;
}

vg__wire_end vg__wire_receive_some(int wire, void *bytes, int64_t count, int64_t *moved)
{
    *moved = 0;
    while (*moved < count) {
        ssize_t got = recv(wire, (char *)bytes + *moved, (size_t)(count - *moved), 0);
        /* what came before an end is handed over first; the end is seen again by the next call */
        if (got < 0 && would_block()) return VG__WIRE_DONE;
        if (got <= 0 && *moved) return VG__WIRE_DONE;
        if (got < 0) return ended();
        if (got == 0) return VG__WIRE_CLOSED;
        *moved += got;
    }
    return VG__WIRE_DONE;
}

vg__wire_end vg__wire_send(int wire, const void *bytes, int64_t count, double deadline, int alarm)
{
    const char *from = bytes;
    while (count) {
        int64_t moved;
        vg__wire_end end = vg__wire_send_some(wire, from, count, &moved);
        from += moved;
        count -= moved;
        if (end != VG__WIRE_DONE) return end;
        if (count && (end = vg__wire_wait(wire, POLLOUT, deadline, alarm)) != VG__WIRE_DONE) return end;
    }
    return VG__WIRE_DONE;
}

vg__wire_end vg__wire_receive(int wire, void *bytes, int64_t count, double deadline, int alarm)
{
    char *to = bytes;
    while (count) {
        int64_t moved;
        vg__wire_end end = vg__wire_receive_some(wire, to, count, &moved);
        to += moved;
        count -= moved;
        if (end != VG__WIRE_DONE) return end;
        if (count && (end = vg__wire_wait(wire, POLLIN, deadline, alarm)) != VG__WIRE_DONE) return end;
    }
    return VG__WIRE_DONE;
}

bool vg__wire_peer(int wire, char out[64])
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    out[0] = 0;
    if (getpeername(wire, (struct sockaddr *)&address, &size)) return false;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    if (address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};
        memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], 4);
        memcpy(&address, &four, sizeof four);
        size = sizeof four;
    }
    return !getnameinfo((struct sockaddr *)&address, size, out, 64, NULL, 0, NI_NUMERICHOST);
}
