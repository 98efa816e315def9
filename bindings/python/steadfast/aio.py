"""The same for asyncio: `async with steadfast.aio.Lock("app.lock", timeout=5):`, `await steadfast.aio.save(...)`.

States are saved and loaded in asyncio's worker threads. What changes one path is done in the order in which it was begun. A
wait for a lock has a thread of its own, so that many waiters cannot use up the workers that the holder needs; cancelling it
wakes that thread up at once.
"""

from __future__ import annotations

import asyncio
import functools
import inspect as _inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Optional, TypeVar, Union, cast
from weakref import WeakKeyDictionary

from . import _lock, _stale, _state
from ._arguments import UNSET, StrPath, Unset, path_bytes
from ._hooks import Context
from ._report import Report
from ._stale import LockStatus
from ._state import BytesLike, Removed, Saved, State
from ._wait import Cancel
from ._watch import Watch

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

# Where a path is, and in which context.
_Place = tuple[Optional[Context], bytes]
# Of each loop: the last change of each path that was begun and is not done.
_last: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Place, asyncio.Task[Any]]] = WeakKeyDictionary()


async def _in_turn(paths: Iterable[StrPath], context: Optional[Context], change: Callable[[], T]) -> T:
    """`change` in a worker thread, after every change of these paths that was begun before it in this loop."""
    begun = _last.setdefault(asyncio.get_running_loop(), {})
    places = [(context, path_bytes(path) if context else os.path.abspath(path_bytes(path))) for path in paths]
    before = {begun[place] for place in places if place in begun}
    given_up = False

    async def turn() -> T:
        if before:
            await asyncio.wait(before)
        if given_up:
            raise asyncio.CancelledError
        return await asyncio.to_thread(change)

    def done(task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # whoever was cancelled does not ask for it
        for place in places:
            if begun.get(place) is task:
                del begun[place]

    task = asyncio.create_task(turn())
    begun.update((place, task) for place in places)
    task.add_done_callback(done)
    try:
        # It keeps its place in the queue when the caller is cancelled.
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        given_up = True
        raise


async def save(path: StrPath, data: BytesLike, **options: Any) -> Saved:
    """steadfast.save in a worker thread, in turn. Cancelled once it runs, it still comes to its end, the old state or the new
    one; cancelled while it waits for its turn, it is not begun."""
    kept = _state.as_bytes(data)  # as they are now, not when its turn has come
    return await _in_turn([path], options.get("context"), lambda: _state.save(path, kept, **options))


async def save_batch(states: Iterable[tuple[StrPath, BytesLike]], **options: Any) -> list[Saved]:
    """steadfast.save_batch in a worker thread, in turn."""
    kept = [(path, _state.as_bytes(data)) for path, data in states]
    paths = [path for path, _ in kept]
    return await _in_turn(paths, options.get("context"), lambda: _state.save_batch(kept, **options))


async def load(path: StrPath, **options: Any) -> State:
    """steadfast.load in a worker thread."""
    return await asyncio.to_thread(_state.load, path, **options)


async def update(path: StrPath, change: Callable[[Optional[State]], Optional[BytesLike]], **options: Any) -> Optional[Saved]:
    """steadfast.update in a worker thread, where `change` is called, too; in turn."""
    return await _in_turn([path], options.get("context"), lambda: _state.update(path, change, **options))


async def remove(path: StrPath, **options: Any) -> Removed:
    """steadfast.remove in a worker thread, in turn."""
    return await _in_turn([path], options.get("context"), lambda: _state.remove(path, **options))


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
    return await asyncio.to_thread(_stale.clean_stale, path, **options)


async def inspect(path: StrPath, **options: Any) -> LockStatus:
    """steadfast.inspect in a worker thread."""
    return await asyncio.to_thread(_stale.inspect, path, **options)


class Lock:
    """steadfast.Lock for `async with`, or a decorator of a coroutine; the same arguments, but never reentrant. Tasks that share
    the object exclude each other as well."""

    def __init__(self, path: StrPath, timeout: Optional[float] = None, **options: Any) -> None:
        if options.get("reentrant"):
            raise ValueError("a task does not stand for a thread: steadfast.aio.Lock cannot be reentrant")
        self._lock = _lock.Lock(path, timeout, **options)

    @property
    def held(self) -> bool:
        """Does this object hold the lock?"""
        return self._lock.held

    @property
    def report(self) -> Optional[Report]:
        """Of the last acquire or release."""
        return self._lock.report

    async def acquire(self, timeout: Union[float, None, Unset] = UNSET, *, blocking: bool = True) -> Report:
        """Takes the lock, or raises LockedError. Cancelled, it does not take it: a lock got too late is given back."""
        wait = self._lock._wait_of(timeout, blocking)
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

    async def verify(self) -> bool:
        """Is it held, and still this process's? As steadfast.Lock.verify."""
        return await self._in_own_thread(self._lock.verify)

    def __call__(self, function: F) -> F:
        """As a decorator: each call of the coroutine takes the lock and gives it back."""
        if not _inspect.iscoroutinefunction(function):
            raise TypeError("what is no coroutine needs steadfast.Lock")

        @functools.wraps(function)
        async def locked(*arguments: Any, **options: Any) -> Any:
            async with self:
                return await function(*arguments, **options)

        return cast(F, locked)

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
