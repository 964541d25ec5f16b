/* Run lengths of masks: compressed strings decoded and checked, areas and intersections counted.
 *
 * Plain C99 without Python's headers; kernel.py loads it and rle.py and intersections.py hold the same in numpy, which
 * serves where this could not be built. Integers only, so that both give the same numbers. Nothing outside the arrays
 * that are passed in is ever read or written, whatever the strings hold.
 */
#include <stdint.h>
#include <stdlib.h>

/* Raised with every change of a signature or of a meaning; kernel.py loads no other version. */
enum { VERSION = 1 };

/* What is wrong with a mask; the order of kernel.STATES. */
enum { FINE, NOT_CANONICAL, BAD_CHARACTER, TRUNCATED, TOO_LONG, WRONG_SUM, NEGATIVE };

enum { MOST_GROUPS = 6 }; /* 30 bits hold any difference of two run lengths of the largest frame */

enum { NO_MEMORY = -1, BAD_RUNS = -2 };

int64_t mindthegap_runs_version(void) { return VERSION; }

/* Why a string cannot be cut into numbers; a wrong character weighs most, then a missing end. */
static uint8_t malformed(const uint8_t *text, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        if ((uint8_t)(text[i] - 48) > 63)
            return BAD_CHARACTER;
    return (text[length - 1] - 48) & 32 ? TRUNCATED : TOO_LONG;
}

/* The number whose first group is `group`, which another one follows; `*at` is moved behind its last group.
 * Returns 0 where it has no end or too many groups or wrong characters; `*needless` is set where its last group only
 * repeats the sign.
 */
static int long_number(const uint8_t *text, int64_t length, int64_t *at, uint32_t group, uint32_t *value,
                       int *needless)
{
    uint32_t sum = group & 31, before = group;
    for (int groups = 1; groups < MOST_GROUPS && *at < length; groups++) {
        group = (uint32_t)text[(*at)++] - 48;
        if (group > 63)
            return 0;
        sum |= (group & 31) << (5 * groups);
        if (group < 32) {
            if (group & 16)
                sum |= ~(uint32_t)0 << (5 * groups + 4);
            *needless |= (group == 0 && !(before & 16)) || (group == 31 && (before & 16));
            *value = sum;
            return 1;
        }
        before = group;
    }
    return 0;
}

/* Decodes one string into at most `length` run lengths and returns how many, with its state and the sum of all.
 *
 * From the fourth on, each stored number is the difference to the run length two before. Sums wrap around at 32 bits as
 * they do in maskApi and in numpy; a length that did is negative once.
 */
static int64_t decode(const uint8_t *text, int64_t length, int64_t pixels, int32_t *counts, uint8_t *state,
                      int64_t *total)
{
    uint32_t recent[2] = {0, 0}; /* the run lengths two before, and before */
    int64_t number = 0, sum = 0;
    int needless = 0, empty = 0, negative = 0;
    for (int64_t at = 0; at < length;) {
        const uint32_t group = (uint32_t)text[at++] - 48;
        uint32_t value = (group ^ 16) - 16; /* bit 16 of the last group is the sign */
        if (group > 31 && (group > 63 || !long_number(text, length, &at, group, &value, &needless))) {
            *state = malformed(text, length);
            *total = 0;
            return 0;
        }
        if (number > 2)
            value += recent[0];
        recent[0] = recent[1];
        recent[1] = value;
        counts[number] = (int32_t)value;
        sum += (int32_t)value;
        negative |= (int32_t)value < 0;
        empty |= value == 0 && number > 0;
        number++;
    }
    *total = sum;
    *state = negative ? NEGATIVE : sum != pixels ? WRONG_SUM : needless || empty ? NOT_CANONICAL : FINE;
    return number;
}

/* Decodes and checks many strings.
 *
 * text:   all strings, one after the other
 * ends:   [masks] where each string ends
 * pixels: [masks] pixels of each mask's frame
 * counts: room for as many run lengths as there are characters
 * first:  [masks + 1] receives where the runs of each mask begin
 * total:  [masks] receives the sum of each mask's runs
 * state:  [masks] receives what is wrong with each
 */
void mindthegap_decode(const uint8_t *text, const int64_t *ends, const int64_t *pixels, int64_t masks,
                       int32_t *counts, int64_t *first, int64_t *total, uint8_t *state)
{
    int64_t begin = 0;
    first[0] = 0;
    for (int64_t i = 0; i < masks; i++) {
        const int64_t number =
            decode(text + begin, ends[i] - begin, pixels[i], counts + first[i], &state[i], &total[i]);
        first[i + 1] = first[i] + number;
        begin = ends[i];
    }
}

/* Tracks of a video. counts[n] and first[n] are those of track n; which[n * length + t] is its mask in frame t, -1 for
 * none. */
typedef struct {
    int64_t number;
    const int32_t *const *counts;
    const int64_t *const *first;
    const int64_t *which;
} Tracks;

/* The runs inside a mask, sorted: run k covers the pixels from edges[2k] up to edges[2k + 1]. */
typedef struct {
    uint32_t *edges;
    int64_t number;
} Mask;

/* Edges that the largest mask of a track has. */
static int64_t most_edges(const Tracks *tracks, int64_t track, int64_t length)
{
    int64_t most = 0;
    for (int64_t t = 0; t < length; t++) {
        const int64_t mask = tracks->which[track * length + t];
        if (mask >= 0) {
            const int64_t runs = tracks->first[track][mask + 1] - tracks->first[track][mask];
            most = runs > most ? runs : most;
        }
    }
    return most;
}

/* Writes the edges of a mask, empty where it is absent, and returns its area; BAD_RUNS where runs leave the frame. */
static int64_t place(const Tracks *tracks, int64_t track, int64_t frame, int64_t length, int64_t pixels, Mask *mask)
{
    const int64_t which = tracks->which[track * length + frame];
    mask->number = 0;
    if (which < 0)
        return 0;
    const int64_t begin = tracks->first[track][which], runs = tracks->first[track][which + 1] - begin;
    const int32_t *counts = tracks->counts[track] + begin;
    uint32_t *edges = mask->edges;
    int64_t at = 0, area = 0;
    int32_t signs = 0;
    for (int64_t i = 0; i + 1 < runs; i += 2) {
        edges[i] = (uint32_t)(at += counts[i]);
        edges[i + 1] = (uint32_t)(at += counts[i + 1]);
        area += counts[i + 1];
        signs |= counts[i] | counts[i + 1];
    }
    if (runs & 1) {
        at += counts[runs - 1];
        signs |= counts[runs - 1];
    }
    if (signs < 0 || at != pixels)
        return BAD_RUNS;
    mask->number = runs / 2;
    return area;
}

/* First run that ends behind a pixel. */
static int64_t ending_behind(const Mask *mask, uint32_t pixel)
{
    int64_t low = 0, high = mask->number;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (mask->edges[2 * middle + 1] > pixel)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Pixels that two masks share. Both lists of runs are walked at once; which of two runs is left behind is reckoned, not
 * branched on, because it cannot be foretold. */
static int64_t shared(const Mask *one, const Mask *other)
{
    if (!one->number || !other->number)
        return 0;
    int64_t i = ending_behind(one, other->edges[0]), j = ending_behind(other, one->edges[0]), sum = 0;
    while (i < one->number && j < other->number) {
        const uint32_t *a = one->edges + 2 * i, *b = other->edges + 2 * j;
        const uint32_t start = a[0], end = a[1], start2 = b[0], end2 = b[1];
        const int64_t overlap = (int64_t)(end < end2 ? end : end2) - (start > start2 ? start : start2);
        sum += overlap > 0 ? overlap : 0;
        i += end <= end2;
        j += end2 <= end;
    }
    return sum;
}

/* Areas and intersections in one frame; `masks` are those of the objects, then one for a query. */
static int64_t frame_overlaps(const Tracks *queries, const Tracks *objects, int64_t frame, int64_t length,
                              int64_t pixels, Mask *masks, int32_t *query_area, int32_t *object_area,
                              int32_t *intersection)
{
    Mask *query = &masks[objects->number];
    for (int64_t g = 0; g < objects->number; g++) {
        const int64_t area = place(objects, g, frame, length, pixels, &masks[g]);
        if (area < 0)
            return area;
        object_area[g] = (int32_t)area;
    }
    for (int64_t q = 0; q < queries->number; q++) {
        const int64_t area = place(queries, q, frame, length, pixels, query);
        if (area < 0)
            return area;
        query_area[q] = (int32_t)area;
        for (int64_t g = 0; g < objects->number; g++)
            intersection[q * objects->number + g] = (int32_t)shared(query, &masks[g]);
    }
    return 0;
}

/* Areas and intersections of all queries and objects of a video.
 *
 * length:       frames
 * pixels:       pixels of a frame, below 2^31
 * query_area:   [length, queries], object_area: [length, objects], intersection: [length, queries, objects]
 * Returns 0, NO_MEMORY, or BAD_RUNS where runs do not fill their frame.
 */
int64_t mindthegap_overlaps(const Tracks *queries, const Tracks *objects, int64_t length, int64_t pixels,
                            int32_t *query_area, int32_t *object_area, int32_t *intersection)
{
    int64_t outcome = 0, room = 0, query_room = 0;
    for (int64_t g = 0; g < objects->number; g++)
        room += most_edges(objects, g, length);
    for (int64_t q = 0; q < queries->number; q++) {
        const int64_t edges = most_edges(queries, q, length);
        query_room = edges > query_room ? edges : query_room;
    }
    uint32_t *edges = malloc((size_t)(room + query_room + 1) * sizeof *edges);
    Mask *masks = malloc((size_t)(objects->number + 1) * sizeof *masks);
    if (!edges || !masks)
        outcome = NO_MEMORY;
    else
        for (int64_t g = 0, at = 0; g <= objects->number; g++) {
            masks[g].edges = edges + at;
            at += g < objects->number ? most_edges(objects, g, length) : 0;
        }
    for (int64_t t = 0; t < length && !outcome; t++)
        outcome = frame_overlaps(queries, objects, t, length, pixels, masks, query_area + t * queries->number,
                                 object_area + t * objects->number,
                                 intersection + t * queries->number * objects->number);
    free(edges);
    free(masks);
    return outcome;
}
