/* load, verify, info. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A load as the arguments ask for it. */
struct load {
    const char *path;
    int as_json;
    int result;  /* the exit code */
    int plain;   /* it was loaded as a plain file */
    steadfast_state state;
    steadfast_report report;
};

static int32_t load_as(struct load *load, const steadfast_load_options *options, uint32_t flags)
{
    steadfast_load_options as = *options;
    as.flags |= flags;
    load->plain = (as.flags & STEADFAST_LOAD_PLAIN) != 0;
    steadfast_state_free(&load->state);
    memset(&load->state, 0, sizeof load->state);
    load->state.size = sizeof load->state;
    load->report.size = sizeof load->report;
    return steadfast_state_load(NULL, load->path, &as, &load->state, &load->report);
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

/* Returns an exit code; EXIT_USAGE, and nothing was loaded. The state is to be freed in any case. */
static int load(int argc, char **argv, struct load *load)
{
    /* Whatever was saved can be loaded. */
    steadfast_load_options options = { .size = sizeof options, .max_len = UINT64_MAX };
    const char *command = argv[0];
    int verifies = strcmp(command, "verify") == 0;
    memset(load, 0, sizeof *load);
    load->state.size = sizeof load->state;
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
    return load->state.data != NULL;
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

static void print_json(const char *command, const struct load *load)
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
        if (strcmp(command, "load") == 0) {
            json_base64(&json, "data_base64", load->state.data, load->state.len);
        }
    }
    json_end(&json);
    putchar('\n');
}

int command_load(int argc, char **argv)
{
    struct load it;
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        print_json(argv[0], &it);
    } else if (it.state.data != NULL) {
        /* What fails here, main tells. */
        fwrite(it.state.data, 1, it.state.len, stdout);
    }
    steadfast_state_free(&it.state);
    return result;
}

int command_verify(int argc, char **argv)
{
    struct load it;
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        print_json(argv[0], &it);
    } else if (result == EXIT_DONE) {
        printf("%s: OK, generation %llu, %zu bytes\n", it.path, (unsigned long long)it.state.generation, it.state.len);
    }
    steadfast_state_free(&it.state);
    return result;
}

int command_info(int argc, char **argv)
{
    struct load it;
    int result = load(argc, argv, &it);
    if (result != EXIT_USAGE && it.as_json) {
        print_json(argv[0], &it);
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
    steadfast_state_free(&it.state);
    return result;
}
