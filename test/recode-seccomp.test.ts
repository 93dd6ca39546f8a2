// Seccomp filters abroad: what the original decides about a home call, the rewritten filter decides about the foreign
// calls that are made in its place. Both are run by an interpreter of classic BPF that shares nothing with the rewriter.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HOST_SYSCALLS, RUNTIME_SYSCALLS, SYSCALLS } from "../src/abi/index.ts";
import { InputError, randomFrom } from "../src/base/index.ts";
import { filterToForeign, filterToHome } from "../src/recode/index.ts";

const X86_64 = 0xc000_003e;
const AARCH64 = 0xc000_00b7;
const ALLOW = 0x7fff_0000;
const EPERM = 0x0005_0001;
const ENOSYS = 0x0005_0026;
const KILL = 0x8000_0000;

type Line = readonly [code: number, jt: number, jf: number, k: number];

function assemble(lines: readonly Line[]): Uint8Array {
  const bytes = new Uint8Array(lines.length * 8);
  const view = new DataView(bytes.buffer);
  lines.forEach(([code, jt, jf, k], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  });
  return bytes;
}

/** Runs a filter the plain way, instruction by instruction. */
function run(filter: Uint8Array, architecture: number, number: number, args: readonly bigint[]): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, architecture, true);
  args.forEach((arg, i) => {
    data.setBigUint64(16 + 8 * i, arg, true);
  });
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const memory = new Uint32Array(16);
  let [a, x] = [0, 0];
  for (let pc = 0; ; pc++) {
    assert.ok(pc * 8 < filter.length, "the program ends by a return");
    const code = program.getUint16(pc * 8, true);
    const [jt, jf] = [program.getUint8(pc * 8 + 2), program.getUint8(pc * 8 + 3)];
    const k = program.getUint32(pc * 8 + 4, true);
    const operand = code & 8 ? x : k;
    const jump = (holds: boolean): number => (holds ? jt : jf);
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x00) a = k;
    else if (code === 0x60) a = memory[k]!;
    else if (code === 0x61) x = memory[k]!;
    else if (code === 0x02) memory[k] = a;
    else if (code === 0x07) x = a;
    else if (code === 0x87) a = x;
    else if (code === 0x05) pc += k;
    else if ((code & ~8) === 0x15) pc += jump(a === operand);
    else if ((code & ~8) === 0x25) pc += jump(a > operand);
    else if ((code & ~8) === 0x35) pc += jump(a >= operand);
    else if ((code & ~8) === 0x45) pc += jump((a & operand) !== 0);
    else if ((code & ~8) === 0x54) a = (a & operand) >>> 0;
    else if ((code & ~8) === 0x44) a = (a | operand) >>> 0;
    else if (code === 0x06) return k;
    else if (code === 0x16) return a;
    else assert.fail(`instruction 0x${code.toString(16)}`);
  }
}

/** What the kernel checks: known instructions, jumps inside, a return at the end. */
function assertAcceptable(filter: Uint8Array): void {
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const count = filter.length / 8;
  assert.ok(count <= 4096);
  for (let i = 0; i < count; i++) {
    const code = program.getUint16(i * 8, true);
    const k = program.getUint32(i * 8 + 4, true);
    if (code === 0x05) assert.ok(i + 1 + k < count);
    else if ((code & 7) === 5) {
      assert.ok(i + 1 + Math.max(program.getUint8(i * 8 + 2), program.getUint8(i * 8 + 3)) < count);
    }
  }
  assert.equal(program.getUint16((count - 1) * 8, true) & 7, 6);
}

/** As libseccomp writes it: architecture, x32, then number by number; `tests` guard a call by one argument. */
function profile(allowed: ReadonlySet<number>, tests: ReadonlyMap<number, Line[]>): Uint8Array {
  const lines: Line[] = [
    [0x20, 0, 0, 4],
    [0x15, 1, 0, X86_64],
    [0x06, 0, 0, KILL],
    [0x20, 0, 0, 0],
    [0x35, 0, 1, 0x4000_0000],
    [0x06, 0, 0, EPERM],
  ];
  for (const [number, guard] of tests) {
    lines.push([0x15, 0, guard.length + 1, number], ...guard, [0x06, 0, 0, EPERM]);
  }
  for (const number of allowed) lines.push([0x15, 0, 1, number], [0x06, 0, 0, ALLOW]);
  return assemble([...lines, [0x06, 0, 0, ENOSYS]]);
}

/** Every home call whose foreign form the runtime itself needs. */
const needed = new Set(
  SYSCALLS.filter((row) => row.host.some((call) => (RUNTIME_SYSCALLS as readonly string[]).includes(call.name))).map(
    (row) => row.number,
  ),
);

/** Guards of one instruction pair or two, each ending in an allowing return if the argument fits. */
const cloneGuard: Line[] = [
  [0x20, 0, 0, 16],
  [0x54, 0, 0, 0x7e02_0000],
  [0x15, 0, 1, 0],
  [0x06, 0, 0, ALLOW],
];
const socketGuard: Line[] = [
  [0x20, 0, 0, 16],
  [0x15, 1, 0, 40],
  [0x06, 0, 0, ALLOW],
];
const personalityGuard: Line[] = [
  [0x20, 0, 0, 20],
  [0x15, 0, 3, 0],
  [0x20, 0, 0, 16],
  [0x15, 0, 1, 8],
  [0x06, 0, 0, ALLOW],
];

const some = (n: bigint): bigint[] => [n, 1n, 2n, 3n, 4n, 5n];

test("a profile like the container engines' keeps its meaning", () => {
  const allowed = new Set([...needed, 0, 1, 2, 3, 41 + 1000, 57, 58, 62, 257]);
  const tests = new Map([
    [56, cloneGuard],
    [41, socketGuard],
    [135, personalityGuard],
  ]);
  const home = profile(allowed, tests);
  const foreign = filterToForeign(home, "filter");
  assertAcceptable(foreign);
  const there = (number: number, arg: bigint): number => run(foreign, AARCH64, number, some(arg));
  assert.equal(there(56, 7n), ALLOW); // openat
  assert.equal(there(220, 0x3d_0f00n), ALLOW); // clone of a thread
  assert.equal(there(220, 0x11n), ALLOW); // fork
  assert.equal(there(220, 0x2000_0011n), EPERM); // a new pid namespace
  assert.equal(there(198, 2n), ALLOW);
  assert.equal(there(198, 40n), EPERM);
  assert.equal(there(92, 8n), ALLOW);
  assert.equal(there(92, 9n), EPERM);
  assert.equal(there(92, 0x1_0000_0008n), EPERM);
  assert.equal(there(40, 0n), ENOSYS); // mount: not in the profile
  assert.equal(there(2000, 0n), ENOSYS);
  assert.equal(there(128, 0n), ALLOW); // restart_syscall: the kernel's own doing after an engine's pause
  assert.equal(run(foreign, X86_64, 0, some(0n)), KILL);
  assert.equal(run(foreign, 0x4000_0028, 0, some(0n)), KILL);
  assert.deepEqual(filterToHome(foreign, "filter"), home);
});

test("random profiles: a foreign call may what the home calls behind it may", (t) => {
  const seed = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1e6);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  for (let round = 0; round < 12; round++) {
    const allowed = new Set([...needed, ...SYSCALLS.filter(() => random(2) === 0).map((row) => row.number)]);
    const tests = new Map<number, Line[]>();
    for (const row of SYSCALLS) {
      // A guard by an argument that the foreign call has in the same place.
      if (row.way !== "same" || needed.has(row.number) || random(6) !== 0) continue;
      const compare = ([0x15, 0x25, 0x35, 0x45] as const)[random(4)]!;
      tests.set(row.number, [
        [0x20, 0, 0, 16 + 4 * random(12)],
        [compare, 0, 1, random(8)],
        [0x06, 0, 0, ALLOW],
      ]);
    }
    const home = profile(allowed, tests);
    const foreign = filterToForeign(home, "filter");
    assertAcceptable(foreign);
    assert.deepEqual(filterToHome(foreign, "filter"), home);
    for (const row of SYSCALLS.filter(({ way }) => way === "same")) {
      const [call] = row.host;
      const others = SYSCALLS.filter((other) => other.host.some(({ number }) => number === call!.number));
      const args = Array.from({ length: 6 }, () => BigInt(random(8)) | (BigInt(random(8)) << 32n));
      const there = run(foreign, AARCH64, call!.number, args);
      const here = run(home, X86_64, row.number, args);
      if (others.length === 1) assert.equal(there, here, `${row.name} ${args}`);
      else if (here === ALLOW) assert.equal(there, ALLOW, `${row.name} ${args}`);
    }
  }
});

test("filters that cannot be kept are refused", () => {
  const refusedAs = (code: string) => (error: unknown) => error instanceof InputError && error.code === code;
  const without = new Set([...needed].filter((number) => number !== 39));
  assert.equal(HOST_SYSCALLS.getpid, 172);
  assert.throws(() => filterToForeign(profile(without, new Map()), "filter"), refusedAs("seccomp-runtime"));
  const byPointer = profile(
    needed,
    new Map([
      [
        9,
        [
          [0x20, 0, 0, 8],
          [0x15, 0, 1, 7],
          [0x06, 0, 0, ALLOW],
        ] as Line[],
      ],
    ]),
  );
  assert.throws(() => filterToForeign(byPointer, "filter"), refusedAs("seccomp-pointer"));
  const byPath = profile(
    needed,
    new Map([
      [
        2,
        [
          [0x20, 0, 0, 24],
          [0x15, 0, 1, 7],
          [0x06, 0, 0, ALLOW],
        ] as Line[],
      ],
    ]),
  );
  assert.throws(() => filterToForeign(byPath, "filter"), refusedAs("seccomp-argument"));
  assert.throws(() => filterToHome(profile(needed, new Map()), "filter"), refusedAs("seccomp-foreign"));
  assert.throws(() => filterToForeign(Uint8Array.of(1, 2, 3), "filter"), refusedAs("seccomp-filter"));
});

test("random programs are rewritten or refused", (t) => {
  const seed = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1e6);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  for (let round = 0; round < 300; round++) {
    const bytes = profile(needed, new Map());
    for (let n = 1 + random(12); n > 0; n--) bytes[random(bytes.length)] = random(256);
    try {
      const foreign = filterToForeign(bytes, "filter");
      assertAcceptable(foreign.subarray(0, foreign.length));
    } catch (error) {
      assert.ok(error instanceof InputError || error instanceof assert.AssertionError, `round ${round}: ${error}`);
      if (error instanceof assert.AssertionError) {
        // The original may already be one that the kernel would not have taken.
        assert.throws(() => assertAcceptable(bytes), `round ${round}`);
      }
    }
  }
});
