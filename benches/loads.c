/* Loads against reading in C and hashing by OpenSSL; loads into the caller's memory against the hash alone. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_OPENSSL
#include <openssl/evp.h>
#include <openssl/sha.h>
#endif

enum { HEADER = 256, COVERED = 68 };

struct loader {
    const struct api *api;
    const char *path;
    unsigned char *into;
    size_t size;
    steadfast_load_options options;
    size_t covered; /* where the digest's cover begins */
#ifdef HAVE_OPENSSL
    const EVP_MD *sha256;
    EVP_MD_CTX *context; /* NULL: SHA256() */
#endif
    unsigned char expected[32];
};

static void load(void *arg)
{
    struct loader *l = arg;
    steadfast_state state = { .size = sizeof state };
    must(l->api->load(NULL, l->path, &l->options, &state, NULL) == 0, "steadfast_state_load");
    l->api->state_free(&state);
}

static void load_into(void *arg)
{
    struct loader *l = arg;
    size_t len = 0;
    must(l->api->load_into(NULL, l->path, NULL, l->into, l->size, &len, NULL) == 0 && len == l->size, "steadfast_state_load_into");
}

#ifdef HAVE_OPENSSL
static void hash(struct loader *l, const unsigned char *bytes, size_t len, unsigned char digest[32])
{
    if (!l->context) { /* the usual way */
        must(SHA256(bytes, len, digest) != NULL, "SHA256");
        return;
    }
    /* The fastest way: algorithm and context are got once and kept. */
    must(EVP_DigestInit_ex(l->context, l->sha256, NULL), "EVP_DigestInit_ex");
    must(EVP_DigestUpdate(l->context, bytes, len), "EVP_DigestUpdate");
    must(EVP_DigestFinal_ex(l->context, digest, NULL), "EVP_DigestFinal_ex");
}

static unsigned char *read_whole(const char *path, size_t *size)
{
    struct stat stat;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, "open");
    must(fstat(file, &stat) == 0, "fstat");
    *size = (size_t)stat.st_size;
    unsigned char *bytes = malloc(*size + 1);
    must(bytes != NULL, "malloc");
    for (size_t done = 0; done < *size;) {
        ssize_t n = read(file, bytes + done, *size - done);
        must(n > 0, "read");
        done += (size_t)n;
    }
    close(file);
    return bytes;
}

static void load_c(void *arg)
{
    struct loader *l = arg;
    unsigned char digest[32];
    size_t size;
    unsigned char *bytes = read_whole(l->path, &size);
    hash(l, bytes + l->covered, size - l->covered, digest);
    must(memcmp(digest, l->expected, sizeof digest) == 0, "the digest");
    free(bytes);
}

static void loads_of(const struct place *place, size_t size)
{
    struct saver s = new_saver(&lib, place, "state", size, STEADFAST_SAVE_NO_SYNC);
    saver_run(&s);
    const steadfast_load_options defaults = { .size = sizeof defaults };
    struct loader ours = { .api = &lib, .path = s.path, .size = size, .options = defaults, .covered = COVERED };
    struct loader against = { .api = &other, .path = s.path, .size = size, .options = defaults };
    struct loader once = ours, kept = ours;
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    kept.sha256 = sha256;
    kept.context = EVP_MD_CTX_new();
    must(kept.sha256 && kept.context, "OpenSSL");
    size_t file_size;
    unsigned char *bytes = read_whole(s.path, &file_size);
    hash(&kept, bytes + COVERED, file_size - COVERED, kept.expected);
    memcpy(once.expected, kept.expected, sizeof once.expected);
    free(bytes);

    double target = size == 1024 ? 1.0 : 0;
    struct contestant c[3] = {
        { .run = load_c, .arg = &kept },
        { .run = load, .arg = &ours },
        { .run = load, .arg = &against },
    };
    size_t rounds = contest(c, other.load ? 3 : 2, 7);
    row_ratio("loads", "load / read + OpenSSL EVP, kept", place, size, c, 1, target, rounds);
    if (other.load)
        row_ratio("loads", "  --against: load", place, size, c, 2, 0, rounds);
    struct contestant d[2] = { { .run = load_c, .arg = &once }, { .run = load, .arg = &ours } };
    rounds = contest(d, 2, 7);
    row_ratio("loads", "load / read + OpenSSL SHA256()", place, size, d, 1, target, rounds);
    EVP_MD_CTX_free(kept.context);
    EVP_MD_free(sha256);
    saver_remove(&s);
}

/* A plain file, against reading it and hashing all of it. */
static void plain_loads_of(const struct place *place, size_t size)
{
    struct saver s = new_saver(&lib, place, "plain", size, STEADFAST_SAVE_PLAIN);
    saver_run(&s);
    const steadfast_load_options options = { .size = sizeof options, .flags = STEADFAST_LOAD_PLAIN };
    struct loader l = { .api = &lib, .path = s.path, .size = size, .options = options };
    hash(&l, s.data, size, l.expected);
    steadfast_state state = { .size = sizeof state };
    int32_t status = lib.load(NULL, s.path, &options, &state, NULL);
    lib.state_free(&state);
    if (status == STEADFAST_UNVERIFIED && place->memory) {
        row_skipped("loads", "load, PLAIN / read + OpenSSL SHA256()", place, size, "no extended attributes");
    } else {
        struct contestant c[2] = { { .run = load_c, .arg = &l }, { .run = load, .arg = &l } };
        size_t rounds = contest(c, 2, 7);
        row_ratio("loads", "load, PLAIN / read + OpenSSL SHA256()", place, size, c, 1, size == 1024 ? 1.6 : 0, rounds);
    }
    saver_remove(&s);
}

/* One pass of OpenSSL over a piece that stays in the cache: what the processor can do. */
enum { HOT = 64 * 1024 };
static void hash_hot(void *arg)
{
    unsigned char digest[32];
    must(SHA256(arg, HOT, digest) != NULL, "SHA256");
}
#endif

/* All hooks that move data do nothing: what is left is the library's own work, the hash. */
static int64_t null_write(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user, (void)fd, (void)buf;
    return (int64_t)len;
}

static steadfast_context *null_context(void)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    hooks.write = null_write;
    steadfast_context *context;
    must(steadfast_context_new(&hooks, &context) == 0, "steadfast_context_new");
    return context;
}

struct hasher {
    steadfast_context *context;
    struct saver saver;
};

static void save_into_nothing(void *arg)
{
    struct hasher *h = arg;
    struct saver *s = &h->saver;
    must(lib.save(h->context, s->path, s->data, s->size, &s->options, NULL) == s->expected, "steadfast_state_save");
}

#ifdef HAVE_OPENSSL
static void hash_one_shot(void *arg)
{
    struct saver *s = &((struct hasher *)arg)->saver;
    unsigned char digest[32];
    must(SHA256(s->data, s->size, digest) != NULL, "SHA256");
}
#endif

/* The rate of the hash inside a save whose writes do nothing, hot and at 64 MiB. */
static void hash_rates(const struct place *place)
{
    steadfast_context *context = null_context();
    const size_t large_size = settings.quick ? (size_t)16 << 20 : (size_t)64 << 20;
    struct hasher small = { context, new_saver(&lib, place, "hash", 1024, STEADFAST_SAVE_NO_SYNC) };
    struct hasher hot = { context, new_saver(&lib, place, "hash", 512 * 1024, STEADFAST_SAVE_NO_SYNC) };
    struct hasher large = { context, new_saver(&lib, place, "hash", large_size, STEADFAST_SAVE_NO_SYNC) };
    small.saver.data = hot.saver.data = large.saver.data; /* payload() moves when it grows */
    struct contestant c[4] = {
        { .run = save_into_nothing, .arg = &hot },
        { .run = save_into_nothing, .arg = &small },
        { .run = save_into_nothing, .arg = &large },
    };
    size_t count = 3;
#ifdef HAVE_OPENSSL
    c[count++] = (struct contestant){ .run = hash_one_shot, .arg = &large };
#endif
    size_t rounds = contest(c, count, 15);
    /* Without what a save costs besides. */
    double hot_rate = (512.0 - 1) * 1024 / 1e3 / (c[0].us - c[1].us), large_rate = (double)(large_size - 1024) / 1e3 / (c[2].us - c[1].us);
    row((struct row){ .part = "hash",
                      .what = "SHA-256 in a save without writes, hot",
                      .size = 512 * 1024,
                      .us = c[0].us,
                      .value = hot_rate,
                      .unit = "GB/s",
                      .rounds = rounds });
    row((struct row){ .part = "hash",
                      .what = "SHA-256 in a save without writes, large",
                      .size = large_size,
                      .us = c[2].us,
                      .value = large_rate,
                      .unit = "GB/s",
                      .rounds = rounds });
    row((struct row){ .part = "hash",
                      .what = "  large / hot",
                      .size = large_size,
                      .value = large_rate / hot_rate,
                      .unit = "x",
                      .target = 0.95,
                      .direction = AT_LEAST,
                      .rounds = rounds });
    if (count > 3)
        row((struct row){ .part = "hash",
                          .what = "  large / one-shot OpenSSL SHA256()",
                          .size = large_size,
                          .us = c[2].us,
                          .base_us = c[3].us,
                          .value = c[3].us / c[2].us,
                          .unit = "x",
                          .target = 1.5,
                          .direction = AT_LEAST,
                          .rounds = rounds });
    steadfast_context_free(context);
    saver_remove(&small.saver);
}

static void into_of(const struct place *place, size_t size)
{
    if (!lib.load_into) {
        row_skipped("into", "load_into / the hash limit", place, size, "not in this build");
        return;
    }
#ifdef HAVE_OPENSSL
    struct saver s = new_saver(&lib, place, "state", size, STEADFAST_SAVE_NO_SYNC);
    saver_run(&s);
    struct loader l = { .api = &lib, .path = s.path, .size = size, .into = aligned_alloc(4096, (size + 4095) / 4096 * 4096) };
    must(l.into != NULL, "memory to load into");
    memset(l.into, 1, size);
    struct contestant c[2] = { { .run = load_into, .arg = &l }, { .run = hash_hot, .arg = payload(HOT) } };
    size_t rounds = contest(c, 2, 7);
    double limit_us = c[1].us * (double)size / HOT;
    row((struct row){ .part = "into",
                      .what = "load_into, of the rate of the hash when hot",
                      .place = place,
                      .size = size,
                      .us = c[0].us,
                      .base_us = limit_us,
                      .value = limit_us / c[0].us,
                      .unit = "x",
                      .target = size >= (size_t)64 << 20 ? 0.75 : 0,
                      .direction = AT_LEAST,
                      .rounds = rounds });
    must(memcmp(l.into, s.data, size) == 0, "what load_into gave");
    free(l.into);
    saver_remove(&s);
#else
    row_skipped("into", "load_into / the hash limit", place, size, "no OpenSSL headers (libssl-dev)");
#endif
}

void part_loads(const struct place *place)
{
    const size_t M = (size_t)1 << 20;
    table_head("loads from the page cache");
#ifdef HAVE_OPENSSL
    loads_of(place, 1024);
    plain_loads_of(place, 1024);
    /* The page cache is the same; where the attribute is differs. */
    if (place->journal)
        return;
    if (!settings.quick)
        loads_of(place, 64 * 1024);
    if (!settings.quick)
        loads_of(place, 1 * M);
    loads_of(place, 64 * M);
#else
    row_skipped("loads", "load / read + OpenSSL", place, 1024, "no OpenSSL headers (apt-get install libssl-dev)");
    if (place->journal)
        return;
#endif
    into_of(place, 1024);
    into_of(place, 64 * M);
    if (place->memory)
        hash_rates(place);
}
