/* load, verify, info. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The load of one path. */
struct load {
    const char *path;  /* NULL: it cannot be read, which has been told */
    int result;        /* the exit code */
    int plain;   /* it was loaded as a plain file */
    steadfast_reader *reader;  /* NULL: not loaded */
    steadfast_state state;     /* what there is to say of it, without its data */
    steadfast_report report;
};

static int32_t load_as(struct load *load, const steadfast_load_options *options, uint32_t flags)
{
    steadfast_load_options as = *options;
    as.flags |= flags;
    load->plain = (as.flags & STEADFAST_LOAD_PLAIN) != 0;
    steadfast_reader_close(load->reader);
    memset(&load->state, 0, sizeof load->state);
    load->state.size = sizeof load->state;
    load->report.size = sizeof load->report;
    return steadfast_reader_open(NULL, load->path, &as, &load->reader, &load->state, &load->report);
}

/* Loads a file of either kind. */
static int32_t load_file(struct load *load, const steadfast_load_options *options)
{
    struct attribute attribute;
    int has_attribute = read_attribute(load->path, &attribute), is_record = begins_as_record(load->path);
    if ((options->flags & STEADFAST_LOAD_PLAIN) == 0 && !has_attribute) {
        int32_t status = load_as(load, options, 0);
        /* A damaged record must not be handed out as somebody's file. */
        if (is_record || status != STEADFAST_E_FORMAT) {
            return status;
        }
    } else if ((options->flags & STEADFAST_LOAD_PLAIN) == 0 && is_record) {
        /* A plain file that holds a record, or a record that somebody has copied over a plain file. */
        if (load_as(load, options, STEADFAST_LOAD_PLAIN) == STEADFAST_OK || load_as(load, options, 0) == STEADFAST_OK) {
            return STEADFAST_OK;
        }
    }
    return load_as(load, options, STEADFAST_LOAD_PLAIN);
}

/* Loads the path of this index. The reader is to be closed in any case. */
static void load(const struct arguments *arguments, int index, struct load *load)
{
    memset(load, 0, sizeof *load);
    load->path = arguments->paths[index];
    if (strcmp(load->path, "-") == 0 && (load->path = path_of_input()) == NULL) {
        load->result = EXIT_FAILED;
        return;
    }
    int32_t status = load_file(load, &arguments->load);
    if (status != STEADFAST_OK && !arguments->as_json) {
        complain(arguments, load->path, &load->report);
    }
    int unconfirmed = status == STEADFAST_UNVERIFIED || status == STEADFAST_CHANGED;
    load->result = arguments->command->bit == VERIFY && unconfirmed ? EXIT_DAMAGED : exit_code(status);
}

static int loaded(const struct load *load)
{
    return load->reader != NULL;
}

/* Reads from `at` on. What was verified may be changed by somebody meanwhile, and the disk may fail: then it is no longer loaded. */
static int read_part(struct load *load, uint64_t at, char *part, size_t size, size_t *got)
{
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_reader_read(load->reader, at, part, size, got, &report);
    if (status < 0) {
        load->report = report;
        load->result = exit_code(status);
        steadfast_reader_close(load->reader);
        load->reader = NULL;
    }
    return status;
}

/* "2026-01-31T12:00:00.123456789Z" */
static void format_time(int64_t ns, char *text, size_t size)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm utc;
    char when[32];
    if (ns < 0 || gmtime_r(&seconds, &utc) == NULL || strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        snprintf(text, size, "unknown");
    } else {
        snprintf(text, size, "%s.%09lldZ", when, (long long)(ns % 1000000000));
    }
}

static void format_digest(const unsigned char sha256[32], char text[65])
{
    for (size_t i = 0; i < 32; i++) {
        snprintf(text + 2 * i, 3, "%02x", sha256[i]);
    }
}

/* Has the plain file an attribute that does not match its content? */
static int differs(const struct load *load, struct attribute *attribute)
{
    return load->report.status == STEADFAST_CHANGED && read_attribute(load->path, attribute);
}

/* How the attribute stands to what was loaded. */
static const char *confirmed(const struct load *load)
{
    switch (load->report.status) {
    case STEADFAST_CHANGED: return "differs";
    case STEADFAST_UNVERIFIED: return "none";
    default: return "matches";
    }
}

static void json_attribute(struct json *json, const struct load *load)
{
    struct attribute attribute;
    json_text(json, "kind", "plain");
    json_text(json, "attribute", confirmed(load));
    if (differs(load, &attribute)) {
        char digest[65];
        format_digest(attribute.sha256, digest);
        json_unsigned(json, "attribute_generation", attribute.generation);
        json_number(json, "attribute_saved_at_ns", attribute.saved_at_ns);
        json_unsigned(json, "attribute_schema", attribute.schema);
        json_unsigned(json, "attribute_length", attribute.len);
        json_text(json, "attribute_sha256", digest);
    }
}

static void print_attribute(const struct load *load)
{
    struct attribute attribute;
    printf("attribute   %s\n", confirmed(load));
    if (differs(load, &attribute)) {
        char when[64], digest[65];
        format_time(attribute.saved_at_ns, when, sizeof when);
        format_digest(attribute.sha256, digest);
        printf("  generation  %llu\n", (unsigned long long)attribute.generation);
        printf("  saved       %s\n", when);
        printf("  schema      %lu\n", (unsigned long)attribute.schema);
        printf("  length      %llu\n", (unsigned long long)attribute.len);
        printf("  sha256      %s\n", digest);
    }
}

static void json_pair(struct json *json, const struct load *load)
{
    struct pair pair;
    if (read_pair(load->path, &pair)) {
        json_text(json, "newer", pair.previous > pair.current ? "previous" : "current");
        json_unsigned(json, "current_generation", pair.current);
        json_unsigned(json, "previous_generation", pair.previous);
    }
}

static void print_pair(const struct load *load)
{
    struct pair pair;
    if (read_pair(load->path, &pair)) {
        printf("alternates  PATH%s is the newer file\n", pair.previous > pair.current ? ".prev" : "");
        printf("  PATH        generation %llu\n", (unsigned long long)pair.current);
        printf("  PATH.prev   generation %llu\n", (unsigned long long)pair.previous);
    }
}

/* `data`: NULL if it is not wanted. */
static void print_json(const struct arguments *arguments, int index, const struct load *load, const char *data)
{
    struct json json;
    json_begin_of_many(&json, arguments, index);
    json_result(&json, load->result, &load->report);
    if (loaded(load)) {
        char when[64], digest[65];
        format_time(load->state.saved_at_ns, when, sizeof when);
        format_digest(load->state.sha256, digest);
        json_unsigned(&json, "generation", load->state.generation);
        json_text(&json, "saved", when);
        json_number(&json, "saved_at_ns", load->state.saved_at_ns);
        json_unsigned(&json, "schema", load->state.schema);
        json_unsigned(&json, "length", load->state.len);
        json_text(&json, "sha256", digest);
        json_text(&json, "source", load->state.source == STEADFAST_SOURCE_PREVIOUS ? "previous" : "current");
        if (load->plain) {
            json_attribute(&json, load);
        } else {
            json_pair(&json, load);
        }
        if (data != NULL) {
            json_base64(&json, "data_base64", data, load->state.len);
        }
    }
    json_end_of_many(&json, arguments, index);
}

/* One object has all of it, or the error. */
static void load_as_json(const struct arguments *arguments, struct load *load)
{
    char *data = NULL;
    size_t len;
    if (loaded(load)) {
        data = malloc(load->state.len + 1);
        if (data == NULL) {
            load->result = EXIT_FAILED;
            fprintf(stderr, "steadfast: %s: no memory for it\n", load->path);
            return;
        }
        read_part(load, 0, data, load->state.len, &len);
    }
    print_json(arguments, 0, load, data);
    free(data);
}

/* Standard output gets it piece by piece. What fails there, main tells. */
static void write_out(const struct arguments *arguments, struct load *load, struct progress *progress)
{
    static char piece[1 << 17];
    size_t got;
    progress->total = load->state.len;
    for (uint64_t at = 0; at < load->state.len; at += got) {
        if (read_part(load, at, piece, sizeof piece, &got) < 0) {
            progress_end(progress);
            complain(arguments, load->path, &load->report);
            fprintf(stderr, "steadfast: only the first %llu bytes were written\n", (unsigned long long)at);
            return;
        }
        if (fwrite(piece, 1, got, stdout) < got) {
            break;
        }
        progress_show(progress, at + got, "");
    }
    progress_end(progress);
}

int command_load(struct arguments *arguments)
{
    struct load it;
    struct progress progress;
    progress_begin(&progress, !arguments->quiet && !isatty(STDOUT_FILENO));
    load(arguments, 0, &it);
    if (it.path != NULL && arguments->as_json) {
        load_as_json(arguments, &it);
    } else if (loaded(&it)) {
        write_out(arguments, &it, &progress);
    }
    steadfast_reader_close(it.reader);
    return it.result;
}

/* Loads each state, and says what there is to say of it: as JSON, or in words by `tell`. */
static int each(const struct arguments *arguments, void (*tell)(const struct arguments *arguments, int index, const struct load *load))
{
    int worst = EXIT_DONE;
    for (int i = 0; i < arguments->count; i++) {
        struct load it;
        load(arguments, i, &it);
        if (it.path != NULL && arguments->as_json) {
            print_json(arguments, i, &it, NULL);
        } else {
            tell(arguments, i, &it);
        }
        worst = worse(worst, it.result);
        steadfast_reader_close(it.reader);
    }
    return worst;
}

static void print_verified(const struct arguments *arguments, int index, const struct load *load)
{
    if (load->result == EXIT_DONE && tells_success(arguments)) {
        printf("%s: OK, generation %llu, %zu bytes\n", arguments->paths[index], (unsigned long long)load->state.generation,
               load->state.len);
    }
}

int command_verify(struct arguments *arguments)
{
    return each(arguments, print_verified);
}

static void print_info(const struct arguments *arguments, int index, const struct load *load)
{
    char when[64], digest[65];
    if (!loaded(load) || arguments->quiet) {
        return;
    }
    fputs(index > 0 ? "\n" : "", stdout);
    format_time(load->state.saved_at_ns, when, sizeof when);
    format_digest(load->state.sha256, digest);
    printf("path        %s\n", arguments->paths[index]);
    if (load->plain) {
        puts("kind        plain");
    }
    printf("generation  %llu\n", (unsigned long long)load->state.generation);
    printf("saved       %s\n", when);
    printf("schema      %lu\n", (unsigned long)load->state.schema);
    printf("length      %zu\n", load->state.len);
    printf("sha256      %s\n", digest);
    printf("source      %s\n", load->state.source == STEADFAST_SOURCE_PREVIOUS ? "previous (PATH.prev)" : "current");
    if (load->plain) {
        print_attribute(load);
    } else {
        print_pair(load);
    }
}

int command_info(struct arguments *arguments)
{
    return each(arguments, print_info);
}
