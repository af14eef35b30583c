/* The guest's echo service (RFC 862): what comes to port 7, over UDP or TCP, goes back to whom it came from.
 *
 * Nothing here waits, and each turn does a bounded amount, so that the heart beats on whatever comes.  Who includes this
 * has sockets and `struct pollfd`, and polls.
 */

#include <errno.h>
#include <netinet/tcp.h>

enum {
    ECHO_PORT = 7,
    MOST_CALLERS = 8, /* over TCP; whoever comes beyond them is hung up on */
    ECHO_PLACES = 2 + MOST_CALLERS,
    DATAGRAMS_PER_TURN = 64,
    DATAGRAM_BYTES = 65536,
    KEPT_BYTES = 1 << 20, /* of datagrams that wait their turn, with what the kernel adds to each */
    HEARD_BYTES = 4096,   /* of a caller in one turn, and until they are sent */
    SILENT_S = 30,        /* after which a caller's kernel is asked whether it is still there */
    GONE_MS = 60000,      /* after which it is taken not to be */
};

/* What a caller was heard to say, from what is still to be sent of it. */
static struct caller {
    size_t from, until;
    char bytes[HEARD_BYTES];
} callers[MOST_CALLERS];

static int echo_socket(int type) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    int made = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kept = KEPT_BYTES;
    if (type == SOCK_DGRAM) setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &kept, sizeof kept);
    if (!bind(made, (struct sockaddr *)&any, sizeof any) && (type == SOCK_DGRAM || !listen(made, MOST_CALLERS)))
        return made;
    perror("echo");
    return -1;
}

/* Begin to answer, and have what is to be answered among what is waited for: datagrams, new callers, callers. */
static void start_echo(struct pollfd places[ECHO_PLACES]) {
    for (int at = 0; at < ECHO_PLACES; at++) places[at] = (struct pollfd){.fd = -1, .events = POLLIN};
    places[0].fd = echo_socket(SOCK_DGRAM);
    places[1].fd = echo_socket(SOCK_STREAM);
}

/* Two echo services would send a datagram to and fro for ever: what comes from one stays here. */
static void echo_datagrams(int here) {
    static char bytes[DATAGRAM_BYTES];
    struct sockaddr_in from;
    for (int count = 0; count < DATAGRAMS_PER_TURN; count++) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(here, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (length < 0) return;
        if (from.sin_port != htons(ECHO_PORT))
            sendto(here, bytes, (size_t)length, 0, (struct sockaddr *)&from, size);
    }
}

static void take_caller(int listening, struct pollfd *places) {
    int made = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), at = 0;
    int on = 1, silent_s = SILENT_S, gone_ms = GONE_MS;
    if (made < 0) return;
    while (at < MOST_CALLERS && places[at].fd >= 0) at++;
    if (at == MOST_CALLERS) {
        close(made);
        return;
    }
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(made, IPPROTO_TCP, TCP_KEEPIDLE, &silent_s, sizeof silent_s);
    setsockopt(made, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof gone_ms);
    callers[at].from = callers[at].until = 0;
    places[at] = (struct pollfd){.fd = made, .events = POLLIN};
}

/* Return whether a caller is still there.  It is not heard again before all that it said is sent back. */
static int echo_bytes(int to, struct caller *caller) {
    if (caller->from == caller->until) {
        ssize_t heard = recv(to, caller->bytes, HEARD_BYTES, 0);
        if (heard <= 0) return heard && errno == EAGAIN;
        caller->from = 0, caller->until = (size_t)heard;
    }
    ssize_t sent = send(to, caller->bytes + caller->from, caller->until - caller->from, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    caller->from += (size_t)sent;
    return 1;
}

static void echo_what_came(struct pollfd places[ECHO_PLACES]) {
    if (places[0].revents) echo_datagrams(places[0].fd);
    for (int at = 0; at < MOST_CALLERS; at++) {
        struct pollfd *place = &places[2 + at];
        if (!place->revents) continue;
        if (echo_bytes(place->fd, &callers[at])) {
            place->events = callers[at].from < callers[at].until ? POLLOUT : POLLIN;
        } else {
            close(place->fd);
            place->fd = -1;
        }
    }
    if (places[1].revents) take_caller(places[1].fd, places + 2);
}
