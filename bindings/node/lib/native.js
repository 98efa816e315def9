'use strict';
// The functions of the shared library, as koffi sees them.

const koffi = require('koffi');
const { ABI, open } = require('./library.js');

const { file, library } = open();

// Without names: koffi has one table of names for all packages of a process.
const Context = koffi.opaque();
const Lock = koffi.opaque();
const Watch = koffi.opaque();
const Writer = koffi.opaque();
const Reader = koffi.opaque();
const Report = koffi.struct({
  size: 'size_t', status: 'int32_t', os_error: 'int32_t', step: 'int32_t', on_disk: 'int32_t',
  generation: 'uint64_t', pid: 'int64_t', message: koffi.array('char', 216, 'String'),
});
const SaveOptions = koffi.struct({
  size: 'size_t', flags: 'uint32_t', mode: 'uint32_t', schema: 'uint32_t', reserved: 'uint32_t',
  expected_generation: 'uint64_t', timeout_ms: 'int64_t',
});
const LoadOptions = koffi.struct({ size: 'size_t', flags: 'uint32_t', schema: 'uint32_t', max_len: 'uint64_t' });
const LockOptions = koffi.struct({
  size: 'size_t', flags: 'uint32_t', mode: 'uint32_t', empty_grace_ms: 'int64_t', cancel_fd: 'int32_t', reserved: 'int32_t',
});
const ContextOptions = koffi.struct({ size: 'size_t', flags: 'uint32_t', dirfd: 'int32_t', hooks: 'void *' });
const State = koffi.struct({
  size: 'size_t', data: 'void *', len: 'size_t', generation: 'uint64_t', saved_at_ns: 'int64_t', schema: 'uint32_t',
  source: 'uint32_t', sha256: koffi.array('uint8_t', 32),
});
const SaveEntry = koffi.struct({
  size: 'size_t', path: 'const void *', data: 'const void *', len: 'size_t', status: 'int32_t', os_error: 'int32_t',
  generation: 'uint64_t', step: 'int32_t', on_disk: 'int32_t',
});

const context = koffi.pointer(Context);
const lock = koffi.pointer(Lock);
const watch = koffi.pointer(Watch);
const writer = koffi.pointer(Writer);
const reader = koffi.pointer(Reader);
const report = koffi.inout(koffi.pointer(Report));
const saving = koffi.pointer(SaveOptions);
const loading = koffi.pointer(LoadOptions);
const locking = koffi.pointer(LockOptions);
const bytes = 'const void *';

const SIGNATURES = {
  abi_version: ['uint32_t', []],
  version: ['const char *', []],
  status_message: ['const char *', ['int32_t']],
  status_name: ['const char *', ['int32_t']],
  context_new_with: ['int32_t', [koffi.pointer(ContextOptions), koffi.out(koffi.pointer(context))]],
  context_new_failing: ['int32_t', ['void *', 'uint32_t', 'uint64_t', 'int32_t', 'uint32_t', koffi.out(koffi.pointer(context))]],
  context_free: ['void', [context]],
  state_save: ['int32_t', [context, bytes, bytes, 'size_t', saving, report]],
  state_save_batch: ['int32_t', [context, 'void *', 'size_t', saving, report]],
  state_load: ['int32_t', [context, bytes, loading, koffi.inout(koffi.pointer(State)), report]],
  state_load_into: ['int32_t', [context, bytes, loading, 'void *', 'size_t', koffi.out(koffi.pointer('size_t')), report]],
  state_free: ['void', [koffi.pointer(State)]],
  state_remove: ['int32_t', [context, bytes, saving, report]],
  writer_open: ['int32_t', [context, bytes, saving, koffi.out(koffi.pointer(writer)), report]],
  writer_fd: ['int32_t', [writer, koffi.out(koffi.pointer('int32_t')), report]],
  writer_write: ['int32_t', [writer, bytes, 'size_t', report]],
  writer_commit: ['int32_t', [writer, report]],
  writer_abort: ['void', [writer]],
  reader_open: ['int32_t', [context, bytes, loading, koffi.out(koffi.pointer(reader)), koffi.inout(koffi.pointer(State)), report]],
  reader_read: ['int32_t', [reader, 'uint64_t', 'void *', 'size_t', koffi.out(koffi.pointer('size_t')), report]],
  reader_close: ['void', [reader]],
  watch_open: ['int32_t', [context, bytes, loading, koffi.out(koffi.pointer(watch)), report]],
  watch_wait: ['int32_t', [watch, 'uint64_t', 'int64_t', report]],
  watch_close: ['void', [watch]],
  lock_acquire: ['int32_t', [context, bytes, 'int64_t', locking, koffi.out(koffi.pointer(lock)), report]],
  lock_check: ['int32_t', [lock, report]],
  lock_release: ['int32_t', [lock, report]],
  lock_clean_stale: ['int32_t', [context, bytes, locking, report]],
  lock_inspect: ['int32_t', [context, bytes, locking, report]],
};

const functions = {};
for (const [name, [result, parameters]] of Object.entries(SIGNATURES)) {
  // On first use: an older library lacks the later ones.
  let bound;
  Object.defineProperty(functions, name, {
    enumerable: true,
    get: () => (bound ??= library.func(`steadfast_${name}`, result, parameters)),
  });
}

if (functions.abi_version() !== ABI) {
  throw new Error(`${file} has ABI ${functions.abi_version()}, this package needs ${ABI}`);
}

const sized = (type, members) => ({ size: koffi.sizeof(type), ...members });

module.exports = {
  file,
  koffi,
  functions,
  SaveEntry,
  newReport: () => sized(Report, { status: 0, os_error: 0, step: 0, on_disk: 0, generation: 0, pid: 0, message: '' }),
  newSaveOptions: (members) => sized(SaveOptions, { reserved: 0, ...members }),
  newLoadOptions: (members) => sized(LoadOptions, members),
  newLockOptions: (members) => sized(LockOptions, { cancel_fd: 0, reserved: 0, ...members }),
  newContextOptions: (members) => sized(ContextOptions, { hooks: null, ...members }),
  newState: () => sized(State, { data: null, len: 0, generation: 0, saved_at_ns: 0, schema: 0, source: 0, sha256: new Uint8Array(32) }),
};
