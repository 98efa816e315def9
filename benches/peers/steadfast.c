/* This library, and the bare sequence, as programs among the others. First argument: the way. */
#define WORKER_FILES
#include "worker.h"

#include "steadfast.h"
#include <fcntl.h>
#include <unistd.h>

static const char *way, *directory;
static steadfast_save_options options = { .size = sizeof options };

static void save(const void *data, size_t len)
{
    worker_must(steadfast_state_save(NULL, worker_path, data, len, &options, NULL) == 0, "steadfast_state_save");
}

static size_t load(void *buf, size_t cap)
{
    steadfast_state state = { .size = sizeof state };
    worker_must(steadfast_state_load(NULL, worker_path, NULL, &state, NULL) == 0, "steadfast_state_load");
    size_t len = state.len;
    memcpy(buf, state.data, len < cap ? len : cap);
    steadfast_state_free(&state);
    return len;
}

static void bare(const void *data, size_t len)
{
    static char temp[4100];
    snprintf(temp, sizeof temp, "%s.new", worker_path);
    int file = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    worker_must(file >= 0, "open");
    for (size_t done = 0; done < len;) {
        ssize_t n = write(file, (const char *)data + done, len - done);
        worker_must(n > 0, "write");
        done += (size_t)n;
    }
    worker_must(fsync(file) == 0, "fsync");
    worker_must(rename(temp, worker_path) == 0, "rename");
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    worker_must(dir >= 0 && fsync(dir) == 0, "fsync of the directory");
    close(dir);
    close(file);
}

int main(int argc, char **argv)
{
    worker_must(argc == 3, "steadfast bare|save|keep DIRECTORY");
    way = argv[1];
    directory = argv[2];
    worker_file(argc, argv, way);
    if (strcmp(way, "bare") == 0)
        return worker_loop(bare, worker_load_file);
    options.flags = strcmp(way, "keep") == 0 ? STEADFAST_SAVE_KEEP_PREVIOUS : 0;
    return worker_loop(save, load);
}
