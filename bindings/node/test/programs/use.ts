import {
  loadInto, saveBatch, acquire, acquireSync, Context, cleanStale, inspect, load, remove, save, saveSync, update, watch, AbortError, Lock, SteadfastError,
} from 'steadfast';
import type { Report, State, Saved, Verdict } from 'steadfast';

export async function all(file: string, signal: AbortSignal): Promise<bigint> {
  const saved: Saved = await save(file, new Uint8Array(3), { strict: true, ifGeneration: 0, mode: 0o600 });
  const state: State = await load(Buffer.from(file), { recover: true });
  saveSync(new URL('file:///nowhere'), state.data, { ifGeneration: state.generation });
  const lock: Lock = await acquire(file, { timeout: 5000, signal });
  await lock.release();
  acquireSync(file, { timeout: 0 }).releaseSync();
  const seen: Verdict = await inspect(file);
  if (seen.verdict === 'stale') await cleanStale(file);
  try {
    await load(file);
  } catch (error) {
    if (error instanceof SteadfastError && error.code === 'STEADFAST_E_DIGEST') console.log(error.errno, error.path, error.report.onDisk);
    if (error instanceof AbortError) console.log(error.code satisfies 'ABORT_ERR');
  }
  for (const one of await saveBatch([{ path: file, data: 'x' }], { syncfs: true, alternate: true })) {
    if (one.error) console.log(one.error.code);
    else console.log(one.generation + 1n, one.durable);
  }
  const context = new Context({ at: '.', beneath: true, ioUring: false });
  const quick: Saved = await save('state', 'x', { context, timeout: Infinity, noSync: true });
  if (quick.report.onDisk === 'unknown') context.close();
  const inherited: Lock = await acquire(file, { inherit: true, context });
  await inherited.check();
  const ours: boolean = (await inherited.verify()) && inherited.verifySync();
  acquireSync(file, { onLost: (error) => console.log(error.code, ours) });
  inherited.checkSync();
  const { length }: { length: number } = await loadInto(file, Buffer.alloc(10));
  const plain: Saved = await save(file, '{}', { plain: true, keepAttributes: true, inPlace: true });
  const edited: State = await load(file, { plain: true, verified: plain.verified });
  if (edited.changed || !edited.verified) await update(file, (old) => old?.data, { plain: true, verified: false, inPlace: true });
  for await (const generation of watch(file, { plain: true })) await remove(file, { plain: true, ifGeneration: generation });
  const report: Report = saved.report;
  console.log(JSON.stringify(saved), saved.toJSON().generation, report.toJSON().status);
  return saved.generation + BigInt(length);
}

// What must not compile:
// @ts-expect-error
void save('file', { a: 1 });
// @ts-expect-error
void save('file', '', { keepPrev: true });
// @ts-expect-error
void save('file', '', { recycle: true });
// @ts-expect-error
void saveBatch([], { inPlace: true });
// @ts-expect-error
new Context({ in: '.' });
// @ts-expect-error
void acquireSync('file', { signal: AbortSignal.abort() });
// @ts-expect-error
void inspect('file', { onLost: () => undefined });
// @ts-expect-error
new Lock();
// @ts-expect-error
void inspect('file').then((seen) => seen.verdict === 'dead');
