/* Records made byte by byte, with any generation and any keys; their digests are by sha256sum. Include state_test.h first. */
#ifndef RECORD_H
#define RECORD_H

enum { RECORD_HEADER = 256, RECORD_COVERED = 68, RECORD_KEYS = 173, RECORD_MOST = 512 };

struct record {
    size_t len;
    char bytes[RECORD_MOST];
};

/* SHA-256 in hexadecimal, by coreutils. */
static inline void sha256_hex(const void *bytes, size_t len, char hex[65])
{
    char command[4300];
    const char *path = in(dir, "to-be-hashed");
    FILE *answer;
    write_file(path, bytes, len);
    snprintf(command, sizeof command, "sha256sum < '%s'", path);
    answer = popen(command, "r");
    if (answer == NULL || fscanf(answer, "%64[0-9a-f]", hex) != 1 || strlen(hex) != 64)
        bail_out("sha256sum cannot be run");
    pclose(answer);
    unlink(path);
}

/* Fills in the digits of head= that are at `at`: the first 32 bits of SHA-256 of bytes 68 to 255, these digits being zeros. */
static inline void record_head(char *header, size_t at)
{
    char hex[65];
    memset(header + at, '0', 8);
    sha256_hex(header + RECORD_COVERED, RECORD_HEADER - RECORD_COVERED, hex);
    memcpy(header + at, hex, 8);
}

/* A record of `version` with `keys` after its schema. The eight characters after "head=" in them are filled in. */
static inline struct record make_record(int version, uint64_t generation, const char *keys, const char *text)
{
    struct record r;
    char line[400], hex[65], *head;
    memset(&r, 0, sizeof r);
    snprintf(line, sizeof line, "steadfast %d len=%020zu gen=%020llu time=%020d schema=%010d%s", version, strlen(text),
             (unsigned long long)generation, 1, 0, keys);
    snprintf(r.bytes + RECORD_COVERED, sizeof r.bytes - RECORD_COVERED, "%-187s\n%s", line, text);
    r.len = RECORD_HEADER + strlen(text);
    head = strstr(r.bytes + RECORD_COVERED, " head=");
    if (head != NULL)
        record_head(r.bytes, (size_t)(head + 6 - r.bytes));
    sha256_hex(r.bytes + RECORD_COVERED, r.len - RECORD_COVERED, hex);
    memcpy(r.bytes, hex, 64);
    memcpy(r.bytes + 64, "  -\n", 4);
    return r;
}

static inline void put_record(const char *path, const struct record *r)
{
    unlink(path);
    write_file(path, r->bytes, r->len);
}

static inline int is_record(const char *path, const struct record *r)
{
    size_t len = 0;
    char *bytes = read_file(path, &len);
    int same = bytes != NULL && len == r->len && memcmp(bytes, r->bytes, len) == 0;
    free(bytes);
    return same;
}

#endif
