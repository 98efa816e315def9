'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { pathToFileURL } = require('node:url');
const steadfast = require('..');
const writeFileAtomic = require('../compat/write-file-atomic.js');
const { temporary } = require('./programs/temporary.js');

/** Promise, callback and sync, as promises. */
const FORMS = {
  promise: writeFileAtomic,
  callback: promisify(writeFileAtomic),
  sync: async (...given) => writeFileAtomic.sync(...given),
};

const modeOf = (file) => fs.statSync(file).mode & 0o7777;

for (const [name, write] of Object.entries(FORMS)) {
  test(`${name}: what is written`, async (t) => {
    const dir = temporary(t);
    const file = path.join(dir, 'it');
    const cases = [
      ['zwölf', undefined, Buffer.from('zwölf')],
      ['zwölf', 'latin1', Buffer.from('zwölf', 'latin1')],
      ['zwölf', { encoding: 'utf16le' }, Buffer.from('zwölf', 'utf16le')],
      ['zwölf', { encoding: null }, Buffer.from('zwölf')],
      [Buffer.from([0, 255]), 'latin1', Buffer.from([0, 255])],
      [new Uint16Array([0x0102]), {}, Buffer.from([2, 1])],
      [42, {}, Buffer.from('42')],
      [undefined, {}, Buffer.alloc(0)],
      [null, {}, Buffer.alloc(0)],
    ];
    for (const [data, options, expected] of cases) {
      assert.equal(await write(file, data, options), undefined);
      assert.deepEqual(fs.readFileSync(file), expected);
    }
    for (const spelt of [Buffer.from(file), pathToFileURL(file), path.relative(process.cwd(), file)]) await write(spelt, 'spelt', {});
    assert.equal(fs.readFileSync(file, 'utf8'), 'spelt');
    assert.deepEqual(fs.readdirSync(dir), ['it']);
  });

  test(`${name}: the mode`, async (t) => {
    const dir = temporary(t);
    const file = path.join(dir, 'it');
    await write(file, '1', {});
    assert.equal(modeOf(file), 0o666 & ~process.umask());
    await write(file, '2', { mode: 0o741 });
    assert.equal(modeOf(file), 0o741);
    await write(file, '3', {});
    assert.equal(modeOf(file), 0o741);
    await write(file, '4', { mode: '0600' });
    assert.equal(modeOf(file), 0o600);
    await write(file, '5', { mode: false });
    assert.equal(modeOf(file), 0o666 & ~process.umask());
    await write(file, '6', { mode: 0o4755 });
    assert.equal(modeOf(file), 0o4755);
    await write(file, '7', {});
    assert.equal(modeOf(file), 0o4755);
  });

  test(`${name}: the owner`, async (t) => {
    const file = path.join(temporary(t), 'it');
    const calls = [];
    let fails;
    const answer = (_, uid, gid, callback) => {
      calls.push([uid, gid]);
      const error = fails && Object.assign(new Error(fails), { code: fails });
      if (callback) callback(error);
      else if (error) throw error;
    };
    for (const method of ['chown', 'chownSync']) t.mock.method(fs, method, answer);
    await write(file, '1', {});
    await write(file, '2', { chown: { uid: 42, gid: 43 } });
    assert.deepEqual(calls, [[42, 43]]);
    await write(file, '3', {});
    await write(file, '4', { chown: false });
    const { uid, gid } = fs.statSync(file);
    assert.deepEqual(calls.slice(1), [[uid, gid], [process.geteuid(), process.getegid()]]);
    const getuid = t.mock.method(process, 'getuid', () => 1000);
    for (fails of ['ENOSYS', 'EINVAL', 'EPERM']) await write(file, fails, { chown: { uid: 42, gid: 43 } });
    fails = 'EIO';
    await assert.rejects(write(file, '5', { chown: { uid: 42, gid: 43 } }), { code: 'EIO' });
    getuid.mock.mockImplementation(() => 0);
    fails = 'EPERM';
    await assert.rejects(write(file, '6', { chown: { uid: 42, gid: 43 } }), { code: 'EPERM' });
    fails = 'ENOSYS';
    await write(file, '7', { chown: { uid: 42, gid: 43 } });
  });

  test(`${name}: a link is followed, and its file replaced`, async (t) => {
    const dir = temporary(t);
    const [file, link] = ['it', 'link'].map((one) => path.join(dir, one));
    fs.writeFileSync(file, 'old', { mode: 0o640 });
    fs.symlinkSync('it', link);
    await write(link, 'new', {});
    assert.ok(fs.lstatSync(link).isSymbolicLink());
    assert.equal(fs.readFileSync(file, 'utf8'), 'new');
    assert.equal(modeOf(file), 0o640);
  });

  test(`${name}: tmpfileCreated, with a name beside the file`, async (t) => {
    const dir = temporary(t);
    const file = path.join(dir, 'it');
    const seen = [];
    const told = (tmpfile) => seen.push([path.dirname(tmpfile), fs.existsSync(tmpfile), fs.existsSync(file)]);
    await write(file, 'written', { tmpfileCreated: told });
    assert.deepEqual(seen, [[fs.realpathSync(dir), true, false]]);
    assert.equal(fs.readFileSync(file, 'utf8'), 'written');
    assert.deepEqual(fs.readdirSync(dir), ['it']);
    const no = () => {
      throw new RangeError('no');
    };
    await assert.rejects(write(file, 'never', { tmpfileCreated: no }), RangeError);
    await assert.rejects(write(path.join(dir, 'none/it'), '', { tmpfileCreated: told }), { code: 'ENOENT' });
    assert.equal(seen.length, 1);
    assert.equal(fs.readFileSync(file, 'utf8'), 'written');
    assert.deepEqual(fs.readdirSync(dir), ['it']);
  });

  test(`${name}: errors, and no temporary file after them`, async (t) => {
    const dir = temporary(t);
    await assert.rejects(write(path.join(dir, 'none/it'), '', {}), (error) => {
      assert.deepEqual([error.code, error.errno, error.path], ['ENOENT', -2, path.join(dir, 'none/it')]);
      return error instanceof Error;
    });
    await assert.rejects(write(`${dir}/a\0b`, '', {}), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(write(7, '', {}), { code: 'ERR_INVALID_ARG_TYPE' });
    fs.mkdirSync(path.join(dir, 'directory'));
    await assert.rejects(write(path.join(dir, 'directory'), '', {}), { code: 'STEADFAST_E_NOT_REGULAR' });
    assert.deepEqual(fs.readdirSync(dir), ['directory']);
  });

  test(`${name}: steadfast can verify the file`, async (t) => {
    const file = path.join(temporary(t), 'it');
    for (const options of [{}, { fsync: false }, { mode: 0o640 }, { chown: false }, { tmpfileCreated() {} }]) {
      await write(file, JSON.stringify(options), options);
      const { data, changed, verified } = await steadfast.load(file, { plain: true });
      assert.equal(data.toString(), JSON.stringify(options));
      assert.equal(changed, false);
      if (!verified) t.skip('no extended attributes here');
    }
  });
}

test('writes to one file are done in the order of their calls, also with those of steadfast', async (t) => {
  const file = path.join(temporary(t), 'it');
  const ended = [];
  const tell = (name) => () => ended.push(name);
  await Promise.all([
    writeFileAtomic(file, '1', { tmpfileCreated: () => new Promise(setImmediate) }).then(tell(1)),
    writeFileAtomic(file, '2').then(tell(2)),
    steadfast.save(file, '3', { plain: true }).then(tell(3)),
    writeFileAtomic(file, '4', 'latin1').then(tell(4)),
  ]);
  assert.deepEqual(ended, [1, 2, 3, 4]);
  assert.equal(fs.readFileSync(file, 'utf8'), '4');
});

test('what is given may be written to at once', async (t) => {
  const file = path.join(temporary(t), 'it');
  const first = writeFileAtomic(file, 'first');
  const data = Buffer.alloc(100_000, 'a');
  const second = writeFileAtomic(file, data);
  data.fill('b');
  await Promise.all([first, second]);
  assert.ok(fs.readFileSync(file).equals(Buffer.alloc(100_000, 'a')));
});

test('an error in a callback is an uncaught one, and the callback is called once', (t) => {
  const file = path.join(temporary(t), 'it');
  const done = spawnSync(process.execPath, ['-e', `
    let calls = 0;
    process.on('uncaughtException', ({ message }, origin) => console.log(message, origin, calls));
    const write = require(${JSON.stringify(path.join(__dirname, '../compat/write-file-atomic.js'))});
    const fails = (...given) => {
      calls++;
      throw new Error('intended ' + given.length);
    };
    write(process.argv[1], '', (...given) => {
      write(process.argv[1] + '/none', '', fails);
      fails(...given);
    });`, file], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(done.stdout, 'intended 0 uncaughtException 1\nintended 1 uncaughtException 2\n', done.stderr);
});

// strace sees the calls that the library makes. Node itself syncs its standard output and error.
test('fsync: false makes no sync, and a sync of the directory that fails is no error', (t) => {
  const dir = temporary(t);
  const file = path.join(dir, 'it');
  const program = `const write = require(${JSON.stringify(path.join(__dirname, '../compat/write-file-atomic.js'))}).sync;
    try { write(process.argv[1], 'x', JSON.parse(process.argv[2])); console.log('written'); } catch (error) { console.log(error.code); }`;
  if (spawnSync('strace', ['-qf', '-o', '/dev/null', 'true']).status !== 0) {
    t.skip('strace cannot trace here');
    return;
  }
  const trace = path.join(dir, 'trace');
  const run = (options, ...how) => {
    const traced = [process.execPath, '-e', program, file, JSON.stringify(options)];
    const { stdout } = spawnSync('strace', ['-qqf', '-e', 'trace=fsync,fdatasync', ...how, '-o', trace, ...traced], { encoding: 'utf8', timeout: 60_000 });
    return [stdout.trim(), fs.readFileSync(trace, 'utf8').match(/sync\((?![12]\))/g)?.length ?? 0];
  };
  assert.deepEqual(run({ fsync: false }), ['written', 0]);
  assert.deepEqual(run({}), ['written', 2]);
  const failing = (when) => run({}, '-e', `inject=fsync:error=EIO:when=${when}`)[0];
  assert.equal(failing('2'), 'written');
  assert.equal(failing('1..2'), 'STEADFAST_E_NOT_SAVED_DURABLY');
});
