"""A pytest plugin: which tests have a counterpart, and what differs. The last line is `N passed, N failed`.

A known difference has to fail; it is given a second for that. One that passes, or is not there, fails the run.
"""

import gc
import os
import pathlib
from collections.abc import Generator
from typing import Any

import filelock
import pytest
import sitecustomize

KNOWN = pathlib.Path(os.environ["STEADFAST_PEER_KNOWN"])
LEAST = int(os.environ["STEADFAST_PEER_LEAST"])
USED = pathlib.Path(os.environ["STEADFAST_PEER_USED"])

known = [line for line in KNOWN.read_text().splitlines() if line and not line.startswith("#")]
failed: set[str] = set()
skipped: set[str] = set()
counterparts: set[str] = set()
seen: set[str] = set()


def name_of(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("tests/")


def about_another_class(item: pytest.Item) -> bool:
    """Is it run for a lock class of filelock's that is not replaced?"""
    parameters = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    kinds = [kind for kind in parameters if isinstance(kind, type) and kind.__module__.startswith("filelock")]
    return any(issubclass(kind, filelock.BaseFileLock) for kind in kinds)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not about_another_class(item)]
    for item in items:
        seen.add(name_of(item))
        if name_of(item) in known:
            item.add_marker(pytest.mark.timeout(1), append=False)


def pytest_collection_finish() -> None:
    # filelock's tests collect garbage after each; what is there by now is none.
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    sitecustomize.made = False
    USED.unlink(missing_ok=True)
    result = yield
    if sitecustomize.made or USED.exists():
        counterparts.add(name_of(item))
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = report.nodeid.removeprefix("tests/")
    if report.failed:
        failed.add(name)
    if report.skipped:
        skipped.add(name)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    say = terminalreporter.write_line
    ran = counterparts - skipped
    good = ran - failed
    bad = []
    bad += [f"not ok - {name}: fails, and is no known difference" for name in sorted(failed - set(known))]
    bad += [f"not ok - {name}: is told as a difference, and passes" for name in sorted(set(known) & seen - failed - skipped)]
    bad += [f"not ok - {name}: is told as a difference, and is no test" for name in sorted(set(known) - seen)]
    if len(known) != len(set(known)):
        bad.append(f"not ok - {KNOWN.name} names a test twice")
    if len(good) < LEAST:
        bad.append(f"not ok - {len(good)} tests with a counterpart pass, {LEAST} at least are promised")
    say("")
    for line in bad:
        say(line)
    say(f"# {len(ran)} tests have a counterpart: {len(good)} pass, {len(ran & failed)} are known differences or failures")
    say(f"{len(good)} passed, {len(bad)} failed")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # The known differences are failures to pytest; the last line above says what counts.
    if session.exitstatus == pytest.ExitCode.TESTS_FAILED:
        session.exitstatus = pytest.ExitCode.OK
