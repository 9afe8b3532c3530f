/* Wires: TCP sockets that never block and never wait for ever. Whole buffers go over them by poll() with a
 * deadline, and with an alarm: a descriptor (vg__watch_alarm()) that ends every wait when it becomes
 * readable. All are close-on-exec, without Nagle's delay, and none raises SIGPIPE. Private to core/group. */
#ifndef VAGUS_CORE_GROUP_WIRE_H
#define VAGUS_CORE_GROUP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

/* How a wait ended. The callers make a sentence of it, since only they know whom the wire leads to. */
typedef enum vg__wire_end {
    VG__WIRE_DONE,
    VG__WIRE_LATE,   /* the deadline has passed */
    VG__WIRE_ALARM,  /* the alarm was raised */
    VG__WIRE_CLOSED, /* the other side closed the connection, or its process has ended */
    VG__WIRE_FAILED, /* errno says what */
} vg__wire_end;

/* "its connection was closed", ...; static, or the system's word for errno. */
const char *vg__wire_word(vg__wire_end end);

/* Seconds of a clock that only runs forwards; deadlines are times of it. */
double vg__wire_now(void);

/* A socket that listens on every interface, IPv6 and IPv4, at the first free port of `ports` ones from `port`
 * on (0: any free one); *taken becomes that port. -1 with errno. */
int vg__wire_listen(int port, int ports, int *taken);

/* The next connection that waits at a listening socket; -1 with errno (EAGAIN: none now). */
int vg__wire_accept(int listener);

/* One attempt at each address of `host` (a name or a number); a refusal is FAILED with ECONNREFUSED. A name
 * that is not known is FAILED with EHOSTUNREACH. The wait for the name service alone has its own limits. */
vg__wire_end vg__wire_connect(const char *host, int port, double deadline, int alarm, int *wire);

/* Waits until `events` (POLLIN, POLLOUT) or an end of the connection can be seen; alarm -1: none. */
vg__wire_end vg__wire_wait(int wire, short events, double deadline, int alarm);

/* All `count` bytes. */
vg__wire_end vg__wire_send(int wire, const void *bytes, int64_t count, double deadline, int alarm);
vg__wire_end vg__wire_receive(int wire, void *bytes, int64_t count, double deadline, int alarm);

/* As much as goes without waiting: *moved may become 0 with DONE. For whoever polls several wires at once. */
vg__wire_end vg__wire_send_some(int wire, const void *bytes, int64_t count, int64_t *moved);
vg__wire_end vg__wire_receive_some(int wire, void *bytes, int64_t count, int64_t *moved);

/* The other side's address, numeric ("10.0.0.7", "fe80::1%eth0"; IPv4 in IPv6's clothes as IPv4). False
 * when the connection is gone. */
bool vg__wire_peer(int wire, char out[64]);

/* Closes it once, sets it to -1; errno stays. */
void vg__wire_close(int *wire);

#endif
