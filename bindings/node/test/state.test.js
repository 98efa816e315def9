'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

test('save and load: strings, Buffers, typed arrays, ArrayBuffers, nothing', async (t) => {
  const file = path.join(temporary(t), 'state');
  const cases = [
    ['ünï', Buffer.from('ünï')],
    [Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])],
    [new Uint8Array([9, 8, 7, 6]).subarray(1, 3), Buffer.from([8, 7])],
    [new Uint16Array([0x0102]), Buffer.from([2, 1])],
    [new Uint8Array([4, 5]).buffer, Buffer.from([4, 5])],
    ['', Buffer.alloc(0)],
    [Buffer.alloc(300_000, 'abc'), Buffer.alloc(300_000, 'abc')],
  ];
  let generation = 0n;
  for (const [data, expected] of cases) {
    const saved = await steadfast.save(file, data);
    assert.equal(saved.durable, true);
    assert.equal(saved.generation, ++generation);
    const state = await steadfast.load(file);
    assert.deepEqual(state.data, expected);
    assert.equal(state.generation, generation);
    assert.equal(steadfast.saveSync(file, data).generation, ++generation);
    assert.deepEqual(steadfast.loadSync(file).data, expected);
  }
});

test('a state carries schema, time, source and digest', async (t) => {
  const file = path.join(temporary(t), 'state');
  const before = Date.now();
  await steadfast.save(file, 'x', { schema: 7, mode: 0o640 });
  const state = await steadfast.load(file, { schema: 7 });
  assert.equal(state.schema, 7);
  assert.ok(state.savedAt.getTime() >= before - 1 && state.savedAt.getTime() <= Date.now());
  assert.equal(state.source, 'current');
  assert.equal(state.recovered, false);
  assert.equal(state.sha256, fs.readFileSync(file, 'latin1').slice(0, 64));
  assert.equal(fs.statSync(file).mode & 0o777, 0o640);
  await assert.rejects(steadfast.load(file, { schema: 8 }), { code: 'STEADFAST_E_SCHEMA' });
  await assert.rejects(steadfast.load(file, { maxLength: 0.5 }), { code: 'ERR_OUT_OF_RANGE' });
});

test('errors have code, errno, path, status and report', async (t) => {
  const file = path.join(temporary(t), 'state');
  for (const call of [() => steadfast.load(file), async () => steadfast.loadSync(file)]) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof steadfast.SteadfastError && error instanceof Error);
      const { code, errno, path: where, status } = error;
      assert.deepEqual({ code, errno, where, status }, { code: 'ENOENT', errno: -2, where: file, status: -2 });
      assert.equal(error.report.step, 'open_file');
      assert.match(error.message, /^ENOENT: .*state$/);
      return true;
    });
  }
  await steadfast.save(file, 'hello');
  const bytes = fs.readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  fs.writeFileSync(file, bytes);
  await assert.rejects(steadfast.load(file), { code: 'STEADFAST_E_DIGEST', errno: 0, path: file, status: -10003 });
});

test('compare and swap: of 20 that expect one generation exactly one wins', async (t) => {
  const file = path.join(temporary(t), 'state');
  assert.equal((await steadfast.save(file, 'first', { ifGeneration: 0 })).generation, 1n);
  const race = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => steadfast.save(file, `${i}`, { ifGeneration: 1n })));
  const won = race.filter((one) => one.status === 'fulfilled');
  assert.equal(won.length, 1);
  assert.equal(race.filter((one) => one.reason?.code === 'STEADFAST_E_CONFLICT').length, 19);
  assert.equal(race.find((one) => one.reason).reason.report.generation, 2n);
});

test('the previous generation is kept, and recovered from', async (t) => {
  const file = path.join(temporary(t), 'state');
  await steadfast.save(file, 'one');
  await steadfast.save(file, 'two', { keepPrevious: true });
  fs.truncateSync(file, 256);
  await assert.rejects(steadfast.load(file), { code: 'STEADFAST_E_TRUNCATED' });
  const state = await steadfast.load(file, { recover: true });
  assert.equal(state.data.toString(), 'one');
  assert.deepEqual([state.recovered, state.source], [true, 'previous']);
});

test('alternate: two files take turns, and the newer one is the state', async (t) => {
  const file = path.join(temporary(t), 'state');
  const previous = `${file}.prev`;
  const inodes = () => [file, previous].map((name) => fs.statSync(name).ino);
  for (const text of ['1', '2']) await steadfast.save(file, text, { alternate: true });
  const two = inodes();
  const ways = [
    () => steadfast.save(file, '3', { alternate: true }),
    async () => steadfast.saveSync(file, '4', { alternate: true }),
    () => steadfast.update(file, (old) => `${Number(old.data) + 1}`, { alternate: true }),
    async () => (await steadfast.saveBatch([{ path: file, data: '6' }], { alternate: true }))[0],
  ];
  for (const [i, save] of ways.entries()) {
    const [text, newer] = [`${i + 3}`, i % 2 ? 'current' : 'previous'];
    assert.deepEqual((({ durable, generation }) => [durable, generation])(await save()), [true, BigInt(text)]);
    assert.deepEqual(inodes(), two);
    assert.deepEqual(fs.readdirSync(path.dirname(file)).sort(), ['state', 'state.prev']);
    const { data, source, recovered } = await steadfast.load(file);
    assert.deepEqual([data.toString(), source, recovered], [text, newer, false]);
    assert.equal(fs.readFileSync(newer === 'current' ? file : previous).subarray(256).toString().trimEnd(), text);
  }
  fs.truncateSync(file, 100); // the newest
  const { data, source, recovered } = await steadfast.load(file);
  assert.deepEqual([data.toString(), source, recovered], ['5', 'previous', true]);
});

test('a failed fsync is told: durable false, or an error with strict (TC-80-4)', async (t) => {
  const file = path.join(temporary(t), 'state');
  await steadfast.save(file, 'old');
  const context = new steadfast.FailingContext({ call: 'fsync', errno: 5, forever: true });
  t.after(() => context.close());
  await assert.rejects(steadfast.save(file, 'never', { strict: true, context }), {
    code: 'STEADFAST_E_NOT_SAVED_DURABLY', errno: -5,
  });
  assert.equal((await steadfast.load(file)).data.toString(), 'old');
  const saved = await steadfast.save(file, 'new', { context });
  assert.equal(saved.durable, false);
  assert.deepEqual([saved.report.step, saved.report.osError, saved.report.onDisk], ['sync_file', 5, 'either']);
  assert.equal((await steadfast.load(file)).data.toString(), 'new');
});

test('without a sync: unknown, or the durable one stays as PATH.prev', async (t) => {
  const file = path.join(temporary(t), 'state');
  const onDisk = async (options) => (await steadfast.save(file, 'x', { noSync: true, ...options })).report.onDisk;
  assert.equal(await onDisk(), 'unknown');
  await steadfast.save(file, 'durable');
  for (let i = 0; i < 2; i++) {
    assert.equal(await onDisk({ keepPrevious: true }), 'either');
    assert.equal((await steadfast.load(`${file}.prev`)).data.toString(), 'durable');
  }
});

test('others keep a save waiting: STEADFAST_E_BUSY after the timeout', async (t) => {
  const file = path.join(temporary(t), 'state');
  await steadfast.save(file, 'old');
  // It holds the flock of the state until its standard input ends.
  const child = spawn('flock', ['--shared', file, 'sh', '-c', 'echo held; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const begun = Date.now();
  for (const timeout of [0, 0.1, 30]) {
    const busy = { code: 'STEADFAST_E_BUSY', path: file, status: -10021 };
    await assert.rejects(steadfast.save(file, 'new', { ifGeneration: 1, timeout }), (error) => {
      assert.equal(error.report.onDisk, 'old');
      assert.deepEqual({ code: error.code, path: error.path, status: error.status }, busy);
      return true;
    });
    assert.throws(() => steadfast.saveSync(file, 'new', { ifGeneration: 1, timeout }), busy);
    assert.equal((await steadfast.saveBatch([{ path: file, data: 'new' }], { ifGeneration: 1, timeout }))[0].error.code, busy.code);
  }
  assert.ok(Date.now() - begun < 8000, 'that was the library\'s own patience');
  const saving = steadfast.save(file, 'new', { ifGeneration: 1, timeout: Infinity });
  child.stdin.end();
  assert.equal((await saving).generation, 2n);
  for (const timeout of [-1, NaN, '5']) await assert.rejects(steadfast.save(file, '', { timeout }), { code: 'ERR_OUT_OF_RANGE' });
});

test('what is given may be written to during the save', async (t) => {
  const file = path.join(temporary(t), 'state');
  const data = Buffer.alloc(4_000_000, 1);
  const saving = steadfast.save(file, data, { noSync: true });
  data.fill(2);
  await saving;
  assert.ok((await steadfast.load(file)).data.equals(Buffer.alloc(4_000_000, 1)));
});

test('500 saves and loads at once, more than koffi queues', async (t) => {
  const dir = temporary(t);
  await Promise.all(Array.from({ length: 500 }, (_, i) => steadfast.save(path.join(dir, `${i}`), `${i}`, { noSync: true })));
  const states = await Promise.all(Array.from({ length: 500 }, (_, i) => steadfast.load(path.join(dir, `${i}`))));
  assert.deepEqual(states.map((state) => state.data.toString()), Array.from({ length: 500 }, (_, i) => `${i}`));
});

test('paths: bytes of any encoding, URLs; a NUL is refused, not cut', async (t) => {
  const dir = temporary(t);
  const raw = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]);
  await steadfast.save(raw, 'bytes');
  assert.ok(fs.readdirSync(dir, { encoding: 'buffer' }).some((name) => name.equals(Buffer.from([0xff, 0xfe]))));
  await steadfast.save(pathToFileURL(path.join(dir, 'a b')), 'url');
  assert.equal(steadfast.loadSync(path.join(dir, 'a b')).data.toString(), 'url');
  const bad = `${dir}/x\0y`;
  for (const call of [
    () => steadfast.save(bad, ''), () => steadfast.load(bad), () => steadfast.acquire(bad), () => steadfast.inspect(bad),
    () => steadfast.cleanStale(Buffer.from(bad)), async () => steadfast.saveSync(bad, ''), async () => steadfast.acquireSync(bad),
  ]) {
    await assert.rejects(call(), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  }
  assert.equal(fs.existsSync(`${dir}/x`), false);
});

test('arguments of the wrong kind throw before any call', async (t) => {
  const file = path.join(temporary(t), 'state');
  const type = { code: 'ERR_INVALID_ARG_TYPE' };
  const range = { code: 'ERR_OUT_OF_RANGE' };
  await assert.rejects(steadfast.save(7, ''), type);
  await assert.rejects(steadfast.save(file, { a: 1 }), type);
  await assert.rejects(steadfast.save(file, ''.a), type);
  await assert.rejects(steadfast.save(file, '', { ifGeneration: -1 }), range);
  await assert.rejects(steadfast.save(file, '', { ifGeneration: 1n << 64n }), range);
  await assert.rejects(steadfast.save(file, '', { schema: 2 ** 32 }), range);
  await assert.rejects(steadfast.save(file, '', { keepPrev: true }), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(steadfast.save(file, '', { context: {} }), type);
  await assert.rejects(steadfast.acquire(file, { timeout: -1 }), range);
  await assert.rejects(steadfast.acquire(file, { timeout: NaN }), range);
  assert.equal(fs.existsSync(file), false);
});
