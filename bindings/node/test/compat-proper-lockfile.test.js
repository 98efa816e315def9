'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const steadfast = require('..');
const lockfile = require('../compat/proper-lockfile.js');
const { pausesOf } = require('../lib/pauses.js');
const { temporary } = require('./programs/temporary.js');

const PACKAGE = JSON.stringify(path.join(__dirname, '../compat/proper-lockfile.js'));
const HOLDER = path.join(__dirname, 'programs/holder.js');

// A wait that never ends is a failure.
const LIMITED = { timeout: 20_000 };

const FORMS = {
  promise: lockfile,
  sync: {
    lock: async (...given) => {
      const release = lockfile.lockSync(...given);
      return async () => release();
    },
    unlock: async (...given) => lockfile.unlockSync(...given),
    check: async (...given) => lockfile.checkSync(...given),
  },
};

/** A file to lock, and the directory around it. */
function fileIn(t) {
  const dir = fs.realpathSync(temporary(t));
  const file = path.join(dir, 'file');
  fs.writeFileSync(file, '');
  return { dir, file };
}

test('what is exported', () => {
  assert.equal(lockfile, lockfile.lock);
  assert.deepEqual(Object.keys(lockfile).sort(), ['check', 'checkSync', 'getLocks', 'lock', 'lockSync', 'unlock', 'unlockSync']);
});

for (const [name, { lock, unlock, check }] of Object.entries(FORMS)) {
  test(`${name}: lock, check, release and unlock`, async (t) => {
    const { file } = fileIn(t);
    assert.equal(await check(file), false);
    const release = await lock(file);
    assert.deepEqual(Object.keys(lockfile.getLocks()), [file]);
    assert.equal(fs.readFileSync(`${file}.lock`, 'utf8'), `${process.pid}\n`);
    assert.equal(await check(file), true);
    await assert.rejects(lock(file), { code: 'ELOCKED', message: 'Lock file is already being held', file });
    await release();
    assert.equal(fs.existsSync(`${file}.lock`), false);
    await assert.rejects(release(), { code: 'ERELEASED' });
    await assert.rejects(unlock(file), { code: 'ENOTACQUIRED' });
    await lock(file);
    await unlock(file);
    assert.equal(await check(file), false);
    assert.deepEqual(lockfile.getLocks(), {});
  });

  test(`${name}: realpath, lockfilePath and fs`, async (t) => {
    const { dir, file } = fileIn(t);
    const link = path.join(dir, 'link');
    fs.symlinkSync('file', link);
    await lock(link);
    assert.equal(fs.existsSync(`${file}.lock`), true);
    await assert.rejects(lock(file), { code: 'ELOCKED' });
    assert.equal(await check(link), true);
    assert.equal(await check(link, { realpath: false }), false);
    await assert.rejects(unlock(link, { realpath: false }), { code: 'ENOTACQUIRED' });
    await unlock(link);
    const none = path.join(dir, 'none');
    await assert.rejects(lock(none), { code: 'ENOENT' });
    await assert.rejects(check(none), { code: 'ENOENT' });
    await (await lock(path.relative(process.cwd(), none), { realpath: false }))();
    await assert.rejects(lock(path.join(none, 'none'), { realpath: false }), { code: 'ENOENT' });
    const lockfilePath = path.join(dir, 'dir.lock');
    const release = await lock(dir, { lockfilePath });
    assert.equal(await check(dir, { lockfilePath }), true);
    assert.equal(fs.existsSync(lockfilePath), true);
    await release();
    const fails = (...given) => {
      const error = new RangeError('own fs');
      if (typeof given.at(-1) !== 'function') throw error;
      given.at(-1)(error);
    };
    const own = { ...fs, realpath: fails, realpathSync: fails };
    for (const call of [lock, unlock, check]) await assert.rejects(call(file, { fs: own }), RangeError);
  });

  test(`${name}: a directory of proper-lockfile itself is held until it is old`, async (t) => {
    const { file } = fileIn(t);
    fs.mkdirSync(`${file}.lock`);
    assert.equal(await check(file), true);
    await assert.rejects(lock(file), { code: 'ELOCKED' });
    const old = new Date(Date.now() - 3000);
    fs.utimesSync(`${file}.lock`, old, old);
    assert.equal(await check(file), true);
    await assert.rejects(lock(file), { code: 'ELOCKED' });
    // 2,000 is the least.
    assert.equal(await check(file, { stale: 1 }), false);
    fs.writeFileSync(`${file}.lock/inside`, '');
    fs.utimesSync(`${file}.lock`, old, old);
    await assert.rejects(lock(file, { stale: 1 }), { code: 'ENOTEMPTY' });
    fs.rmSync(`${file}.lock/inside`);
    fs.utimesSync(`${file}.lock`, old, old);
    await (await lock(file, { stale: 1 }))();
  });

  test(`${name}: a live owner keeps it, however old the file is; a dead one loses it at once`, async (t) => {
    const { file } = fileIn(t);
    const child = spawn(process.execPath, [HOLDER, `${file}.lock`], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    fs.utimesSync(`${file}.lock`, 1, 1);
    assert.equal(await check(file, { stale: 1 }), true);
    await assert.rejects(lock(file, { stale: 1 }), { code: 'ELOCKED' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(await check(file), false);
    await (await lock(file))();
  });

  test(`${name}: at the release, a lock that is gone is no error, and one that somebody else has is`, async (t) => {
    const { file } = fileIn(t);
    let release = await lock(file);
    fs.rmSync(`${file}.lock`);
    await release();
    release = await lock(file);
    fs.rmSync(`${file}.lock`);
    fs.mkdirSync(`${file}.lock`);
    await assert.rejects(release(), { code: 'ECOMPROMISED' });
    assert.equal(fs.existsSync(`${file}.lock`), true);
    assert.deepEqual(lockfile.getLocks(), {});
  });
}

test('a directory that is there again, or that has become a file, is not removed', LIMITED, async (t) => {
  const { file } = fileIn(t);
  fs.mkdirSync(`${file}.lock`);
  for (const where of [file, `${file}.lock`]) fs.utimesSync(where, 1, 1);
  await assert.rejects(lockfile.lock(file, { fs: { ...fs, rmdir: (_, callback) => callback(null) } }), { code: 'ELOCKED' });
  await assert.rejects(lockfile.lock(file, { fs: { ...fs, stat: (_, callback) => fs.stat(file, callback) } }), { code: 'ELOCKED' });
  assert.equal(fs.existsSync(`${file}.lock`), true);
});

test('sync: no retries', (t) => {
  const { file } = fileIn(t);
  for (const retries of [1, { retries: 1 }]) assert.throws(() => lockfile.lockSync(file, { retries }), { code: 'ESYNC' });
  for (const retries of [0, { retries: 0 }]) lockfile.lockSync(file, { retries })();
});

test('retries: it is had when it is free, and ELOCKED when the attempts are used up', LIMITED, async (t) => {
  const { file } = fileIn(t);
  const release = await lockfile.lock(file);
  await assert.rejects(lockfile.lock(file, { retries: { retries: 2, minTimeout: 10 } }), { code: 'ELOCKED' });
  // The first pause is an hour: it does not wait for its end.
  const waiting = lockfile.lock(file, { retries: { retries: 1, minTimeout: 3_600_000 } });
  await release();
  const next = await waiting;
  await next();
  fs.mkdirSync(`${file}.lock`);
  const behind = lockfile.lock(file, { retries: { retries: 500, factor: 1, minTimeout: 5 } });
  await new Promise(setImmediate);
  fs.rmdirSync(`${file}.lock`);
  await (await behind)();
});

test('retries: the pauses', () => {
  const pauses = (options, most = 20) => Array.from({ length: most }, ((all) => () => all.next().value)(pausesOf(options))).filter((one) => one !== undefined);
  assert.deepEqual(pauses(0), []);
  assert.deepEqual(pauses(undefined), []);
  assert.deepEqual(pauses(3), [1000, 2000, 4000]);
  assert.deepEqual(pauses({}).length, 10);
  assert.deepEqual(pauses({ retries: 4, factor: 3, minTimeout: 10, maxTimeout: 100 }), [10, 30, 90, 100]);
  assert.deepEqual(pauses({ retries: 2, minTimeout: 10, forever: true }, 4), [10, 20, 20, 20]);
  assert.deepEqual(pauses({ retries: 2, maxRetryTime: 0 }), []);
  for (const pause of pauses({ retries: 5, factor: 1, minTimeout: 10, randomize: true })) assert.ok(pause >= 10 && pause <= 20);
});

/** Timers that only tick() lets pass, and an event loop that does not end meanwhile. */
function stopTime(t) {
  const keep = setInterval(() => {}, 1e6);
  t.after(() => clearInterval(keep));
  t.mock.timers.enable({ apis: ['setTimeout'] });
}

/** A file system whose calls can be awaited, and made to fail. */
function watchedFs() {
  const seen = [];
  const own = { ...fs, fails: null };
  for (const name of ['stat', 'utimes']) {
    own[name] = (...given) => {
      const callback = given.pop();
      if (own.fails === name) callback(new Error(`own ${name}`));
      else fs[name](...given, callback);
      seen.shift()?.(name);
    };
  }
  own.next = (name) => new Promise((resolve) => {
    const wait = (called) => (called === name ? resolve() : seen.push(wait));
    seen.push(wait);
  });
  return own;
}

test('update: the time of the lock is kept new', LIMITED, async (t) => {
  const { file } = fileIn(t);
  const own = watchedFs();
  stopTime(t);
  for (const [update, pause] of [[1, 1000], [undefined, 5000], [9000, 5000], [2000, 2000]]) {
    const release = await lockfile.lock(file, { update, fs: own });
    fs.utimesSync(`${file}.lock`, 1, 1);
    const updated = own.next('utimes');
    t.mock.timers.tick(pause - 1);
    assert.equal(fs.statSync(`${file}.lock`).mtimeMs, 1000);
    t.mock.timers.tick(1);
    await updated;
    await release();
  }
});

test('onCompromised: the lock is gone, or somebody else has it', LIMITED, async (t) => {
  const { file } = fileIn(t);
  stopTime(t);
  for (const other of [false, true]) {
    let release;
    const error = await new Promise((resolve) => {
      lockfile.lock(file, { update: 1000, onCompromised: resolve }).then((given) => {
        release = given;
        fs.rmSync(`${file}.lock`);
        if (other) fs.writeFileSync(`${file}.lock`, '1\n');
        t.mock.timers.tick(1000);
      });
    });
    assert.equal(error.code, 'ECOMPROMISED');
    await assert.rejects(release(), { code: 'ERELEASED' });
    await assert.rejects(lockfile.unlock(file), { code: 'ENOTACQUIRED' });
    assert.equal(fs.existsSync(`${file}.lock`), other);
  }
});

test('onCompromised: the file system has failed for longer than `stale`', LIMITED, async (t) => {
  const { file } = fileIn(t);
  const own = watchedFs();
  stopTime(t);
  const clock = t.mock.method(Date, 'now', () => 0);
  for (const name of ['stat', 'utimes']) {
    const errors = [];
    const compromised = new Promise((resolve) => {
      own.onCompromised = (error) => resolve(errors.push(error));
    });
    await lockfile.lock(file, { update: 1000, stale: 4000, fs: own, onCompromised: own.onCompromised });
    own.fails = name;
    const failed = own.next(name);
    t.mock.timers.tick(1000);
    await failed;
    await new Promise(setImmediate);
    assert.deepEqual(errors, []);
    clock.mock.mockImplementation(() => 4001);
    t.mock.timers.tick(1000);
    await compromised;
    assert.deepEqual([errors[0].code, errors[0].message], ['ECOMPROMISED', `own ${name}`]);
    assert.equal(fs.existsSync(`${file}.lock`), false);
    clock.mock.mockImplementation(() => 0);
    own.fails = null;
  }
});

test('without onCompromised the error ends the process; a lock keeps none alive, and is removed at its end', (t) => {
  const { file } = fileIn(t);
  const run = (code) => spawnSync(process.execPath, ['-e', `const lockfile = require(${PACKAGE}), file = process.argv[1];\n${code}`, file], { encoding: 'utf8', timeout: 60_000 });
  const lost = run(`
    lockfile.lockSync(file, { update: 1000 });
    require('fs').rmSync(file + '.lock');
    process.on('uncaughtException', ({ code }, origin) => {
      console.log(code, origin);
      process.exit(1);
    });
    setInterval(() => {}, 1e6);`);
  assert.deepEqual([lost.status, lost.stdout], [1, 'ECOMPROMISED uncaughtException\n']);
  assert.equal(run('lockfile.lockSync(file);').status, 0);
  assert.equal(fs.existsSync(`${file}.lock`), false);
  assert.equal(run('lockfile.lock(file).then(() => { throw new Error(); });').status, 1);
  assert.equal(fs.existsSync(`${file}.lock`), false);
});

test('proper-lockfile itself and ours keep each other out', async (t) => {
  let original;
  try {
    original = require('proper-lockfile');
  } catch {
    t.skip('proper-lockfile is not installed');
    return;
  }
  const { file } = fileIn(t);
  const release = await lockfile.lock(file);
  await assert.rejects(original.lock(file), { code: 'ELOCKED' });
  fs.utimesSync(`${file}.lock`, 1, 1);
  await assert.rejects(original.lock(file), { code: 'ENOTDIR' });
  assert.equal((await steadfast.inspect(`${file}.lock`)).verdict, 'held');
  await release();
  const theirs = await original.lock(file);
  await assert.rejects(lockfile.lock(file), { code: 'ELOCKED' });
  await theirs();
  await (await lockfile.lock(file))();
});
