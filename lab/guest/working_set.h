/* The guests' working set: pages that they rewrite, and check before they do.
 *
 * Who includes this has `u32`, PAGE, WORDS and PAGES_PER_MIB, and defines WORKING_SET as where the pages lie.
 */

enum {
    MOST_BEHIND = 50, /* ticks of dirtying that are made up for after a pause, no more */
    VERIFIED_PER_TICK = 64,
};

static u32 pages, position, round_ = 1, dirtied, bad, to_verify;

static u32 mixed(u32 a, u32 b) {
    u32 value = a * 2654435761u ^ (b + 0x9e3779b9u) * 2246822519u;
    return value ^ value >> 15;
}

/* A page written in round r holds r, its number, and what both give together; the rest never changes. */
static void write_page(u32 page, u32 round) {
    u32 *words = WORKING_SET + page * WORDS;
    words[0] = round;
    words[1] = page;
    words[2] = words[WORDS - 1] = mixed(page, round);
}

static int page_holds(u32 page, u32 round) {
    const u32 *words = WORKING_SET + page * WORDS;
    u32 mark = mixed(page, round);
    return words[0] == round && words[1] == page && words[2] == mark && words[WORDS - 1] == mark;
}

static int rest_holds(u32 page) {
    const u32 *words = WORKING_SET + page * WORDS;
    for (u32 at = 3; at < WORDS - 1; at++)
        if (words[at] != page * WORDS + at) return 0;
    return 1;
}

static void fill(u32 mib) {
    pages = mib * PAGES_PER_MIB;
    for (u32 page = 0; page < pages; page++) {
        u32 *words = WORKING_SET + page * WORDS;
        for (u32 at = 0; at < WORDS; at++) words[at] = page * WORDS + at;
        write_page(page, 0);
    }
}

/* Rewrite COUNT pages, one after the other, round after round, and count those that are not as they were left. */
static void dirty(u32 count) {
    for (; count && pages; count--) {
        bad += !page_holds(position, round_ - 1);
        write_page(position, round_);
        dirtied++;
        if (++position == pages) position = 0, round_++;
    }
}

/* Check whole pages, some at a time so that the heart goes on beating. */
static void verify_some(void) {
    for (int count = 0; count < VERIFIED_PER_TICK && to_verify; count++) {
        u32 page = --to_verify;
        bad += !page_holds(page, page < position ? round_ : round_ - 1) || !rest_holds(page);
    }
}

/* Do what is due after so many ticks have passed. */
static void work(u32 passed, u32 dirty_pages_s, u32 beat_ms) {
    static u32 owed;
    owed += dirty_pages_s * beat_ms * (passed > MOST_BEHIND ? MOST_BEHIND : passed);
    dirty(owed / 1000);
    owed %= 1000;
    verify_some();
}
