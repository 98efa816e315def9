"""steadfast from Python by cffi: python3 demo.py demo DIRECTORY | increment LOCK STATE N

bindings/python is the package to use; this shows that the header can be fed to cffi.
"""

import contextlib
import os
import pathlib
import re
import sys

import cffi

# The header, without its preprocessor lines.
header = (pathlib.Path(__file__).resolve().parents[2] / "include/steadfast.h").read_text()
for pattern in (r"(?s)#ifdef __cplusplus.*?#endif", r"(?s)#ifndef STEADFAST_NO_INLINE.*", r"(?m)^#.*"):
    header = re.sub(pattern, "", header)
ffi = cffi.FFI()
ffi.cdef(header)
lib = ffi.dlopen("libsteadfast.so.0")


class Error(Exception):
    def __init__(self, code, message):
        self.code, self.name = code, ffi.string(lib.steadfast_status_name(code)).decode()
        super().__init__(f"{self.name} ({code}): {message}")


def new(name, **fields):
    return ffi.new(name + " *", {"size": ffi.sizeof(name), **fields})


def check(status, report):
    if status < 0:
        raise Error(status, ffi.string(report.message).decode(errors="surrogateescape"))
    return status


def save(path, data, **options):
    report = new("steadfast_report")
    check(lib.steadfast_state_save(ffi.NULL, os.fsencode(path), data, len(data), new("steadfast_save_options", **options), report), report)
    return report.generation


def load(path):
    state, report = new("steadfast_state"), new("steadfast_report")
    check(lib.steadfast_state_load(ffi.NULL, os.fsencode(path), ffi.NULL, state, report), report)
    try:
        return ffi.buffer(state.data, state.len)[:], state.generation
    finally:
        lib.steadfast_state_free(state)


@contextlib.contextmanager
def lock(path, timeout_ms):
    out, report = ffi.new("steadfast_lock **"), new("steadfast_report")
    check(lib.steadfast_lock_acquire(ffi.NULL, os.fsencode(path), timeout_ms, ffi.NULL, out, report), report)
    try:
        yield
    finally:
        check(lib.steadfast_lock_release(out[0], report), report)


def demo(directory):
    path = directory + "/app.state"
    save(path, b'{"jobs": 3}')
    data, generation = load(path)
    print(f"generation {generation}: {data.decode()}")
    with lock(directory + "/app.lock", 200), open(directory + "/app.lock") as file:
        print("locked by", file.read().strip())
    try:
        save(path, b"", flags=lib.STEADFAST_SAVE_IF_GENERATION, expected_generation=99)
    except Error as error:
        print(error)


def increment(lock_path, path, times):
    for _ in range(int(times)):
        with lock(lock_path, 60000):
            try:
                value = int(load(path)[0])
            except Error as error:
                if error.name != "ENOENT":
                    raise
                value = 0
            save(path, b"%d" % (value + 1))


try:
    if sys.argv[1] == "demo":
        demo(*sys.argv[2:])
    else:
        increment(*sys.argv[2:])
except Error as error:
    sys.exit(str(error))
