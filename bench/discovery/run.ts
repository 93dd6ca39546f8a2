// Holds discovery against what unwind tables or symbols say: inside the ranges that they name, compilers put nothing but
// instructions one behind the other.
//
//   node bench/discovery/run.ts FILE...
//
// A line a file: megabytes of code, milliseconds of processor time, share of the code's bytes found (padding between functions
// is not), share of it in named ranges; in these the instructions there are, those missed (padding left out) and those found
// between them; bytes found outside, jump tables.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type ElfFile, readElf, readFrames, readStaticSymbols } from "../../src/elf/index.ts";
import { type CodeSegment, discover } from "../../src/lift/index.ts";

const FUNCTION = 2;
const ENOUGH_SYMBOLS = 100;
/** First bytes of what fills the room between blocks: nops and int3. */
const PADDING = new Set([0x90, 0xcc, 0x66]);

type Range = readonly [start: number, end: number];

/** Where nothing but instructions is: functions with a size if the file has symbols, else the ranges of unwind tables. */
function namedRanges(elf: ElfFile): Range[] {
  const functions = readStaticSymbols(elf).filter((s) => s.isDefined && s.type === FUNCTION && s.size > 0);
  if (functions.length > ENOUGH_SYMBOLS) return functions.map((s) => [s.vaddr, s.vaddr + s.size]);
  return readFrames(elf).map(({ start, end }) => [start, end]);
}

interface Counts {
  code: number;
  covered: number;
  named: number;
  outside: number;
  there: number;
  missed: number;
  between: number;
}

const [IS_START, IS_NAMED] = [1, 2];

/** Marks the bytes of named ranges, and where their instructions start. */
function sweep(segment: CodeSegment, ranges: readonly Range[]): Uint8Array {
  const marks = new Uint8Array(segment.bytes.length);
  for (const [start, end] of ranges) {
    if (start < segment.start || end > segment.end) continue;
    marks.fill(IS_NAMED, start - segment.start, end - segment.start);
    for (let pc = start, length = 0; pc < end; pc += length) {
      length = segment.scanner.decode(pc);
      if (length === 0) break;
      marks[pc - segment.start]! |= IS_START;
    }
  }
  return marks;
}

function isPadding(bytes: Uint8Array, at: number): boolean {
  return PADDING.has(bytes[at]!) || (bytes[at] === 0x0f && bytes[at + 1] === 0x1f);
}

function compare(segment: CodeSegment, marks: Uint8Array, counts: Counts): void {
  counts.code += segment.bytes.length;
  for (let at = 0, end = 0; at < segment.bytes.length; at++) {
    const length = segment.lengths[at]!;
    if (length > 0) end = Math.max(end, at + length);
    const isNamed = (marks[at]! & IS_NAMED) !== 0;
    const isStart = (marks[at]! & IS_START) !== 0;
    if (isNamed) counts.named++;
    if (at < end) counts.covered++;
    if (at < end && !isNamed) counts.outside++;
    if (isStart) counts.there++;
    if (isStart && length === 0 && !isPadding(segment.bytes, at)) counts.missed++;
    if (isNamed && !isStart && length > 0) counts.between++;
  }
}

const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
const HEADINGS = ["file", "MB", "ms", "found", "named", "instructions", "missed", "between", "outside", "tables"];
const rows: string[][] = [HEADINGS];
for (const file of process.argv.slice(2)) {
  const elf = readElf(readFileSync(file), file);
  const before = process.cpuUsage();
  const { map } = discover(elf);
  const { user, system } = process.cpuUsage(before);
  const counts: Counts = { code: 0, covered: 0, named: 0, outside: 0, there: 0, missed: 0, between: 0 };
  const ranges = namedRanges(elf);
  for (const segment of map.segments) compare(segment, sweep(segment, ranges), counts);
  const { code, covered, named, there, missed, between, outside } = counts;
  const numbers = [there, missed, between, outside, map.tables.size].map(String);
  const ms = `${Math.round((user + system) / 1000)}`;
  rows.push([basename(file), (code / 1e6).toFixed(2), ms, percent(covered, code), percent(named, code), ...numbers]);
}
const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
for (const row of rows)
  process.stdout.write(
    `${row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd()}\n`,
  );
