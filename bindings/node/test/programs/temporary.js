'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** A directory that goes with the test. */
exports.temporary = (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'steadfast-node-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
};
