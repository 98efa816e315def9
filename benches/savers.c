/* Ways to save one state. */
#define _GNU_SOURCE
#include "bench.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct api lib, other;

struct api open_api(const char *file)
{
    void *handle = file ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : RTLD_DEFAULT;
    if (file && !handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    struct api api;
    /* POSIX wants it so: a function pointer from an object pointer. */
    *(void **)&api.save = dlsym(handle, "steadfast_state_save");
    *(void **)&api.load = dlsym(handle, "steadfast_state_load");
    *(void **)&api.state_free = dlsym(handle, "steadfast_state_free");
    *(void **)&api.load_into = dlsym(handle, "steadfast_state_load_into");
    *(void **)&api.save_batch = dlsym(handle, "steadfast_state_save_batch");
    must(api.save && api.load && api.state_free, "the library's functions");
    return api;
}

unsigned char *payload(size_t size)
{
    static unsigned char *data;
    static size_t have;
    if (size > have) {
        free(data);
        have = (size + 4095) / 4096 * 4096;
        data = aligned_alloc(4096, have);
        must(data != NULL, "memory for the payload");
        uint64_t x = 88172645463325252u; /* xorshift: nothing that a file system could leave out */
        for (size_t i = 0; i < have; i += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(data + i, &x, 8);
        }
    }
    return data;
}

struct saver new_saver(const struct api *api, const struct place *place, const char *name, size_t size, uint32_t flags)
{
    struct saver saver = { .api = api, .place = place, .data = payload(size), .size = size };
    snprintf(saver.path, sizeof saver.path, "%s/%s", place->dir, name);
    snprintf(saver.temp, sizeof saver.temp, "%s/%s.new", place->dir, name);
    saver.options = (steadfast_save_options){ .size = sizeof saver.options, .flags = flags };
    saver.expected = flags & STEADFAST_SAVE_NO_SYNC ? STEADFAST_NOT_DURABLE : 0;
    return saver;
}

void saver_run(void *arg)
{
    struct saver *s = arg;
    int32_t status = s->api->save(NULL, s->path, s->data, s->size, &s->options, NULL);
    /* A file system in memory may have no attributes. */
    int unverified = s->options.flags & STEADFAST_SAVE_PLAIN && s->place->memory && status == STEADFAST_UNVERIFIED;
    must(status == s->expected || unverified, "steadfast_state_save");
}

/* What a careful C program does, without a digest. */
void saver_bare(void *arg)
{
    struct saver *s = arg;
    int file = open(s->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(file >= 0, "open");
    for (size_t done = 0; done < s->size;) {
        ssize_t n = write(file, s->data + done, s->size - done);
        must(n > 0, "write");
        done += (size_t)n;
    }
    must(fsync(file) == 0, "fsync");
    must(rename(s->temp, s->path) == 0, "rename");
    int dir = open(s->place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, "open directory");
    must(fsync(dir) == 0, "fsync directory");
    close(dir);
    close(file);
}

void saver_remove(void *arg)
{
    struct saver *s = arg;
    char previous[300];
    must(unlink(s->path) == 0 || errno == ENOENT, "unlink");
    snprintf(previous, sizeof previous, "%s.prev", s->path);
    must(unlink(previous) == 0 || errno == ENOENT, "unlink");
}
