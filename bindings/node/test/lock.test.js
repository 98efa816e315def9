'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const steadfast = require('..');
const native = require('../lib/native.js');
const { later } = require('../lib/calls.js');
const { wait } = require('../lib/wait.js');
const { temporary } = require('./programs/temporary.js');

const HOLDER = path.join(__dirname, 'programs/holder.js');

/** Another process that holds the lock; it lets go when its standard input ends. */
async function holder(t, file) {
  const child = spawn(process.execPath, [HOLDER, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('acquire, inspect, release', async (t) => {
  const file = path.join(temporary(t), 'lock');
  assert.equal((await steadfast.inspect(file)).verdict, 'absent');
  const lock = await steadfast.acquire(file);
  assert.ok(lock instanceof steadfast.Lock);
  assert.deepEqual([lock.held, lock.path], [true, file]);
  assert.equal(fs.readFileSync(file, 'utf8'), `${process.pid}\n`);
  const { verdict, pid } = await steadfast.inspect(file);
  assert.deepEqual([verdict, pid], ['held', process.pid]);
  await lock.release();
  await lock.release();
  assert.equal(lock.held, false);
  assert.equal(fs.existsSync(file), false);
  const again = steadfast.Lock.acquireSync(file);
  assert.equal(steadfast.inspectSync(file).verdict, 'held');
  again.releaseSync();
  assert.equal(steadfast.cleanStaleSync(file).verdict, 'absent');
});

test('a held lock: E_LOCKED with the holder, at once or after the timeout', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const child = await holder(t, file);
  for (const timeout of [0, 1, 120]) {
    await assert.rejects(steadfast.acquire(file, { timeout }), (error) => {
      assert.equal(error.code, 'STEADFAST_E_LOCKED');
      assert.equal(error.report.pid, child.pid);
      return true;
    });
  }
  assert.throws(() => steadfast.acquireSync(file), { code: 'STEADFAST_E_LOCKED' });
  assert.throws(() => steadfast.acquireSync(file, { timeout: 20 }), { code: 'STEADFAST_E_LOCKED' });
  child.stdin.end();
  const lock = await steadfast.acquire(file);
  assert.equal(lock.held, true);
  await lock.release();
});

test('a holder that is killed: the waiter gets in, and is told', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const child = await holder(t, file);
  const waiting = steadfast.acquire(file, { timeout: 60_000 });
  child.kill('SIGKILL');
  const lock = await waiting;
  assert.match(lock.report.message, /stale/);
  assert.equal(lock.report.pid, child.pid);
  await lock.release();
});

test('cleanStale removes the lock of a dead owner only', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const { pid } = spawnSync(process.execPath, ['-e', '0']);
  fs.writeFileSync(file, `${pid}\n`);
  assert.equal((await steadfast.inspect(file)).verdict, 'stale');
  assert.deepEqual([(await steadfast.cleanStale(file)).verdict, fs.existsSync(file)], ['removed', false]);
  fs.writeFileSync(file, `${process.ppid}\n`);
  assert.deepEqual([(await steadfast.cleanStale(file)).verdict, fs.existsSync(file)], ['held', true]);
  fs.writeFileSync(file, 'nonsense');
  assert.equal((await steadfast.cleanStale(file)).verdict, 'undecided');
  fs.rmSync(file);
  fs.symlinkSync('elsewhere', file);
  assert.equal((await steadfast.cleanStale(file)).verdict, 'ignored');
  await assert.rejects(steadfast.acquire(file), { code: 'STEADFAST_E_SYMLINK' });
});

test('an aborted wait rejects, and leaves no lock', async (t) => {
  const file = path.join(temporary(t), 'lock');
  await assert.rejects(steadfast.acquire(file, { signal: AbortSignal.abort('early') }), { name: 'AbortError', cause: 'early' });
  const lock = await steadfast.acquire(file);
  const first = new AbortController();
  const second = new AbortController();
  const waiting = [steadfast.acquire(file, { signal: first.signal }), steadfast.acquire(file, { signal: second.signal })];
  second.abort(new Error('enough'));
  await assert.rejects(waiting[1], { name: 'AbortError', code: 'ABORT_ERR', path: file });
  first.abort();
  await assert.rejects(waiting[0], { code: 'ABORT_ERR' });
  await assert.rejects(steadfast.acquire(file, { signal: AbortSignal.timeout(30) }), { code: 'ABORT_ERR' });
  await lock.release();
  assert.equal(fs.existsSync(file), false);
});

test('aborted at every moment of its taking: the lock is had, or free', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const outcomes = { had: 0, aborted: 0 };
  for (let turns = 0; turns < 60; turns++) {
    const controller = new AbortController();
    const taking = steadfast.acquire(file, { signal: controller.signal });
    for (let i = 0; i < turns % 20; i++) await Promise.resolve();
    if (turns % 3 === 0) await new Promise(setImmediate);
    controller.abort();
    try {
      await (await taking).release();
      outcomes.had++;
    } catch (error) {
      assert.equal(error.code, 'ABORT_ERR');
      outcomes.aborted++;
    }
    assert.equal(fs.existsSync(file), false, `left at turn ${turns}`);
  }
  assert.ok(outcomes.aborted > 0);
});

test('an abort ends a wait in the library at once, whatever its timeout', async (t) => {
  const file = path.join(temporary(t), 'lock');
  await holder(t, file);
  const controller = new AbortController();
  let staying = null;
  // As acquire() asks, but for longer: without the abort this call would stay for 20 seconds.
  const attempt = async (milliseconds, cancelFd) => {
    const [out, report] = [[null], native.newReport()];
    const how = native.newLockOptions({ flags: 0, mode: 0, empty_grace_ms: 0, cancel_fd: cancelFd });
    const call = later('lock_acquire', null, Buffer.from(`${file}\0`), milliseconds === 0 ? 0 : 20_000, how, out, report);
    if (milliseconds !== 0) {
      staying = call;
      controller.abort();
    }
    return { status: await call, pointer: out[0], report };
  };
  const touching = setInterval(() => fs.utimesSync(file, new Date(), new Date()), 5);
  t.after(() => clearInterval(touching));
  const place = Buffer.from(`${file}\0`);
  await assert.rejects(wait({ place, text: file, timeout: Infinity, signal: controller.signal, attempt }), { code: 'ABORT_ERR' });
  assert.equal(await staying, -os.constants.errno.ECANCELED);
  // And the next one is not ended by what ended this one.
  await assert.rejects(steadfast.acquire(file, { timeout: 100 }), { code: 'STEADFAST_E_LOCKED' });
});

test('a closed standard input is not taken for "no cancelling"', () => {
  const cancel = path.join(__dirname, '../lib/cancel.js');
  const code = `require('fs').closeSync(0); console.log(require(${JSON.stringify(cancel)}).fd)`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
  assert.ok(Number(stdout) > 0, stderr);
});

test('check: until someone takes it away, or it is released', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const lock = await steadfast.acquire(file);
  await lock.check();
  lock.checkSync();
  fs.rmSync(file);
  await assert.rejects(lock.check(), { code: 'STEADFAST_E_LOCK_LOST', path: file });
  assert.throws(() => lock.checkSync(), { code: 'STEADFAST_E_LOCK_LOST' });
  assert.equal(lock.held, true);
  await assert.rejects(lock.release(), { code: 'STEADFAST_E_LOCK_LOST' });
  await assert.rejects(lock.check(), { code: 'ERR_INVALID_STATE' });
});

test('verify: the same as check, by true and false', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const lock = await steadfast.acquire(file);
  assert.deepEqual([await lock.verify(), lock.verifySync()], [true, true]);
  fs.rmSync(file);
  assert.deepEqual([await lock.verify(), lock.verifySync()], [false, false]);
  await lock.release().catch(() => {});
  assert.deepEqual([await lock.verify(), lock.verifySync()], [false, false]);
});

test('inherit: a program that was started keeps the lock of a process that was killed', async (t) => {
  for (const inherit of [true, false]) {
    const file = path.join(temporary(t), 'lock');
    const code = `
      const lock = require(${JSON.stringify(path.join(__dirname, '..'))}).acquireSync(process.argv[1], { inherit: ${inherit} });
      const child = require('child_process').spawn('sh', ['-c', 'echo runs; exec cat'], { stdio: [3, 1, 2] });`;
    const parent = spawn(process.execPath, ['-e', code, file], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    await once(parent.stdout, 'data');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    assert.equal((await steadfast.inspect(file)).verdict, inherit ? 'held' : 'stale');
    parent.stdio[3].end(); // ends the program
    await (await steadfast.acquire(file)).release();
  }
});

test('waiters of one process are served in order, each alone', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const order = [];
  let inside = 0;
  await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const lock = await steadfast.acquire(file);
      assert.equal(++inside, 1);
      order.push(i);
      await new Promise(setImmediate);
      inside--;
      await lock.release();
    }),
  );
  assert.deepEqual(order.slice(1), order.slice(1).sort((a, b) => a - b));
  assert.equal(order.length, 30);
});

test('a lost lock is told at its release', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const lock = await steadfast.acquire(file);
  fs.rmSync(file);
  await assert.rejects(lock.release(), { code: 'STEADFAST_E_LOCK_LOST', path: file });
  assert.equal(lock.held, false);
});

test('disposal releases: both kinds', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const one = await steadfast.acquire(file);
  await one[Symbol.asyncDispose]();
  assert.equal(fs.existsSync(file), false);
  const two = steadfast.acquireSync(file);
  two[Symbol.dispose]();
  assert.equal(fs.existsSync(file), false);
});

test('20 waiters leave the threads to others: fs, save and load go on', async (t) => {
  const dir = temporary(t);
  const script = path.join(__dirname, 'programs/starve.js');
  const child = spawnSync(process.execPath, [script, dir], {
    encoding: 'utf8', env: { ...process.env, UV_THREADPOOL_SIZE: '4' }, timeout: 60_000,
  });
  assert.equal(child.status, 0, child.stderr);
  assert.equal(child.stdout, 'fs 40, saves 40, waiting 20; then locks 20\n');
});

test('import and require give the same', async () => {
  const imported = await import('../index.mjs');
  for (const [name, value] of Object.entries(steadfast)) assert.equal(imported[name], value, name);
  assert.equal(imported.default, steadfast);
  assert.deepEqual(Object.keys(imported).sort(), [...Object.keys(steadfast), 'default'].sort());
});
