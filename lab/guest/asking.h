/* The guest as a tenant: it asks its host what is to come for it, waits for changes, and may say that it is ready.
 *
 * Command line: metadata=ADDRESS, without which nothing is asked; acknowledge_s=, seconds from hearing of a migration to
 * saying that it is ready, without which it says nothing.  What it is told goes to the console, as
 * "event WORD CLOCK_MS\n", and into its status, as "event=WORD".
 *
 * A process of its own, so that the heart beats on while it waits.  Who includes this has `u32` and `clock_ms`.
 */

#include <net/route.h>

enum {
    ASK_PORT = 80,
    WAIT_S = 2,        /* for a change; a migration cuts a poll off, which is then given up soon after */
    GIVE_UP_S = 3,
    AGAIN_US = 250000, /* where nobody answers */
};

static char metadata[16];
static int acknowledge_s = -1;
static char *event; /* what was told last, shared by both processes; null: nothing is asked */

struct answer {
    int status;
    char etag[40], body[512];
};

/* Return a connection to the host's endpoint, or -1. */
static int connected(void) {
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = GIVE_UP_S};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ASK_PORT), .sin_addr.s_addr = inet_addr(metadata)};
    if (made < 0) return -1;
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!connect(made, (struct sockaddr *)&to, sizeof to)) return made;
    close(made);
    return -1;
}

/* Ask, and read until the host closes the connection; the status is 0 where there was no answer. */
static struct answer ask_host(const char *method, const char *path) {
    struct answer found = {0};
    char text[1024];
    int made = connected();
    if (made < 0) return found;
    int length = snprintf(text, sizeof text,
                          "%s %s HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\nContent-Length: 0\r\n\r\n",
                          method, path);
    ssize_t count = send(made, text, (size_t)length, MSG_NOSIGNAL);
    size_t all = 0;
    while (count > 0 && all < sizeof text - 1 && (count = recv(made, text + all, sizeof text - 1 - all, 0)) > 0)
        all += (size_t)count;
    close(made);
    text[all] = 0;
    char *body = strstr(text, "\r\n\r\n"), *etag = strcasestr(text, "\r\netag: ");
    if (count || !body || sscanf(text, "HTTP/1.1 %d", &found.status) != 1) return (struct answer){0};
    if (etag && etag < body) sscanf(etag + 8, "%39[0-9a-f]", found.etag);
    snprintf(found.body, sizeof found.body, "%s", body + 4);
    return found;
}

static void ask_for_ever(void) {
    char path[160], last[40] = "";
    for (;;) {
        snprintf(path, sizeof path, "/slacktide/v1/maintenance-event%s", *last ? "?wait_for_change=true" : "");
        if (*last) snprintf(path + strlen(path), 80, "&timeout_sec=%d&last_etag=%s", WAIT_S, last);
        struct answer told = ask_host("GET", path);
        if (told.status != 200) usleep(AGAIN_US);
        if (told.status != 200 || !strcmp(told.etag, last)) continue;
        strcpy(last, told.etag);
        snprintf(event, PAGE, "%.63s", told.body);
        printf("event %s %u\n", event, clock_ms());
        fflush(stdout);
        if (!strcmp(event, "NONE") || acknowledge_s < 0) continue;
        sleep((unsigned)acknowledge_s);
        printf("acknowledged %d %u\n", ask_host("POST", "/slacktide/v1/acknowledge").status, clock_ms());
        fflush(stdout);
    }
}

/* Begin to ask, if there is somebody to be asked; called before there is a working set that would be copied. */
static void start_asking(void) {
    struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = "eth0"};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(metadata)};
    if (!*metadata) return;
    memcpy(&route.rt_dst, &to, sizeof to);
    int asking = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ioctl(asking, SIOCADDRT, &route)) perror("route");
    close(asking);
    event = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(event, "unknown");
    fflush(stdout);
    if (!fork()) ask_for_ever();
}
