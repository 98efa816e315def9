'use strict';
// The two ways to call: at once, or on a thread of koffi's as a promise.

const { functions } = require('./native.js');

// koffi throws above a limit of its own; what is more waits here.
const LIMIT = 32;
let underWay = 0;
const waiting = [];

function start(name, parameters, resolve, reject) {
  underWay++;
  const done = (error, result) => {
    // Until here they are held, so that no memory is collected in which the thread reads or writes.
    parameters.length = 0;
    underWay--;
    const next = waiting.shift();
    if (next) start(...next);
    if (error) reject(error);
    else resolve(result);
  };
  try {
    functions[name].async(...parameters, done);
  } catch (error) {
    done(error);
  }
}

const later = (name, ...parameters) =>
  new Promise((resolve, reject) => {
    const call = [name, parameters, resolve, reject];
    if (underWay < LIMIT) start(...call);
    else waiting.push(call);
  });

const now = (name, ...parameters) => functions[name](...parameters);

module.exports = { now, later };
