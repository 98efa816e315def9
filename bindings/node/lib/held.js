'use strict';
// The locks that this thread holds. They are released when it ends.
//
// A thread that is terminated runs nothing more. So its locks also stand in memory that all threads share, and the thread that has
// started it releases them, if it had loaded this package before.

const { getEnvironmentData, isMainThread, setEnvironmentData, threadId } = require('node:worker_threads');
const { koffi } = require('./native.js');
const { now } = require('./calls.js');

const TABLE = 'steadfast: locks by thread';
const SLOTS = 1024;
const FREE = 0;

/** By slot: the number of the thread that has it, plus 1; and the address of the library's lock. */
function tableOf(memory) {
  return { memory, threads: new Int32Array(memory, 0, SLOTS), addresses: new BigUint64Array(memory, SLOTS * 4, SLOTS) };
}

const table = tableOf(getEnvironmentData(TABLE) ?? new SharedArrayBuffer(SLOTS * 12));
setEnvironmentData(TABLE, table.memory);

/** By lock: its slot, undefined where none was free; and whether it is for the programs that are started, too. */
const held = new Map();

function slotFor(pointer) {
  for (let slot = 0; slot < SLOTS; slot++) {
    // Taken for nobody, until the address is there.
    if (Atomics.compareExchange(table.threads, slot, FREE, -1) !== FREE) continue;
    table.addresses[slot] = BigInt(koffi.address(pointer));
    Atomics.store(table.threads, slot, threadId + 1);
    return slot;
  }
  return undefined;
}

function add(lock, pointer, isInherited) {
  held.set(lock, { slot: slotFor(pointer), isInherited });
}

function remove(lock) {
  const { slot } = held.get(lock);
  if (slot !== undefined) Atomics.store(table.threads, slot, FREE);
  held.delete(lock);
}

process.on('exit', () => {
  for (const [lock, { isInherited }] of [...held]) {
    // The programs that were started go on with it.
    if (isInherited && isMainThread) continue;
    try {
      lock.releaseSync();
    } catch {
      // It was lost: there is nothing to remove, and nobody to tell.
    }
  }
});

process.on('worker', (worker) => {
  const number = worker.threadId + 1;
  worker.once('exit', () => {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (Atomics.load(table.threads, slot) !== number) continue;
      const address = table.addresses[slot];
      Atomics.store(table.threads, slot, FREE);
      now('lock_release', address, null);
    }
  });
});

module.exports = { add, remove };
