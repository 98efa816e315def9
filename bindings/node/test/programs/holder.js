'use strict';
// Takes the lock, says so, and holds it until standard input ends.
const { acquireSync } = require('../..');
const lock = acquireSync(process.argv[2], { timeout: 60_000 });
process.stdout.write('held\n');
process.stdin.on('end', () => lock.releaseSync()).resume();
