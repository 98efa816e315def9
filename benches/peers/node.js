// npm write-file-atomic, its synchronous function; the protocol is in worker.h. Argument: DIRECTORY.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const save = require('write-file-atomic').sync;

const file = path.join(process.argv[2], 'node');
let number = 0n;
let data = Buffer.alloc(0);

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'check') {
    console.log(fs.readFileSync(file).equals(data) ? 'ok' : 'what it reads back is not what it saved');
    return;
  }
  const [size, count] = line.split(' ').map(Number);
  if (size !== data.length) data = require('crypto').randomBytes(size);
  let ns = 0n;
  for (let i = 0; i < count; i++) {
    data.writeBigUInt64LE(++number);
    const start = process.hrtime.bigint();
    save(file, data);
    ns += process.hrtime.bigint() - start;
  }
  console.log(String(ns));
});
