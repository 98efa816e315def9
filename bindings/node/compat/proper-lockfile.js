'use strict';
// proper-lockfile's functions, on steadfast: FILE.lock is a lock file of ours. docs/npm-packages.md says what differs.

const nodeFs = require('fs');
const path = require('path');
const { promisify } = require('util');
const { acquire, acquireSync, inspect, inspectSync } = require('../lib/lock.js');
const { asPromise, atOnce, immediate, promised } = require('../lib/forms.js');
const { pausesOf } = require('../lib/pauses.js');

const LEAST_STALE = 2000;
const LEAST_UPDATE = 1000;
const AFTER_AN_ERROR = 1000;

/** By canonical file: the locks of this thread. */
const locks = {};

const failure = (code, message, more) => Object.assign(new Error(message, more), { code });

function optionsOf(given) {
  const options = { stale: 10_000, update: null, realpath: true, retries: 0, fs: nodeFs, onCompromised: rethrow, ...given };
  const stale = Math.max(options.stale || 0, LEAST_STALE);
  const update = options.update === null || options.update === undefined ? stale / 2 : options.update || 0;
  return { ...options, stale, update: Math.max(Math.min(update, stale / 2), LEAST_UPDATE) };
}

function rethrow(error) {
  throw error;
}

/** How the two forms make each step that waits. */
const PROMISED = {
  of: (fs) => ({ ...promised(fs), acquire, inspect, release: (lock) => lock.release() }),
  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
const IMMEDIATE = { of: (fs) => ({ ...immediate(fs), acquire: acquireSync, inspect: inspectSync, release: (lock) => lock.releaseSync() }) };

const pathOfLock = (file, { lockfilePath }) => lockfilePath || `${file}.lock`;

function* canonical(form, file, { realpath }) {
  return realpath ? yield form.fs('realpath', file) : path.resolve(file);
}

const isOld = (stat, { stale }) => stat.mtime.getTime() < Date.now() - stale;

/** What is at the lock's path, null: nothing. */
function* look(form, where) {
  try {
    return yield form.fs('stat', where);
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Removes the directory that proper-lockfile itself has left, by its rule: the age. False: it is not that old. */
function* removeDirectory(form, where, options) {
  const stat = yield* look(form, where);
  if (stat === null) return true;
  if (!stat.isDirectory() || !isOld(stat, options)) return false;
  try {
    yield form.fs('rmdir', where);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return true;
}

/** Takes the lock, or says ELOCKED after `timeout` ms. */
function* take(form, file, options, timeout) {
  const where = pathOfLock(file, options);
  const locked = (cause) => Object.assign(failure('ELOCKED', 'Lock file is already being held', { cause }), { file });
  for (let removed = false; ; removed = true) {
    try {
      return yield form.acquire(where, { timeout });
    } catch (error) {
      if (error.code === 'STEADFAST_E_LOCKED') throw locked(error);
      if (error.code !== 'STEADFAST_E_NOT_REGULAR') throw error;
      if (removed || !(yield* removeDirectory(form, where, options))) throw locked(error);
    }
  }
}

/** The same, again and again, after the pauses. A lock of ours is had as soon as it is free. */
function* takeInTime(form, file, options, pauses) {
  let timeout = 0;
  for (;;) {
    try {
      return yield* take(form, file, options, timeout);
    } catch (error) {
      const { done, value } = pauses.next();
      if (done) throw error;
      const isWaitedFor = error.code === 'ELOCKED' && error.cause.code === 'STEADFAST_E_LOCKED';
      if (!isWaitedFor) yield PROMISED.pause(value);
      timeout = isWaitedFor ? value : 0;
    }
  }
}

/** Keeps the lock's time new, for programs that use proper-lockfile itself, and sees whether it is still there. */
async function refresh(entry) {
  const { fs, stale, update } = entry.options;
  let pause = update;
  try {
    await promisify(fs.stat)(entry.where);
    if (entry.isOver) return;
    entry.lock.checkSync();
    const now = new Date();
    await promisify(fs.utimes)(entry.where, now, now);
    entry.updated = Date.now();
  } catch (error) {
    const isLost = error.code === 'ENOENT' || error.code === 'STEADFAST_E_LOCK_LOST';
    if (!entry.isOver && (isLost || entry.updated + stale < Date.now())) {
      compromised(entry, Object.assign(error, { code: 'ECOMPROMISED' }));
    }
    pause = AFTER_AN_ERROR;
  }
  if (!entry.isOver) schedule(entry, pause);
}

function schedule(entry, pause) {
  entry.timer = setTimeout(refresh, pause, entry);
  entry.timer.unref?.();
}

function end(entry) {
  entry.isOver = true;
  clearTimeout(entry.timer);
  if (locks[entry.file] === entry) delete locks[entry.file];
}

function compromised(entry, error) {
  end(entry);
  try {
    entry.lock.releaseSync();
  } catch {
    // It is lost: that is what is told.
  }
  // What it throws is an uncaught exception.
  queueMicrotask(() => entry.options.onCompromised(error));
}

function* giveBack(form, entry) {
  end(entry);
  try {
    yield form.release(entry.lock);
  } catch (error) {
    if (error.code !== 'STEADFAST_E_LOCK_LOST') throw error;
    // That it is gone is no error, as in the package.
    if ((yield* look(form, entry.where)) !== null) throw Object.assign(error, { code: 'ECOMPROMISED' });
  }
}

function* lockSteps(kind, given, options, pauses) {
  const form = kind.of(options.fs);
  const file = yield* canonical(form, given, options);
  const lock = yield* takeInTime(form, file, options, pauses);
  const entry = { file, where: pathOfLock(file, options), lock, options, updated: Date.now(), timer: null, isOver: false };
  locks[file] = entry;
  schedule(entry, options.update);
  return function* () {
    if (entry.isOver) throw failure('ERELEASED', 'Lock is already released');
    yield* giveBack(form, entry);
  };
}

function* unlockSteps(kind, given, options) {
  const form = kind.of(options.fs);
  const file = yield* canonical(form, given, options);
  if (!Object.hasOwn(locks, file)) throw failure('ENOTACQUIRED', 'Lock is not acquired/owned by you');
  yield* giveBack(form, locks[file]);
}

function* checkSteps(kind, given, options) {
  const form = kind.of(options.fs);
  const file = yield* canonical(form, given, options);
  const where = pathOfLock(file, options);
  const stat = yield* look(form, where);
  if (stat === null) return false;
  if (stat.isDirectory()) return !isOld(stat, options);
  const { verdict } = yield form.inspect(where);
  return verdict !== 'stale' && verdict !== 'absent';
}

async function lock(file, given) {
  const options = optionsOf(given);
  const release = await asPromise(lockSteps(PROMISED, file, options, pausesOf(options.retries)));
  return () => asPromise(release());
}

function lockSync(file, given) {
  const options = optionsOf(given);
  const { retries } = options;
  if (retries > 0 || retries?.retries > 0) throw failure('ESYNC', 'Cannot use retries with the sync api');
  const release = atOnce(lockSteps(IMMEDIATE, file, options, pausesOf(0)));
  return () => atOnce(release());
}

const unlock = async (file, options) => asPromise(unlockSteps(PROMISED, file, optionsOf(options)));
const unlockSync = (file, options) => atOnce(unlockSteps(IMMEDIATE, file, optionsOf(options)));
const check = async (file, options) => asPromise(checkSteps(PROMISED, file, optionsOf(options)));
const checkSync = (file, options) => atOnce(checkSteps(IMMEDIATE, file, optionsOf(options)));

module.exports = lock;
module.exports.lock = lock;
module.exports.unlock = unlock;
module.exports.lockSync = lockSync;
module.exports.unlockSync = unlockSync;
module.exports.check = check;
module.exports.checkSync = checkSync;
module.exports.getLocks = () => locks;
