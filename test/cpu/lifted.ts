// Holds lifted code against the CPU: every case of the harness is lifted as a program of one instruction, and the
// harness for arm64 runs that instead of the interpreter, with the results that the CPU gave.
//
//   node test/cpu/lifted.ts [--mnemonic Add,Adc] [--seed N] [--count N] [--encodings N]

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readElf } from "../../src/elf/index.ts";
import { compileModule, inParallel, run, runChecked } from "../../src/host/index.ts";
import { discover, liftFile } from "../../src/lift/index.ts";
import { PieceWriter, pieceSymbol } from "../../src/lift/piece.ts";
import { ALL_FLAGS, ARGUMENTS, PARAMETER_TYPES, PARAMETERS, VARIABLES } from "../../src/lift/variables.ts";
import { IrModule } from "../../src/llvm/index.ts";
import { linkWithInterpreter } from "./link.ts";
import { makeCases, type Options } from "./run.ts";

const CODE_PAGE = 0x10000000;
const CODE_AT = 0x10000800;
const CASES_A_MODULE = 400;
const PASSES = "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,early-cse,dse,adce)";

/** An ELF file that is one page of int3 with the instruction in it, at the address at which the harness has it. */
function elfOf(instruction: Uint8Array): Uint8Array {
  const file = new Uint8Array(0x2000).fill(0xcc, 0x1000);
  file.set(instruction, 0x1000 + CODE_AT - CODE_PAGE);
  const view = new DataView(file.buffer);
  view.setUint32(0, 0x464c457f, true);
  file.set([2, 1, 1], 4);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, BigInt(CODE_AT), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setBigUint64(72, 0x1000n, true);
  for (const at of [80, 88]) view.setBigUint64(at, BigInt(CODE_PAGE), true);
  for (const at of [96, 104]) view.setBigUint64(at, 0x1000n, true);
  return file;
}

/** The crossing into and out of translated code, from the convention's own tables. */
function writeCrossing(module: IrModule): void {
  let enter = "define void @lifted_enter(ptr %state, ptr %code) nounwind {\n";
  let exit = `define preserve_nonecc void @lifted_exit(${PARAMETERS}) nounwind {\n`;
  const args = ["ptr %state"];
  for (const v of ARGUMENTS) {
    const { name, type, offset } = VARIABLES[v]!;
    enter += `  %p_${name} = getelementptr i8, ptr %state, i64 ${offset}\n  %v_${name} = load ${type}, ptr %p_${name}\n`;
    exit += `  %p_${name} = getelementptr i8, ptr %state, i64 ${offset}\n  store ${type} %${name}, ptr %p_${name}\n`;
    args.push(`${type} %v_${name}`);
  }
  module.append(`${enter}  call preserve_nonecc void %code(${args.join(", ")})\n  ret void\n}`);
  module.append(`${exit}  ret void\n}`);
}

interface Lifted {
  readonly hex: string;
  readonly symbol: string;
}

/** Writes the pieces of one instruction into `module`; null if it is left to the interpreter. */
function liftInto(module: IrModule, hex: string, prefix: string): Lifted | null {
  const file = liftFile(discover(readElf(elfOf(Buffer.from(hex, "hex")), hex)).map);
  // All flags are compared, whether a program could read them or not.
  const { graph } = file.context;
  for (const block of graph.blocks.values()) block.liveFlags = ALL_FLAGS;
  const liveAfter = new Map([...graph.blocks.values()].map((block) => [block, ALL_FLAGS]));
  const heads = new Set(file.pieces.map((piece) => piece.head));
  const own = file.pieces.find((piece) => piece.head.start === CODE_AT);
  if (!own || file.interpretedInstructions > 0) return null;
  for (const piece of file.pieces) {
    new PieceWriter(module, piece, { ...file.context, liveAfter, symbolPrefix: prefix }, heads).write();
  }
  return { hex, symbol: pieceSymbol(CODE_AT, prefix) };
}

function bytesText(hex: string): string {
  const bytes = [...Buffer.from(hex.padEnd(30, "0"), "hex"), hex.length / 2];
  return bytes.map((byte) => `i8 ${byte}`).join(", ");
}

/** Objects with the lifted form of every instruction in `lines`, and how many there are. */
async function buildLifted(lines: readonly string[]): Promise<{ objects: string[]; count: number }> {
  const instructions = [...new Set(lines.map((line) => line.split(" ", 1)[0]!))];
  const jobs: (() => Promise<string>)[] = [];
  const lifted: Lifted[] = [];
  const options = { passes: PASSES, level: "-O2", llc: ["-mattr=+v8.1a,+lse,+rcpc"] } as const;
  for (let first = 0; first < instructions.length; first += CASES_A_MODULE) {
    const module = new IrModule("aarch64");
    instructions.slice(first, first + CASES_A_MODULE).forEach((hex, i) => {
      const one = liftInto(module, hex, `c${first + i}`);
      if (one) lifted.push(one);
    });
    const ir = module.toString().replaceAll("define hidden", "define");
    jobs.push(() => compileModule("aarch64", ir, options));
  }
  const index = new IrModule("aarch64");
  writeCrossing(index);
  const rows = lifted.map(({ hex, symbol }) => {
    index.declare(`declare preserve_nonecc void @${symbol}(${PARAMETER_TYPES})`);
    return `{ [16 x i8], ptr } { [16 x i8] [${bytesText(hex)}], ptr @${symbol} }`;
  });
  index.append(`@lifted_cases = global [${rows.length} x { [16 x i8], ptr }] [${rows.join(", ")}]`);
  index.append(`@lifted_count = global i64 ${rows.length}`);
  jobs.push(() => compileModule("aarch64", index.toString(), options));
  return { objects: await inParallel(jobs), count: lifted.length };
}

/** Runs the comparison; gives the harness's report and whether all agreed. */
export async function compareLiftedWithCpu(options: Options): Promise<{ agreed: boolean; report: string }> {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-lifted-"));
  try {
    const lines = makeCases(options, new Set());
    const cases = join(directory, "cases");
    writeFileSync(cases, `${lines.join("\n")}\n`);
    const { objects, count } = await buildLifted(lines);
    const [native, foreign] = [join(directory, "native"), join(directory, "foreign")];
    const bridge = join(directory, "lifted.o");
    const { includeDir } = await linkWithInterpreter("x86_64", "harness.c", native);
    const compile = ["-O1", "-Wall", "-Wextra", `-I${includeDir}`, "-c", join(import.meta.dirname, "lifted.c")];
    await runChecked("aarch64-linux-gnu-gcc", [...compile, "-o", bridge]);
    const more = ["-DLIFTED", "-Dhc_interpret_one=hc_lifted_one", bridge, ...objects];
    await linkWithInterpreter("aarch64", "harness.c", foreign, more);
    const script = `"$1" "$3" "$4" "$5" --record | qemu-aarch64 "$2" "$3" "$4" "$5" --replay`;
    const result = await run("sh", ["-c", script, "sh", native, foreign, cases, `${options.seed}`, `${options.count}`]);
    const end = result.status > 1 ? `the harness ended with status ${result.status}\n` : "";
    const report = `${result.stdout}${result.stderr}${count} instructions lifted\n${end}`;
    return { agreed: result.status === 0 && count > 0, report };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      mnemonic: { type: "string" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      count: { type: "string", default: "40" },
      encodings: { type: "string", default: "1" },
    },
  });
  const { agreed, report } = await compareLiftedWithCpu({
    ...(values.mnemonic === undefined ? {} : { mnemonics: values.mnemonic.split(",") }),
    seed: Number(values.seed),
    count: Number(values.count),
    encodings: Number(values.encodings),
    target: "aarch64",
  });
  process.stdout.write(report);
  process.exitCode = agreed ? 0 : 1;
}
