// Adapter for `redlock` and for the mutex of `redis-semaphore`, both over ioredis.
//
//     node adapter.mjs redlock|redis-semaphore
//
// It speaks the line protocol that bench/README.md describes. Settings are the libraries' defaults,
// except for the number of tries: a waiter goes on until it has the lock.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(import.meta.url);
const Redis = require("ioredis");
const Redlock = require("redlock").default;
const { Mutex } = require("redis-semaphore");

const TTL_MS = 30_000;
const HOLD_MS = 3;

// One clock for all processes of this machine.
const nowUs = () => Number(process.hrtime.bigint() / 1000n);
const version = (name) => {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(file, "utf8")).version.replace(/^v/, "")}`;
};

// For each library: a function from a client to a function from a key to a lock.
const LIBRARIES = {
  redlock: (client) => {
    const redlock = new Redlock([client], { retryCount: -1 });
    return (key) => {
      let lock;
      return {
        acquire: async () => (lock = await redlock.acquire([key], TTL_MS)),
        release: () => lock.release(),
      };
    };
  },
  "redis-semaphore": (client) => (key) => {
    const options = { lockTimeout: TTL_MS, acquireTimeout: 3_600_000 };
    const mutex = new Mutex(client, key, options);
    return { acquire: () => mutex.acquire(), release: () => mutex.release() };
  },
};

class Contender {
  constructor(library, address, key) {
    const [host, port] = address.split(":");
    this.key = key;
    this.lock = LIBRARIES[library](new Redis({ host, port: Number(port) }));
    this.loneLock = this.lock(`${key}-lone`);
  }

  async lone(count) {
    const spans = [];
    for (let cycle = 0; cycle < count; cycle += 1) {
      const begun = process.hrtime.bigint();
      await this.loneLock.acquire();
      await this.loneLock.release();
      spans.push(Number(process.hrtime.bigint() - begun) / 1000);
    }
    return spans;
  }

  async tasks(tasks, millis) {
    const locks = Array.from({ length: tasks }, (_, task) => this.lock(`${this.key}-${task}`));
    const begun = nowUs();
    const cycles = async (lock) => {
      let count = 0;
      for (; nowUs() - begun < millis * 1000; count += 1) {
        await lock.acquire();
        await lock.release();
      }
      return count;
    };
    const counts = await Promise.all(locks.map(cycles));
    const sum = counts.reduce((sum, count) => sum + count, 0);
    return { cycles: sum, elapsed_us: nowUs() - begun };
  }

  async waiters(tasks, millis) {
    const began_us = nowUs();
    const ended_us = began_us + millis * 1000;
    const turns = async (_, task) => {
      const lock = this.lock(this.key);
      const found = [];
      for (let asked_us = nowUs(); asked_us < ended_us; asked_us = nowUs()) {
        await lock.acquire();
        const granted_us = nowUs();
        if (granted_us < ended_us) await sleep(HOLD_MS);
        const released_us = nowUs();
        await lock.release();
        found.push({ task, asked_us, granted_us, released_us });
      }
      return found;
    };
    const found = await Promise.all(Array.from({ length: tasks }, turns));
    return { began_us, ended_us, turns: found.flat() };
  }
}

async function answer(library, session, words) {
  const [verb, ...rest] = words;
  const workload = verb === "run" ? rest.shift() : undefined;
  const [count, millis] = rest.map(Number);
  const { contender } = session;
  switch (workload ?? verb) {
    case "start":
      session.contender = new Contender(library, rest[0], rest[1]);
      await session.contender.lone(1);
      return { version: `${version(library)}, ${version("ioredis")}, node ${process.versions.node}` };
    case "warm":
      await contender.lone(count);
      return { warmed: count };
    case "lone":
      return { cycle_us: await contender.lone(count) };
    case "tasks":
      return contender.tasks(count, millis);
    case "waiters":
      return contender.waiters(count, millis);
    default:
      throw new Error(`this is no request: ${words.join(" ")}`);
  }
}

const session = {};
for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(process.argv[2], session, line.trim().split(/\s+/));
  } catch (error) {
    reply = { error: String(error) };
  }
  console.log(JSON.stringify(reply));
}
process.exit(0);
