// Locks of steadfast.hpp by error codes: compiled with and without exceptions and run-time type information.
#include "other_unit.h"
#include "scratch.h"

#include <sys/wait.h>

#include "tap.h" // last: its ok() is a macro

using namespace std::chrono_literals;

namespace {

static_assert(!std::is_copy_constructible_v<steadfast::lock> && !std::is_copy_assignable_v<steadfast::lock>);
static_assert(std::is_nothrow_move_constructible_v<steadfast::lock> && std::is_nothrow_move_assignable_v<steadfast::lock>);

void locks(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "lock";
    steadfast::lock first(path, 5s, ec);
    ok(!ec && first && content(path) == std::to_string(getpid()) + "\n", "a lock file with our PID");
    const steadfast::lock second(path, 1ms, ec);
    ok(!second && ec == steadfast::errc::locked && ec == std::errc::timed_out && second.report().pid() == getpid(),
       "a second one is told who holds it: %s", second.report().message());
    ok(!lock_in_other_unit(path, ec), "also in another translation unit");
    const steadfast::lock_status status = steadfast::inspect(path, ec);
    ok(!ec && status.verdict() == steadfast::verdict::held && status.pid() == getpid(), "inspect: held");
    ok(steadfast::clean_stale(path, ec).verdict() == steadfast::verdict::held && exists(path), "clean_stale: kept");
    steadfast::lock moved = std::move(first);
    ok(moved && !first, "a lock moves"); // NOLINT
    const std::string other = dir / "other.lock";
    steadfast::lock target(other, 0ms, ec);
    target = std::move(moved);
    ok(target && !exists(other) && exists(path), "move-assignment releases what was held");
    const steadfast::report released = target.release(ec);
    ok(!ec && released && !target && !exists(path), "release removes the file");
    target.release(ec);
    ok(!ec, "a second release has nothing to do");
    {
        const steadfast::lock scoped(path, 0ms, ec);
        ok(scoped && exists(path), "held in a scope");
    }
    ok(!exists(path), "and released at its end");
    ok(steadfast::inspect(path, ec).verdict() == steadfast::verdict::absent && !ec, "inspect: absent");
    steadfast::lock lost(path, 0ms, ec);
    std::filesystem::remove(path, ec);
    lost.release(ec);
    ok(ec == steadfast::errc::lock_lost, "lock_lost");
    steadfast::lock nowhere(dir / "no/such/lock", 0ms, ec);
    ok(!nowhere && ec == std::errc::no_such_file_or_directory, "no such directory");
}

void a_stale_lock_and_a_child(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "stale.lock";
    const pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    waitpid(dead, nullptr, 0);
    put(path, std::to_string(dead) + "\n");
    ok(steadfast::inspect(path, ec).verdict() == steadfast::verdict::stale, "stale");
    const steadfast::lock_status cleaned = steadfast::clean_stale(path, ec);
    ok(cleaned.verdict() == steadfast::verdict::removed && cleaned.pid() == dead && !exists(path), "removed");

    steadfast::lock held(path, 0ms, ec);
    const pid_t child = fork();
    if (child == 0) {
        held.release(ec);
        _exit(ec == steadfast::errc::wrong_process ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    is_int(status, 0, "a forked child's release is of the wrong process");
    ok(exists(path) && steadfast::inspect(path, ec).verdict() == steadfast::verdict::held, "and its parent still holds the lock");
}

void checks_and_adoption(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "adopted";
    steadfast::lock lock(path, 0ms, ec);
    lock.check(ec);
    ok(!ec, "check: ours");
    lock.adopt(ec);
    ok(ec == std::errc::invalid_argument, "adopt needs inherit");
    lock.release(ec);
    lock.check(ec);
    ok(ec == std::errc::invalid_argument, "check: none is held");

    lock = steadfast::lock(path, 0ms, ec, steadfast::lock_options().inherit());
    const pid_t child = fork();
    if (child == 0) {
        lock.check(ec);
        bool good = ec == steadfast::errc::wrong_process;
        lock.adopt(ec);
        good = good && !ec && content(path) == std::to_string(getpid()) + "\n";
        lock.check(ec);
        _exit(good && !ec ? 0 : 1); // and leaves it, held by nobody
    }
    int status = -1;
    waitpid(child, &status, 0);
    is_int(status, 0, "a forked child adopts an inherited lock");
    lock.check(ec);
    ok(ec == steadfast::errc::wrong_process, "which is then no longer its parent's");
    lock.release(ec);
    ok(ec == steadfast::errc::wrong_process && exists(path), "who does not release it");

    steadfast::lock lost(path, 0ms, ec);
    std::filesystem::remove(path, ec);
    lost.check(ec);
    ok(ec == steadfast::errc::lock_lost, "check: lost");
}

void a_descriptor_ends_a_wait(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "cancelled";
    const steadfast::lock held(path, 0ms, ec);
    int ends[2];
    ok(pipe(ends) == 0 && write(ends[1], "x", 1) == 1, "a pipe with something in it");
    const steadfast::lock none(path, steadfast::timeout::forever(), ec, steadfast::lock_options().cancel_fd(ends[0]));
    ok(!none && ec == std::errc::operation_canceled, "cancel_fd ends a wait for ever");
    close(ends[0]);
    close(ends[1]);
}

void timeouts()
{
    using steadfast::timeout;
    is_int(timeout(1500us).ms(), 2, "never shorter than asked for");
    is_int(timeout(0ms).ms(), 0, "zero");
    is_int(timeout(-5s).ms(), 0, "a negative duration tries once");
    is_int(timeout(std::chrono::hours::max()).ms(), -1, "the longest duration does not overflow");
    is_int(timeout(std::chrono::duration<double>(0.25)).ms(), 250, "floating point");
    is_int(timeout::forever().ms(), -1, "for ever");
}

} // namespace

int main()
{
    const scratch dir;
    locks(dir);
    a_stale_lock_and_a_child(dir);
    checks_and_adoption(dir);
    a_descriptor_ends_a_wait(dir);
    timeouts();
    return done_testing();
}
