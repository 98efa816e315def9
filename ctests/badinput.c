/*
 * Bad input: damaged, foreign and newer files, things that are no files, names and limits at their ends. Each
 * has its own code; nothing of it is lost, hangs, or ends the program.
 */
#include "tap.h"
#include "util.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static char *dir;
static steadfast_report report;

static int save(const char *path, const char *text)
{
    report.size = sizeof report;
    return steadfast_state_save(NULL, path, text, strlen(text), NULL, &report);
}

/* The result of a load; a success is freed, and compared with `text`: 1 when it is something else. */
static int load(const char *path, const char *text)
{
    steadfast_state state = { .size = sizeof state };
    int result;
    report.size = sizeof report;
    result = steadfast_state_load(NULL, path, NULL, &state, &report);
    if (result >= 0 && text != NULL && (state.len != strlen(text) || memcmp(state.data, text, state.len) != 0))
        result = 1;
    if (result < 0 && state.data != NULL)
        result = 2;
    steadfast_state_free(&state);
    return result;
}

static int is_damage(int result)
{
    return result <= STEADFAST_E_EMPTY && result >= STEADFAST_E_FORMAT;
}

/* A record of this second line and payload, whose digest is right: 0, or what went wrong. */
static void make_record(const char *path, const char *line, const char *payload)
{
    char command[1500];
    snprintf(
        command, sizeof command,
        "p='%s'; printf '%%-187s\\n%%s' '%s' '%s' > \"$p.body\"; { sha256sum < \"$p.body\"; cat \"$p.body\"; } > \"$p\"; rm \"$p.body\"",
        path, line, payload);
    if (system(command) != 0)
        bail_out("cannot make a record with coreutils");
}

static const char LINE[] = "len=00000000000000000004 gen=00000000000000000003 time=00000000000000000009 schema=0000000005";

static void damaged(void)
{
    const char *path = in(dir, "damaged");
    size_t len = 0;
    char *bytes;
    int succeeded = 0, odd = 0;
    save(path, "payload");
    bytes = read_file(path, &len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        int result;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        unlink(path);
        write_file(path, bytes, len);
        result = load(path, NULL);
        succeeded += result >= 0;
        odd += !is_damage(result);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    is_int(succeeded, 0, "flipped at each of %zu bits: it never loads", len * 8);
    is_int(odd, 0, "and is always damage, not an I/O error or a newer format");

    succeeded = odd = 0;
    for (size_t cut = 0; cut < len; cut++) {
        int result;
        unlink(path);
        write_file(path, bytes, cut);
        result = load(path, NULL);
        succeeded += result >= 0;
        odd += result != (cut == 0 ? STEADFAST_E_EMPTY : STEADFAST_E_TRUNCATED);
    }
    is_int(succeeded, 0, "truncated at each of %zu lengths: it never loads", len);
    is_int(odd, 0, "an empty one is E_EMPTY, the others E_TRUNCATED");

    char *longer = calloc(1, len + 70000);
    memcpy(longer, bytes, len);
    odd = 0;
    for (size_t more = 1; more <= 70000; more = more * 3 + 1) {
        write_file(path, longer, len + more);
        odd += load(path, NULL) != STEADFAST_E_TRAILING;
    }
    is_int(odd, 0, "with more bytes after it: E_TRAILING");
    odd = 0;
    memset(longer, 0, len + 70000);
    for (size_t zeros = 256; zeros <= 70000; zeros = zeros * 3) {
        write_file(path, longer, zeros);
        odd += load(path, NULL) != STEADFAST_E_DIGEST;
    }
    is_int(odd, 0, "all zeros, as ext4 leaves of a file that was not synced: E_DIGEST");
    memcpy(longer, bytes, 256);
    write_file(path, longer, len);
    is_int(load(path, NULL), STEADFAST_E_DIGEST, "a header followed by zeros: E_DIGEST");
    write_text(path, "{\"json\": true}\n");
    is_int(load(path, NULL), STEADFAST_E_FORMAT, "a short foreign file: E_FORMAT");
    memset(longer, 'x', 70000);
    write_file(path, longer, 70000);
    is_int(load(path, NULL), STEADFAST_E_FORMAT, "a long foreign file: E_FORMAT");
    for (size_t i = 0, seed = 1; i < 70000; i++, seed = seed * 1103515245 + 12345)
        longer[i] = (char)(seed >> 16);
    write_file(path, longer, 70000);
    is_int(load(path, NULL), STEADFAST_E_FORMAT, "random bytes: E_FORMAT");
    free(longer);
    free(bytes);
}

static void versions(void)
{
    const char *path = in(dir, "versions");
    char line[300];
    snprintf(line, sizeof line, "steadfast 1 %s", LINE);
    make_record(path, line, "data");
    is_int(load(path, "data"), 0, "a record made with coreutils loads");
    snprintf(line, sizeof line, "steadfast 2 %s", LINE);
    make_record(path, line, "data");
    is_int(load(path, NULL), STEADFAST_E_NEWER, "format 2 with a right digest: E_NEWER");
    snprintf(line, sizeof line, "steadfast 17 %s", LINE);
    make_record(path, line, "data");
    is_int(load(path, NULL), STEADFAST_E_NEWER, "format 17 too");
    make_record(path, "steadfast 2 len=00000000000000000004 nothing else that we know", "data");
    is_int(load(path, NULL), STEADFAST_E_NEWER, "also when the rest of its line means nothing to us");
    snprintf(line, sizeof line, "steadfast 2 %s", LINE);
    make_record(path, line, "date");
    if (truncate(path, 259) != 0)
        bail_out("truncate");
    is_int(load(path, NULL), STEADFAST_E_TRUNCATED, "a newer one that was truncated is truncated");
    snprintf(line, sizeof line, "steadfast 1 %s x=1 y=2", LINE);
    make_record(path, line, "data");
    is_int(load(path, "data"), 0, "unknown keys are passed over");
    snprintf(line, sizeof line, "steadfast 1 %s !x=1", LINE);
    make_record(path, line, "data");
    is_int(load(path, NULL), STEADFAST_E_NEWER, "but one that begins with ! must be understood: E_NEWER");
    make_record(path, "steadfast 1 len=18446744073709551615 gen=00000000000000000003 time=00000000000000000009 schema=0000000005", "data");
    is_int(load(path, NULL), STEADFAST_E_TRUNCATED, "a length of 2^64 - 1 is no memory asked for");
    make_record(path, "steadfast 1 len=00000000000000000004 gen=3 time=00000000000000000009", "data");
    is_int(load(path, NULL), STEADFAST_E_FORMAT, "intact, but without a schema: E_FORMAT");

    steadfast_state state = { .size = sizeof state };
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    snprintf(line, sizeof line, "%064d  -\nsteadfast 1 len=%020lld gen=%020d time=%020d schema=%010d", 0, 3LL << 30, 1, 1, 1);
    char header[257];
    snprintf(header, sizeof header, "%-255.255s\n", line);
    if (write(fd, header, 256) != 256 || ftruncate(fd, 256 + (3LL << 30)) != 0)
        bail_out("no sparse file");
    close(fd);
    is_int(steadfast_state_load(NULL, path, NULL, &state, NULL), STEADFAST_E_TOO_LARGE,
           "3 GiB, more than allowed by default: E_TOO_LARGE, from its header");
    unlink(path);
}

static void no_files(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *things[] = { in(dir, "fifo"), in(dir, "directory"), in(dir, "socket"), "/dev/null" };
    if (mkfifo(things[0], 0600) != 0 || mkdir(things[1], 0700) != 0)
        bail_out("mkfifo: %s", strerror(errno));
    snprintf(address.sun_path, sizeof address.sun_path, "%s", things[2]);
    if (bind(s, (struct sockaddr *)&address, sizeof address) != 0)
        bail_out("bind: %s", strerror(errno));
    alarm(20); /* a hang is a failure */
    for (size_t i = 0; i < 4; i++) {
        is_int(load(things[i], NULL), STEADFAST_E_NOT_REGULAR, "load of %s: E_NOT_REGULAR, without waiting", strrchr(things[i], '/') + 1);
        is_int(save(things[i], "x"), STEADFAST_E_NOT_REGULAR, "save to it: E_NOT_REGULAR");
        ok(strstr(report.message, things[i]) != NULL, "the message names it");
    }
    alarm(0);
    close(s);
    ok(*leftovers(dir, "damaged versions fifo directory socket") == '\0', "they are still there, and nothing else");
    is_int(save("/", "x"), -EISDIR, "the root directory: -EISDIR");
    is_int(save(in(dir, "directory/"), "x"), -EISDIR, "a path with a slash at its end: -EISDIR");
    is_int(save(in(dir, "."), "x"), -EISDIR, "dot: -EISDIR");
    is_int(load(in(dir, "nowhere/state"), NULL), -ENOENT, "load in a directory that is not there: -ENOENT");
    is_int(load(in(dir, "damaged/state"), NULL), -ENOTDIR, "load below a file: -ENOTDIR");
    is_int(save(in(dir, "damaged/state"), "x"), -ENOTDIR, "save below a file: -ENOTDIR");
}

static void names(void)
{
    char name[300], path[5000];
    steadfast_save_options keep = { .size = sizeof keep, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    for (size_t n = 236; n <= 256; n++) {
        int expected = n > 255 ? -ENAMETOOLONG : 0;
        int previous = n > 250 ? -ENAMETOOLONG : 0;
        int first, second, loaded, kept;
        memset(name, 'n', n);
        name[n] = '\0';
        snprintf(path, sizeof path, "%s/%s", dir, name);
        first = save(path, "long");
        second = save(path, "longer");
        loaded = n > 255 ? 0 : load(path, "longer");
        kept = steadfast_state_save(NULL, path, "kept", 4, &keep, &report);
        if (first != expected || second != expected || loaded != 0 || kept != previous) {
            ok(0, "a name of %zu bytes: save %d, again %d, load %d, KEEP_PREVIOUS %d", n, first, second, loaded, kept);
            return;
        }
        unlink(path);
        strcat(path, ".prev");
        unlink(path);
    }
    ok(1, "names of 236 to 255 bytes are saved and loaded, with KEEP_PREVIOUS up to 250; 256 is -ENAMETOOLONG");
    ok(*leftovers(dir, "damaged versions fifo directory socket") == '\0', "nothing is left over%s",
       leftovers(dir, "damaged versions fifo directory socket"));
    memset(path, 'a', sizeof path);
    path[4998] = '\0';
    for (size_t i = 0; i < 4998; i += 100)
        path[i] = '/';
    is_int(save(path, "x"), -ENAMETOOLONG, "a path of 4998 bytes: -ENAMETOOLONG");
    is_int(load(path, NULL), -ENAMETOOLONG, "also for a load");
    snprintf(path, sizeof path, "%s/\xff\xfe \n'\"\\$(x)\x01", dir);
    is_int(save(path, "bytes"), 0, "a path is bytes, not characters");
    is_int(load(path, "bytes"), 0, "and found again");
    unlink(path);

    char here[4096];
    if (getcwd(here, sizeof here) == NULL || chdir(dir) != 0)
        bail_out("chdir");
    is_int(save("relative", "x"), 0, "a relative path");
    ok(load("relative", "x") == 0 && load("./relative", "x") == 0 && load(in(dir, "relative"), "x") == 0,
       "is relative to the working directory");
    unlink("relative");
    if (chdir(here) != 0)
        bail_out("chdir");
}

static void nothing(void)
{
    steadfast_state state = { .size = sizeof state };
    is_int(save("", "x"), -EINVAL, "save: an empty path");
    is_int(report.step, STEADFAST_STEP_ARGUMENTS, "is wrong in the arguments");
    is_int(steadfast_state_save(NULL, NULL, "x", 1, NULL, &report), -EINVAL, "save: no path");
    is_int(steadfast_state_save(NULL, in(dir, "x"), NULL, 1, NULL, &report), -EINVAL, "save: no data but a length");
    is_int(steadfast_state_save(NULL, in(dir, "x"), "x", SIZE_MAX, NULL, &report), -EINVAL, "save: a length beyond memory");
    is_int(load("", NULL), -EINVAL, "load: an empty path");
    is_int(steadfast_state_load(NULL, NULL, NULL, &state, NULL), -EINVAL, "load: no path");
    is_int(steadfast_state_load(NULL, in(dir, "x"), NULL, NULL, NULL), -EINVAL, "load: nowhere to put it");
    is_int(steadfast_context_new(NULL, NULL), -EINVAL, "context_new: nowhere to put it");
    is_int(steadfast_lock_clean_stale(NULL, NULL, NULL, NULL), -EINVAL, "clean_stale: no path");
    is_int(steadfast_lock_inspect(NULL, "", NULL, NULL), -EINVAL, "inspect: an empty path");
    is_int(steadfast_lock_acquire(NULL, in(dir, "x"), 0, NULL, NULL, NULL), -EINVAL, "acquire: nowhere to put it");
    is_int(steadfast_lock_release(NULL, NULL), 0, "release of NULL is fine");
    steadfast_context_free(NULL);
    steadfast_state_free(NULL);
    ok(!exists(in(dir, "x")), "nothing was made");
}

static void raised(int signal)
{
    _exit(signal == SIGXFSZ ? 50 : 51);
}

/* In a child: what a save beyond RLIMIT_FSIZE does; 0, or the number of the check that failed. */
static int limited(int blocked)
{
    struct rlimit limit = { 4096, 4096 };
    sigset_t set, pending, mask;
    char *data = calloc(1, 20000);
    const char *path = in(dir, "limited");
    if (save(path, "old") != 0)
        return 1;
    signal(SIGXFSZ, blocked ? SIG_DFL : raised);
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    if (blocked)
        sigprocmask(SIG_BLOCK, &set, NULL);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (steadfast_state_save(NULL, path, data, 20000, NULL, &report) != -EFBIG || report.step != STEADFAST_STEP_WRITE)
        return 2;
    sigpending(&pending);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (sigismember(&pending, SIGXFSZ) == 1)
        return 3;
    if (sigismember(&mask, SIGXFSZ) != blocked)
        return 4;
    free(data);
    if (load(path, "old") != 0 || *leftovers(dir, "limited damaged versions fifo directory socket") != '\0')
        return 5;
    return save(path, "small") == 0 ? 0 : 6;
}

/* In a child: no descriptor left. */
static int exhausted(void)
{
    const char *path = in(dir, "limited");
    struct rlimit limit = { 64, 64 };
    int fd, last = -1, result;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (save(path, "old") != 0)
        return 1;
    while ((fd = dup(0)) >= 0)
        last = fd;
    for (int freed = 0; freed < 4; freed++) {
        result = save(path, "new");
        if (result >= 0)
            break;
        if (result != -EMFILE)
            return 2;
        result = load(path, NULL);
        if (freed == 0 ? result != -EMFILE : result != 0)
            return 3;
        close(last--);
    }
    if (result != 0 || load(path, "new") != 0)
        return 4;
    while (last > 2)
        close(last--);
    return *leftovers(dir, "limited damaged versions fifo directory socket") == '\0' ? 0 : 5;
}

/* In a child without rights: a directory that may not be written, a file that may not be read. */
static int without_rights(void)
{
    char closed[300], path[320];
    snprintf(closed, sizeof closed, "%s/closed", dir);
    snprintf(path, sizeof path, "%s/state", closed);
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return 1;
    if (save(path, "new") != -EACCES || report.step != STEADFAST_STEP_CREATE_TEMP)
        return 2;
    if (load(path, "old") != 0)
        return 3;
    if (load(in(closed, "secret"), NULL) != -EACCES || report.step != STEADFAST_STEP_OPEN_FILE)
        return 4;
    if (save(in(closed, "hidden/state"), "x") != -EACCES || report.step != STEADFAST_STEP_OPEN_DIRECTORY)
        return 5;
    return *leftovers(closed, "state secret hidden") == '\0' ? 0 : 6;
}

static void limits(void)
{
    char closed[300];
    for (int blocked = 0; blocked < 2; blocked++) {
        pid_t child = fork_child();
        if (child == 0)
            _exit(limited(blocked));
        is_int(wait_for(child), 0, "beyond RLIMIT_FSIZE: -EFBIG, no signal, none left pending, the mask as before (%s)",
               blocked ? "SIGXFSZ blocked" : "SIGXFSZ not blocked");
    }
    pid_t child = fork_child();
    if (child == 0)
        _exit(exhausted());
    is_int(wait_for(child), 0, "descriptors exhausted: -EMFILE with the old state kept, until there are enough");

    snprintf(closed, sizeof closed, "%s/closed", dir);
    mkdir(closed, 0755);
    save(in(closed, "state"), "old");
    save(in(closed, "secret"), "s");
    mkdir(in(closed, "hidden"), 0000);
    chmod(in(closed, "state"), 0644);
    chmod(in(closed, "secret"), 0000);
    chmod(dir, 0755);
    chmod(closed, 0555);
    child = fork_child();
    if (child == 0)
        _exit(without_rights());
    is_int(wait_for(child), 0, "no permission: -EACCES, each at its own step; nothing changes");
    chmod(closed, 0755);
}

/* In a mount namespace of its own, on a file system of 64 KiB: 77 when there is none to be had. */
static int full_disk(void)
{
    char path[320], *data = calloc(1, 200000);
    int result;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount("steadfast-test", in(dir, "directory"), "tmpfs", 0, "size=64k") != 0)
        return 77;
    snprintf(path, sizeof path, "%s/directory/state", dir);
    if (save(path, "old") != 0)
        return 1;
    result = steadfast_state_save(NULL, path, data, 200000, NULL, &report);
    if (result != -ENOSPC || report.step != STEADFAST_STEP_WRITE || report.on_disk != STEADFAST_ON_DISK_OLD)
        return 2;
    if (load(path, "old") != 0 || *leftovers(in(dir, "directory"), "state") != '\0')
        return 3;
    free(data);
    if (save(path, "small") != 0)
        return 4;
    if (mount("none", in(dir, "directory"), "none", MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return 77;
    if (save(path, "new") != -EROFS || load(path, "small") != 0)
        return 5;
    return 0;
}

int main(void)
{
    int fds;
    dir = make_temp_dir("bad");
    fds = count_fds();
    damaged();
    versions();
    write_text(in(dir, "versions"), "");
    no_files();
    names();
    nothing();
    limits();
    if (geteuid() == 0) {
        pid_t child = fork_child();
        int status;
        if (child == 0)
            _exit(full_disk());
        status = wait_for(child);
        if (status == 77)
            skip("no mount namespaces here", "a full disk: -ENOSPC; a read-only one: -EROFS");
        else
            is_int(status, 0, "a full disk: -ENOSPC; a read-only one: -EROFS; the old state kept");
    } else {
        skip("needs root", "a full disk: -ENOSPC; a read-only one: -EROFS");
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
