'use strict';
// What ends a call that waits in the library, on whatever thread it is: a pipe that the call watches.

const fs = require('node:fs');
const { koffi } = require('./native.js');

const O_CLOEXEC = 0o2000000;

/** Both ends; the reading one is never 0, which means "none" to the library. Null where there is no pipe2(2). */
function open() {
  let pipe2;
  try {
    pipe2 = koffi.load(null).func('pipe2', 'int', [koffi.out(koffi.pointer(koffi.array('int', 2))), 'int']);
  } catch {
    return null;
  }
  const ends = [[0, 0]];
  if (pipe2(ends, O_CLOEXEC) !== 0) return null;
  // A standard input that was closed stays taken, and the next one is another.
  return ends[0][0] === 0 ? open() : ends[0];
}

/** One pipe for the whole process: one call at a time waits. */
let ends;

module.exports = {
  /** What the library is to watch; 0: nothing. */
  get fd() {
    ends ??= open() ?? [0, -1];
    return ends[0];
  },
  /** Ends the call that waits, or the next one. */
  now() {
    if (ends[0] !== 0) fs.writeSync(ends[1], 'x');
  },
  /** Forgets a `now`. */
  forget() {
    if (ends[0] !== 0) fs.readSync(ends[0], Buffer.alloc(16));
  },
};
