'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

test('update: made of what is there, or of nothing', async (t) => {
  const file = path.join(temporary(t), 'state');
  assert.equal((await steadfast.update(file, (old) => (old === null ? '1' : '?'))).generation, 1n);
  const saved = await steadfast.update(file, async (old) => Buffer.concat([old.data, Buffer.from('2')]), { keepPrevious: true, schema: 7 });
  assert.deepEqual([saved.generation, saved.durable], [2n, true]);
  assert.equal(steadfast.updateSync(file, (old) => `${old.data}3`).generation, 3n);
  assert.equal(steadfast.loadSync(file).data.toString(), '123');
  assert.equal(await steadfast.update(file, () => undefined), undefined);
  assert.equal(steadfast.updateSync(file, () => undefined), undefined);
  assert.equal(steadfast.loadSync(file).generation, 3n);
});

test('update: somebody else saves meanwhile', async (t) => {
  const file = path.join(temporary(t), 'state');
  steadfast.saveSync(file, 'mine');
  for (const update of [steadfast.update, async (...given) => steadfast.updateSync(...given)]) {
    let calls = 0;
    const change = (old) => {
      if (calls++ === 0) steadfast.saveSync(file, 'theirs');
      return `${old.data}+`;
    };
    await update(file, change);
    assert.equal(calls, 2);
    assert.equal(steadfast.loadSync(file).data.toString(), 'theirs+');
    const late = () => {
      steadfast.saveSync(file, 'theirs');
      return 'mine';
    };
    await assert.rejects(update(file, late, { timeout: 20 }), { code: 'STEADFAST_E_CONFLICT' });
    await assert.rejects(update(file, () => { throw new RangeError('no'); }), RangeError);
    await assert.rejects(update(file, late, { ifGeneration: 1 }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
});

test('update: damage', async (t) => {
  const file = path.join(temporary(t), 'state');
  steadfast.saveSync(file, 'old');
  steadfast.saveSync(file, 'new', { keepPrevious: true });
  fs.truncateSync(file, 100);
  await assert.rejects(steadfast.update(file, () => '?'), { code: 'STEADFAST_E_TRUNCATED' });
  await steadfast.update(file, (old) => `${old.data}+`, { recover: true });
  assert.equal(steadfast.loadSync(file).data.toString(), 'old+');
});

test('update: counters lose nothing', async (t) => {
  const file = path.join(temporary(t), 'state');
  const count = async () => {
    for (let i = 0; i < 10; i++) await steadfast.update(file, (old) => String(Number(old?.data ?? 0) + 1), { noSync: true, timeout: 60_000 });
  };
  await Promise.all([count(), count(), count()]);
  assert.equal(steadfast.loadSync(file).data.toString(), '30');
});

test('setMode: for a file that is there as well', (t) => {
  const file = path.join(temporary(t), 'state');
  steadfast.saveSync(file, '1');
  steadfast.saveSync(file, '2', { mode: 0o640 });
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  steadfast.saveSync(file, '3', { mode: 0o640, setMode: true });
  assert.equal(fs.statSync(file).mode & 0o777, 0o640);
});

test('remove', async (t) => {
  const directory = temporary(t);
  const file = path.join(directory, 'state');
  for (const remove of [steadfast.remove, async (...given) => steadfast.removeSync(...given)]) {
    steadfast.saveSync(file, '1');
    steadfast.saveSync(file, '2', { keepPrevious: true });
    await assert.rejects(remove(file, { ifGeneration: 1 }), { code: 'STEADFAST_E_CONFLICT' });
    const removed = await remove(file, { ifGeneration: 2 });
    assert.deepEqual([removed.generation, removed.durable], [2n, true]);
    assert.deepEqual(fs.readdirSync(directory), []);
    await assert.rejects(remove(file), { code: 'ENOENT' });
  }
});
