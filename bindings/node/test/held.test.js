'use strict';
// Locks that are still held when a thread ends, and locks that somebody takes away.
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

const PACKAGE = JSON.stringify(path.join(__dirname, '..'));

/** Runs `code` with `steadfast` and the path `file`. */
const run = (file, code) =>
  spawnSync(process.execPath, ['-e', `const steadfast = require(${PACKAGE}), file = process.argv[1];\n${code}`, file], { encoding: 'utf8', timeout: 60_000 });

const ENDS = {
  'of itself': ['await steadfast.acquire(file);', 0],
  'by exit': ['steadfast.acquireSync(file); process.exit(3);', 3],
  'by an uncaught error': ['await steadfast.acquire(file); setImmediate(() => { throw new Error("intended"); });', 1],
  'by a rejection that nobody handles': ['await steadfast.acquire(file); Promise.reject(new Error("intended"));', 1],
};

for (const [how, [code, status]] of Object.entries(ENDS)) {
  test(`a process that ends ${how} leaves no lock`, (t) => {
    const file = path.join(temporary(t), 'lock');
    const done = run(file, `(async () => { ${code} })();`);
    assert.equal(done.status, status, done.stderr);
    assert.equal(fs.existsSync(file), false);
  });
}

test('what is released or lost before is no matter at the end', (t) => {
  const file = path.join(temporary(t), 'lock');
  const done = run(file, `
    const [one, two] = ['.1', '.2'].map((end) => steadfast.acquireSync(file + end));
    one.releaseSync();
    require('fs').rmSync(file + '.2');
    require('fs').writeFileSync(file + '.2', 'of another');
    process.on('exit', () => console.log(two.held));`);
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, 'false\n', '']);
  assert.equal(fs.readFileSync(`${file}.2`, 'utf8'), 'of another');
});

test('with inherit the programs that were started keep it when the process ends', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const code = `
    require(${PACKAGE}).acquireSync(process.argv[1], { inherit: true });
    require('child_process').spawn('cat', { stdio: [3, 1, 2], detached: true }).unref();`;
  const parent = spawn(process.execPath, ['-e', code, file], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  await once(parent, 'exit');
  assert.equal((await steadfast.inspect(file)).verdict, 'held');
  parent.stdio[3].end(); // ends the program
  await (await steadfast.acquire(file)).release();
});

const THREAD_ENDS = {
  'of itself': ['', 0],
  'by exit': ['process.exit(3);', 3],
  'by an uncaught error': ['throw new Error("intended");', 1],
  'by terminate': ['parentPort.on("message", () => {});', 1],
};

for (const [how, [code, status]] of Object.entries(THREAD_ENDS)) {
  test(`a worker thread that ends ${how} leaves no lock`, async (t) => {
    const file = path.join(temporary(t), 'lock');
    const kept = await steadfast.acquire(`${file}.kept`);
    const worker = new Worker(`
      const { parentPort, workerData } = require('worker_threads');
      const { acquireSync } = require(${PACKAGE});
      acquireSync(workerData).releaseSync();
      for (const end of ['', '.inherited']) acquireSync(workerData + end, { inherit: end !== '' });
      parentPort.postMessage('held');
      ${code}`, { eval: true, workerData: file });
    worker.on('error', (error) => assert.equal(error.message, 'intended'));
    const ended = new Promise((resolve) => {
      worker.once('exit', resolve);
    });
    await new Promise((resolve) => {
      worker.once('message', resolve);
    });
    if (how === 'by terminate') {
      assert.equal(steadfast.inspectSync(file).verdict, 'held');
      worker.terminate();
    }
    assert.equal(await ended, status);
    assert.deepEqual(fs.readdirSync(path.dirname(file)), ['lock.kept']);
    assert.equal(await kept.verify(), true);
    await kept.release();
  });
}

const replace = (file) => {
  fs.writeFileSync(`${file}.new`, '1\n');
  fs.renameSync(`${file}.new`, file);
};

test('a worker thread of a program that has not loaded the package leaves no lock either', (t) => {
  const file = path.join(temporary(t), 'lock');
  const done = spawnSync(process.execPath, ['-e', `
    const { Worker } = require('worker_threads');
    const code = ${JSON.stringify(`require(${PACKAGE}).acquireSync(process.argv[2], { inherit: true });`)};
    new Worker(code, { eval: true, argv: [process.argv[1]] }).on('exit', (code) => console.log(code, require('fs').existsSync(process.argv[1])));
  `, file], { encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, '0 false\n', '']);
});

test('onLost: called once, when someone takes the lock away', { timeout: 20_000 }, async (t) => {
  const dir = temporary(t);
  const context = new steadfast.Context({ at: dir });
  const keep = setInterval(() => {}, 1e6); // onLost keeps no process alive
  t.after(() => {
    clearInterval(keep);
    context.close();
  });
  for (const [index, take] of [fs.rmSync, (file) => fs.renameSync(file, `${file}.away`), replace].entries()) {
    const file = path.join(dir, `lock-${index}`);
    const calls = [];
    const lost = new Promise((resolve) => {
      const onLost = (error) => resolve(calls.push(error));
      if (index === 1) steadfast.acquireSync(file, { onLost });
      else steadfast.acquire(path.basename(file), { onLost, context }).then(() => take(file));
      if (index === 1) take(file);
    });
    await lost;
    assert.equal(calls[0].code, 'STEADFAST_E_LOCK_LOST');
    fs.writeFileSync(file, 'again');
    await new Promise(setImmediate);
    assert.equal(calls.length, 1);
  }
});

test('onLost: by the directory at once, or after a second where it cannot be watched; the release ends both', { timeout: 20_000 }, async (t) => {
  const file = path.join(temporary(t), 'lock');
  const keep = setInterval(() => {}, 1e6);
  t.after(() => clearInterval(keep));
  const take = async (tick) => {
    let lost;
    const lock = await new Promise((resolve) => {
      const taken = steadfast.acquireSync(file, { onLost: () => resolve(taken) });
      fs.rmSync(file);
      tick();
    });
    await lock.release().catch((error) => (lost = error));
    assert.equal(lost.code, 'STEADFAST_E_LOCK_LOST');
  };
  t.mock.timers.enable({ apis: ['setInterval'] });
  await take(() => {});
  let closed = 0;
  const watch = t.mock.method(fs, 'watch', () => ({ on() {}, close: () => closed++ }));
  await take(() => t.mock.timers.tick(1000));
  assert.equal(closed, 2); // when it was seen, and at the release
  watch.mock.mockImplementation(() => {
    throw new Error('no more watches');
  });
  await take(() => t.mock.timers.tick(1000));
});

test('onLost: of a lock that is lost at once, after acquire has returned', async (t) => {
  const file = path.join(temporary(t), 'lock');
  const order = [];
  const check = t.mock.method(steadfast.Lock.prototype, 'checkSync', () => {
    throw Object.assign(new Error(), { code: 'STEADFAST_E_LOCK_LOST' });
  });
  const lock = steadfast.acquireSync(file, { onLost: () => order.push('lost') });
  order.push('returned');
  await null;
  assert.deepEqual(order, ['returned', 'lost']);
  check.mock.restore();
  lock.releaseSync();
});

test('onLost: not after a release, and not for what others do beside it', async (t) => {
  const dir = temporary(t);
  const lock = await steadfast.acquire(path.join(dir, 'lock'), { onLost: assert.fail });
  fs.writeFileSync(path.join(dir, 'other'), '');
  fs.utimesSync(lock.path, 1, 1);
  await new Promise(setImmediate);
  await lock.release();
  fs.writeFileSync(lock.path, 'of another');
  await new Promise(setImmediate);
  await assert.rejects(steadfast.acquire(path.join(dir, 'another'), { onLost: 'log' }), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('onLost keeps no process alive, and what it throws is an uncaught error', (t) => {
  const file = path.join(temporary(t), 'lock');
  assert.equal(run(file, 'steadfast.acquireSync(file, { onLost() {} });').status, 0);
  const thrown = run(file, `
    const keep = setInterval(() => {}, 1e6);
    steadfast.acquireSync(file, { onLost(error) { throw error; } });
    require('fs').rmSync(file);`);
  assert.equal(thrown.status, 1);
  assert.match(thrown.stderr, /STEADFAST_E_LOCK_LOST/);
});
