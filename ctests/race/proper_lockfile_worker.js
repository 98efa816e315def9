// A worker of race.c: npm proper-lockfile. Its lock is a directory, stale when its mtime is old.
//
// proper_lockfile_worker.js PATH          commands on stdin: 'g' try, 'd' try with delays at its calls, 'r' release
// proper_lockfile_worker.js --rate PATH   acquisitions per second, printed; --rate-sync: with its synchronous calls
const fs = require('fs');
const { lock, lockSync } = require('proper-lockfile');

let inject = false;
const slow = { ...fs };
for (const name of ['mkdir', 'rmdir', 'stat', 'utimes']) {
  slow[name] = (...args) => {
    if (inject && Math.random() < 0.5) {
      const end = process.hrtime.bigint() + BigInt(Math.floor(Math.random() * 3e5));
      while (process.hrtime.bigint() < end);
    }
    return fs[name](...args);
  };
}
const options = (path) => ({ realpath: false, lockfilePath: path, stale: 2000, retries: 0, onCompromised: () => {} });

if (process.argv[2] === '--rate') {
  (async () => {
    const path = process.argv[3];
    let count = 0;
    for (const end = Date.now() + 1000; Date.now() < end; count++) await (await lock(path, options(path)))();
    console.log(count);
    process.exit(0);
  })();
  return;
}
if (process.argv[2] === '--rate-sync') {
  const path = process.argv[3];
  let count = 0;
  for (const end = Date.now() + 1000; Date.now() < end; count++) lockSync(path, options(path))();
  console.log(count);
  process.exit(0);
}

const path = process.argv[2];
let release = null;
fs.writeSync(1, 'U');
const next = () => fs.read(0, Buffer.alloc(1), 0, 1, null, async (error, len, buffer) => {
  if (error || len === 0) process.exit(0);
  const command = buffer.toString();
  let answer = 'R';
  if (command === 'r') {
    await release().catch(() => {});
  } else {
    inject = command === 'd';
    try {
      release = await lock(path, { ...options(path), fs: slow });
      answer = 'Y';
    } catch {
      answer = 'N';
    }
  }
  fs.writeSync(1, answer);
  next();
});
next();
