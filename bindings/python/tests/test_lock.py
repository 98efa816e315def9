"""Locks between processes, threads, and after a fork."""

import concurrent.futures
import errno
import gc
import os
import pathlib
import signal
import threading
import time

import pytest

import steadfast
from steadfast import _wait


def test_with(path):
    with steadfast.Lock(path, timeout=5) as lock:
        assert lock.held and pathlib.Path(path).read_text() == f"{os.getpid()}\n"
        assert steadfast.inspect(path).verdict == steadfast.Verdict.HELD
        assert "held" in repr(lock)
    assert not lock.held and not os.path.exists(path)


def test_held_by_another_process(path, holder):
    process = holder(path)
    with pytest.raises(steadfast.LockedError) as caught:
        steadfast.Lock(path, timeout=0).acquire()
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.errno, caught.value.filename) == (errno.ETIMEDOUT, path)
    assert caught.value.report.pid == process.pid
    with pytest.raises(TimeoutError):
        steadfast.Lock(path).acquire(timeout=0.001)
    status = steadfast.clean_stale(path)
    assert (status.verdict, status.pid) == (steadfast.Verdict.HELD, process.pid)


def test_a_waiter_gets_in_at_release(path, holder):
    process = holder(path)
    process.stdin.write("\n")
    process.stdin.flush()
    with steadfast.Lock(path, timeout=60):
        pass


def test_a_killed_holder_is_taken_over(path, holder):
    process = holder(path)
    waited = threading.Event()
    lock = steadfast.Lock(path, timeout=60)

    def wait():
        lock.acquire()
        waited.set()

    thread = threading.Thread(target=wait)
    thread.start()
    process.kill()
    thread.join(60)
    assert waited.is_set() and lock.held
    assert pathlib.Path(path).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_stale(path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with open(path, "w") as file:
        file.write(f"{child}\n")
    status = steadfast.inspect(path)
    assert (status.verdict, status.pid) == (steadfast.Verdict.STALE, child)
    assert steadfast.clean_stale(path).verdict == steadfast.Verdict.REMOVED
    assert steadfast.clean_stale(path).verdict == steadfast.Verdict.ABSENT


def test_an_empty_file_and_its_grace(path):
    pathlib.Path(path).touch()
    os.utime(path, (1, 1))
    assert steadfast.clean_stale(path).verdict == steadfast.Verdict.UNDECIDED
    assert steadfast.inspect(path, empty_grace=0).verdict == steadfast.Verdict.STALE
    assert steadfast.clean_stale(path, empty_grace=0.5).verdict == steadfast.Verdict.REMOVED
    with pytest.raises(ValueError):
        steadfast.clean_stale(path, empty_grace=-1)


def test_what_is_no_lock(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert steadfast.clean_stale(tmp_path / "link").verdict == steadfast.Verdict.IGNORED
    with pytest.raises(steadfast.SymlinkError):
        steadfast.Lock(tmp_path / "link", timeout=0).acquire()
    with pytest.raises(FileNotFoundError):
        steadfast.inspect(tmp_path / "no/such")


def test_lost(path):
    lock = steadfast.Lock(path)
    lock.acquire()
    os.unlink(path)
    with pytest.raises(steadfast.LockLostError):
        lock.release()
    assert not lock.held
    with pytest.raises(RuntimeError):
        lock.release()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_timeouts_that_are_none(path, timeout):
    with pytest.raises(ValueError):
        steadfast.Lock(path, timeout)
    with pytest.raises(ValueError):
        steadfast.Lock(path).acquire(timeout)


@pytest.mark.parametrize("timeout", [None, 0, 1e-9, 5, 1e300, float("inf")])
def test_timeouts(path, timeout):
    with steadfast.Lock(path, timeout):
        pass


def test_threads_that_share_a_lock(path):
    lock = steadfast.Lock(path)
    inside, seen = [], []

    def work():
        for _ in range(20):
            with lock:
                inside.append(threading.get_ident())
                time.sleep(0)
                seen.append(list(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80 and all(len(there) == 1 for there in seen)


def test_other_threads_run_during_a_wait(path, holder):
    process = holder(path)
    got = []

    def wait():
        with steadfast.Lock(path, timeout=60):
            got.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    # Were the GIL kept, this thread could not let the holder go, and the wait would time out.
    process.stdin.write("\n")
    process.stdin.flush()
    thread.join()
    assert got == [True]


def test_a_forgotten_lock_is_released_and_warned_of(path):
    lock = steadfast.Lock(path, timeout=0)
    lock.acquire()
    with pytest.warns(ResourceWarning, match="unreleased lock"):
        del lock
        gc.collect()
    assert not os.path.exists(path)


INTERRUPTED = """
import signal, sys, steadfast
def poll(fds, count, timeout):
    if not quiet and not 0 <= timeout < 10**8:  # none of the short sleeps at the beginning
        quiet.append(print('waiting', flush=True))
    return steadfast.real('poll', fds, count, timeout)
quiet = []
handled = []
signal.signal(signal.SIGUSR1, lambda *_: (handled.append(1), print('handled', flush=True)))
lock = steadfast.Lock(sys.argv[1], context=steadfast.Context(poll=poll))
try:
    lock.acquire()
    print('taken', len(handled), flush=True)
    lock.release()
except KeyboardInterrupt:
    print('interrupted', lock.held, flush=True)
"""


def send_until(process, number, line):
    """A signal that comes just before the wait does not end it, so it is sent until the answer comes."""
    answer = []
    reader = threading.Thread(target=lambda: answer.append(process.stdout.readline()))
    reader.start()
    while reader.is_alive():
        process.send_signal(number)
        reader.join(0.2)
    assert answer == [line]


def test_ctrl_c_ends_a_wait_and_other_signals_do_not(path, python):
    with steadfast.Lock(path):
        process = python(INTERRUPTED, path)
        assert process.stdout.readline() == "waiting\n"
        send_until(process, signal.SIGUSR1, "handled\n")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out = ""
        while "interrupted" not in out:
            out = process.stdout.readline()
            assert out in ("handled\n", "interrupted False\n")
        assert process.wait() == 0
    assert not os.path.exists(path)


def test_a_handled_signal_does_not_end_a_wait(path, python):
    lock = steadfast.Lock(path)
    lock.acquire()
    process = python(INTERRUPTED, path)
    assert process.stdout.readline() == "waiting\n"
    send_until(process, signal.SIGUSR1, "handled\n")
    lock.release()
    rest = process.stdout.read().splitlines()
    assert rest[-1].startswith("taken") and process.wait() == 0


def test_what_rings_before_it_is_waited_for_is_not_missed():
    handled = []
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    try:
        with _wait.Alarm() as alarm:
            signal.raise_signal(signal.SIGUSR1)
            alarm.wait()  # would sleep for ever
            alarm.ring()
            alarm.wait()
            signal.raise_signal(signal.SIGUSR1)
        # Whoever had asked for them before, asyncio for instance, has got the signals, and nothing else.
        assert os.read(readable, 100) == bytes([signal.SIGUSR1] * 2)
        assert handled == [1, 1]
    finally:
        assert signal.set_wakeup_fd(-1) == writable
        signal.signal(signal.SIGUSR1, before)
        os.close(readable)
        os.close(writable)


def test_ctrl_c_leaves_nothing_behind(path):
    descriptors = len(os.listdir("/proc/self/fd"))
    with steadfast.Lock(path):
        sent: list[int] = []

        def poll(fds, count, timeout):
            if not 0 <= timeout < 10**8 and not sent:
                sent.append(signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return steadfast.real("poll", fds, count, timeout)

        lock = steadfast.Lock(path, context=steadfast.Context(poll=poll))
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
            time.sleep(60)  # where the handler runs, had it not been in there
        assert sent and not lock.held
    assert len(os.listdir("/proc/self/fd")) == descriptors
    for thread in threading.enumerate():
        if thread.name == "steadfast":
            thread.join(60)  # it is past its last use of anything
            assert not thread.is_alive()


def test_a_closed_standard_input_is_not_taken_for_no_cancelling(python):
    process = python(
        "import os, steadfast, sys\nfrom steadfast import _wait\nos.close(0)\nwith _wait.Cancel() as c: print(c.fd)"
    )
    assert int(process.communicate()[0]) >= 3


def in_child(work):
    """Runs it in a forked child; its exit status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_only_closes(path):
    lock = steadfast.Lock(path, timeout=5)

    def leaves_the_block():
        lock.__exit__(None, None, None)
        return 0 if os.path.exists(path) and not lock.held else 2

    def releases():
        assert not lock.held
        try:
            lock.release()
        except steadfast.WrongProcessError:
            return 0
        return 3

    def takes_another():
        with steadfast.Lock(path + "2", timeout=0):
            return 0

    with lock:
        assert in_child(leaves_the_block) == 0
        assert in_child(releases) == 0
        assert in_child(takes_another) == 0
        assert lock.held and steadfast.inspect(path).verdict == steadfast.Verdict.HELD
    assert not os.path.exists(path)


DAEMON = """
import os, sys, steadfast
lock = steadfast.Lock(sys.argv[1], timeout=5, inherit=True)
lock.acquire()
gone, alive = os.pipe()
if os.fork():
    sys.stdin.readline()
    try:
        print('parent', lock.check(), flush=True)
    except steadfast.WrongProcessError as error:
        print('parent', type(error).__name__, flush=True)
    lock.__exit__(None, None, None)  # no error, and nothing released
    os._exit(0)
for call in (lock.check, lock.check):
    try:
        call()
    except steadfast.WrongProcessError:
        print('not mine', flush=True)
lock.adopt()
lock.adopt()  # it is already
lock.check()
print('adopted', os.getpid(), lock.held, flush=True)
os.close(alive)
os.read(gone, 1)  # until the parent, which reads from the same standard input, has ended
sys.stdin.readline()
lock.release()
print('released', flush=True)
os._exit(0)
"""


def test_a_daemon_adopts_the_lock_of_its_starter(path, python):
    process = python(DAEMON, path)

    def says():
        return process.stdout.readline().split()

    assert says() == ["not", "mine"] and says() == ["not", "mine"]
    adopted, pid, held = says()
    assert (adopted, held) == ("adopted", "True") and int(pid) != process.pid
    assert pathlib.Path(path).read_text() == f"{pid}\n"
    process.stdin.write("\n")
    process.stdin.flush()
    assert says() == ["parent", "WrongProcessError"]
    assert process.wait(60) == 0
    status = steadfast.inspect(path)
    assert (status.verdict, status.pid) == (steadfast.Verdict.HELD, int(pid))
    process.stdin.write("\n")
    process.stdin.flush()
    assert says() == ["released"]
    assert not os.path.exists(path)


def test_adopt_needs_inherit(path):
    with steadfast.Lock(path) as lock:
        with pytest.raises(OSError) as caught:
            lock.adopt()
        assert caught.value.errno == errno.EINVAL
        assert lock.held


def test_check(path):
    lock = steadfast.Lock(path)
    with pytest.raises(RuntimeError):
        lock.check()
    with lock:
        assert lock.check().status == 0

        def checks():
            try:
                lock.check()
            except steadfast.WrongProcessError:
                return 0
            return 1

        assert in_child(checks) == 0
        # Taken away, and taken by somebody else.
        os.unlink(path)
        with pytest.raises(steadfast.LockLostError) as caught:
            lock.check()
        assert caught.value.filename == path
        with steadfast.Lock(path, timeout=0), pytest.raises(steadfast.LockLostError):
            lock.check()
        assert lock.held  # to be released all the same
        with pytest.raises(steadfast.LockLostError):
            lock.release()


def test_reentrant(path):
    lock = steadfast.Lock(path, timeout=0, reentrant=True)
    with lock:
        first = lock.report
        with lock:
            assert lock.acquire() is first and lock.held
            lock.release()
            assert lock.held
        assert lock.held and os.path.exists(path)
    assert not lock.held and not os.path.exists(path)
    with pytest.raises(RuntimeError):
        lock.release()


def in_thread(work):
    """What it returns, or raises, in a thread of its own."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(work).result(60)


def test_a_reentrant_lock_is_one_threads(path):
    lock = steadfast.Lock(path, timeout=0, reentrant=True)
    with lock:
        with pytest.raises(steadfast.LockedError) as caught:
            in_thread(lock.acquire)
        assert not isinstance(caught.value, steadfast.DeadlockError)
        with pytest.raises(RuntimeError):
            in_thread(lock.release)
        assert lock.held
    in_thread(lambda: lock.__enter__().__exit__(None, None, None))


def test_a_reentrant_lock_in_a_forked_child(path):
    lock = steadfast.Lock(path, timeout=0, reentrant=True)

    def takes_it():
        try:
            lock.acquire()
        except steadfast.LockedError:
            return 0
        return 1

    with lock, lock:
        assert in_child(takes_it) == 0
        assert lock.held


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_thread_that_would_wait_for_itself(path, timeout):
    lock = steadfast.Lock(path)
    with lock:
        for other in (
            lock,
            steadfast.Lock(path),
            steadfast.Lock(os.path.join(os.path.dirname(path), ".", os.path.basename(path))),
        ):
            with pytest.raises(steadfast.DeadlockError, match="reentrant=True") as caught:
                other.acquire(timeout)
            assert (caught.value.errno, caught.value.filename) == (errno.EDEADLK, os.fsdecode(other.path))
            assert isinstance(caught.value, steadfast.LockedError) and caught.value.report.pid == os.getpid()
        another = pathlib.Path(path + "2")
        another.touch()
        os.utime(another, (1, 1))
        with steadfast.Lock(another, timeout, empty_grace=1):
            pass
    with lock:
        pass


def test_the_same_path_in_another_context_is_another_lock(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    context = steadfast.Context(at="data")
    with steadfast.Lock("lock", context=context):
        with steadfast.Lock("lock"):
            pass
        with pytest.raises(steadfast.DeadlockError):
            steadfast.Lock("lock", context=context).acquire()


def test_a_thread_that_another_may_release_waits(path):
    lock = steadfast.Lock(path)
    lock.acquire()
    waits = threading.Event()

    def poll(fds, count, timeout):
        waits.set()
        return steadfast.real("poll", fds, count, timeout)

    def releases():
        waits.wait()
        lock.release()

    thread = threading.Thread(target=releases)
    thread.start()
    # With an end: the other thread may release it.
    with steadfast.Lock(path, context=steadfast.Context(poll=poll), timeout=60):
        thread.join()


def test_a_bounded_wait_of_one_thread_among_others(path):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        lock = steadfast.Lock(path)
        with lock:
            with pytest.raises(steadfast.LockedError) as caught:
                lock.acquire(timeout=0.01)
            assert not isinstance(caught.value, steadfast.DeadlockError)
            with pytest.raises(steadfast.DeadlockError):
                lock.acquire()
            # Of another thread, which waits for this one.
            with pytest.raises(steadfast.LockedError) as caught:
                in_thread(lambda: lock.acquire(timeout=0.01))
            assert not isinstance(caught.value, steadfast.DeadlockError)
    finally:
        stop.set()
        thread.join()


def test_a_lost_lock_is_not_waited_for(path):
    lock = steadfast.Lock(path)
    lock.acquire()
    assert lock.verify()
    os.unlink(path)
    assert lock.held and not lock.verify()
    with steadfast.Lock(path) as new:  # not of this thread any more
        assert new.verify()
    with pytest.raises(steadfast.LockLostError):
        lock.release()
    assert not lock.verify()


def test_verify_in_a_forked_child(path):
    with steadfast.Lock(path) as lock:
        assert in_child(lambda: int(lock.verify())) == 0


def test_blocking(path):
    with steadfast.Lock(path, blocking=False):
        with pytest.raises(steadfast.LockedError) as caught:
            steadfast.Lock(path).acquire(blocking=False)
        assert not isinstance(caught.value, steadfast.DeadlockError)
        with pytest.raises(steadfast.LockedError):
            steadfast.Lock(path, blocking=False).acquire()
    with pytest.raises(ValueError):
        steadfast.Lock(path, 5, blocking=False)
    with pytest.raises(ValueError):
        steadfast.Lock(path).acquire(5, blocking=False)
    with steadfast.Lock(path, 5) as lock:
        assert lock.timeout == 5


def test_decorator(path):
    @steadfast.Lock(path, timeout=5)
    def work(number, *, more=0):
        """What it does."""
        return number + more, steadfast.inspect(path).verdict

    assert work(1, more=2) == (3, steadfast.Verdict.HELD)
    assert work.__doc__ == "What it does." and not os.path.exists(path)

    @steadfast.Lock(path)
    def recurses():
        recurses()

    with pytest.raises(steadfast.DeadlockError):
        recurses()
    assert not os.path.exists(path)

    @steadfast.Lock(path, reentrant=True)
    def counts(number):
        return 0 if number == 0 else 1 + counts(number - 1)

    assert counts(5) == 5 and not os.path.exists(path)

    async def coroutine():
        pass

    with pytest.raises(TypeError):
        steadfast.Lock(path)(coroutine)
