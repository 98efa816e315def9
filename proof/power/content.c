/* What is saved. The content names the call that saved it, at its start and in every 4 KiB, and the rest is the call's own as well: a
 * mixture of two cannot pass for one. */
#include "power.h"

enum { BLOCK = 4096, NOISE = LARGEST + 65536 };
static char *noise, *expected;

struct stamp { uint64_t salt; uint32_t call, len; };

void content_init(void)
{
    uint64_t random = 1;
    noise = malloc(NOISE);
    expected = malloc(LARGEST);
    for (size_t i = 0; i + 8 <= NOISE; i += 8) {
        uint64_t word = draw(&random);
        memcpy(noise + i, &word, 8);
    }
}

void content_fill(char *data, size_t len, uint32_t call)
{
    struct stamp stamp = { history->salt, call, (uint32_t)len };
    memcpy(data, noise + (call * 2654435761u) % 65536, len);
    for (size_t at = 0; at + sizeof stamp <= len; at += BLOCK) memcpy(data + at, &stamp, sizeof stamp);
}

uint32_t content_find(const char *data, size_t len)
{
    struct stamp stamp;
    if (len < sizeof stamp || len > LARGEST) return UNKNOWN_CONTENT;
    memcpy(&stamp, data, sizeof stamp);
    if (stamp.salt != history->salt || stamp.len != len || stamp.call == 0 || stamp.call >= history->calls) return UNKNOWN_CONTENT;
    content_fill(expected, len, stamp.call);
    return memcmp(expected, data, len) == 0 ? stamp.call : UNKNOWN_CONTENT;
}
