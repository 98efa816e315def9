/* --json: one object, or for several paths one array of them, on one line. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <string.h>

static void begin_member(struct json *json, const char *name)
{
    fprintf(json->out, "%s\"%s\": ", json->members++ > 0 ? ", " : "", name);
}

void json_begin(struct json *json, FILE *out, const char *command, const char *path)
{
    json->out = out;
    json->members = 0;
    fputc('{', out);
    json_text(json, "command", command);
    json_name(json, "path", path);
}

void json_end(struct json *json)
{
    fputc('}', json->out);
}

/* Several paths are an array, and `clean` always is one. */
static int is_array(const struct arguments *arguments)
{
    return arguments->count > 1 || arguments->command->bit == CLEAN;
}

void json_begin_of_many(struct json *json, const struct arguments *arguments, int index)
{
    fputs(index > 0 ? ", " : is_array(arguments) ? "[" : "", stdout);
    json_begin(json, stdout, arguments->command->name, arguments->paths[index]);
}

void json_end_of_many(struct json *json, const struct arguments *arguments, int index)
{
    json_end(json);
    if (index + 1 == arguments->count) {
        puts(is_array(arguments) ? "]" : "");
    }
}

/* Length of the UTF-8 sequence at `at` (RFC 3629: no surrogates, nothing over-long or past U+10FFFF); 0: it is none. */
static size_t sequence(const unsigned char *at)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;  /* the final NUL stops here too */
        }
    }
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90)
        || (at[0] == 0xF4 && at[1] > 0x8F)) {
        return 0;
    }
    return len;
}

/* Returns 0 when something was no UTF-8 and went out as U+FFFD. */
static int put_string(FILE *out, const char *text)
{
    int whole = 1;
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        size_t len = sequence(at);
        if (len == 0) {
            fputs("\xEF\xBF\xBD", out);
            whole = 0;
            len = 1;
        } else if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at < 0x20 || *at == 0x7F) {
            fprintf(out, "\\u%04x", *at);
        } else {
            fwrite(at, 1, len, out);
        }
        at += len;
    }
    fputc('"', out);
    return whole;
}

void json_text(struct json *json, const char *name, const char *text)
{
    begin_member(json, name);
    put_string(json->out, text);
}

void json_name(struct json *json, const char *member, const char *name)
{
    char exact[32];
    begin_member(json, member);
    if (!put_string(json->out, name)) {
        snprintf(exact, sizeof exact, "%s_base64", member);
        json_base64(json, exact, name, strlen(name));
    }
}

void json_array(struct json *json, const char *name)
{
    begin_member(json, name);
    fputc('[', json->out);
}

void json_base64(struct json *json, const char *name, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;
    begin_member(json, name);
    fputc('"', json->out);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < len ? bytes[i + 2] : 0;
        fputc(digits[group >> 18], json->out);
        fputc(digits[group >> 12 & 63], json->out);
        fputc(i + 1 < len ? digits[group >> 6 & 63] : '=', json->out);
        fputc(i + 2 < len ? digits[group & 63] : '=', json->out);
    }
    fputc('"', json->out);
}

void json_number(struct json *json, const char *name, long long number)
{
    begin_member(json, name);
    fprintf(json->out, "%lld", number);
}

void json_unsigned(struct json *json, const char *name, uint64_t number)
{
    begin_member(json, name);
    fprintf(json->out, "%llu", (unsigned long long)number);
}

void json_boolean(struct json *json, const char *name, int truth)
{
    begin_member(json, name);
    fputs(truth ? "true" : "false", json->out);
}

void json_result(struct json *json, int exit_code, const steadfast_report *report)
{
    json_number(json, "exit_code", exit_code);
    json_number(json, "status", report->status);
    json_text(json, "status_name", steadfast_status_name(report->status));
    json_text(json, "message", report->message);
    json_number(json, "errno", report->os_error);
    json_number(json, "step", report->step);
}
