/* The old routines. They write the records themselves: 64 hex digits of SHA-256, two spaces, a dash, then the header's second line. */
#include "mutants.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/xattr.h>

enum { HEADER = 256, COVERED = 68, UNSYNCED = 01000 };

static char record[HEADER + LARGEST];

static size_t make_record(const struct save *save, uint64_t generation)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    memset(record, ' ', HEADER);
    int len = snprintf(record + COVERED, HEADER - COVERED, "steadfast 1 len=%020zu gen=%020" PRIu64 " time=%020d schema=%010d", save->len,
                       generation, 0, 0);
    record[COVERED + len] = ' ';
    record[HEADER - 1] = '\n';
    memcpy(record + HEADER, save->data, save->len);
    EVP_Digest(record + COVERED, HEADER - COVERED + save->len, digest, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++)
        snprintf(record + 2 * i, 3, "%02x", digest[i]);
    memcpy(record + 64, "  -\n", 4);
    return HEADER + save->len;
}

/* The generation at `path`, 0 when there is none that is whole. */
static uint64_t generation_at(const char *path)
{
    steadfast_load_options options = { .size = sizeof options, .flags = history->kind == PLAIN_FILES ? STEADFAST_LOAD_PLAIN : 0 };
    steadfast_state state = { .size = sizeof state };
    uint64_t generation = 0;
    if (steadfast_state_load(NULL, path, &options, &state, NULL) == 0)
        generation = state.generation;
    steadfast_state_free(&state);
    return generation;
}

static int write_all(int fd, const char *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, data + done, len - done);
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static struct answer failed(int error)
{
    return (struct answer){ .status = error, .on_disk = STEADFAST_ON_DISK_OLD };
}

/* The last step of each. */
static struct answer sync_names(const struct save *save, uint64_t generation)
{
    struct answer answer = { .generation = generation, .on_disk = STEADFAST_ON_DISK_NEW };
    int fd = open(save->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || sync_directory(save->fault, fd) != 0)
        answer = (struct answer){ .status = STEADFAST_NOT_DURABLE, .on_disk = STEADFAST_ON_DISK_EITHER, .generation = generation };
    if (fd >= 0)
        close(fd);
    return answer;
}

/* A temporary file with the record, synced in this way (NULL: not at all). 0 or a negated errno. */
static int make_temporary(char *name, size_t size, const struct save *save, size_t len, int (*sync)(int))
{
    snprintf(name, size, "%s.mutant.%d", save->path, getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = write_all(fd, record, len);
    if (result == 0 && sync && sync(fd))
        result = -errno;
    close(fd);
    if (result)
        unlink(name);
    return result;
}

static struct answer library_keeps(const struct save *save)
{
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_save(NULL, save->path, save->data, save->len, &options, &report);
    return (struct answer){ status, report.on_disk, report.generation };
}

/* Ours alone to write over: who saves with KEEP_PREVIOUS waits for the byte's lock. */
static int is_spare(int fd, const char *previous)
{
    struct stat opened, named;
    struct flock byte = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
    return fd >= 0 && fstat(fd, &opened) == 0 && opened.st_nlink == 1 && flock(fd, LOCK_EX | LOCK_NB) == 0
           && fcntl(fd, F_OFD_SETLK, &byte) == 0 && stat(previous, &named) == 0 && opened.st_ino == named.st_ino;
}

struct answer old_recycle(const struct save *save)
{
    char previous[900];
    struct stat about;
    uint64_t generation = generation_at(save->path) + 1;
    snprintf(previous, sizeof previous, "%s.prev", save->path);
    int fd = open(previous, O_RDWR | O_CLOEXEC);
    if (generation == 1 || stat(save->path, &about) || about.st_mode & UNSYNCED || !is_spare(fd, previous)) {
        if (fd >= 0)
            close(fd);
        return library_keeps(save);
    }
    size_t len = make_record(save, generation);
    int error = write_all(fd, record, len);
    if (!error && (ftruncate(fd, (off_t)len) || fdatasync(fd) || renameat2(AT_FDCWD, previous, AT_FDCWD, save->path, RENAME_EXCHANGE)))
        error = -errno;
    close(fd);
    return error ? failed(error) : sync_names(save, generation);
}

struct answer old_no_sync(const struct save *save)
{
    char name[900];
    uint64_t generation = generation_at(save->path) + 1;
    int error = make_temporary(name, sizeof name, save, make_record(save, generation), NULL);
    if (!error && rename(name, save->path))
        error = -errno;
    return error ? failed(error) : (struct answer){ STEADFAST_NOT_DURABLE, ON_DISK_UNKNOWN, generation };
}

struct answer old_generation(const struct save *save)
{
    char name[900];
    uint64_t generation = generation_at(save->path) + 1;
    int error = make_temporary(name, sizeof name, save, make_record(save, generation), fsync);
    if (!error && rename(name, save->path))
        error = -errno;
    return error ? failed(error) : sync_names(save, generation);
}

struct answer syncfs_then_fsync(const struct save *save)
{
    char name[900];
    uint64_t generation = generation_at(save->path) + 1;
    int error = make_temporary(name, sizeof name, save, make_record(save, generation), syncfs);
    if (!error && rename(name, save->path))
        error = -errno;
    return error ? failed(error) : sync_names(save, generation);
}

struct answer rename_previous(const struct save *save)
{
    char name[900], previous[900];
    uint64_t generation = generation_at(save->path) + 1;
    snprintf(previous, sizeof previous, "%s.prev", save->path);
    int error = make_temporary(name, sizeof name, save, make_record(save, generation), fsync);
    if (!error && rename(save->path, previous) && errno != ENOENT)
        error = -errno;
    usleep(2000);                        /* what is rare on a quick disk */
    if (!error && rename(name, save->path))
        error = -errno;
    return error ? failed(error) : sync_names(save, generation);
}

struct answer no_copy(const struct save *save)
{
    uint64_t generation = generation_at(save->path) + 1;
    size_t len = make_record(save, generation);
    int fd = open(save->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(-errno);
    int error = write_all(fd, record, len);
    if (!error && (ftruncate(fd, (off_t)len) || fsync(fd)))
        error = -errno;
    close(fd);
    return error ? failed(error) : sync_names(save, generation);
}

/* The attribute of a plain file, as steadfast_state(5) has it: 60 bytes, little-endian as this machine. */
static int set_attribute(int fd, const struct save *save, uint64_t generation)
{
    unsigned char attribute[60] = { 0 };
    struct stat about;
    if (fstat(fd, &about))
        return -errno;
    int64_t mtime = about.st_mtim.tv_sec * INT64_C(1000000000) + about.st_mtim.tv_nsec;
    uint64_t len = save->len;
    EVP_Digest(save->data, save->len, attribute, NULL, EVP_sha256(), NULL);
    memcpy(attribute + 32, &generation, 8);
    memcpy(attribute + 40, &len, 6);
    attribute[46] = 1;
    memcpy(attribute + 48, &mtime, 8);
    return fsetxattr(fd, "user.steadfast", attribute, sizeof attribute, 0) ? -errno : 0;
}

/* Without a sync and without a mark of that; the attribute before the content or after it. */
static struct answer save_unsynced_plain(const struct save *save, int attribute_first)
{
    char name[900];
    uint64_t generation = generation_at(save->path) + 1;
    snprintf(name, sizeof name, "%s.mutant.%d", save->path, getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(-errno);
    int error = attribute_first ? set_attribute(fd, save, generation) : 0;
    if (!error)
        error = write_all(fd, save->data, save->len);
    if (!error && !attribute_first)
        error = set_attribute(fd, save, generation);
    close(fd);
    if (!error && rename(name, save->path))
        error = -errno;
    return error ? failed(error) : (struct answer){ STEADFAST_NOT_DURABLE, ON_DISK_UNKNOWN, generation };
}

struct answer attribute_first(const struct save *save)
{
    return save_unsynced_plain(save, 1);
}

struct answer unmarked_plain(const struct save *save)
{
    return save_unsynced_plain(save, 0);
}
