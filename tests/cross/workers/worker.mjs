// The Node one of the workers; README.md has the protocol.
import { createRequire } from 'node:module';
import { once } from 'node:events';

// By require, which looks on NODE_PATH for koffi.
const { acquire, load, save } = createRequire(import.meta.url)('../../../bindings/node');

async function numberIn(state) {
  try {
    const { data, generation } = await load(state);
    return { number: Number(data), generation };
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { number: 0, generation: 0n };
  }
}

const commands = {
  async increment(path, state, times) {
    for (let i = 0; i < Number(times); i++) {
      const lock = await acquire(path, { timeout: 60_000 });
      const { number } = await numberIn(state);
      await save(state, `${number + 1}`, { noSync: true });
      await lock.release();
    }
  },
  async swap(state, times) {
    for (let done = 0; done < Number(times); ) {
      const { number, generation } = await numberIn(state);
      try {
        await save(state, `${number + 1}`, { ifGeneration: generation, noSync: true });
        done++;
      } catch (error) {
        if (error.code !== 'STEADFAST_E_CONFLICT') throw error;
      }
    }
  },
  async hold(path) {
    const lock = await acquire(path, { timeout: 60_000 });
    console.log('held', process.pid);
    await once(process.stdin.resume(), 'end');
    await lock.release();
  },
  async wait(path) {
    try {
      await acquire(path, { timeout: 0 });
    } catch (error) {
      if (error.code !== 'STEADFAST_E_LOCKED') throw error;
      console.log('locked by', error.report.pid);
    }
    const lock = await acquire(path, { timeout: 60_000 });
    console.log('got', process.pid);
    await lock.release();
  },
  save: (path, text) => save(path, text),
  load: async (path) => process.stdout.write((await load(path)).data),
};

const [command, ...rest] = process.argv.slice(2);
await commands[command](...rest);
