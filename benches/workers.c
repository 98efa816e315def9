/* Peers: programs that save in their own way and time themselves (peers/worker.h). */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct peer peers[32];
size_t peer_count;

static void ask(struct worker *worker, const char *question, char *answer, size_t cap)
{
    must(write(worker->to, question, strlen(question)) == (ssize_t)strlen(question), worker->name);
    size_t len = 0;
    while (len == 0 || answer[len - 1] != '\n') {
        ssize_t n = read(worker->from, answer + len, cap - 1 - len);
        if (n <= 0) {
            fprintf(stderr, "%s ended\n", worker->name);
            die(worker->name);
        }
        len += (size_t)n;
    }
    answer[len - 1] = 0;
}

void worker_start(struct worker *worker, const struct peer *peer, const struct place *place, size_t size)
{
    int to[2], from[2];
    *worker = (struct worker){ .size = size };
    snprintf(worker->name, sizeof worker->name, "%s", peer->name);
    must(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0, "pipe2");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        char command[1200];
        snprintf(command, sizeof command, "exec %s '%s'", peer->command, place->dir);
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    worker->to = to[1];
    worker->from = from[0];
    worker->pid = child;
}

double worker_turn(void *arg, size_t count)
{
    struct worker *worker = arg;
    char question[64], answer[64];
    double ns;
    snprintf(question, sizeof question, "%zu %zu\n", worker->size, count);
    ask(worker, question, answer, sizeof answer);
    must(sscanf(answer, "%lf", &ns) == 1, worker->name);
    return ns / 1e3 / (double)count;
}

void worker_stop(struct worker *worker)
{
    char answer[128];
    int status;
    ask(worker, "check\n", answer, sizeof answer);
    if (strcmp(answer, "ok") != 0) {
        fprintf(stderr, "%s: %s\n", worker->name, answer);
        die(worker->name);
    }
    close(worker->to);
    must(waitpid((pid_t)worker->pid, &status, 0) == worker->pid && status == 0, worker->name);
    close(worker->from);
}

/* Removes what the peers left in the place, their temporary files and databases too. */
void remove_leftovers(const struct place *place)
{
    char command[400];
    snprintf(command, sizeof command, "find '%s' -mindepth 1 -delete", place->dir);
    must(system(command) == 0, "find");
}

static void peers_of(const struct place *place, size_t size)
{
    enum { MOST = 35 };
    struct worker workers[MOST];
    struct contestant c[MOST];
    struct saver bare = new_saver(&lib, place, "bare-c", size, 0), ours = new_saver(&lib, place, "ours", size, 0);
    struct saver alternate = new_saver(&lib, place, "alternate", size, STEADFAST_SAVE_ALTERNATE);
    size_t own = 0, count;
    c[own++] = (struct contestant){ .name = "bare C", .run = saver_bare, .arg = &bare };
    c[own++] = (struct contestant){ .name = "steadfast", .run = saver_run, .arg = &ours };
    c[own++] = (struct contestant){ .name = "steadfast, ALTERNATE", .run = saver_run, .arg = &alternate };
    count = own;
    for (size_t i = 0; i < peer_count && count < MOST; i++, count++) {
        worker_start(&workers[count], &peers[i], place, size);
        c[count] = (struct contestant){ .name = peers[i].name, .remote = worker_turn, .arg = &workers[count] };
    }
    size_t rounds = contest(c, count, settings.quick ? 5 : 15);
    for (size_t i = 0; i < count; i++)
        row((struct row){ .part = "peers",
                          .what = c[i].name,
                          .place = place,
                          .size = size,
                          .us = c[i].us,
                          .base_us = c[0].us,
                          .value = c[i].ratio,
                          .low = c[i].ratio_low,
                          .high = c[i].ratio_high,
                          .unit = "x",
                          .rounds = rounds });
    for (size_t i = own; i < count; i++)
        worker_stop(&workers[i]);
    remove_leftovers(place);
}

void part_peers(const struct place *place)
{
    table_head("peers, each in a process of its own that times itself / open, write, fsync, rename, fsync the directory");
    if (peer_count == 0) {
        row_skipped("peers", "all", place, 0, "none is installed (benches/setup)");
        return;
    }
    peers_of(place, 1024);
    if (!settings.quick)
        peers_of(place, 64 * 1024);
    if (!settings.quick)
        peers_of(place, 1024 * 1024);
}
