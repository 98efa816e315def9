'use strict';
// States of any length as streams. A writer and a reader of the library's are used by one thread at a time: a stream makes one call
// after the other, and its end waits for the call that is under way.

const { Readable, Writable } = require('node:stream');
const { newReport, newState } = require('./native.js');
const { SOURCES } = require('./constants.js');
const { check } = require('./errors.js');
const { result } = require('./result.js');
const { later } = require('./calls.js');
const { inTurn, keyOf } = require('./queue.js');
const { savedOf, judgement } = require('./state.js');
const { toPath, toContext, toGeneration, saveOptions, loadOptions } = require('./arguments.js');

const PIECE = 1 << 16;

/** Makes a call; `done` gets its report or its error. What is returned settles then, and never rejects. */
function call(path, done, name, ...parameters) {
  const raw = newReport();
  return later(name, ...parameters, raw).then((status) => check(status, raw, path)).then((report) => done(null, report), done);
}

class WriteStream extends Writable {
  #path;
  #key;
  #options;
  #context;
  #pointer = null;
  #underWay = Promise.resolve();

  constructor(path, { highWaterMark = PIECE, signal, ...options }) {
    const [name, how] = [toPath(path), saveOptions(options)];
    super({ highWaterMark, signal, construct: (callback) => this.#open(name.bytes, callback) });
    this.#path = name.text;
    this.#key = keyOf(options.context, name.bytes);
    this.#options = how;
    this.#context = options.context; // has to live as long
    this.saved = undefined;
  }

  #call(done, name, ...parameters) {
    this.#underWay = call(this.#path, done, name, ...parameters);
  }

  #open(bytes, callback) {
    const out = [null];
    const opened = (error) => {
      this.#pointer = out[0];
      callback(error);
    };
    this.#call(opened, 'writer_open', toContext({ context: this.#context }), bytes, this.#options, out);
  }

  _write(chunk, encoding, callback) {
    this.#call(callback, 'writer_write', this.#pointer, chunk, chunk.length);
  }

  _writev(chunks, callback) {
    const whole = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.#call(callback, 'writer_write', this.#pointer, whole, whole.length);
  }

  _final(callback) {
    const pointer = this.#pointer;
    this.#pointer = null;
    const committed = (error, report) => {
      if (!error) this.saved = savedOf(report);
      callback(error);
    };
    this.#underWay = inTurn([this.#key], () => call(this.#path, committed, 'writer_commit', pointer));
  }

  _destroy(error, callback) {
    this.#underWay
      .then(() => {
        const pointer = this.#pointer;
        this.#pointer = null;
        return pointer && later('writer_abort', pointer);
      })
      .then(() => callback(error), callback);
  }
}

class ReadStream extends Readable {
  #path;
  #options;
  #context;
  #pointer = null;
  #underWay = Promise.resolve();
  #at;
  #end;

  constructor(path, { highWaterMark = PIECE, signal, start = 0, end = Infinity, ...options }) {
    // Before it is a stream: one that was begun would go on in spite of the error.
    const [name, how] = [toPath(path), loadOptions(options)];
    const first = Number(toGeneration(start, 'start'));
    const after = end === Infinity ? Infinity : Number(toGeneration(end, 'end')) + 1;
    super({ highWaterMark, signal, construct: (callback) => this.#open(name.bytes, callback) });
    this.#path = name.text;
    this.#options = how;
    this.#context = options.context; // has to live as long
    this.#at = first;
    this.#end = after;
    this.state = undefined;
  }

  #call(done, name, ...parameters) {
    this.#underWay = call(this.#path, done, name, ...parameters);
  }

  #open(bytes, callback) {
    const [out, about] = [[null], newState()];
    const opened = (error, report) => {
      this.#pointer = out[0];
      if (!error) {
        this.state = result({
          length: Number(about.len),
          generation: report.generation,
          savedAt: new Date(Number(BigInt(about.saved_at_ns) / 1000000n)),
          savedAtNs: BigInt(about.saved_at_ns),
          schema: about.schema,
          source: SOURCES[about.source],
          sha256: Buffer.from(about.sha256).toString('hex'),
          ...judgement(report.status),
          report,
        });
      }
      callback(error);
      if (!error) this.emit('ready');
    };
    this.#call(opened, 'reader_open', toContext({ context: this.#context }), bytes, this.#options, out, about);
  }

  _read(size) {
    const end = Math.min(this.#end, this.state.length);
    const [buffer, length] = [Buffer.allocUnsafe(Math.max(0, Math.min(size, end - this.#at))), [0]];
    if (buffer.length === 0) {
      this.push(null);
      return;
    }
    const read = (error) => {
      if (error) {
        this.destroy(error);
        return;
      }
      const got = Number(length[0]);
      this.#at += got;
      this.push(got === 0 ? null : buffer.subarray(0, got));
    };
    this.#call(read, 'reader_read', this.#pointer, this.#at, buffer, buffer.length, length);
  }

  _destroy(error, callback) {
    this.#underWay
      .then(() => {
        const pointer = this.#pointer;
        this.#pointer = null;
        return pointer && later('reader_close', pointer);
      })
      .then(() => callback(error), callback);
  }
}

const createWriteStream = (path, options = {}) => new WriteStream(path, options);
const createReadStream = (path, options = {}) => new ReadStream(path, options);

module.exports = { createWriteStream, createReadStream };
