// Moves a world back and forth at random moments, and says how it went.

import type { World } from "./world.ts";

export interface JourneyOptions {
  /** Round trips at most. */
  readonly trips: number;
  /** No new trip begins after this time. */
  readonly limitMs?: number;
  /** How long at most it stays at home, and abroad, before it moves on. */
  readonly homeMs?: number;
  readonly foreignMs?: number;
  readonly random: (below: number) => number;
  readonly log: (line: string) => void;
}

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

/** The world is at home before and after. Gives the number of round trips. */
export async function travel(world: World, options: JourneyOptions): Promise<number> {
  const { trips, random, log } = options;
  const begin = performance.now();
  let trip = 0;
  while (trip < trips && performance.now() - begin < (options.limitMs ?? Number.POSITIVE_INFINITY)) {
    trip++;
    await pause(random(options.homeMs ?? 600));
    const out = performance.now();
    await world.toForeign();
    const there = seconds(out);
    await pause(random(options.foreignMs ?? 3000));
    const back = performance.now();
    await world.toHome();
    log(`trip ${trip}: ${there} s there, ${seconds(back)} s back`);
  }
  return trip;
}

/** The values below which these shares of `values` lie. */
export function quantiles(values: readonly number[], shares: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

/** A line about how long parking took. */
export function describeParking(world: World): string {
  const cpu = world.parked.flatMap((process) => process.cpuMicroseconds);
  const show = (values: readonly number[]): string =>
    quantiles(values, [0.5, 0.9, 0.99, 1])
      .map((us) => `${(us / 1000).toFixed(1)}`)
      .join(" / ");
  const wall = world.parked.map((process) => process.wallMicroseconds);
  return `parked ${cpu.length} threads: CPU time of each 50 / 90 / 99 / 100 %: ${show(cpu)} ms; until its process was parked: ${show(wall)} ms`;
}
