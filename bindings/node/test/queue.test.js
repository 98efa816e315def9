'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

const QUICK = { noSync: true };

test('saves to one path are done in the order of their calls, however it is spelt', async (t) => {
  const dir = temporary(t);
  const file = path.join(dir, 'state');
  const context = new steadfast.Context({ at: dir });
  t.after(() => context.close());
  const spellings = [
    (i) => steadfast.save(file, `${i}`, QUICK),
    (i) => steadfast.save(path.relative(process.cwd(), file), `${i}`, QUICK),
    (i) => steadfast.save(Buffer.from(`${dir}/./x/../state`.replace('/x/..', '/')), `${i}`, QUICK),
    (i) => steadfast.save('state', `${i}`, { ...QUICK, context }),
  ];
  const saved = await Promise.all(Array.from({ length: 60 }, (_, i) => spellings[i % spellings.length](i)));
  assert.deepEqual(saved.map(({ generation }) => generation), saved.map((_, i) => BigInt(i + 1)));
  assert.equal(steadfast.loadSync(file).data.toString(), '59');
});

test('batches, updates, removals and streams have their place in that order', async (t) => {
  const dir = temporary(t);
  const [one, two] = ['one', 'two'].map((name) => path.join(dir, name));
  const add = (letter) => (old) => `${old?.data ?? ''}${letter}`;
  const out = steadfast.createWriteStream(one, QUICK);
  out.end('a');
  await once(out, 'finish');
  for (let turn = 0; turn < 10; turn++) {
    const seen = [];
    const tell = (name) => () => seen.push(name);
    await Promise.all([
      steadfast.save(one, 'a', QUICK).then(tell('save')),
      steadfast.update(one, async (old) => {
        await new Promise(setImmediate);
        return add('b')(old);
      }, QUICK).then(tell('update')),
      steadfast.saveBatch([{ path: two, data: 'x' }, { path: one, data: 'c' }], QUICK).then(tell('batch')),
      steadfast.update(two, add('y'), QUICK),
      steadfast.update(one, add('d'), QUICK).then(tell('again')),
    ]);
    assert.deepEqual(seen, ['save', 'update', 'batch', 'again']);
    assert.deepEqual([one, two].map((file) => steadfast.loadSync(file).data.toString()), ['cd', 'xy']);
    // A stream has its place when all was handed over.
    const order = [];
    let held;
    const asked = new Promise((ask) => {
      held = steadfast.update(one, () => new Promise((answer) => ask(() => answer('u'))), QUICK);
    });
    const stream = steadfast.createWriteStream(one, QUICK);
    const final = stream._final;
    stream._final = (callback) => {
      final.call(stream, callback);
      asked.then((go) => go());
    };
    stream.end('s');
    stream.on('finish', () => order.push('stream'));
    await Promise.all([held.then(() => order.push('update')), once(stream, 'close')]);
    assert.deepEqual(order, ['update', 'stream']);
    await steadfast.remove(one, QUICK);
    assert.deepEqual(fs.readdirSync(dir), ['two']);
  }
});

test('an update whose callback saves to the same path does not wait for itself; what it leaves running waits', async (t) => {
  const file = path.join(temporary(t), 'state');
  let calls = 0;
  let start;
  let left;
  await steadfast.update(file, async (old) => {
    if (calls++ === 0) {
      await steadfast.save(file, 'theirs', QUICK);
      await steadfast.update(file, (inner) => `${inner.data}!`, QUICK);
      left = new Promise((resolve) => {
        start = resolve;
      }).then(() => steadfast.save(file, 'left', QUICK));
    }
    return `${old?.data}+`;
  }, QUICK);
  assert.equal(calls, 2);
  assert.equal(steadfast.loadSync(file).data.toString(), 'theirs!+');
  const saved = [];
  const next = steadfast.update(file, async () => {
    start();
    // Longer than a save takes that does not wait.
    for (let i = 0; i < 10; i++) await steadfast.save(`${file}.other`, '', QUICK);
    return 'next';
  }, QUICK);
  await Promise.all([next.then(() => saved.push('next')), left.then(() => saved.push('left'))]);
  assert.deepEqual(saved, ['next', 'left']);
  assert.equal(steadfast.loadSync(file).data.toString(), 'left');
});

test('one that fails does not hold up those behind it, and other paths do not wait', async (t) => {
  const dir = temporary(t);
  const file = path.join(dir, 'state');
  let held;
  const asked = new Promise((ask) => {
    held = steadfast.update(file, () => new Promise((answer) => ask(() => answer('1'))), QUICK);
  });
  const failing = steadfast.save(file, '2', { ...QUICK, ifGeneration: 9 });
  const behind = steadfast.save(file, '3', QUICK);
  await steadfast.save(path.join(dir, 'other'), 'x', QUICK);
  const go = await asked;
  go();
  await held;
  await assert.rejects(failing, { code: 'STEADFAST_E_CONFLICT' });
  assert.equal((await behind).generation, 2n);
});
