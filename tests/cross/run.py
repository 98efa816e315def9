"""The cross-language test; README.md says what the workers do. Run by run.sh, which builds them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

# {"python": [command...], ...}: the bindings, and the programs of examples/dlopen, which only increment.
WORKERS = json.loads(os.environ["STEADFAST_CROSS_WORKERS"])
OTHERS = json.loads(os.environ["STEADFAST_CROSS_OTHERS"])
LIMIT = 100
TEXT = 'ünï "quoted"\n'


class Cross(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="steadfast-cross-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def path(self, name):
        return str(self.directory / name)

    def start(self, command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def output(self, worker, *arguments):
        done = subprocess.run([*WORKERS[worker], *arguments], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0, f"{worker} {arguments}: {done.stderr}")
        return done.stdout

    def together(self, commands):
        processes = {name: self.start(command) for name, command in commands.items()}
        for name, process in processes.items():
            _, errors = process.communicate(timeout=LIMIT)
            self.assertEqual(process.returncode, 0, f"{name}: {errors}")

    def test_each_loads_what_each_saved(self):
        for saver in WORKERS:
            state = self.path(saver)
            self.output(saver, "save", state, TEXT + saver)
            for loader in WORKERS:
                self.assertEqual(self.output(loader, "load", state), TEXT + saver, f"{loader} of {saver}")

    def test_all_contend_for_one_lock(self):
        lock, state = self.path("lock"), self.path("state")
        times = {**dict.fromkeys(WORKERS, 150), **dict.fromkeys(OTHERS, 40)}
        programs = {**WORKERS, **OTHERS}
        self.together({name: [*programs[name], "increment", lock, state, str(n)] for name, n in times.items()})
        total = str(sum(times.values()))
        for loader in WORKERS:
            self.assertEqual(self.output(loader, "load", state), total, loader)
        self.assertEqual(os.listdir(self.directory), ["state"])

    def test_all_compare_and_swap(self):
        state = self.path("state")
        self.together({name: [*command, "swap", state, "40"] for name, command in WORKERS.items()})
        for loader in WORKERS:
            self.assertEqual(self.output(loader, "load", state), str(40 * len(WORKERS)), loader)

    def pass_on(self, holder, waiter, let_go):
        lock = self.path(f"{holder}-{waiter}")
        holding = self.start([*WORKERS[holder], "hold", lock])
        self.assertEqual(holding.stdout.readline(), f"held {holding.pid}\n", holder)
        waiting = self.start([*WORKERS[waiter], "wait", lock])
        self.assertEqual(waiting.stdout.readline(), f"locked by {holding.pid}\n", waiter)
        self.assertEqual(pathlib.Path(lock).read_text(), f"{holding.pid}\n")
        let_go(holding)
        output, errors = waiting.communicate(timeout=LIMIT)
        self.assertEqual((output, waiting.returncode), (f"got {waiting.pid}\n", 0), f"{waiter} after {holder}: {errors}")
        self.assertFalse(os.path.exists(lock))
        return holding

    def test_a_python_holder_is_killed_and_a_node_waiter_gets_in(self):
        holding = self.pass_on("python", "node", lambda process: process.send_signal(signal.SIGKILL))
        self.assertEqual(holding.wait(timeout=LIMIT), -signal.SIGKILL)

    def test_every_waiter_gets_in_after_a_kill_and_after_a_release(self):
        ring = list(WORKERS)
        for holder, waiter in zip(ring, ring[1:] + ring[:1]):
            self.pass_on(holder, waiter, lambda process: process.kill())
            self.pass_on(waiter, holder, lambda process: process.stdin.close())

    def test_a_python_hook_makes_fsync_fail_and_the_state_is_still_saved(self):
        """TC-80-4, through ctypes; that it is whole is the word of the others."""
        state = self.path("state")
        self.output("node", "save", state, "old")
        self.assertEqual(self.output("python", "failing", state, "never", "strict"), "refused True True\n")
        for loader in WORKERS:
            self.assertEqual(self.output(loader, "load", state), "old", loader)
        self.assertEqual(self.output("python", "failing", state, "new"), "saved False EITHER True\n")
        for loader in WORKERS:
            self.assertEqual(self.output(loader, "load", state), "new", loader)
            self.assertEqual(self.output(loader, "load", f"{state}.prev"), "old", loader)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len({test.id() for test, _ in result.failures + result.errors})
    print(f"tests {result.testsRun - failed} {failed}")
    sys.exit(failed > 0)
