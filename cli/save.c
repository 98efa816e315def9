/* save, update, remove. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a power cut now would leave. */
static const char *on_disk(int32_t code)
{
    static const char *const words[] = { "old", "new", "either" };
    return code >= STEADFAST_ON_DISK_OLD && code <= STEADFAST_ON_DISK_EITHER ? words[code] : "unknown";
}

/* Says how it went; `len`: of what was saved. Returns `result`. */
static int tell(const struct arguments *arguments, int index, int result, const steadfast_report *report, uint64_t len)
{
    const char *path = arguments->paths[index];
    int removes = arguments->command->bit == REMOVE;
    if (arguments->as_json) {
        struct json json;
        json_begin_of_many(&json, arguments, index);
        json_result(&json, result, report);
        json_text(&json, "on_disk", on_disk(report->on_disk));
        json_unsigned(&json, "generation", report->generation);
        if (!removes) {
            json_unsigned(&json, "length", len);
        }
        json_end_of_many(&json, arguments, index);
        return result;
    }
    /* Done, but there is more to say: what was kept as the previous generation, for example. */
    if (report->status != STEADFAST_OK) {
        complain(arguments, path, report);
    } else if (!removes && !arguments->quiet && has_more_to_say(report)) {
        fprintf(stderr, "steadfast: %s\n", report->message);
    }
    if (!removes && tells_success(arguments) && (report->status >= 0 || report->status == STEADFAST_E_SAVED_NOT_DURABLE)) {
        printf("%s: generation %llu, %llu bytes\n", path, (unsigned long long)report->generation, (unsigned long long)len);
    }
    return result;
}

/* Where the input is a file, its length is known. */
static void begin_progress(struct progress *progress, int wanted, int reads_stdin)
{
    struct stat input;
    progress_begin(progress, wanted);
    if (reads_stdin && fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode)) {
        off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
        progress->total = at >= 0 && at < input.st_size ? (uint64_t)(input.st_size - at) : 0;
    }
}

/* The writer writes neither in place nor one of two files in turn: all of it is in memory. */
static int save_at_once(struct arguments *arguments)
{
    steadfast_report report = { .size = sizeof report };
    struct bytes bytes = { NULL, 0, 0 };
    if (read_input(arguments->program, &bytes) != 0) {
        bytes_free(&bytes);
        fputs("steadfast: nothing was saved\n", stderr);
        return EXIT_FAILED;
    }
    int32_t status = steadfast_state_save(NULL, arguments->paths[0], bytes.data, bytes.len, &arguments->save, &report);
    int result = tell(arguments, 0, status == -ENOENT ? EXIT_FAILED : exit_code(status), &report, bytes.len);
    bytes_free(&bytes);
    return result;
}

int command_save(struct arguments *arguments)
{
    if ((arguments->save.flags & (STEADFAST_SAVE_IN_PLACE | STEADFAST_SAVE_ALTERNATE)) != 0) {
        return save_at_once(arguments);
    }
    steadfast_report report = { .size = sizeof report };
    steadfast_writer *writer;
    uint64_t len = 0;
    int32_t status = steadfast_writer_open(NULL, arguments->paths[0], &arguments->save, &writer, &report);
    if (status >= 0) {
        struct progress progress;
        /* Who types it knows how far it is. */
        begin_progress(&progress, arguments->program != NULL || !isatty(STDIN_FILENO), arguments->program == NULL);
        if (write_input(writer, arguments->program, &progress, &len) != 0) {
            steadfast_writer_abort(writer);
            if (arguments->program != NULL) {
                fputs("steadfast: nothing was saved\n", stderr);
            }
            return EXIT_FAILED;
        }
        progress_show(&progress, len, ", saving");
        status = steadfast_writer_commit(writer, &report);
        progress_end(&progress);
    }
    return tell(arguments, 0, status == -ENOENT ? EXIT_FAILED : exit_code(status), &report, len);
}

/* An update with a filter. */
struct filtering {
    struct arguments *arguments;
    struct bytes bytes;
    int failed;     /* the filter did, and has been told */
    int other;      /* the state has another schema than the one that is to be saved */
};

static int32_t filter(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    struct filtering *filtering = user;
    struct arguments *arguments = filtering->arguments;
    struct bytes input = { NULL, 0, 0 };
    if (old != NULL) {
        if (!arguments->has_schema && old->schema != arguments->save.schema) {
            arguments->save.schema = old->schema;
            filtering->other = 1;
            return -ECANCELED;
        }
        input.data = old->data;
        input.len = old->len;
    }
    bytes_free(&filtering->bytes);
    if (produce(arguments->program, &input, &filtering->bytes) != 0) {
        filtering->failed = 1;
        return -ECANCELED;
    }
    *data = filtering->bytes.data;
    *len = filtering->bytes.len;
    return 0;
}

int command_update(struct arguments *arguments)
{
    struct filtering filtering = { .arguments = arguments };
    if (!arguments->has_max_len) {
        /* Whatever was saved can be loaded. */
        arguments->load.max_len = UINT64_MAX;
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status;
    do {
        filtering.other = 0;
        status = steadfast_state_update(NULL, arguments->paths[0], &arguments->load, &arguments->save, filter, &filtering, &report);
    } while (filtering.other);
    size_t len = filtering.bytes.len;
    bytes_free(&filtering.bytes);
    if (filtering.failed) {
        fputs("steadfast: nothing was saved\n", stderr);
        return EXIT_FAILED;
    }
    return tell(arguments, 0, status == -ENOENT ? EXIT_FAILED : exit_code(status), &report, len);
}

int command_remove(struct arguments *arguments)
{
    int worst = EXIT_DONE, removed = 0;
    for (int i = 0; i < arguments->count; i++) {
        steadfast_report report = { .size = sizeof report };
        int32_t status = steadfast_state_remove(NULL, arguments->paths[i], &arguments->save, &report);
        removed |= status >= 0;
        worst = worse(worst, tell(arguments, i, exit_code(status), &report, 0));
    }
    return summed_up(worst, removed);
}
