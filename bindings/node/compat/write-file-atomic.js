'use strict';
// write-file-atomic's functions, on steadfast: plain files. docs/npm-packages.md says what differs.

// Not node:fs: whoever replaces `fs` in a test, as for the package, reaches stat, chown and chmod here.
const fs = require('fs');
const { readFileSync, readlinkSync } = require('node:fs');
const { newReport } = require('../lib/native.js');
const { check } = require('../lib/errors.js');
const { saveOptions, toBytes, toPath } = require('../lib/arguments.js');
const { asPromise, atOnce, immediate, promised } = require('../lib/forms.js');
const { holding, inTurn, keyOf } = require('../lib/queue.js');
const { save, saveSync } = require('../lib/state.js');

const SET_ID = 0o6000;

/** What a new file may be, by the process's umask. Not process.umask(), which sets it for a moment. */
function modeOfNew() {
  const [, umask] = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return 0o666 & ~parseInt(umask, 8);
}

/** The options of a save, and the mode when it is set. */
function howToSave({ mode, fsync }) {
  const how = { plain: true, followSymlink: true, ...(fsync === false ? { noSync: true } : { strict: true }) };
  const wanted = typeof mode === 'string' ? parseInt(mode, 8) : mode;
  if (wanted) return { ...how, mode: wanted, setMode: true };
  return { ...how, mode: modeOfNew(), setMode: mode === false };
}

const isRoot = () => !process.getuid || process.getuid() === 0;

/** May an error of chown or chmod be left alone? Not root's. */
const isIgnored = ({ code }) => code === 'ENOSYS' || (!isRoot() && (code === 'EINVAL' || code === 'EPERM'));

/** Whose the file will be, null: as the save leaves it. */
function ownerOf(chown, old) {
  if (chown) return chown;
  if (old === null) return null;
  return chown === false ? { uid: process.geteuid(), gid: process.getegid() } : { uid: old.uid, gid: old.gid };
}

function* ignoring(step) {
  try {
    yield step();
  } catch (error) {
    if (!isIgnored(error)) throw error;
  }
}

/** Saves through a writer, whose temporary file has a name that can be told. */
function* saveTold(form, filename, content, how, tmpfileCreated) {
  const { bytes, text } = toPath(filename);
  const call = function* (name, ...parameters) {
    const report = newReport();
    return check(yield form.call(name, ...parameters, report), report, text);
  };
  const [writer, fd] = [[null], [0]];
  yield* call('writer_open', null, bytes, saveOptions(how), writer);
  let pointer = writer[0];
  try {
    yield* call('writer_fd', pointer, fd);
    yield tmpfileCreated(readlinkSync(`/proc/self/fd/${fd[0]}`));
    yield* call('writer_write', pointer, content, content.length);
    const whole = pointer;
    pointer = null; // the commit frees it in any case
    yield* call('writer_commit', whole);
  } finally {
    if (pointer !== null) yield form.call('writer_abort', pointer);
  }
}

function* write(form, filename, content, options) {
  let old = null;
  try {
    old = (yield form.fs('stat', filename)) ?? null;
  } catch {
    // There is none yet; any other error the save will have, too.
  }
  const how = howToSave(options);
  try {
    if (options.tmpfileCreated) yield* saveTold(form, filename, content, how, options.tmpfileCreated);
    else yield form.isSync ? saveSync(filename, content, how) : save(filename, content, how);
  } catch (error) {
    // The package syncs no directory.
    if (error.report?.step !== 'sync_directory') throw error;
  }
  const owner = ownerOf(options.chown, old);
  if (owner === null) return;
  yield* ignoring(() => form.fs('chown', filename, owner.uid, owner.gid));
  // A change of the owner takes these bits away.
  const mode = how.setMode ? how.mode : old?.mode & 0o7777;
  if (mode & SET_ID) yield* ignoring(() => form.fs('chmod', filename, mode));
}

const optionsOf = (options) => (typeof options === 'string' ? { encoding: options } : options ?? {});

/** A copy: the caller may go on writing into its own. */
function contentOf(data, { encoding }) {
  if (ArrayBuffer.isView(data)) return Buffer.from(toBytes(data));
  return data === null || data === undefined ? Buffer.alloc(0) : Buffer.from(String(data), encoding || 'utf8');
}

async function writePromise(filename, data, given) {
  const options = optionsOf(given);
  const content = contentOf(data, options);
  const keys = [keyOf(undefined, toPath(filename).bytes)];
  return inTurn(keys, () => holding(keys, () => asPromise(write(promised(fs), filename, content, options))));
}

function writeFile(filename, data, options, callback) {
  if (typeof options === 'function') return writeFile(filename, data, undefined, options);
  const written = writePromise(filename, data, options);
  if (typeof callback !== 'function') return written;
  // What it throws is an uncaught exception.
  written.then(() => queueMicrotask(() => callback()), (error) => queueMicrotask(() => callback(error)));
  return undefined;
}

function writeFileSync(filename, data, given) {
  const options = optionsOf(given);
  atOnce(write(immediate(fs), filename, contentOf(data, options), options));
}

module.exports = writeFile;
module.exports.sync = writeFileSync;

// The package has these two for its own tests.
let names = 0;
module.exports._getTmpname = (filename) => `${filename}.${process.pid}${++names}`;
module.exports._cleanupOnExit = (name) => () => {
  try {
    fs.unlinkSync(typeof name === 'function' ? name() : name);
  } catch {
    // It was renamed or removed.
  }
};
