'use strict';
const { newReport } = require('./native.js');
const { check, verdictOf } = require('./errors.js');
const { result } = require('./result.js');
const { now, later } = require('./calls.js');
const { placeOf } = require('./context.js');
const { toPath, toTimeout, milliseconds, toContext, lockOptions } = require('./arguments.js');
const { wait } = require('./wait.js');
const held = require('./held.js');
const { watchLoss } = require('./lost.js');

/** A lock that this process holds, until release() or the end of the thread. */
class Lock {
  #pointer;
  #path;
  #report;
  #endWatch = null;

  constructor(key, pointer, path, report, { place, inherit, onLost }) {
    if (key !== HELD) throw new TypeError('A Lock comes from acquire() or acquireSync()');
    this.#pointer = pointer;
    this.#path = path;
    this.#report = report;
    held.add(this, pointer, inherit);
    if (onLost !== undefined) this.#endWatch = watchLoss(this, place, onLost);
  }

  static acquire(path, options) {
    return acquire(path, options);
  }

  static acquireSync(path, options) {
    return acquireSync(path, options);
  }

  get path() {
    return this.#path;
  }

  get held() {
    return this.#pointer !== null;
  }

  /** What was told when it was taken: that a stale one was taken over, for example. */
  get report() {
    return this.#report;
  }

  /** Is it still this process's? Throws when it was taken away, or released. */
  checkSync() {
    if (this.#pointer === null) throw Object.assign(new Error('The lock was released'), { code: 'ERR_INVALID_STATE', path: this.#path });
    const report = newReport();
    check(now('lock_check', this.#pointer, report), report, this.#path);
  }

  // Not on another thread: releaseSync() frees the handle, and could not wait for that.
  async check() {
    this.checkSync();
  }

  /** The same question, answered by true or false. */
  verifySync() {
    try {
      this.checkSync();
    } catch (error) {
      if (error.code === 'STEADFAST_E_LOCK_LOST' || this.#pointer === null) return false;
      throw error;
    }
    return true;
  }

  async verify() {
    return this.verifySync();
  }

  // The library frees the handle whatever comes of the release: it is given up first, so that nothing gives it twice.
  #giveUp() {
    const pointer = this.#pointer;
    if (pointer === null) return null;
    this.#pointer = null;
    this.#endWatch?.();
    held.remove(this);
    return pointer;
  }

  /** Does nothing when it was released before. */
  async release() {
    const pointer = this.#giveUp();
    if (pointer === null) return;
    const report = newReport();
    check(await later('lock_release', pointer, report), report, this.#path);
  }

  releaseSync() {
    const pointer = this.#giveUp();
    if (pointer === null) return;
    const report = newReport();
    check(now('lock_release', pointer, report), report, this.#path);
  }

  [Symbol.dispose]() {
    this.releaseSync();
  }

  [Symbol.asyncDispose]() {
    return this.release();
  }
}

const HELD = Symbol('held');

/** What the lock itself needs of the options, and where it is. */
function holdingOf(bytes, { context, inherit = false, onLost } = {}) {
  if (onLost !== undefined && typeof onLost !== 'function') {
    throw Object.assign(new TypeError('onLost must be a function'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  return { place: placeOf(context, bytes), inherit, onLost };
}

async function acquire(path, options) {
  const { bytes, text } = toPath(path);
  const timeout = toTimeout(options?.timeout, Infinity);
  const [context, how, holding] = [toContext(options), lockOptions(options), holdingOf(bytes, options)];
  const attempt = async (time, cancelFd) => {
    const [out, report] = [[null], newReport()];
    const status = await later('lock_acquire', context, bytes, time, { ...how, cancel_fd: cancelFd }, out, report);
    return { status, pointer: out[0], report };
  };
  const giveBack = (pointer) => later('lock_release', pointer, newReport());
  const { status, pointer, report } = await wait({ place: holding.place, text, timeout, signal: options?.signal, attempt, giveBack });
  return new Lock(HELD, pointer, text, check(status, report, text), holding);
}

function acquireSync(path, options) {
  const { bytes, text } = toPath(path);
  const time = milliseconds(toTimeout(options?.timeout, 0));
  const holding = holdingOf(bytes, options);
  const [out, report] = [[null], newReport()];
  const status = now('lock_acquire', toContext(options), bytes, time, lockOptions(options), out, report);
  return new Lock(HELD, out[0], text, check(status, report, text), holding);
}

function verdict(status, rawReport, path) {
  const report = check(status, rawReport, path);
  return result({ verdict: verdictOf(status), pid: report.pid, report });
}

async function cleanStale(path, options) {
  const { bytes, text } = toPath(path);
  const report = newReport();
  return verdict(await later('lock_clean_stale', toContext(options), bytes, lockOptions(options), report), report, text);
}

function cleanStaleSync(path, options) {
  const { bytes, text } = toPath(path);
  const report = newReport();
  return verdict(now('lock_clean_stale', toContext(options), bytes, lockOptions(options), report), report, text);
}

async function inspect(path, options) {
  const { bytes, text } = toPath(path);
  const report = newReport();
  return verdict(await later('lock_inspect', toContext(options), bytes, lockOptions(options), report), report, text);
}

function inspectSync(path, options) {
  const { bytes, text } = toPath(path);
  const report = newReport();
  return verdict(now('lock_inspect', toContext(options), bytes, lockOptions(options), report), report, text);
}

module.exports = { Lock, acquire, acquireSync, cleanStale, cleanStaleSync, inspect, inspectSync };
