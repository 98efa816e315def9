'use strict';
const { functions } = require('./native.js');
const { CALLS } = require('./constants.js');
const { nameOf } = require('./errors.js');

const pointers = new WeakMap();

/** A context that lets one system call fail: for tests of what your program does then. */
class FailingContext {
  constructor({ call = 'any', nth = 1, errno, forever = false }) {
    const number = CALLS.indexOf(call);
    const out = [null];
    const status = functions.context_new_failing(null, number < 0 ? 0xffffffff : number, nth, errno, forever ? 1 : 0, out);
    if (status < 0) throw Object.assign(new Error(`${nameOf(status)}: no such fault`), { code: nameOf(status), errno: status });
    pointers.set(this, out[0]);
  }

  /** Frees it. No call with it may be under way. */
  close() {
    functions.context_free(pointers.get(this) ?? null);
    pointers.delete(this);
  }

  [Symbol.dispose]() {
    this.close();
  }
}

function pointerOf(context) {
  if (context === undefined || context === null) return null;
  if (!pointers.has(context)) {
    throw Object.assign(new TypeError('context must be an open FailingContext'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  return pointers.get(context);
}

module.exports = { FailingContext, pointerOf };
