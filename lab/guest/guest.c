/* The lab's guest: a virtual machine without an operating system.
 *
 * It dirties memory at a given rate over a given working set, checks every page that it rewrites, and broadcasts a
 * heartbeat, so that a blackout is seen from outside.  It answers ARP, ping and a few commands over UDP.  One file of
 * some kilobytes that beats within two seconds of emulated processor; init.c is the same for a Linux kernel.
 *
 * Command line: name=, ip=ADDRESS/PREFIX, working_set_mib=, dirty_pages_s=, beat_ms= (1 to 50).
 * Heartbeat, to port 7000 of the subnet's broadcast address: "beat NAME NUMBER CLOCK_MS DIRTIED BAD\n".
 * Commands, to port 7001: "status", "rate PAGES_PER_SECOND", "verify", "poweroff"; each is answered with a status.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum {
    PAGE = 4096,
    WORDS = PAGE / 4,
    PAGES_PER_MIB = 256,
    HEARTBEAT_PORT = 7000,
    COMMAND_PORT = 7001,
    PIT_HZ = 1193182,
};
#define WORKING_SET ((u32 *)0x1000000) /* from 16 MiB upwards */

/* ---- ports, strings, console ------------------------------------------------------------------------------------ */

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0,%1" ::"a"(value), "Nd"(port)); }
static inline void out16(u16 port, u16 value) { __asm__ volatile("outw %0,%1" ::"a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { __asm__ volatile("outl %0,%1" ::"a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 value; __asm__ volatile("inb %1,%0" : "=a"(value) : "Nd"(port)); return value; }
static inline u16 in16(u16 port) { u16 value; __asm__ volatile("inw %1,%0" : "=a"(value) : "Nd"(port)); return value; }
static inline u32 in32(u16 port) { u32 value; __asm__ volatile("inl %1,%0" : "=a"(value) : "Nd"(port)); return value; }
#define BARRIER __asm__ volatile("" ::: "memory")

void *memcpy(void *to, const void *from, u32 count) {
    u8 *a = to;
    const u8 *b = from;
    while (count--) *a++ = *b++;
    return to;
}

void *memset(void *to, int value, u32 count) {
    u8 *a = to;
    while (count--) *a++ = (u8)value;
    return to;
}

static int same(const void *left, const void *right, u32 count) {
    const u8 *a = left, *b = right;
    while (count--)
        if (*a++ != *b++) return 0;
    return 1;
}

static u32 length(const char *text) {
    u32 count = 0;
    while (text[count]) count++;
    return count;
}

static char *put(char *at, const char *text) {
    while (*text) *at++ = *text++;
    return at;
}

static char *put_number(char *at, u32 value) {
    char digits[10];
    int count = 0;
    do digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count) *at++ = digits[--count];
    return at;
}

static u32 number(const char *text) {
    u32 value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (u32)(*text++ - '0');
    return value;
}

static void console(const char *text, u32 count) {
    while (count--) {
        for (int tries = 0; tries < 10000 && !(in8(0x3fd) & 0x20); tries++) {}
        out8(0x3f8, (u8)*text++);
    }
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

static const char *command_line = "";
static char name[64] = "guest";
static u32 address, prefix = 16, dirty_pages_s, beat_ms = 5;

/* Return what follows KEY on the command line, or 0. */
static const char *setting(const char *key) {
    u32 count = length(key);
    for (const char *at = command_line; *at; at++)
        if ((at == command_line || at[-1] == ' ') && same(at, key, count)) return at + count;
    return 0;
}

static u32 number_of(const char *key, u32 otherwise) {
    const char *text = setting(key);
    return text ? number(text) : otherwise;
}

static void read_settings(void) {
    const char *text = setting("name=");
    for (u32 at = 0; text && text[at] && text[at] != ' ' && at < sizeof name - 1; at++) {
        name[at] = text[at];
        name[at + 1] = 0;
    }
    text = setting("ip=");
    for (int part = 0; text && part < 4; part++) {
        address = address << 8 | number(text);
        while (*text >= '0' && *text <= '9') text++;
        if (*text == '.' || *text == '/') text++;
    }
    if (text) prefix = number(text);
    dirty_pages_s = number_of("dirty_pages_s=", 0);
    beat_ms = number_of("beat_ms=", beat_ms);
    if (beat_ms < 1) beat_ms = 1;
    if (beat_ms > 50) beat_ms = 50;
}

/* ---- the working set -------------------------------------------------------------------------------------------- */

#include "working_set.h"

/* ---- network card: virtio, legacy interface --------------------------------------------------------------------- */

enum { QUEUE = 256, BUFFERS = 64, FRAME = 2048, HEADER = 10 };

struct descriptor { u32 address, high, length; u16 flags, next; };
struct available { u16 flags, index, ring[QUEUE]; };
struct used { u16 flags, index; struct { u32 id, length; } ring[QUEUE]; };
struct queue {
    struct descriptor table[QUEUE];
    struct available available;
    u8 gap[PAGE - sizeof(struct available)];
    volatile struct used used;
} __attribute__((aligned(4096)));

static struct queue receive_queue, send_queue;
static u8 received[BUFFERS][FRAME], sent[BUFFERS][FRAME], card_address[6];
static u16 card, taken, sending;

static u32 pci_read(u32 device, u32 at) { out32(0xcf8, 0x80000000u | device << 11 | at); return in32(0xcfc); }
static void pci_write(u32 device, u32 at, u32 value) { out32(0xcf8, 0x80000000u | device << 11 | at); out32(0xcfc, value); }

static int find_card(void) {
    for (u32 device = 0; device < 32; device++)
        if (pci_read(device, 0) == 0x10001af4) {
            card = (u16)(pci_read(device, 0x10) & ~3u);
            pci_write(device, 4, pci_read(device, 4) | 5); /* port I/O and bus mastering */
            return 1;
        }
    return 0;
}

static int give_queue(u16 number_, struct queue *queue) {
    out16(card + 0x0e, number_);
    if (in16(card + 0x0c) != QUEUE) return 0;
    out32(card + 0x08, (u32)queue / PAGE);
    queue->available.flags = 1; /* no interrupts: the card is looked at every tick */
    return 1;
}

static int start_card(void) {
    if (!find_card()) return 0;
    out8(card + 0x12, 0);
    out8(card + 0x12, 1);
    out8(card + 0x12, 3);
    out32(card + 0x04, in32(card) & 1u << 5); /* it has an address of its own, nothing else */
    if (!give_queue(0, &receive_queue) || !give_queue(1, &send_queue)) return 0;
    for (u16 at = 0; at < 6; at++) card_address[at] = in8((u16)(card + 0x14 + at));
    for (u16 at = 0; at < BUFFERS; at++) {
        receive_queue.table[at] = (struct descriptor){(u32)received[at], 0, FRAME, 2, 0};
        receive_queue.available.ring[at] = at;
    }
    BARRIER;
    receive_queue.available.index = BUFFERS;
    out8(card + 0x12, 7);
    out16(card + 0x10, 0);
    return 1;
}

static void send(const u8 *frame, u32 count) {
    if (!card || (u16)(sending - send_queue.used.index) >= BUFFERS) return;
    u16 slot = sending % BUFFERS;
    memset(sent[slot], 0, HEADER + 60);
    memcpy(sent[slot] + HEADER, frame, count);
    send_queue.table[slot] = (struct descriptor){(u32)sent[slot], 0, HEADER + (count < 60 ? 60 : count), 0, 0};
    send_queue.available.ring[sending % QUEUE] = slot;
    BARRIER;
    send_queue.available.index = ++sending;
    BARRIER;
    out16(card + 0x10, 1);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

enum { ETHERNET = 14, IP = 20, UDP = 8 };

static void put16(u8 *at, u32 value) { at[0] = (u8)(value >> 8); at[1] = (u8)value; }
static void put32(u8 *at, u32 value) { put16(at, value >> 16); put16(at + 2, value); }
static u32 get16(const u8 *at) { return (u32)at[0] << 8 | at[1]; }
static u32 get32(const u8 *at) { return get16(at) << 16 | get16(at + 2); }

static u32 checksum(const u8 *from, u32 count) {
    u32 sum = 0;
    for (u32 at = 0; at + 1 < count; at += 2) sum += get16(from + at);
    if (count & 1) sum += (u32)from[count - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static u8 frame[FRAME];

static void send_udp(const u8 *card_to, u32 to, u16 from_port, u16 to_port, const char *text, u32 count) {
    u8 *ip = frame + ETHERNET, *udp = ip + IP;
    memcpy(frame, card_to, 6);
    memcpy(frame + 6, card_address, 6);
    put16(frame + 12, 0x0800);
    memset(ip, 0, IP + UDP);
    ip[0] = 0x45;
    put16(ip + 2, IP + UDP + count);
    ip[8] = 64;
    ip[9] = 17;
    put32(ip + 12, address);
    put32(ip + 16, to);
    put16(ip + 10, checksum(ip, IP));
    put16(udp, from_port);
    put16(udp + 2, to_port);
    put16(udp + 4, UDP + count);
    memcpy(udp + UDP, text, count);
    send(frame, ETHERNET + IP + UDP + count);
}

static void answer_arp(const u8 *asked) {
    if (asked[21] != 1 || get32(asked + 38) != address) return;
    memcpy(frame, asked + 6, 6);
    memcpy(frame + 6, card_address, 6);
    memcpy(frame + 12, asked + 12, 10);
    frame[21] = 2;
    memcpy(frame + 22, card_address, 6);
    put32(frame + 28, address);
    memcpy(frame + 32, asked + 22, 10);
    send(frame, 42);
}

static void answer_ping(const u8 *asked, u32 count, u32 header) {
    u8 *ip = frame + ETHERNET, *icmp = ip + header;
    memcpy(frame, asked, count);
    memcpy(frame, asked + 6, 6);
    memcpy(frame + 6, card_address, 6);
    put32(ip + 12, address);
    memcpy(ip + 16, asked + ETHERNET + 12, 4);
    icmp[0] = 0;
    put16(icmp + 2, 0);
    put16(icmp + 2, checksum(icmp, count - ETHERNET - header));
    send(frame, count);
}

static volatile u32 ticks;

static char *put_fact(char *at, const char *key, u32 value) { return put_number(put(at, key), value); }

static void power_off(void) { out16(0x604, 0x2000); }

/* The machine's power button, by ACPI: a bit in the fixed event register, which the firmware has put at 0x600. */
static void watch_button(void) { out16(0x602, 0x100); }
static int button_pressed(void) { return in16(0x600) & 0x100; }

static void answer_command(const u8 *asked, u32 header) {
    const u8 *ip = asked + ETHERNET, *udp = ip + header;
    char words[64] = {0}, text[256], *at;
    u32 count = get16(udp + 4) - UDP;
    memcpy(words, udp + UDP, count < sizeof words - 1 ? count : sizeof words - 1);
    if (same(words, "rate ", 5)) dirty_pages_s = number(words + 5);
    if (same(words, "verify", 6)) to_verify = pages;
    if (same(words, "poweroff", 8)) power_off();
    at = put(put(text, "name="), name);
    at = put_fact(at, " clock_ms=", ticks * beat_ms);
    at = put_fact(at, " dirty_pages_s=", dirty_pages_s);
    at = put_fact(at, " pages=", pages);
    at = put_fact(at, " dirtied=", dirtied);
    at = put_fact(at, " bad=", bad);
    at = put_fact(at, " to_verify=", to_verify);
    at = put(at, "\n");
    send_udp(asked + 6, get32(ip + 12), COMMAND_PORT, (u16)get16(udp), text, (u32)(at - text));
}

static void take(const u8 *asked, u32 count) {
    const u8 *ip = asked + ETHERNET;
    if (count >= 42 && get16(asked + 12) == 0x0806) answer_arp(asked);
    if (count < ETHERNET + IP + UDP || get16(asked + 12) != 0x0800 || get32(ip + 16) != address) return;
    u32 header = (u32)(ip[0] & 15) * 4, end = ETHERNET + get16(ip + 2);
    if (end > count || ETHERNET + header + UDP > end) return;
    if (ip[9] == 1 && ip[header] == 8) answer_ping(asked, end, header);
    if (ip[9] == 17 && get16(ip + header + 2) == COMMAND_PORT && get16(ip + header + 4) >= UDP)
        answer_command(asked, header);
}

static void receive(void) {
    while (card && taken != receive_queue.used.index) {
        u32 slot = receive_queue.used.ring[taken % QUEUE].id, count = receive_queue.used.ring[taken % QUEUE].length;
        if (count > HEADER) take(received[slot] + HEADER, count - HEADER);
        receive_queue.available.ring[receive_queue.available.index % QUEUE] = (u16)slot;
        BARRIER;
        receive_queue.available.index++;
        taken++;
        out16(card + 0x10, 0);
    }
}

static void beat(void) {
    static const u8 everyone[6] = {255, 255, 255, 255, 255, 255};
    static u32 beats;
    u32 subnet = prefix ? ~0u << (32 - prefix) : 0;
    char text[128], *at = put(put(text, "beat "), name);
    at = put_fact(at, " ", beats++);
    at = put_fact(at, " ", ticks * beat_ms);
    at = put_fact(at, " ", dirtied);
    at = put_fact(at, " ", bad);
    at = put(at, "\n");
    send_udp(everyone, address | ~subnet, HEARTBEAT_PORT, HEARTBEAT_PORT, text, (u32)(at - text));
}

/* ---- start: multiboot, interrupts, the loop --------------------------------------------------------------------- */

__attribute__((section(".multiboot"), used)) static const u32 multiboot[] = {0x1BADB002, 0, -0x1BADB002u};

static u8 stack[16384] __attribute__((aligned(16), used));
__asm__(".globl _start\n_start:\n mov $stack+16384, %esp\n push %ebx\n push %eax\n call guest\n");

struct gate { u16 low, segment; u8 zero, kind; u16 high; } __attribute__((packed));
static struct gate gates[256];
static const unsigned long long segments[3] = {0, 0x00cf9a000000ffffull, 0x00cf92000000ffffull};
struct table { u16 limit; u32 base; } __attribute__((packed));
struct interrupted;

__attribute__((interrupt)) static void tick(struct interrupted *frame_) {
    (void)frame_;
    ticks++;
    out8(0x20, 0x20);
}

static void start_clock(void) {
    struct table global = {sizeof segments - 1, (u32)segments}, interrupts = {sizeof gates - 1, (u32)gates};
    __asm__ volatile("lgdt %0\n ljmp $8,$1f\n1: mov $16,%%ax\n mov %%ax,%%ds\n mov %%ax,%%es\n mov %%ax,%%ss" ::"m"(global)
                     : "eax");
    for (int at = 0; at < 256; at++) gates[at] = (struct gate){(u16)(u32)tick, 8, 0, 0x8e, (u16)((u32)tick >> 16)};
    __asm__ volatile("lidt %0" ::"m"(interrupts));
    static const u16 controllers[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40}, {0x21, 4},
                                         {0xa1, 2},    {0x21, 1},    {0xa1, 1},  {0x21, 0xfe}, {0xa1, 0xff}};
    for (u32 at = 0; at < sizeof controllers / sizeof *controllers; at++)
        out8(controllers[at][0], (u8)controllers[at][1]);
    u32 divisor = PIT_HZ * beat_ms / 1000;
    out8(0x43, 0x34);
    out8(0x40, (u8)divisor);
    out8(0x40, (u8)(divisor >> 8));
    __asm__ volatile("sti");
}

__attribute__((noreturn, used)) void guest(u32 magic, const u32 *information) {
    if (magic == 0x2BADB002 && information[0] & 4) command_line = (const char *)information[4];
    read_settings();
    fill(number_of("working_set_mib=", 16));
    int online = start_card();
    watch_button();
    start_clock();
    char text[96], *at = put(put(text, online ? "ready " : "no network "), name);
    console(text, (u32)(put(at, "\n") - text));
    for (u32 last = ticks;;) {
        receive();
        u32 now = ticks, passed = now - last;
        if (passed) {
            last = now;
            work(passed, dirty_pages_s, beat_ms);
            beat();
            if (button_pressed()) power_off();
        }
        __asm__ volatile("hlt");
    }
}
