/* The lab's second guest: a Linux kernel with this as its only program.
 *
 * It does what guest.c does, and says it in the same words; see there for its settings, heartbeats and commands.  What
 * the kernel does not know of its command line, behind "--", are this program's arguments.  Beside that it answers with
 * what it is sent (echo.h), and may ask its host what is to come for it (asking.h).
 *
 * Modules that the kernel needs for its network card and its power button lie in /modules, numbered in the order in
 * which they are to be loaded.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef uint32_t u32;

enum {
    PAGE = 4096,
    WORDS = PAGE / 4,
    PAGES_PER_MIB = 256,
    HEARTBEAT_PORT = 7000,
    COMMAND_PORT = 7001,
    MOST_BUTTONS = 4,
    TRIES = 200, /* 10 ms apart: the kernel may find its devices after their drivers are loaded */
};

static u32 *working_set;
#define WORKING_SET working_set
#include "working_set.h"

static u32 clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u32)now.tv_sec * 1000 + (u32)now.tv_nsec / 1000000;
}

#include "asking.h"
#include "echo.h"

/* ---- settings --------------------------------------------------------------------------------------------------- */

static const char *name = "guest";
static char address[16];
static u32 prefix = 16, working_set_mib = 16, dirty_pages_s, beat_ms = 5;

static void read_settings(int count, char **arguments) {
    for (int at = 1; at < count; at++) {
        const char *text = arguments[at];
        if (!strncmp(text, "name=", 5)) name = text + 5;
        sscanf(text, "ip=%15[0-9.]/%u", address, &prefix);
        sscanf(text, "working_set_mib=%u", &working_set_mib);
        sscanf(text, "dirty_pages_s=%u", &dirty_pages_s);
        sscanf(text, "beat_ms=%u", &beat_ms);
        sscanf(text, "metadata=%15[0-9.]", metadata);
        sscanf(text, "acknowledge_s=%d", &acknowledge_s);
    }
    if (beat_ms < 1) beat_ms = 1;
    if (beat_ms > 50) beat_ms = 50;
}

/* ---- the system ------------------------------------------------------------------------------------------------- */

static void load_modules(void) {
    char path[32];
    for (int number = 0;; number++) {
        snprintf(path, sizeof path, "/modules/%02d.ko", number);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return;
        if (syscall(SYS_finit_module, file, "", 0)) perror(path);
        close(file);
    }
}

static void take_working_set(void) {
    size_t bytes = (size_t)working_set_mib * PAGES_PER_MIB * PAGE;
    working_set = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (working_set == MAP_FAILED) perror("working set"), working_set_mib = 0;
    fill(working_set_mib);
}

static void power_off(void) { reboot(RB_POWER_OFF); }

/* Have the fixed power button, and any other, among what is waited for; return how many there are. */
static nfds_t watch_buttons(struct pollfd *watched) {
    nfds_t found = 0;
    char path[32];
    for (int number = 0; number < MOST_BUTTONS; number++) {
        snprintf(path, sizeof path, "/dev/input/event%d", number);
        int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (file >= 0) watched[found++] = (struct pollfd){.fd = file, .events = POLLIN};
    }
    return found;
}

static int button_pressed(int file) {
    struct input_event event;
    while (read(file, &event, sizeof event) == sizeof event)
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value) return 1;
    return 0;
}

/* ---- the network ------------------------------------------------------------------------------------------------ */

static struct sockaddr_in everyone;

static int set_card(int asking, unsigned long what, struct sockaddr_in *value) {
    struct ifreq request = {.ifr_name = "eth0"};
    memcpy(&request.ifr_addr, value, sizeof *value);
    return ioctl(asking, what, &request);
}

/* Return a socket at the port for commands, from which beats go too; -1: there is no network. */
static int start_network(void) {
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)}, mask = own;
    mask.sin_addr.s_addr = htonl(prefix ? ~0u << (32 - prefix) : 0);
    everyone = own;
    everyone.sin_addr.s_addr |= ~mask.sin_addr.s_addr;
    everyone.sin_port = htons(HEARTBEAT_PORT);
    if (made < 0) return -1;
    for (int tries = 0; set_card(made, SIOCSIFADDR, &own); tries++) {
        if (tries == TRIES) return -1;
        usleep(10000);
    }
    struct ifreq up = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_BROADCAST};
    if (set_card(made, SIOCSIFNETMASK, &mask) || set_card(made, SIOCSIFBRDADDR, &everyone)) return -1;
    if (ioctl(made, SIOCSIFFLAGS, &up) || setsockopt(made, SOL_SOCKET, SO_BROADCAST, &on, sizeof on)) return -1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(COMMAND_PORT)};
    return bind(made, (struct sockaddr *)&any, sizeof any) ? -1 : made;
}

static void answer_command(int commands) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char words[64], text[256];
    ssize_t count = recvfrom(commands, words, sizeof words - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (count < 0) return;
    words[count] = 0;
    if (!strncmp(words, "rate ", 5)) dirty_pages_s = (u32)strtoul(words + 5, NULL, 10);
    if (!strncmp(words, "verify", 6)) to_verify = pages;
    if (!strncmp(words, "poweroff", 8)) power_off();
    int length = snprintf(text, sizeof text,
                          "name=%s clock_ms=%u dirty_pages_s=%u pages=%u dirtied=%u bad=%u to_verify=%u%s%s\n", name,
                          clock_ms(), dirty_pages_s, pages, dirtied, bad, to_verify, event ? " event=" : "",
                          event ? event : "");
    sendto(commands, text, (size_t)length, MSG_DONTWAIT, (struct sockaddr *)&from, size);
}

static void beat(int from) {
    static u32 beats;
    char text[128];
    int length = snprintf(text, sizeof text, "beat %s %u %u %u %u\n", name, beats++, clock_ms(), dirtied, bad);
    sendto(from, text, (size_t)length, MSG_DONTWAIT, (struct sockaddr *)&everyone, sizeof everyone);
}

/* ---- start, the loop -------------------------------------------------------------------------------------------- */

static int start_clock(void) {
    int made = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct timespec tick = {.tv_nsec = (long)beat_ms * 1000000};
    if (timerfd_settime(made, 0, &(struct itimerspec){tick, tick}, NULL)) perror("clock");
    return made;
}

int main(int count, char **arguments) {
    read_settings(count, arguments);
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, "")) perror("/dev");
    load_modules();
    int commands = start_network();
    start_asking();
    take_working_set();
    struct pollfd watched[2 + MOST_BUTTONS + ECHO_PLACES] = {{.fd = start_clock(), .events = POLLIN},
                                                             {.fd = commands, .events = POLLIN}};
    nfds_t all = 2 + watch_buttons(watched + 2);
    struct pollfd *echoes = watched + all;
    start_echo(echoes);
    printf("%s %s\n", commands < 0 ? "no network" : "ready", name);
    fflush(stdout);
    for (;;) {
        poll(watched, all + ECHO_PLACES, -1);
        if (watched[1].revents) answer_command(commands);
        for (nfds_t at = 2; at < all; at++)
            if (watched[at].revents && button_pressed(watched[at].fd)) power_off();
        echo_what_came(echoes);
        uint64_t passed;
        if (read(watched[0].fd, &passed, sizeof passed) == sizeof passed) {
            work((u32)passed, dirty_pages_s, beat_ms);
            beat(commands);
        }
    }
}
