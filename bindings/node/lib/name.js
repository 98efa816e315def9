'use strict';
// A name in a directory, watched: whether a lock has come, gone or changed.

const fs = require('node:fs');

/** Calls `ring` when that happens. Null where it cannot be watched. `place` ends with a NUL. */
function watchName(place, ring) {
  const file = place.subarray(0, -1);
  const slash = file.lastIndexOf(0x2f);
  const directory = slash < 0 ? '.' : slash === 0 ? '/' : file.subarray(0, slash);
  const name = file.subarray(slash + 1);
  try {
    const watcher = fs.watch(directory, { encoding: 'buffer', persistent: false }, (_, changed) => {
      if (changed === null || name.equals(changed)) ring();
    });
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}

module.exports = { watchName };
