"""steadfast.aio."""

import asyncio
import concurrent.futures
import os
import threading

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
