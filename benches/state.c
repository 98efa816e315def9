/* Saving and loading 1 KiB. */
#define _GNU_SOURCE
#include "bench.h"
#include "steadfast.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_OPENSSL
#include <openssl/evp.h>
#endif

enum { SIZE = 1024, HEADER = 256, COVERED = 68 };

struct place {
    const char *dir;
    char ours[256];
    char temp[256];
    char bare[256];
};

static unsigned char data[SIZE];

static void save_ours(void *arg)
{
    struct place *place = arg;
    must(steadfast_state_save(NULL, place->ours, data, SIZE, NULL, NULL) == 0, "steadfast_state_save");
}

/* What a careful C program does, without a digest. */
static void save_bare(void *arg)
{
    struct place *place = arg;
    int file = open(place->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(file >= 0, "open");
    must(write(file, data, SIZE) == SIZE, "write");
    must(fsync(file) == 0, "fsync");
    must(rename(place->temp, place->bare) == 0, "rename");
    int dir = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, "open directory");
    must(fsync(dir) == 0, "fsync directory");
    close(dir);
    close(file);
}

struct syncs {
    size_t files;
    size_t directories;
};

static int32_t count_fsync(void *user, int32_t fd)
{
    struct syncs *syncs = user;
    struct stat stat;
    must(fstat(fd, &stat) == 0, "fstat");
    if (S_ISDIR(stat.st_mode))
        syncs->directories++;
    else
        syncs->files++;
    return steadfast_hooks_default()->fsync(NULL, fd);
}

static struct syncs count_syncs(struct place *place)
{
    struct syncs syncs = { 0, 0 };
    steadfast_hooks hooks = steadfast_hooks_init();
    hooks.user = &syncs;
    hooks.fsync = count_fsync;
    steadfast_context *context;
    must(steadfast_context_new(&hooks, &context) == 0, "steadfast_context_new");
    must(steadfast_state_save(context, place->ours, data, SIZE, NULL, NULL) == 0, "steadfast_state_save");
    steadfast_context_free(context);
    return syncs;
}

#ifdef HAVE_OPENSSL
/* One reader: its file, from where it hashes, and the algorithm and context that a program keeps for long. */
struct reader {
    const char *path;
    size_t from;
    const EVP_MD *sha256;
    EVP_MD_CTX *context;
    unsigned char expected[32];
};

static void load_ours(void *arg)
{
    struct reader *reader = arg;
    steadfast_state state = { .size = sizeof state };
    must(steadfast_state_load(NULL, reader->path, NULL, &state, NULL) == 0, "steadfast_state_load");
    steadfast_state_free(&state);
}

static void load_bare(void *arg)
{
    struct reader *reader = arg;
    unsigned char digest[32];
    struct stat stat;
    int file = open(reader->path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, "open");
    must(fstat(file, &stat) == 0, "fstat");
    size_t size = (size_t)stat.st_size;
    unsigned char *bytes = malloc(size + 1);
    must(bytes != NULL, "malloc");
    must(read(file, bytes, size) == (ssize_t)size, "read");
    close(file);
    must(EVP_DigestInit_ex(reader->context, reader->sha256, NULL), "EVP_DigestInit_ex");
    must(EVP_DigestUpdate(reader->context, bytes + reader->from, size - reader->from), "EVP_DigestUpdate");
    must(EVP_DigestFinal_ex(reader->context, digest, NULL), "EVP_DigestFinal_ex");
    must(memcmp(digest, reader->expected, sizeof digest) == 0, "the digest");
    free(bytes);
}

static void expect(struct reader *reader, const unsigned char *bytes, size_t len)
{
    must(EVP_Digest(bytes, len, reader->expected, NULL, reader->sha256, NULL), "EVP_Digest");
}

static void bench_load(struct place *place, const char *where)
{
    struct reader reader = { .path = place->ours, .from = COVERED };
    reader.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    reader.context = EVP_MD_CTX_new();
    must(reader.sha256 != NULL && reader.context != NULL, "OpenSSL");

    unsigned char record[HEADER + SIZE + 1];
    int file = open(place->ours, O_RDONLY | O_CLOEXEC);
    must(file >= 0 && read(file, record, sizeof record) == HEADER + SIZE, "read the record");
    close(file);
    expect(&reader, record + COVERED, HEADER + SIZE - COVERED);
    struct work ours = { load_ours, &reader }, bare = { load_bare, &reader };
    row_ratio("load 1 KiB / C read + OpenSSL, the same record", where, compare(ours, bare), 1.0);

    /* Against a file without a header: what the 256 bytes cost. */
    struct reader plain = reader;
    plain.path = place->bare;
    plain.from = 0;
    expect(&plain, data, SIZE);
    bare.arg = &plain;
    row_ratio("load 1 KiB / C read + OpenSSL, a bare 1 KiB file", where, compare(ours, bare), 0);

    EVP_MD_CTX_free(reader.context);
    EVP_MD_free((EVP_MD *)reader.sha256);
}
#endif

void bench_state(const char *dir, const char *where, struct targets targets)
{
    struct place place = { .dir = dir };
    snprintf(place.ours, sizeof place.ours, "%s/ours", dir);
    snprintf(place.temp, sizeof place.temp, "%s/bare.tmp", dir);
    snprintf(place.bare, sizeof place.bare, "%s/bare", dir);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i * 31);
    struct work ours = { save_ours, &place }, bare = { save_bare, &place };
    ours.run(ours.arg);
    bare.run(bare.arg);

    row_ratio("save 1 KiB / open write fsync rename fsync(dir)", where, compare(ours, bare), targets.save);
    struct syncs syncs = count_syncs(&place);
    row_count("  fsyncs of files in one save", where, syncs.files, 1);
    row_count("  fsyncs of directories in one save", where, syncs.directories, 1);
#ifdef HAVE_OPENSSL
    bench_load(&place, where);
#else
    row_skipped("load 1 KiB / C read + OpenSSL", where, "no OpenSSL headers (libssl-dev)");
#endif
    must(unlink(place.ours) == 0 && unlink(place.bare) == 0, "unlink");
}
