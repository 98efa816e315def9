// One instance for both: `import` gives what `require` gives.
export {
  save, saveSync, saveBatch, saveBatchSync, load, loadSync, loadInto, loadIntoSync, update, updateSync, remove, removeSync, watch,
  createWriteStream, createReadStream,
  Lock, acquire, acquireSync,
  cleanStale, cleanStaleSync, inspect, inspectSync, SteadfastError, AbortError, Context, FailingContext, version,
} from './index.js';
export { default } from './index.js';
