import { acquire, acquireSync, inspect } from 'steadfast';

async function main(file: string): Promise<void> {
  const seen: string[] = [];
  {
    await using lock = await acquire(file);
    seen.push((await inspect(lock.path)).verdict);
  }
  {
    using lock = acquireSync(file);
    seen.push((await inspect(lock.path)).verdict);
  }
  seen.push((await inspect(file)).verdict);
  console.log(seen.join(' '));
}

void main(process.argv[2]!);
