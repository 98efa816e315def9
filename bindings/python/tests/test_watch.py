"""Watch, and steadfast.aio.watch."""

import asyncio
import os
import select
import signal
import threading

import pytest

import steadfast


def test_wait(path):
    with steadfast.Watch(path) as watch:
        assert watch.wait(0, 0) is None
        assert watch.wait(0, 0.01) is None
        timer = threading.Timer(0.05, steadfast.save, (path, b"1"))
        timer.start()
        assert watch.wait(0, 20) == 1
        timer.join()
        assert watch.wait(7, 0) == 1
        os.unlink(path)
        assert watch.wait(1, 20) == 0
    with pytest.raises(ValueError):
        watch.wait(0)


def test_fileno(path):
    with steadfast.Watch(path) as watch:
        assert select.select([watch], [], [], 0)[0] == []
        steadfast.save(path, b"1")
        assert select.select([watch], [], [], 20)[0] == [watch]
        assert watch.wait(0, 0) == 1
        assert select.select([watch], [], [], 0)[0] == []


def test_damage(path):
    steadfast.save(path, b"1")
    steadfast.save(path, b"2", keep_previous=True)
    os.truncate(path, 100)
    with steadfast.Watch(path) as watch:
        with pytest.raises(steadfast.TruncatedError):
            watch.wait(2)
        assert watch.wait(2, 0) is None
    with steadfast.Watch(path, recover=True) as watch:
        assert watch.wait(2, 0) == 1


def test_kubernetes(tmp_path):
    for version in ("1", "2"):
        (tmp_path / f"..v{version}").mkdir()
        steadfast.save(tmp_path / f"..v{version}" / "key", b"x")
    steadfast.save(tmp_path / "..v2" / "key", b"y")
    os.symlink("..v1", tmp_path / "..data")
    os.symlink("..data/key", tmp_path / "key")
    with steadfast.Watch(tmp_path / "key") as watch:
        generations = iter(watch)
        assert next(generations) == 1
        os.symlink("..v2", tmp_path / "..tmp")
        os.rename(tmp_path / "..tmp", tmp_path / "..data")
        assert next(generations) == 2


def test_signal(path):
    class Rung(Exception):
        pass

    def ring(*_):
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with steadfast.Watch(path) as watch, pytest.raises(Rung):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            watch.wait(0, 20)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_asyncio(path):
    async def work():
        seen = []
        async for generation in steadfast.aio.watch(path):
            seen.append(generation)
            if generation == 3:
                return seen
            await asyncio.to_thread(steadfast.save, path, b"x")
        return seen

    steadfast.save(path, b"x")
    assert asyncio.run(asyncio.wait_for(work(), 20)) == [1, 2, 3]


def test_asyncio_cancelled(path):
    async def wait():
        async for _ in steadfast.aio.watch(path):
            raise AssertionError

    async def work():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(work())
    assert len(os.listdir("/proc/self/fd")) == before
