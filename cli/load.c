/* load, verify, info. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A load as the arguments ask for it. */
struct load {
    const char *path;
    int as_json;
    int result;  /* the exit code */
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

/* Returns an exit code; EXIT_USAGE, and nothing was loaded. The reader is to be closed in any case. */
static int load(int argc, char **argv, struct load *load)
{
    steadfast_load_options options = { .size = sizeof options };
    const char *command = argv[0];
    int verifies = strcmp(command, "verify") == 0;
    memset(load, 0, sizeof *load);
    load->result = EXIT_USAGE;
    for (int at = 1; at < argc;) {
        const char *argument = argv[at];
        const char *value;
        uint64_t number = 0;
        if (!verifies && is_option(argv, &at, "--recover")) {
            options.flags |= STEADFAST_LOAD_RECOVER;
        } else if (!verifies && is_option(argv, &at, "--verified")) {
            options.flags |= STEADFAST_LOAD_REQUIRE_VERIFIED;
        } else if (is_option(argv, &at, "--plain")) {
            options.flags |= STEADFAST_LOAD_PLAIN;
        } else if (is_option(argv, &at, "--json")) {
            load->as_json = 1;
        } else if ((value = option_value(argc, argv, &at, "--schema")) != NULL) {
            if (!parse_number(value, 10, UINT32_MAX, &number)) {
                return usage_error("not a schema number", value);
            }
            options.schema = (uint32_t)number;
            options.flags |= STEADFAST_LOAD_REQUIRE_SCHEMA;
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (argument[0] == '-' && argument[1] != '\0' && strcmp(argument, "--") != 0) {
            return usage_error("no such option", argument);
        } else {
            if (strcmp(argument, "--") == 0 && ++at >= argc) {
                break;
            }
            if (load->path != NULL) {
                return usage_error("one path only", argv[at]);
            }
            load->path = argv[at++];
        }
    }
    if (load->path == NULL) {
        return usage_error("no path", NULL);
    }
    int32_t status = load_file(load, &options);
    if (status != STEADFAST_OK && !load->as_json) {
        complain(&load->report);
    }
    int unconfirmed = status == STEADFAST_UNVERIFIED || status == STEADFAST_CHANGED;
    return load->result = verifies && unconfirmed ? EXIT_DAMAGED : exit_code(status);
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

/* `data`: NULL if it is not wanted. */
static void print_json(const char *command, const struct load *load, const char *data)
{
    struct json json;
    json_begin(&json, stdout, command, load->path);
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
        }
        if (data != NULL) {
            json_base64(&json, "data_base64", data, load->state.len);
        }
    }
    json_end(&json);
    putchar('\n');
}

/* One object has all of it, or the error. */
static void load_as_json(const char *command, struct load *load)
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
    print_json(command, load, data);
    free(data);
}

/* Standard output gets it piece by piece. What fails there, main tells. */
static void write_out(struct load *load, struct progress *progress)
{
    static char piece[1 << 17];
    size_t got;
    progress->total = load->state.len;
    for (uint64_t at = 0; at < load->state.len; at += got) {
        if (read_part(load, at, piece, sizeof piece, &got) < 0) {
            progress_end(progress);
            complain(&load->report);
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

int command_load(int argc, char **argv)
{
    struct load it;
    struct progress progress;
    progress_begin(&progress, !isatty(STDOUT_FILENO));
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        load_as_json(argv[0], &it);
    } else if (loaded(&it)) {
        write_out(&it, &progress);
    }
    steadfast_reader_close(it.reader);
    return it.result;
}

int command_verify(int argc, char **argv)
{
    struct load it;
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        print_json(argv[0], &it, NULL);
    } else if (result == EXIT_DONE) {
        printf("%s: OK, generation %llu, %zu bytes\n", it.path, (unsigned long long)it.state.generation, it.state.len);
    }
    steadfast_reader_close(it.reader);
    return result;
}

int command_info(int argc, char **argv)
{
    struct load it;
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        print_json(argv[0], &it, NULL);
    } else if (loaded(&it)) {
        char when[64], digest[65];
        format_time(it.state.saved_at_ns, when, sizeof when);
        format_digest(it.state.sha256, digest);
        printf("path        %s\n", it.path);
        if (it.plain) {
            puts("kind        plain");
        }
        printf("generation  %llu\n", (unsigned long long)it.state.generation);
        printf("saved       %s\n", when);
        printf("schema      %lu\n", (unsigned long)it.state.schema);
        printf("length      %zu\n", it.state.len);
        printf("sha256      %s\n", digest);
        printf("source      %s\n", it.state.source == STEADFAST_SOURCE_PREVIOUS ? "previous (PATH.prev)" : "current");
        if (it.plain) {
            print_attribute(&it);
        }
    }
    steadfast_reader_close(it.reader);
    return result;
}
