"""steadfast.aio."""

import asyncio
import concurrent.futures
import os
import threading
from typing import Any

import pytest

import steadfast
from steadfast import aio


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


def waiting_poll(started):
    """A poll hook that tells when a wait has begun."""

    def poll(fds, count, timeout):
        started.set()
        return steadfast.real("poll", fds, count, timeout)

    return steadfast.Context(poll=poll)


async def until(event):
    await asyncio.get_running_loop().run_in_executor(None, event.wait)


def test_states(path):
    async def main():
        assert (await aio.save(path, b"x", schema=3)).durable
        assert (await aio.load(path, schema=3)).data == b"x"
        assert (await aio.inspect(path + ".lock")).verdict == steadfast.Verdict.ABSENT
        assert (await aio.clean_stale(path + ".lock")).verdict == steadfast.Verdict.ABSENT
        with pytest.raises(FileNotFoundError):
            await aio.load(path + "none")

    run(main())


def test_tasks_exclude_each_other(path):
    inside = []

    async def work(lock):
        for _ in range(5):
            async with lock:
                inside.append(1)
                await asyncio.sleep(0)
                assert len(inside) == 1
                inside.pop()

    async def main():
        shared = aio.Lock(path, timeout=100)
        await asyncio.gather(work(shared), work(shared), work(aio.Lock(path, timeout=100)))
        assert not shared.held

    run(main())
    assert not os.path.exists(path)


def test_a_timeout(path):
    async def main():
        async with aio.Lock(path) as lock:
            assert lock.held and lock.report is not None
            with pytest.raises(steadfast.LockedError):
                await aio.Lock(path).acquire(timeout=0.01)
        with pytest.raises(RuntimeError):
            await lock.release()

    run(main())


def test_a_cancelled_wait_ends_at_once_and_takes_nothing(path):
    async def main():
        async with aio.Lock(path):
            started = threading.Event()
            lock = aio.Lock(path, context=waiting_poll(started))  # for ever
            task = asyncio.create_task(lock.acquire())
            await until(started)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not lock.held
        assert steadfast.inspect(path).verdict == steadfast.Verdict.ABSENT
        for thread in threading.enumerate():
            if thread.name.startswith("steadfast"):
                await asyncio.to_thread(thread.join, 60)
                assert not thread.is_alive()

    run(main())


def test_a_lock_that_comes_too_late_is_given_back(path):
    async def main():
        begun, go_on = threading.Event(), threading.Event()

        def linkat(*arguments):
            begun.set()
            go_on.wait()
            return steadfast.real("linkat", *arguments)

        lock = aio.Lock(path, context=steadfast.Context(linkat=linkat))
        task = asyncio.create_task(lock.acquire())
        await until(begun)
        task.cancel()  # while the lock is being taken
        await asyncio.sleep(0)
        task.cancel()  # and once more
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not lock.held and not os.path.exists(path)

    run(main())


def test_many_waiters_do_not_starve_the_holder(path):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(max_workers=1))
        order = []

        async def wait(number):
            async with aio.Lock(path, timeout=100):
                order.append(number)
                await aio.save(path + ".state", b"%d" % number)

        async with aio.Lock(path):
            tasks = [asyncio.create_task(wait(number)) for number in range(12)]
            await asyncio.sleep(0)
            await aio.save(path + ".state", b"")  # needs the one worker there is
        await asyncio.gather(*tasks)
        assert sorted(order) == list(range(12))

    run(main())


def test_descriptors_are_not_leaked(path):
    async def main():
        async with aio.Lock(path):
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                with pytest.raises(steadfast.LockedError):
                    await aio.Lock(path, timeout=0).acquire()
                started = threading.Event()
                task = asyncio.create_task(aio.Lock(path, context=waiting_poll(started)).acquire())
                await until(started)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert len(os.listdir("/proc/self/fd")) == before

    run(main())


async def saves_behind_one(path, count):
    """`count` saves, of which the first is in its rename and waits there for the event; and their context."""
    begun, go_on = threading.Event(), threading.Event()

    def renameat(directory, source, *rest):
        if not begun.is_set():
            begun.set()
            go_on.wait()
        return steadfast.real("renameat", directory, source, *rest)

    context = steadfast.Context(renameat=renameat)
    saves = [asyncio.create_task(aio.save(path, b"%d" % number, context=context)) for number in range(count)]
    while not begun.is_set():
        await asyncio.sleep(0)
    return saves, go_on, context


def test_saves_to_one_path_are_done_in_the_order_in_which_they_were_begun(path):
    async def main():
        saves, go_on, context = await saves_behind_one(path, 10)
        # Another path does not wait for this one.
        await aio.save(path + "2", b"", context=context)
        assert not any(save.done() for save in saves)
        go_on.set()
        assert [saved.generation for saved in await asyncio.gather(*saves)] == list(range(1, 11))
        assert (await aio.load(path)).data == b"9"

    run(main())


def test_other_spellings_and_other_changes_are_in_the_same_queue(path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(path))
    name = os.path.basename(path)

    async def main():
        order = []

        def change(number, state):
            order.append((number, state and state.data))
            return b"%d" % number

        buffer = bytearray(b"first")
        tasks = [
            asyncio.create_task(aio.save(name, b"before")),
            asyncio.create_task(aio.save(name, buffer)),
            asyncio.create_task(aio.update(path, lambda state: change(1, state))),
            asyncio.create_task(aio.save_batch([("./" + name, b"2"), (path + "2", b"2")])),
            asyncio.create_task(aio.update(os.fsencode(path), lambda state: change(3, state))),
            asyncio.create_task(aio.remove(path)),
            asyncio.create_task(aio.update(path, lambda state: change(5, state))),
        ]
        await asyncio.sleep(0)
        buffer[:] = b"later"  # too late for the save
        results: list[Any] = await asyncio.gather(*tasks)
        assert order == [(1, b"first"), (3, b"2"), (5, None)]
        assert [results[number].generation for number in (4, 5, 6)] == [5, 5, 1]

    run(main())
    assert steadfast.load(path).data == b"5"


def test_a_cancelled_save_leaves_the_others_in_their_order(path):
    async def main():
        saves, go_on, _ = await saves_behind_one(path, 4)
        saves[0].cancel()  # it runs, and comes to its end
        saves[2].cancel()  # it waits, and is not begun
        done = await asyncio.wait_for(asyncio.gather(saves[0], saves[2], return_exceptions=True), 60)
        assert [type(error) for error in done] == [asyncio.CancelledError] * 2
        assert not saves[1].done()
        go_on.set()
        assert [(await saves[number]).generation for number in (1, 3)] == [2, 3]

    run(main())
    assert steadfast.load(path).data == b"3"


def test_a_failed_save_does_not_stop_the_next(path):
    async def main():
        failing = steadfast.Context.failing("renameat", error=5)
        with pytest.raises(OSError):
            await aio.save(path, b"1", context=failing)
        first, second = await asyncio.gather(aio.save(path + "/no", b""), aio.save(path, b"2"), return_exceptions=True)
        assert isinstance(first, OSError) and isinstance(second, steadfast.Saved) and second.generation == 1
        assert not aio._last[asyncio.get_running_loop()]  # nothing is kept of what is done

    run(main())


def test_a_decorated_coroutine(path):
    seen = []

    @aio.Lock(path, timeout=100)
    async def work(number):
        seen.append((number, steadfast.inspect(path).verdict))
        return number

    async def main():
        assert list(await asyncio.gather(work(1), work(number=2))) == [1, 2]

    run(main())
    assert [verdict for _, verdict in seen] == [steadfast.Verdict.HELD] * 2
    assert work.__name__ == "work" and not os.path.exists(path)
    with pytest.raises(TypeError):
        aio.Lock(path)(lambda: None)  # type: ignore[type-var]
    with pytest.raises(ValueError):
        aio.Lock(path, reentrant=True)


def test_blocking_and_verify(path):
    async def main():
        async with aio.Lock(path) as lock:
            assert await lock.verify()
            with pytest.raises(steadfast.LockedError):
                await aio.Lock(path, blocking=False).acquire()
            with pytest.raises(steadfast.LockedError):
                await aio.Lock(path).acquire(blocking=False)
        assert not await lock.verify()

    run(main())
