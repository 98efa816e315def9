/* What the headers of an alternating state's two files say. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is it one of the two? Its generation, 0 if that cannot be read. steadfast_state(5) has the layout. */
static int read_slot(const char *path, uint64_t *generation)
{
    char header[257] = "";
    FILE *file = fopen(path, "rb");
    *generation = 0;
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(header, 1, 256, file);
    fclose(file);
    if (len < 256 || strstr(header, " !used=") == NULL || strncmp(header + 104, " gen=", 5) != 0) {
        return 0;
    }
    header[129] = '\0';
    return parse_number(header + 109, 10, UINT64_MAX, generation);
}

int read_pair(const char *path, struct pair *pair)
{
    char *current = realpath(path, NULL);
    char *previous = current != NULL ? malloc(strlen(current) + sizeof ".prev") : NULL;
    int alternates = 0;
    if (previous != NULL) {
        sprintf(previous, "%s.prev", current);
        alternates = read_slot(current, &pair->current) && read_slot(previous, &pair->previous);
    }
    free(previous);
    free(current);
    return alternates;
}
