'use strict';
// Tells that a lock was taken away. What its directory shows is asked about at once, and all else after PAUSE ms.

const { watchName } = require('./name.js');

const PAUSE = 1000;

/** Calls `onLost` with the error, once. What is returned ends the watch, which keeps no process alive. */
function watchLoss(lock, place, onLost) {
  let watcher = null;
  let timer = null;
  const end = () => {
    watcher?.close();
    clearInterval(timer);
  };
  const look = () => {
    try {
      lock.checkSync();
    } catch (error) {
      // Any other error says nothing about the lock.
      if (error.code !== 'STEADFAST_E_LOCK_LOST') return;
      end();
      // What it throws is an uncaught exception.
      queueMicrotask(() => onLost(error));
    }
  };
  timer = setInterval(look, PAUSE).unref();
  watcher = watchName(place, look);
  look();
  return end;
}

module.exports = { watchLoss };
