import os
import subprocess
import sys

import pytest


@pytest.fixture
def path(tmp_path):
    """A path that nothing is at."""
    return str(tmp_path / "it")


@pytest.fixture
def python():
    """Starts Python code in a process of its own, with pipes; it is gone at the end of the test."""
    started = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def holder(python):
    """A process that holds the lock at PATH until a line comes; started when it has it."""

    def start(path):
        process = python(
            "import steadfast, sys\n"
            "with steadfast.Lock(sys.argv[1], timeout=60):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.readline()\n",
            path,
        )
        assert process.stdout.readline() == "held\n"
        return process

    return start
