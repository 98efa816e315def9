/* The processes of a history: savers, which note each call before and after, and a neighbour, whose own syncs make the file system commit
 * what others have done. */
#include "told.h"
#include "mutants.h"

#include <fcntl.h>
#include <sys/prctl.h>

static char *content, *fillers_data;

/* A later header has on_disk in the entry; until then it follows from the status. */
#ifdef ENTRY_HAS_ON_DISK
static int32_t entry_on_disk(const steadfast_save_entry *entry, int unsynced)
{
    return (void)unsynced, entry->on_disk;
}
#else
static int32_t entry_on_disk(const steadfast_save_entry *entry, int unsynced)
{
    if (entry->status == 0)
        return STEADFAST_ON_DISK_NEW;
    if (entry->status > 0)
        return unsynced ? ON_DISK_UNKNOWN : STEADFAST_ON_DISK_EITHER;
    return entry->status == STEADFAST_E_SAVED_NOT_DURABLE || entry->status == STEADFAST_E_INDETERMINATE ? STEADFAST_ON_DISK_EITHER
                                                                                                        : STEADFAST_ON_DISK_OLD;
}
#endif

static uint32_t begin(const struct call *call)
{
    uint32_t number = atomic_fetch_add(&history->calls, 1);
    if (number >= MOST_CALLS)
        _exit(0);
    struct call *noted = &history->call[number];
    *noted = *call;
    noted->begun = tick();
    return number;
}

static void end(uint32_t number, struct answer answer)
{
    struct call *noted = &history->call[number];
    noted->answer = answer;
    noted->ended = tick();
    noted->answered = 1;
}

static steadfast_context *context_for(const struct fault *fault, const struct way *way)
{
    steadfast_context *context = NULL;
    steadfast_hooks hooks = steadfast_hooks_init();
    if (!fault->install && !way->in_place)
        return NULL;
    if (fault->install)
        fault->install(&hooks);
    if (way->in_place)
        mount_files(&hooks);
    if (steadfast_context_new(&hooks, &context))
        abort();
    return context;
}

/* A third, and then a piece of up to 64 KiB after the other. An error stays: the commit tells it. */
static int32_t save_in_pieces(const struct way *way, const steadfast_context *context, const char *path, size_t len,
                              const steadfast_save_options *options, steadfast_report *report)
{
    enum { PIECE = 65536 };
    steadfast_writer *writer;
    int32_t fd = -1, status = steadfast_writer_open(context, path, options, &writer, report);
    if (status < 0)
        return status;
    size_t at = len / 3;
    steadfast_writer_write(writer, content, at, NULL);
    if (way->descriptor && steadfast_writer_fd(writer, &fd, NULL) < 0)
        fd = -1;
    while (at < len) {
        size_t piece = len - at < PIECE ? len - at : PIECE;
        if (fd < 0)
            steadfast_writer_write(writer, content + at, piece, NULL);
        else if (write(fd, content + at, piece) != (ssize_t)piece) {
            int32_t error = -errno;
            steadfast_writer_abort(writer);
            return error;
        }
        at += piece;
    }
    return steadfast_writer_commit(writer, report);
}

uint32_t saver_save(const char *directory, unsigned process, unsigned state, unsigned life, unsigned way, unsigned fault, unsigned plain,
                    size_t len, uint64_t expected)
{
    char path[800];
    if (!content)
        content = malloc(LARGEST);
    state_path(path, sizeof path, directory, state);
    struct call call = { .way = way,
                         .fault = fault,
                         .process = (uint8_t)process,
                         .state = (uint8_t)state,
                         .life = (uint8_t)life,
                         .plain = (uint8_t)plain,
                         .len = len,
                         .expected = expected };
    uint32_t number = begin(&call);
    content_fill(content, len, number);
    if (ways[way].mutant) {
        struct save save = { directory, path, content, len, expected, &faults[fault] };
        end(number, ways[way].mutant(&save));
        return number;
    }
    steadfast_context *context = context_for(&faults[fault], &ways[way]);
    steadfast_save_options options = { .size = sizeof options, .flags = flags_of(&call), .expected_generation = expected };
    steadfast_report report = { .size = sizeof report };
    int32_t status = ways[way].pieces ? save_in_pieces(&ways[way], context, path, len, &options, &report)
                                      : steadfast_state_save(context, path, content, len, &options, &report);
    end(number, (struct answer){ status, report.on_disk, report.generation });
    steadfast_context_free(context);
    return number;
}

uint32_t saver_load(const char *directory, unsigned process, unsigned state, unsigned life, uint32_t flags)
{
    char path[800];
    state_path(path, sizeof path, directory, state);
    struct call call = { .load = 1 + (flags != 0), .process = (uint8_t)process, .state = (uint8_t)state, .life = (uint8_t)life };
    uint32_t number = begin(&call);
    struct found found = load_any(path, flags);
    history->call[number].found = found.call;
    end(number, (struct answer){ .status = found.status, .generation = found.generation });
    return number;
}

/* All states in one call, and files that nobody looks at between them. */
static void save_batch(const struct plan *plan, const char *directory, unsigned process, unsigned life, unsigned way, unsigned fault,
                       unsigned plain, size_t len)
{
    static char paths[MOST_STATES + FILLERS][800];
    static steadfast_save_entry entries[MOST_STATES + FILLERS];
    uint32_t numbers[MOST_STATES], batch = atomic_fetch_add(&history->batches, 1) + 1;
    unsigned count = plan->states + (ways[way].fillers ? FILLERS : 0), step = count / plan->states;
    if (!content)
        content = malloc(LARGEST);
    if (!fillers_data)
        fillers_data = calloc(1, (size_t)MOST_STATES * LARGEST);
    if (len > LARGEST / MOST_STATES)
        len = LARGEST / MOST_STATES;
    for (unsigned i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/filler%u", directory, i);
        entries[i] = (steadfast_save_entry){ .size = sizeof *entries, .path = paths[i], .data = "filler", .len = 6 };
    }
    for (unsigned state = 0; state < plan->states; state++) {
        steadfast_save_entry *entry = &entries[state * step];
        struct call call = { .way = way,
                             .fault = fault,
                             .process = (uint8_t)process,
                             .state = (uint8_t)state,
                             .life = (uint8_t)life,
                             .plain = (uint8_t)plain,
                             .len = len,
                             .batch = batch };
        numbers[state] = begin(&call);
        char *data = fillers_data + (size_t)state * LARGEST;
        content_fill(data, len, numbers[state]);
        state_path(paths[state * step], sizeof paths[0], directory, state);
        entry->data = data;
        entry->len = len;
    }
    steadfast_context *context = context_for(&faults[fault], &ways[way]);
    steadfast_save_options options = { .size = sizeof options, .flags = flags_of(call_of(numbers[0])) };
    steadfast_state_save_batch(context, entries, count, &options, NULL);
    for (unsigned state = 0; state < plan->states; state++) {
        const steadfast_save_entry *entry = &entries[state * step];
        end(numbers[state],
            (struct answer){ entry->status, entry_on_disk(entry, (ways[way].flags & STEADFAST_SAVE_NO_SYNC) != 0), entry->generation });
    }
    steadfast_context_free(context);
}

static unsigned pick(uint64_t set, unsigned index)
{
    for (unsigned i = 0;; i++)
        if (set >> i & 1 && index-- == 0)
            return i;
}

/* A swap needs to know what is there: what a plain load gives, or where that is damaged or gone what RECOVER gives. */
static uint64_t generation_there(const char *directory, unsigned process, unsigned state, unsigned life)
{
    const struct call *seen = &history->call[saver_load(directory, process, state, life, 0)];
    if (seen->answer.status < 0)
        seen = &history->call[saver_load(directory, process, state, life, STEADFAST_LOAD_RECOVER)];
    return seen->answer.status < 0 ? 0 : seen->answer.generation;
}

static size_t draw_length(const struct plan *plan, uint64_t *random)
{
    static const size_t borders[] = { 16, 100, 3839, 3840, 3841, 4096, 9000, 16129, 65537 };
    if (plan->large)
        return (1u << 20) + below(random, LARGEST - (1u << 20));
    return borders[below(random, sizeof borders / sizeof *borders)];
}

void saver_run(const struct plan *plan, const char *directory, unsigned process, unsigned life, uint64_t random)
{
    unsigned kinds = (unsigned)__builtin_popcountll(plan->ways), wrongs = (unsigned)__builtin_popcountll(plan->faults);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned turn = (unsigned)below(&random, kinds); !history->stop; turn++) {
        unsigned way = pick(plan->ways, plan->in_turn ? turn % kinds : (unsigned)below(&random, kinds));
        /* Those of hundreds of files take as long as all others together. */
        if (ways[way].fillers && kinds > 1 && below(&random, 5) != 0)
            continue;
        unsigned state = (unsigned)below(&random, plan->states), fault = pick(plan->faults, (unsigned)below(&random, wrongs));
        size_t len = draw_length(plan, &random);
        /* Where both are drawn, most calls go well. */
        if (below(&random, 3) != 0 && plan->faults & 1)
            fault = 0;
        unsigned plain = may_be_plain(way) && (plan->kind == MIXED ? below(&random, 2) : plan->kind == PLAIN_FILES);
        if (ways[way].batch)
            save_batch(plan, directory, process, life, way, fault, plain, len);
        else {
            uint64_t expected = ways[way].flags & STEADFAST_SAVE_IF_GENERATION ? generation_there(directory, process, state, life) : 0;
            saver_save(directory, process, state, life, way, fault, plain, len, expected);
        }
        if (below(&random, 4) == 0)
            usleep((unsigned)below(&random, 1500));
    }
    _exit(0);
}

void neighbour_run(unsigned kind, const char *root, uint64_t random)
{
    char path[800];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "%s/neighbour", root);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && !history->stop) {
        usleep(200 + (unsigned)below(&random, 4000));
        if (pwrite(fd, &random, sizeof random, (off_t)below(&random, 8192)) < 0)
            break;
        if (kind == 1 ? fsync(fd) : syncfs(fd))
            break;
    }
    _exit(0);
}
