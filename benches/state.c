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
#include <openssl/sha.h>
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
/* One reader: its file, from where it hashes, and how. */
struct reader {
    const char *path;
    size_t from;
    void (*hash)(struct reader *reader, const unsigned char *bytes, size_t len, unsigned char digest[32]);
    const EVP_MD *sha256;
    EVP_MD_CTX *context;
    unsigned char expected[32];
};

/* The fastest way: algorithm and context are got once and kept. */
static void hash_kept(struct reader *reader, const unsigned char *bytes, size_t len, unsigned char digest[32])
{
    must(EVP_DigestInit_ex(reader->context, reader->sha256, NULL), "EVP_DigestInit_ex");
    must(EVP_DigestUpdate(reader->context, bytes, len), "EVP_DigestUpdate");
    must(EVP_DigestFinal_ex(reader->context, digest, NULL), "EVP_DigestFinal_ex");
}

/* The usual way. */
static void hash_once(struct reader *reader, const unsigned char *bytes, size_t len, unsigned char digest[32])
{
    (void)reader;
    must(SHA256(bytes, len, digest) != NULL, "SHA256");
}

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
    reader->hash(reader, bytes + reader->from, size - reader->from, digest);
    must(memcmp(digest, reader->expected, sizeof digest) == 0, "the digest");
    free(bytes);
}

static void row_load(const char *what, const char *where, struct reader reader, const char *ours_path, double target)
{
    static unsigned char bytes[HEADER + SIZE];
    int file = open(reader.path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, reader.path);
    ssize_t len = read(file, bytes, sizeof bytes);
    close(file);
    must(len > (ssize_t)reader.from, reader.path);
    reader.hash(&reader, bytes + reader.from, (size_t)len - reader.from, reader.expected);
    struct reader ours = { .path = ours_path };
    struct work a = { load_ours, &ours }, b = { load_bare, &reader };
    row_ratio(what, where, compare(a, b), target);
}

static void bench_load(struct place *place, const char *where)
{
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(sha256 != NULL && context != NULL, "OpenSSL");
    struct reader reader = { .path = place->ours, .from = COVERED, .hash = hash_once, .sha256 = sha256, .context = context };
    row_load("load 1 KiB / C read + OpenSSL SHA256()", where, reader, place->ours, 1.0);
    reader.hash = hash_kept;
    row_load("load 1 KiB / C read + OpenSSL EVP, context kept", where, reader, place->ours, 1.0);
    /* A file without a header: what the 256 bytes cost. */
    reader.path = place->bare;
    reader.from = 0;
    row_load("  the same, its file without a header", where, reader, place->ours, 0);
    EVP_MD_CTX_free(context);
    EVP_MD_free(sha256);
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
