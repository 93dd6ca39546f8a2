// Holds the table of system calls against the kernel's own headers (linux-libc-dev, of whatever age): every number and
// name that they know must be a row, and every host number must be the one of the generic table that arm64 uses.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  convertOpenFlags,
  HOST_SYSCALLS,
  printSyscallPage,
  SYSCALL_POINTERS,
  SYSCALLS,
  syscallRow,
} from "../src/abi/index.ts";

const X86 = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/x86_64-linux-gnu/include/asm/unistd_64.h"].find(
  existsSync,
);
const GENERIC = "/usr/include/asm-generic/unistd.h";
/** Names that the generic table gives to the calls which have a twin on 32-bit machines. */
const TWINS: Readonly<Record<string, string>> = { fstatat: "newfstatat" };

function x86Numbers(file: string): Map<string, number> {
  return new Map(
    [...readFileSync(file, "utf8").matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map((m) => [m[1]!, Number(m[2])]),
  );
}

function genericNumbers(): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [, name, number] of readFileSync(GENERIC, "utf8").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm)) {
    numbers.set(TWINS[name!] ?? name!, Number(number));
  }
  return numbers;
}

test("rows are sorted, unique and explained", () => {
  for (let i = 1; i < SYSCALLS.length; i++) assert.ok(SYSCALLS[i]!.number > SYSCALLS[i - 1]!.number, SYSCALLS[i]!.name);
  for (const row of SYSCALLS) {
    assert.equal(row.reason === "", row.support === "full", row.name);
    assert.equal(row.way === "refused", row.support === "refused", row.name);
    for (const call of row.host) assert.ok(call.arguments.length <= 6, row.name);
  }
});

test("every x86-64 number of the kernel's header has its row", { skip: X86 === undefined }, () => {
  const numbers = x86Numbers(X86!);
  assert.ok(numbers.size > 350);
  for (const [name, number] of numbers) assert.equal(syscallRow(number)?.name, name, `${number}`);
});

test("host numbers are those of the generic header", { skip: !existsSync(GENERIC) }, () => {
  const numbers = genericNumbers();
  assert.ok(numbers.size > 280);
  const largest = Math.max(...numbers.values());
  const check = (name: string, number: number): void => {
    if (number < largest - 1) assert.equal(number, numbers.get(name), name);
  };
  for (const [name, number] of Object.entries(HOST_SYSCALLS)) check(name, number);
  for (const row of SYSCALLS) for (const call of row.host) check(call.name, call.number);
});

test("open flags convert both ways", () => {
  for (let flags = 0; flags < 1 << 24; flags += 0o37717) {
    assert.equal(convertOpenFlags(convertOpenFlags(flags, "arm64"), "x86-64"), flags);
  }
  assert.equal(convertOpenFlags(0o200000, "arm64"), 0o40000);
});

test("docs/syscalls.md is up to date", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/syscalls.md"), "utf8");
  assert.equal(page, printSyscallPage(), "run: bin/hcontainer syscalls --markdown > docs/syscalls.md");
});

test("pointers are those of rows, and sizes follow them", () => {
  const names = new Set(SYSCALLS.map((row) => row.name));
  for (const [name, kinds] of Object.entries(SYSCALL_POINTERS)) {
    assert.ok(names.has(name), name);
    assert.match(kinds, /^[-pbcimMwvo]{1,6}$/, name);
    // The array's or buffer's size follows it.
    assert.doesNotMatch(kinds, /[bci]$(?<=^.{6})/, name);
    const row = SYSCALLS.find((one) => one.name === name)!;
    if (/[imMwvo]/.test(kinds)) assert.equal(row.way, "same", name);
  }
});
