/* What tells a plain file from a record, and what its attribute says. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

static uint64_t little_endian(const unsigned char *at, int bytes)
{
    uint64_t number = 0;
    for (int i = bytes; i-- > 0;) {
        number = number << 8 | at[i];
    }
    return number;
}

int read_attribute(const char *path, struct attribute *attribute)
{
    /* steadfast_state(5) has the layout. A longer one is of a later version, and its beginning the same. */
    enum { LEN = 60, NEWER = 128, UNSYNCED = 2 };
    unsigned char bytes[256];
    memset(attribute, 0, sizeof *attribute);
#ifdef __APPLE__
    ssize_t len = getxattr(path, "user.steadfast", bytes, sizeof bytes, 0, 0);
#else
    ssize_t len = getxattr(path, "user.steadfast", bytes, sizeof bytes);
#endif
    if (len < LEN || bytes[46] == 0 || bytes[46] >= NEWER) {
        return 0;
    }
    memcpy(attribute->sha256, bytes, sizeof attribute->sha256);
    attribute->generation = little_endian(bytes + 32, 8);
    attribute->len = little_endian(bytes + 40, 6);
    attribute->unsynced = (bytes[47] & UNSYNCED) != 0;
    attribute->saved_at_ns = (int64_t)little_endian(bytes + 48, 8);
    attribute->schema = (uint32_t)little_endian(bytes + 56, 4);
    return 1;
}

int begins_as_record(const char *path)
{
    /* What a record has at these places. One of them is enough: the others may be what is damaged. */
    static const struct {
        size_t at;
        const char *text;
    } marks[] = {
        { 64, "  -\nsteadfast " }, { 78, "1 len=" }, { 104, " gen=" }, { 129, " time=" }, { 155, " schema=" }, { 173, " head=" }
    };
    char header[256] = "";
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(header, 1, sizeof header, file);
    fclose(file);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (len > marks[i].at && memcmp(header + marks[i].at, marks[i].text, strlen(marks[i].text)) == 0) {
            return 1;
        }
    }
    return 0;
}
