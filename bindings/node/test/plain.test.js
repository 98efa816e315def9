'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const steadfast = require('..');
const { temporary } = require('./programs/temporary.js');

const { EBUSY, EIO, EOPNOTSUPP } = os.constants.errno;
const TAGS = 1n << 63n;

/** Writes in place, as an editor that knows nothing of us, and at another time. */
function edit(file, data) {
  fs.writeFileSync(file, data);
  fs.utimesSync(file, 0, 0);
}

const contentOf = (file) => fs.readFileSync(file, 'utf8');

function failing(t, fault) {
  const context = new steadfast.FailingContext(fault);
  t.after(() => context.close());
  return context;
}

/** Each call in both of its forms. */
const forms = (name) => [steadfast[name], async (...given) => steadfast[`${name}Sync`](...given)];

test('plain: anybody\'s file is loaded, and can be refused', async (t) => {
  const file = path.join(temporary(t), 'it.json');
  edit(file, 'anybody\'s');
  for (const load of forms('load')) {
    const state = await load(file, { plain: true });
    assert.equal(state.data.toString(), 'anybody\'s');
    assert.deepEqual([state.verified, state.changed, state.recovered, state.savedAtNs], [false, false, false, 0n]);
    assert.equal(typeof state.generation, 'bigint');
    assert.ok(state.generation >= TAGS);
    const refused = { code: 'STEADFAST_E_UNVERIFIED', status: -10020, errno: 0 };
    await assert.rejects(load(file, { plain: true, verified: true }), refused);
    await assert.rejects(load(file), { code: 'STEADFAST_E_FORMAT' });
  }
  for (const loadInto of forms('loadInto')) {
    const { length, verified, changed, generation } = await loadInto(file, Buffer.alloc(20), { plain: true });
    assert.deepEqual([length, verified, changed], [9, false, false]);
    assert.ok(generation >= TAGS);
  }
});

test('plain: saved, edited, swapped by its tag', async (t) => {
  const file = path.join(temporary(t), 'it.json');
  for (const [n, save] of forms('save').entries()) {
    const before = fs.existsSync(file) ? (await steadfast.load(file, { plain: true })).generation : 0n;
    const saved = await save(file, '{"a": 1}', { plain: true, schema: 7, ifGeneration: before });
    assert.deepEqual([saved.durable, saved.generation > 0n && saved.generation < TAGS], [true, true]);
    assert.equal(contentOf(file), '{"a": 1}');
    if (!saved.verified) {
      t.skip('no extended attributes here');
      return;
    }
    let state = await steadfast.load(file, { plain: true, verified: true, schema: 7 });
    assert.deepEqual([state.verified, state.changed, state.generation], [true, false, saved.generation]);
    edit(file, `{"a": ${n + 2}}`);
    state = steadfast.loadSync(file, { plain: true });
    assert.deepEqual([state.verified, state.changed, state.data.toString()], [false, true, `{"a": ${n + 2}}`]);
    // One bit of 64 is another one, and a tag comes back whole.
    await assert.rejects(save(file, 'never', { plain: true, ifGeneration: state.generation ^ 1n }), (error) => {
      assert.equal(error.code, 'STEADFAST_E_CONFLICT');
      assert.equal(error.report.generation, state.generation);
      return true;
    });
  }
});

test('plain: without its attribute it is durable, and not verified', async (t) => {
  const file = path.join(temporary(t), 'it.json');
  const context = failing(t, { call: 'fsetxattr', errno: EOPNOTSUPP, forever: true });
  for (const save of forms('save')) {
    const { durable, verified, report } = await save(file, 'x', { plain: true, context });
    assert.deepEqual([durable, verified, report.onDisk, report.status], [true, false, 'new', 18]);
    await assert.rejects(save(file, 'never', { plain: true, strict: true, context }), { code: 'STEADFAST_E_UNSUPPORTED' });
  }
  for (const saveBatch of forms('saveBatch')) {
    const [{ durable, verified, error }] = await saveBatch([{ path: file, data: 'y' }], { plain: true, context });
    assert.deepEqual([durable, verified, error], [true, false, undefined]);
  }
  assert.equal(contentOf(file), 'y');
  assert.equal(steadfast.saveSync(`${file}.record`, 'x').verified, true);
  const { verified, changed } = steadfast.loadSync(`${file}.record`);
  assert.deepEqual([verified, changed], [true, false]);
});

test('plain: update, watch and remove', async (t) => {
  const file = path.join(temporary(t), 'it.json');
  for (const update of forms('update')) {
    edit(file, '1');
    await assert.rejects(update(file, () => 'never', { plain: true, verified: true }), { code: 'STEADFAST_E_UNVERIFIED' });
    const seen = [];
    await update(file, (old) => {
      if (seen.push(old.generation) === 1) edit(file, 'two');
      return `${old.data}+`;
    }, { plain: true });
    assert.equal(seen.length, 2);
    assert.ok(seen.every((generation) => generation >= TAGS));
    assert.equal(contentOf(file), 'two+');
  }
  for (const remove of forms('remove')) {
    edit(file, 'three');
    const { generation } = steadfast.loadSync(file, { plain: true });
    const generations = steadfast.watch(file, { plain: true, known: 1 });
    assert.equal((await generations.next()).value, generation);
    edit(file, 'longer');
    const tag = steadfast.loadSync(file, { plain: true }).generation;
    assert.equal((await generations.next()).value, tag);
    await generations.return();
    const known = steadfast.watch(file, { plain: true, known: tag, signal: AbortSignal.timeout(20) });
    await assert.rejects(known.next(), { code: 'ABORT_ERR' });
    await assert.rejects(remove(file, { plain: true, ifGeneration: generation }), { code: 'STEADFAST_E_CONFLICT' });
    assert.equal((await remove(file, { plain: true, ifGeneration: tag })).durable, true);
    assert.equal(fs.existsSync(file), false);
  }
});

test('keepAttributes: the attributes of the old file are listed', async (t) => {
  const file = path.join(temporary(t), 'state');
  const context = failing(t, { call: 'flistxattr', errno: EIO, forever: true });
  for (const save of forms('save')) {
    await steadfast.save(file, 'old');
    await save(file, 'new', { context });
    await assert.rejects(save(file, 'never', { keepAttributes: true, context }), { code: 'EIO' });
    assert.equal((await save(file, 'newer', { keepAttributes: true })).durable, true);
    assert.equal(steadfast.loadSync(file).data.toString(), 'newer');
  }
});

test('inPlace: a file that cannot be replaced is written', async (t) => {
  const file = path.join(temporary(t), 'state');
  for (const save of forms('save')) {
    steadfast.saveSync(file, 'old');
    const { ino } = fs.statSync(file);
    // As over a file that is mounted.
    const busy = () => failing(t, { call: 'renameat', errno: EBUSY });
    await assert.rejects(save(file, 'new', { context: busy() }), { code: 'EBUSY' });
    const saved = await save(file, 'new', { inPlace: true, context: busy() });
    assert.deepEqual([saved.durable, fs.statSync(file).ino], [true, ino]);
    assert.equal(steadfast.loadSync(file).data.toString(), 'new');
    assert.equal(steadfast.loadSync(`${file}.prev`).data.toString(), 'old');
  }
});
