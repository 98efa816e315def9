'use strict';
// Waiting for a lock without blocking a thread for long: a pool thread in a long wait is one that saves and loads lack.
//
// Of all waiters of this process for one path only the first asks the library; the others stand behind it, in order. It
// asks when the lock's directory shows a change, and after pauses of up to PAUSE ms (a killed holder changes nothing
// there). After a change others are likely to want the lock too: then one call at a time in the whole process may stay
// for TURN ms in the library's own queue, in which waiters of all languages are served in turn. An abort ends that stay
// at once.

const { performance } = require('node:perf_hooks');
const { E_LOCKED } = require('./constants.js');
const { AbortError } = require('./errors.js');
const cancel = require('./cancel.js');
const { watchName } = require('./name.js');

const PAUSE = 50;
const TURN = 20;
const LONGEST_TIMER = 0x7fffffff;

/** By path: the waiters that stand behind the first one, as functions that wake them. */
const lines = new Map();
let inTurn = false;

/** Something to await that can be set from outside, and set again. */
class Bell {
  rung = false;
  #wake = null;

  ring = () => {
    this.rung = true;
    this.#wake?.();
  };

  /** True when it rang; false after `milliseconds`. */
  async heard(milliseconds) {
    if (!this.rung && milliseconds > 0) {
      let timer;
      await new Promise((resolve) => {
        this.#wake = resolve;
        if (milliseconds !== Infinity) timer = setTimeout(resolve, Math.min(milliseconds, LONGEST_TIMER));
        // A wait for ever keeps the process alive, as a pending system call would.
        else timer = setInterval(() => {}, LONGEST_TIMER);
      });
      clearTimeout(timer);
      this.#wake = null;
    }
    const rung = this.rung;
    this.rung = false;
    return rung;
  }
}

/**
 * Calls attempt(milliseconds) until it says something else than "locked", or the time is up. Never leaves a lock taken
 * when it throws.
 */
async function wait({ place, text, timeout, signal, attempt, giveBack }) {
  const aborted = () => new AbortError(signal, text);
  if (signal?.aborted) throw aborted();
  const ask = async (milliseconds, cancelFd = 0) => {
    const answer = await attempt(milliseconds, cancelFd);
    if (signal?.aborted) {
      if (answer.status >= 0) await giveBack(answer.pointer);
      throw aborted();
    }
    return answer;
  };
  const stay = async (milliseconds) => {
    let ended = false;
    const end = () => {
      ended = true;
      cancel.now();
    };
    const { fd } = cancel;
    signal?.addEventListener('abort', end);
    try {
      return await ask(milliseconds, fd);
    } finally {
      signal?.removeEventListener('abort', end);
      if (ended) cancel.forget();
    }
  };

  const key = place.toString('latin1');
  const until = performance.now() + timeout;
  const left = () => Math.max(0, until - performance.now());
  if (timeout === 0) return ask(0);

  const bell = new Bell();
  signal?.addEventListener('abort', bell.ring);
  const line = lines.get(key) ?? [];
  lines.set(key, line);
  line.push(bell.ring);
  let watcher = null;
  try {
    while (line[0] !== bell.ring) {
      const rung = await bell.heard(left());
      if (signal?.aborted) throw aborted();
      // Its time is up: one look, for whoever holds it.
      if (!rung && line[0] !== bell.ring && left() === 0) return await ask(0);
    }
    let answer = await ask(0);
    if (answer.status !== E_LOCKED) return answer;
    watcher = watchName(place, bell.ring);
    let pause = 1;
    // Asked also after the watch began: the lock may have gone just before.
    for (;;) {
      answer = await ask(0);
      if (answer.status !== E_LOCKED) return answer;
      const rung = await bell.heard(Math.min(pause, left()));
      if (signal?.aborted) throw aborted();
      pause = rung ? 1 : Math.min(pause * 2, PAUSE);
      if (rung && !inTurn && left() > 0) {
        inTurn = true;
        try {
          answer = await stay(Math.ceil(Math.min(TURN, left())));
        } finally {
          inTurn = false;
        }
        if (answer.status !== E_LOCKED) return answer;
      }
      if (left() === 0) return await ask(0);
    }
  } finally {
    watcher?.close();
    signal?.removeEventListener('abort', bell.ring);
    line.splice(line.indexOf(bell.ring), 1);
    if (line.length > 0) line[0]();
    else lines.delete(key);
  }
}

module.exports = { wait };
