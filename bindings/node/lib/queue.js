'use strict';
// What changes one path is done in the order of the calls: each change waits for those that were begun before it.

const path = require('node:path');
const { AsyncLocalStorage } = require('node:async_hooks');
const { placeOf } = require('./context.js');

/** By place: settles, and never rejects, when the last change that was begun there is done. */
const last = new Map();

/** The places that the running code has the turn of: inside the callback of an update. */
const within = new AsyncLocalStorage();

/** Where a path with its NUL leads, as a key. Links are not followed: for them the library's own exclusion has to do. */
function keyOf(context, bytes) {
  const place = placeOf(context, bytes.subarray(0, -1)).toString('latin1');
  if (place.startsWith('/')) return path.posix.normalize(place);
  return path.posix.join(Buffer.from(process.cwd()).toString('latin1'), place);
}

/** Calls `change` when all changes of these places that were begun before are done. */
async function inTurn(keys, change) {
  const turn = within.getStore();
  // Who has the turn would wait for itself.
  const places = turn?.isHeld ? keys.filter((key) => !turn.keys.has(key)) : keys;
  const before = new Set(places.map((key) => last.get(key)));
  before.delete(undefined);
  let end;
  const done = new Promise((resolve) => {
    end = resolve;
  });
  for (const key of places) last.set(key, done);
  try {
    // Without anybody before it, it begins at once.
    if (before.size > 0) await Promise.all(before);
    return await change();
  } finally {
    for (const key of places) if (last.get(key) === done) last.delete(key);
    end();
  }
}

/** Calls `work`, which may call what changes these places: it does not wait for its own turn. */
async function holding(keys, work) {
  const outer = within.getStore();
  const turn = { isHeld: true, keys: new Set(outer?.isHeld ? [...outer.keys, ...keys] : keys) };
  try {
    return await within.run(turn, work);
  } finally {
    // What it has left running waits like everybody else.
    turn.isHeld = false;
  }
}

module.exports = { inTurn, holding, keyOf };
