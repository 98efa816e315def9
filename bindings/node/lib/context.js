'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { functions, newContextOptions } = require('./native.js');
const { CALLS, CONTEXT } = require('./constants.js');
const { SteadfastError, nameOf } = require('./errors.js');
const { result } = require('./result.js');

/** By context: the library's, and the directory that relative paths begin at, if it is not the working directory. */
const open = new WeakMap();

class Closable {
  /** Frees it. No call with it may be under way. */
  close() {
    functions.context_free(open.get(this)?.pointer ?? null);
    open.delete(this);
  }

  [Symbol.dispose]() {
    this.close();
  }
}

/** Where relative paths begin. */
class Context extends Closable {
  constructor({ at, beneath = false, ioUring = true } = {}) {
    super();
    let flags = (beneath ? CONTEXT.beneath : 0) | (ioUring ? 0 : CONTEXT.noIoUring);
    if (at === undefined) {
      this.#make(flags, 0, undefined);
      return;
    }
    flags |= CONTEXT.at;
    const fd = fs.openSync(at, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      this.#make(flags, fd, fs.realpathSync(at, { encoding: 'buffer' }));
    } finally {
      fs.closeSync(fd);
    }
  }

  #make(flags, dirfd, directory) {
    const out = [null];
    const status = functions.context_new_with(newContextOptions({ flags, dirfd }), out);
    if (status < 0) {
      const message = functions.status_message(status);
      const report = result({ status, osError: 0, step: null, onDisk: 'old', generation: 0n, pid: 0, message });
      throw new SteadfastError(status, report, `${directory ?? ''}`);
    }
    open.set(this, { pointer: out[0], directory });
  }
}

/** A context that lets one system call fail: for tests of what your program does then. */
class FailingContext extends Closable {
  constructor({ call = 'any', nth = 1, errno, forever = false }) {
    super();
    const number = CALLS.indexOf(call);
    const out = [null];
    const status = functions.context_new_failing(null, number < 0 ? 0xffffffff : number, nth, errno, forever ? 1 : 0, out);
    if (status < 0) throw Object.assign(new Error(`${nameOf(status)}: no such fault`), { code: nameOf(status), errno: status });
    open.set(this, { pointer: out[0] });
  }
}

function opened(context) {
  if (context === undefined || context === null) return undefined;
  if (!open.has(context)) {
    throw Object.assign(new TypeError('context must be an open Context or FailingContext'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  return open.get(context);
}

const pointerOf = (context) => opened(context)?.pointer ?? null;

/** Where a path leads, in bytes, as far as it can be told without looking. */
function placeOf(context, bytes) {
  const directory = opened(context)?.directory;
  if (directory === undefined || bytes[0] === 0x2f) return bytes;
  return Buffer.concat([directory, Buffer.from(path.sep), bytes]);
}

module.exports = { Context, FailingContext, pointerOf, placeOf };
