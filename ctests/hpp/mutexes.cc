// steadfast::mutex with std::unique_lock and std::lock_guard, with and without exceptions.
#include "other_unit.h"
#include "scratch.h"

#include <csignal>
#include <cstdio>
#include <mutex>
#include <sys/wait.h>
#include <thread>
#include <vector>

#include "tap.h" // last: its ok() is a macro

using namespace std::chrono_literals;

namespace {

void guards(const scratch &dir)
{
    const std::string path = dir / "mutex";
    steadfast::mutex mutex(path);
    steadfast::mutex same_file(path);
    {
        const std::lock_guard<steadfast::mutex> guard(mutex);
        ok(exists(path), "lock_guard takes the lock file");
        ok(!same_file.try_lock(), "try_lock says no");
        ok(!mutex.try_lock(), "and so on the object itself: it is not recursive");
        ok(!same_file.try_lock_for(1ms), "try_lock_for says no");
        ok(!same_file.try_lock_until(std::chrono::steady_clock::now() + 1ms), "try_lock_until says no");
        std::error_code ec;
        ok(!same_file.try_lock_for(0ms, ec) && ec == steadfast::errc::locked, "with an error code: locked");
        ok(!mutex_in_other_unit(path), "a unit of the other kind says no too");
    }
    ok(!exists(path), "lock_guard gives it back");
    ok(mutex_in_other_unit(path), "and the other unit gets it");
    std::unique_lock<steadfast::mutex> waiting(mutex, std::defer_lock);
    ok(waiting.try_lock_for(1s) && exists(path), "unique_lock with a timeout");
    waiting.unlock();
    ok(!exists(path), "unlocked");
    waiting.lock();
    ok(waiting.owns_lock() && exists(path), "and locked again");
    waiting.unlock();
    const std::scoped_lock<steadfast::mutex> scoped(mutex);
    ok(exists(path), "scoped_lock");
}

void ends_with_its_object(const scratch &dir)
{
    const std::string path = dir / "object";
    {
        steadfast::mutex mutex(path);
        mutex.lock();
    }
    ok(!exists(path), "a mutex that ends locked gives its file back");
}

// Someone removes the file of a lock that is held: its holder unlocks nothing of anybody else's.
void after_a_lost_lock(const scratch &dir)
{
    const std::string path = dir / "lost";
    steadfast::mutex mutex(path);
    {
        const std::lock_guard<steadfast::mutex> guard(mutex);
        std::remove(path.c_str());
    }
    ok(!exists(path), "unlocking a lost lock does nothing, and ends nothing");
    is_int(mutex.losses(), 1, "and the loss is counted");
    ok(mutex.try_lock() && exists(path), "afterwards it can be locked again");
    mutex.unlock();
    ok(!exists(path), "and unlocked");

    // Another thread gets in; then the first one, which has lost its lock, unlocks, and the other one still holds.
    for (int order = 0; order < 2; order++) {
        mutex.lock();
        std::remove(path.c_str());
        int taken[2], go_on[2];
        char byte = 0;
        ok(pipe(taken) == 0 && pipe(go_on) == 0, "pipes");
        std::thread other([&] {
            char go = mutex.try_lock() ? 'y' : 'n';
            write(taken[1], &go, 1);
            read(go_on[0], &go, 1);
            mutex.unlock();
        });
        ok(read(taken[0], &byte, 1) == 1 && byte == 'y', "another thread takes a lost lock");
        if (order == 0)
            mutex.unlock();
        ok(exists(path) && !steadfast::mutex(path).try_lock(), "and holds it, also when the first one unlocks");
        std::error_code ec;
        mutex.check(ec);
        ok(order == 0 || ec == steadfast::errc::lock_lost, "until then the first one can see its loss");
        ok(write(go_on[1], "x", 1) == 1, "until it unlocks");
        other.join();
        if (order == 1) {
            mutex.unlock(ec);
            ok(ec == steadfast::errc::lock_lost, "the first one is told that its lock was lost");
        }
        is_int(mutex.losses(), 2 + order, "one loss, and not the other thread's");
        ok(!exists(path), "then nobody holds it");
        ok(mutex.try_lock(), "and it can be locked");
        mutex.unlock();
        ok(!exists(path), "and unlocked");
        for (const int fd : {taken[0], taken[1], go_on[0], go_on[1]})
            close(fd);
    }
}

void tells_a_lost_lock(const scratch &dir)
{
    const std::string path = dir / "told";
    steadfast::mutex mutex(path);
    std::error_code ec;
    mutex.check(ec);
    ok(ec == std::errc::invalid_argument, "check: not locked");
    std::unique_lock<steadfast::mutex> guard(mutex);
    mutex.check(ec);
    ok(!ec, "check: still locked");
    guard.release()->unlock(ec);
    ok(!ec && mutex.losses() == 0, "unlocked, and nothing was lost");
    mutex.lock();
    std::remove(path.c_str());
    mutex.check(ec);
    ok(ec == steadfast::errc::lock_lost, "check: lost");
    mutex.unlock(ec);
    ok(ec == steadfast::errc::lock_lost && mutex.losses() == 1, "unlock tells it");
    guard = std::unique_lock<steadfast::mutex>(mutex, 1s);
    mutex.check(ec);
    ok(guard.owns_lock() && !ec, "and the mutex can be locked again, in time");
    guard.unlock();
    steadfast::mutex another(dir / "another");
    {
        const std::scoped_lock both(mutex, another);
        ok(!steadfast::mutex(path).try_lock() && !steadfast::mutex(dir / "another").try_lock(), "with another one at once");
        std::remove(path.c_str());
    }
    ok(mutex.losses() == 2 && another.losses() == 0, "of two one was lost");
}

// Under ThreadSanitizer's rules too: what one holder wrote the next one sees.
void threads_exclude_each_other(const scratch &dir)
{
    steadfast::mutex mutex(dir / "threads");
    long counter = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (int round = 0; round < 50; round++) {
                const std::lock_guard<steadfast::mutex> guard(mutex);
                const long seen = counter;
                std::this_thread::yield();
                counter = seen + 1;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    is_int(counter, 200, "threads that share a mutex exclude each other");
}

void what_cannot_be_locked(const scratch &dir)
{
    const std::string path = dir / "no/such/directory";
    steadfast::mutex mutex(path);
    std::error_code ec;
    ok(!mutex.try_lock_for(0ms, ec) && ec == std::errc::no_such_file_or_directory, "an error is no timeout");
#if STEADFAST_EXCEPTIONS
    for (int call = 0; call < 2; call++) {
        bool thrown = false;
        try {
            call == 0 ? mutex.lock() : void(mutex.try_lock());
        } catch (const std::system_error &error) {
            thrown = error.code() == std::errc::no_such_file_or_directory;
        }
        ok(thrown, "%s throws it", call == 0 ? "lock" : "try_lock");
    }
#else
    const pid_t child = fork();
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        mutex.lock();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "without exceptions lock aborts, and does not go on unlocked");
#endif
}

} // namespace

int main()
{
    const scratch dir;
    guards(dir);
    ends_with_its_object(dir);
    after_a_lost_lock(dir);
    tells_a_lost_lock(dir);
    threads_exclude_each_other(dir);
    what_cannot_be_locked(dir);
    return done_testing();
}
