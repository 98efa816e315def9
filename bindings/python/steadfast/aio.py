"""The same for asyncio: `async with steadfast.aio.Lock("app.lock", timeout=5):`, `await steadfast.aio.save(...)`.

States are saved and loaded in asyncio's worker threads. A wait for a lock has a thread of its own, so that many waiters
cannot use up the workers that the holder needs; cancelling it wakes that thread up at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

from . import _lock, _state
from ._arguments import UNSET, StrPath, Unset
from ._lock import LockStatus
from ._report import Report
from ._state import BytesLike, Removed, Saved, State
from ._wait import Cancel
from ._watch import Watch

T = TypeVar("T")


async def save(path: StrPath, data: BytesLike, **options: Any) -> Saved:
    """steadfast.save in a worker thread. Cancelled, it still comes to its end, the old state or the new one."""
    return await asyncio.to_thread(_state.save, path, data, **options)


async def save_batch(states: Iterable[tuple[StrPath, BytesLike]], **options: Any) -> list[Saved]:
    """steadfast.save_batch in a worker thread."""
    return await asyncio.to_thread(_state.save_batch, states, **options)


async def load(path: StrPath, **options: Any) -> State:
    """steadfast.load in a worker thread."""
    return await asyncio.to_thread(_state.load, path, **options)


async def update(path: StrPath, change: Callable[[Optional[State]], Optional[BytesLike]], **options: Any) -> Optional[Saved]:
    """steadfast.update in a worker thread, where `change` is called, too."""
    return await asyncio.to_thread(_state.update, path, change, **options)


async def remove(path: StrPath, **options: Any) -> Removed:
    """steadfast.remove in a worker thread."""
    return await asyncio.to_thread(_state.remove, path, **options)


async def watch(path: StrPath, *, known: int = 0, **options: Any) -> AsyncIterator[int]:
    """Each generation other than `known` that the state at `path` has, as it comes; 0 stands for none. As steadfast.Watch.

    `async for generation in steadfast.aio.watch(path):`
    """
    with Watch(path, **options) as watching:
        while True:
            generation = await _to_its_end(watching, known)
            if generation is None:
                await _readable(watching.fileno())
            else:
                known = generation
                yield known


async def _to_its_end(watching: Watch, known: int) -> Optional[int]:
    """One look in a worker thread, which is not left behind when this is cancelled: the watch is closed then."""
    future = asyncio.get_running_loop().run_in_executor(None, watching.wait, known, 0)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _to_the_end(future)
        raise


async def _readable(descriptor: int) -> None:
    if descriptor < 0:
        await asyncio.sleep(1)
        return
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def clean_stale(path: StrPath, **options: Any) -> LockStatus:
    """steadfast.clean_stale in a worker thread."""
    return await asyncio.to_thread(_lock.clean_stale, path, **options)


async def inspect(path: StrPath, **options: Any) -> LockStatus:
    """steadfast.inspect in a worker thread."""
    return await asyncio.to_thread(_lock.inspect, path, **options)


class Lock:
    """steadfast.Lock for `async with`; the same arguments. Tasks that share the object exclude each other as well."""

    def __init__(self, path: StrPath, timeout: Optional[float] = None, **options: Any) -> None:
        self._lock = _lock.Lock(path, timeout, **options)

    @property
    def held(self) -> bool:
        """Does this object hold the lock?"""
        return self._lock.held

    @property
    def report(self) -> Optional[Report]:
        """Of the last acquire or release."""
        return self._lock.report

    async def acquire(self, timeout: Union[float, None, Unset] = UNSET) -> Report:
        """Takes the lock, or raises LockedError. Cancelled, it does not take it: a lock got too late is given back."""
        wait = self._lock.timeout if isinstance(timeout, Unset) else timeout
        with Cancel() as cancel:
            future = _in_own_thread(lambda: self._lock._acquire(wait, cancel.fd))
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                cancel.cancel()
                await _to_the_end(future)
                if not future.cancelled() and future.exception() is None:
                    await self._release()
                raise

    async def release(self) -> None:
        """Gives it back; as steadfast.Lock.release."""
        await self._release()

    async def check(self) -> Report:
        """Is it still this process's? As steadfast.Lock.check."""
        return await self._in_own_thread(self._lock.check)

    async def _release(self) -> None:
        await self._in_own_thread(self._lock.release)

    async def _in_own_thread(self, function: Callable[[], T]) -> T:
        future = _in_own_thread(function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await _to_the_end(future)
            raise

    async def __aenter__(self) -> Lock:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self._release()


def _in_own_thread(function: Callable[[], T]) -> asyncio.Future[T]:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="steadfast")
    try:
        return asyncio.get_running_loop().run_in_executor(executor, function)
    finally:
        executor.shutdown(wait=False)


async def _to_the_end(future: asyncio.Future[Any]) -> None:
    """Waits until it is done, whatever it comes to, and however often that is cancelled: it is a moment."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            pass
