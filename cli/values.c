/* The values of options. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int parse_number(const char *text, int base, uint64_t most, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9') {
        return 0;  /* strtoull takes blanks, signs and nothing at all */
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (errno != 0 || *end != '\0' || value > most) {
        return 0;
    }
    *out = value;
    return 1;
}

int parse_seconds(const char *text, int64_t *out)
{
    uint64_t whole = 0, fraction = 0;
    char digits[24];
    size_t len = strcspn(text, ".");
    if (strcmp(text, "infinity") == 0) {
        *out = -1;
        return 1;
    }
    if (len == 0 || len >= sizeof digits) {
        return 0;
    }
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!parse_number(digits, 10, INT64_MAX / 1000 - 1, &whole)) {
        return 0;
    }
    if (text[len] == '.') {
        const char *part = text + len + 1;
        size_t places = strlen(part);
        if (places < 1 || places > 3 || !parse_number(part, 10, 999, &fraction)) {
            return 0;
        }
        for (; places < 3; places++) {
            fraction *= 10;
        }
    }
    *out = (int64_t)(whole * 1000 + fraction);
    return 1;
}

int parse_mode(const char *text, uint32_t *out)
{
    uint64_t number;
    if (!parse_number(text, 8, 0777, &number) || number == 0) {
        return 0;
    }
    *out = (uint32_t)number;
    return 1;
}
