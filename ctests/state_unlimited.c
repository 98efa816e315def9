/*
 * States of more than 1 GiB: steadfast_state_load_into has no limit but the caller's memory, steadfast_state_load 1 GiB unless told otherwise.
 * Nothing takes that much here: hooks make the file long, its payload is zeros, and pages that nobody writes to are no memory.
 */
#include "tap.h"
#include "state_test.h"

#include <sys/mman.h>

#define GIB (UINT64_C(1) << 30)
#define LEN (GIB + 4099)
/* (printf '%-187s\n' "steadfast 1 len=00000000001073745923 gen=00000000000000000009 time=00000000000000000001 schema=0000000000";
 *  head -c 1073745923 /dev/zero) | sha256sum */
#define DIGEST "991b346fd790d9ca6737a92451117a10e43f0674ce8b9f3ad172a550d7487e79"

static char path[300];
static uint64_t file_len;     /* of the payload */
static int reads_fail;        /* beyond the header */
static long payload_reads;
static char *mapping;
static size_t mapping_len;

static int32_t long_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    int32_t result = REAL->fstat(NULL, fd, out);
    (void)user;
    if (result == 0 && (out->mode & S_IFMT) == S_IFREG)
        out->size = 256 + file_len;
    return result;
}

/* Zeros to the end; in the mapping they are there already. */
static int64_t long_pread(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    uint64_t left = offset < 256 + file_len ? 256 + file_len - offset : 0;
    char *to = buf;
    (void)user;
    if (len > left)
        len = (size_t)left;
    if (offset >= 256) {
        payload_reads++;
        if (reads_fail)
            return -EIO;
    }
    if (to < mapping || to >= mapping + mapping_len)
        memset(to, 0, len);
    if (offset < 256)
        return REAL->pread(NULL, fd, buf, len < 256 - offset ? len : 256 - (size_t)offset, offset) < 0 ? -EIO : (int64_t)len;
    return (int64_t)len;
}

static void make_state(uint64_t len)
{
    char header[300];
    file_len = len;
    snprintf(header, sizeof header, DIGEST "  -\nsteadfast 1 len=%020llu gen=%020d time=%020d schema=%010d%82s", (unsigned long long)len, 9,
             1, 0, "");
    header[255] = '\n';
    write_file(path, header, 256);
}

int main(void)
{
    steadfast_hooks h = test_hooks();
    steadfast_state state = { .size = sizeof state };
    steadfast_load_options o = { .size = sizeof o };
    size_t len = 77;
    report.size = sizeof report;
    dir = make_temp_dir("unlimited");
    snprintf(path, sizeof path, "%s/s", dir);
    h.fstat = long_fstat;
    h.pread = long_pread;
    steadfast_context *c = test_context(&h);
    mapping_len = LEN + 4096;
    mapping = mmap(NULL, mapping_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        mapping = NULL;
        skip("no address space for 1 GiB", "load_into of more than 1 GiB");
    } else {
        /* Only the beginning is written to: that this machine has so much memory is not what is tested. */
        mprotect(mapping + 65536, mapping_len - 65536, PROT_READ);
        make_state(LEN);
        is_int(steadfast_state_load_into(c, path, NULL, NULL, 0, &len, NULL), STEADFAST_E_TOO_LARGE,
               "load_into asks for the length of a state of more than 1 GiB");
        ok(len == LEN, "and gets it: %zu", len);
        reads_fail = 1;
        is_int(steadfast_state_load_into(c, path, NULL, mapping, len, &len, NULL), -EIO,
               "with that much memory it is read (here to an error)");
        is_int(steadfast_state_load_into(c, path, NULL, mapping, len - 1, &len, NULL), STEADFAST_E_TOO_LARGE, "a byte less is too little");
        o.max_len = LEN - 1;
        len = 77;
        is_int(steadfast_state_load_into(c, path, &o, mapping, mapping_len, &len, NULL), STEADFAST_E_TOO_LARGE,
               "max_len is a limit, if given");
        ok(len == LEN, "that tells the length as well");
        reads_fail = 0;
        if (test_small())
            skip("1 GiB is too much to hash here", "the whole state is loaded and verified");
        else
            ok(steadfast_state_load_into(c, path, NULL, mapping, mapping_len, &len, &(steadfast_report){ .size = sizeof(steadfast_report) })
                       == 0
                   && len == LEN,
               "the whole state is loaded and verified");
    }
    reads_fail = 1;
    payload_reads = 0;
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), STEADFAST_E_TOO_LARGE, "load: more than 1 GiB is E_TOO_LARGE by default");
    make_state(GIB + 1);
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), STEADFAST_E_TOO_LARGE, "load: so is a byte more");
    ok(payload_reads == 0 && state.data == NULL, "nothing of it is read");
    make_state(GIB);
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), -EIO, "load: 1 GiB is read (here to an error)");
    make_state(LEN);
    o.max_len = 2 * GIB;
    is_int(steadfast_state_load(c, path, &o, &state, NULL), -EIO, "load: so is more, if max_len says so");
    ok(payload_reads == 2, "each to its error");
    make_state(UINT64_MAX - 256);
    len = 77;
    o.max_len = UINT64_MAX;
    is_int(steadfast_state_load(c, path, &o, &state, NULL), STEADFAST_E_TOO_LARGE, "load: a length that no memory has");
    is_int(steadfast_state_load_into(c, path, NULL, mapping, mapping_len, &len, NULL), STEADFAST_E_TOO_LARGE, "load_into: as well");
    steadfast_context_free(c);
    if (mapping != NULL)
        munmap(mapping, mapping_len);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
