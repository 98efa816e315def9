/*
 * A failing disk: saves over a state with every call made to fail, one after the other, with several errors, once and
 * for ever, and compares what is there afterwards with what the result said.
 *
 *     demo-disk DIRECTORY
 */
#define _DEFAULT_SOURCE
#include "demo.h"

#include <dirent.h>
#include <errno.h>
#include <steadfast.h>
#include <string.h>

static char path[4096];
static long long refused, reserved, survived, lies, lost, litter, leaks, stuck;

static long long count(const char *directory, int all)
{
    long long found = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        found += all ? 1 : strstr(entry->d_name, ".tmp") != NULL;
    }
    closedir(dir);
    return found;
}

/* 1 when the state there is `text`, whole; 0 when it is another; -1 when it cannot be loaded. */
static int is_there(const char *text)
{
    steadfast_state state = { .size = sizeof state };
    if (steadfast_state_load(NULL, path, NULL, &state, NULL) != STEADFAST_OK) {
        return -1;
    }
    int same = state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    return same;
}

/* Call number `nth` of a kind fails. 0 when that made no difference: there was no such call any more. */
static int one(const char *directory, uint32_t flags, uint32_t call, uint64_t nth, int error, uint32_t for_ever)
{
    static int number;
    char old[64], new[64];
    snprintf(old, sizeof old, "{\"state\": %d}", ++number);
    snprintf(new, sizeof new, "{\"state\": %d}", ++number);
    if (steadfast_state_save(NULL, path, old, strlen(old), NULL, NULL) != STEADFAST_OK) {
        stuck++;
    }
    steadfast_context *context = NULL;
    if (steadfast_context_new_failing(NULL, call, nth, error, for_ever, &context) != STEADFAST_OK) {
        lies++;
        return 0;
    }
    long long open_before = count("/proc/self/fd", 1);
    steadfast_save_options options = { .size = sizeof options, .flags = flags };
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_save(context, path, new, strlen(new), &options, &report);
    steadfast_context_free(context);
    leaks += count("/proc/self/fd", 1) != open_before;
    int old_there = is_there(old), new_there = is_there(new);
    lost += old_there != 1 && new_there != 1;
    if (status == STEADFAST_OK) {
        survived++;
        lies += new_there != 1;
    } else if (status > 0 || status == STEADFAST_E_SAVED_NOT_DURABLE) {
        reserved++;
        lies += new_there != 1;
    } else if (status == STEADFAST_E_INDETERMINATE) {
        reserved++;
    } else {
        refused++;
        lies += old_there != 1;
    }
    /* A fault in removing the temporary file leaves it; the save after it takes it away. */
    stuck += steadfast_state_save(NULL, path, old, strlen(old), &options, NULL) != STEADFAST_OK || is_there(old) != 1;
    litter += count(directory, 0);
    return report.os_error == error || status != STEADFAST_OK;
}

int main(int argc, char **argv)
{
    static const int errors[] = { EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EACCES };
    static const uint32_t flags[] = { 0, STEADFAST_SAVE_STRICT, STEADFAST_SAVE_KEEP_PREVIOUS,
                                      STEADFAST_SAVE_STRICT | STEADFAST_SAVE_KEEP_PREVIOUS, STEADFAST_SAVE_ALTERNATE };
    if (argc != 2) {
        fprintf(stderr, "usage: demo-disk DIRECTORY\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/state", argv[1]);
    long long calls = 0;
    uint64_t kinds = 0;
    for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
        for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
            for (uint32_t for_ever = 0; for_ever < 2; for_ever++) {
                for (uint32_t call = STEADFAST_CALL_OPENAT; call <= STEADFAST_CALL_SIGXFSZ; call++) {
                    /* Some failures are survived without a word (unlocking); three in a row are the end. */
                    int silent = 0;
                    for (uint64_t nth = 1; silent < 3; nth++) {
                        int told = one(argv[1], flags[f], call, nth, errors[e], for_ever);
                        silent = told ? 0 : silent + 1;
                        kinds |= told ? UINT64_C(1) << call : 0;
                    }
                }
            }
        }
    }
    for (; kinds != 0; kinds &= kinds - 1) {
        calls++;
    }
    printf("   system calls made to fail, one in each save, by EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EACCES:\n");
    printf("   %lld saves refused, %lld done with a reservation; %lld more to which it made no difference\n", refused, reserved, survived);
    int bad = promise(refused > 0 && reserved > 0 && calls >= 6, "kinds of calls whose failure was told (a test of this test)", calls);
    bad += promise(lost == 0, "saves after which neither the old nor the new state was there", lost);
    bad += promise(lies == 0, "results that said something else than what was there", lies);
    bad += promise(stuck == 0, "saves without a fault that failed afterwards", stuck);
    bad += promise(litter == 0, "temporary files left after those", litter);
    bad += promise(leaks == 0, "saves that left a descriptor open", leaks);
    return bad != 0;
}
