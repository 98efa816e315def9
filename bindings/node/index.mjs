// One instance for both: `import` gives what `require` gives.
export {
  save, saveSync, load, loadSync, Lock, acquire, acquireSync, cleanStale, cleanStaleSync, inspect, inspectSync,
  SteadfastError, AbortError, FailingContext, version,
} from './index.js';
