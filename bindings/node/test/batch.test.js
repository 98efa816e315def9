'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

test('saveBatch: each entry saved, with its own result', async (t) => {
  const dir = temporary(t);
  // More than fit into the memory that koffi keeps for a call.
  const entries = Array.from({ length: 1200 }, (_, i) => ({ path: path.join(dir, `${i}`), data: i % 2 ? `state ${i}` : Buffer.from(`state ${i}`) }));
  const results = await steadfast.saveBatch(entries, { syncfs: true });
  assert.equal(results.length, 1200);
  for (const [i, { path: where, durable, generation, error }] of results.entries()) {
    assert.deepEqual([where, durable, generation, error], [entries[i].path, true, 1n, undefined]);
  }
  assert.equal(steadfast.saveBatchSync(entries.slice(0, 20), { keepPrevious: true })[19].generation, 2n);
  for (const { path: where, data } of entries) assert.equal(steadfast.loadSync(where).data.toString(), data.toString());
  assert.deepEqual(await steadfast.saveBatch([]), []);
});

test('saveBatch: one that fails has its error, the others are saved', async (t) => {
  const dir = temporary(t);
  fs.mkdirSync(path.join(dir, '1'));
  const entries = [0, 1, 2].map((i) => ({ path: path.join(dir, `${i}`), data: 'x' }));
  for (const results of [await steadfast.saveBatch(entries), steadfast.saveBatchSync(entries)]) {
    assert.deepEqual(results.map((one) => one.error?.code), [undefined, 'STEADFAST_E_NOT_REGULAR', undefined]);
    assert.ok(results[1].error instanceof steadfast.SteadfastError);
    assert.equal(results[1].error.path, entries[1].path);
  }
  const context = new steadfast.FailingContext({ call: 'fsync', errno: 5, forever: true });
  t.after(() => context.close());
  const unsynced = await steadfast.saveBatch([entries[0]], { context });
  const { osError, onDisk, step } = unsynced[0].report;
  assert.deepEqual([unsynced[0].durable, osError, onDisk, step], [false, 5, 'either', 'sync_file']);
  const [quick] = await steadfast.saveBatch([entries[0]], { noSync: true });
  assert.deepEqual([quick.durable, quick.report.onDisk], [false, 'unknown']);
  await assert.rejects(steadfast.saveBatch([{ path: 'a\0b', data: '' }]), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('saveBatch: a bad path is that entry\'s own error; a batch that is refused whole throws', async (t) => {
  const dir = temporary(t);
  const good = path.join(dir, 'good');
  let generation = 0n;
  for (const [bad, code] of [['', 'EINVAL'], [`${dir}/`, 'EISDIR']]) {
    const list = [{ path: bad, data: '' }, { path: good, data: 'x' }];
    for (const [first, second] of [await steadfast.saveBatch(list), steadfast.saveBatchSync(list)]) {
      assert.equal(first.error.code, code);
      assert.deepEqual([second.error, second.durable, second.generation], [undefined, true, ++generation]);
    }
  }
  const list = [{ path: path.join(dir, 'a'), data: '' }, { path: path.join(dir, 'b'), data: '' }];
  const refused = { code: 'EINVAL', errno: -22, path: list[0].path };
  await assert.rejects(steadfast.saveBatch(list, { strict: true, noSync: true }), refused);
  assert.throws(() => steadfast.saveBatchSync(list, { strict: true, noSync: true }), refused);
  assert.deepEqual(fs.readdirSync(dir), ['good']);
});

test('loadInto: memory of the caller, and the length that it takes', async (t) => {
  const file = path.join(temporary(t), 'state');
  await steadfast.save(file, 'hello');
  const buffer = Buffer.alloc(8, '.');
  const { length, generation, recovered } = await steadfast.loadInto(file, buffer);
  assert.deepEqual([length, generation, recovered, buffer.toString()], [5, 1n, false, 'hello...']);
  const words = new Uint16Array(8);
  assert.equal(steadfast.loadIntoSync(file, words.subarray(1, 5)).length, 5);
  assert.equal(Buffer.from(words.buffer).toString('latin1', 0, 8), '\0\0hello\0');
  for (const size of [0, 4]) {
    await assert.rejects(steadfast.loadInto(file, Buffer.alloc(size)), { code: 'STEADFAST_E_TOO_LARGE', length: 5 });
  }
  await assert.rejects(steadfast.loadInto(file, 'text'), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('loadInto has no limit of its own: a state that says 1 GiB and a page, whose digest cannot be right', async (t) => {
  const file = path.join(temporary(t), 'state');
  const length = 2 ** 30 + 4096;
  await steadfast.save(file, 'x');
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, `${length}`.padStart(20, '0'), 84); // behind "steadfast 1 len="
  fs.ftruncateSync(fd, 256 + length);
  fs.closeSync(fd);
  let buffer = Buffer.alloc(0);
  await assert.rejects(steadfast.loadInto(file, buffer), (error) => {
    assert.deepEqual([error.code, error.length], ['STEADFAST_E_TOO_LARGE', length]);
    buffer = Buffer.alloc(error.length);
    return true;
  });
  await assert.rejects(steadfast.loadInto(file, buffer), { code: 'STEADFAST_E_DIGEST' });
  await assert.rejects(steadfast.load(file), { code: 'STEADFAST_E_TOO_LARGE' });
});
