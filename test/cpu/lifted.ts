// Holds lifted code against the CPU: every case of the harness is lifted as a program of one instruction, and the
// harness for arm64 runs that instead of the interpreter, with the results that the CPU gave.
//
//   node test/cpu/lifted.ts [--mnemonic Add,Adc] [--seed N] [--count N] [--encodings N] [--variant precise]

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CpuState, LOOKUP_OFFSET, offsetOf, VARIANTS, type Variant } from "../../src/abi/index.ts";
import { compileModule, inParallel, run, runChecked } from "../../src/host/index.ts";
import { GUEST_CODE } from "../../src/host/translate.ts";
import { ARGUMENTS, PARAMETER_TYPES, PARAMETERS, VARIABLES } from "../../src/lift/variables.ts";
import { IrModule } from "../../src/llvm/index.ts";
import { linkWithInterpreter } from "./link.ts";
import { type Lifted, liftInto } from "./one-instruction.ts";
import { makeCases, type Options } from "./run.ts";

const CASES_A_MODULE = 400;

/** The crossing into and out of translated code, from the convention's own tables. */
function writeCrossing(module: IrModule): void {
  let enter = 'define void @lifted_enter(ptr %state, ptr %code) nounwind "target-features"="+reserve-x18" {\n';
  enter += '  call void asm sideeffect "mov x18, xzr", ""()\n';
  enter += `  %lookup = getelementptr i8, ptr %state, i64 ${LOOKUP_OFFSET}\n`;
  enter += `  %p_rip = getelementptr i8, ptr %state, i64 ${offsetOf(CpuState, "rip")}\n  %pc = load i64, ptr %p_rip\n`;
  let exit = `define preserve_nonecc void @lifted_exit(${PARAMETERS}) nounwind {\n`;
  const args = ["ptr %state"];
  for (const v of ARGUMENTS) {
    const { name, type, offset } = VARIABLES[v]!;
    enter += `  %p_${name} = getelementptr i8, ptr %state, i64 ${offset}\n  %v_${name} = load ${type}, ptr %p_${name}\n`;
    exit += `  %p_${name} = getelementptr i8, ptr %state, i64 ${offset}\n  store ${type} %${name}, ptr %p_${name}\n`;
    args.push(`${type} %v_${name}`);
  }
  args.push("ptr %lookup", "i64 %pc");
  module.append(`${enter}  call preserve_nonecc void %code(${args.join(", ")})\n  ret void\n}`);
  module.append(`${exit}  ret void\n}`);
}

function bytesText(hex: string): string {
  const bytes = [...Buffer.from(hex.padEnd(30, "0"), "hex"), hex.length / 2];
  return bytes.map((byte) => `i8 ${byte}`).join(", ");
}

/** Objects with the lifted form of every instruction in `lines`, and how many there are. */
async function buildLifted(lines: readonly string[], variant: Variant): Promise<{ objects: string[]; count: number }> {
  const instructions = [...new Set(lines.map((line) => line.split(" ", 1)[0]!))];
  const jobs: (() => Promise<string>)[] = [];
  const lifted: Lifted[] = [];
  for (let first = 0; first < instructions.length; first += CASES_A_MODULE) {
    const module = new IrModule("aarch64");
    instructions.slice(first, first + CASES_A_MODULE).forEach((hex, i) => {
      const one = liftInto(module, hex, `c${first + i}`, variant);
      if (one) lifted.push(one);
    });
    const ir = module.toString().replaceAll("define hidden", "define");
    jobs.push(() => compileModule("aarch64", ir, GUEST_CODE));
  }
  const index = new IrModule("aarch64");
  writeCrossing(index);
  const rows = lifted.map(({ hex, symbol }) => {
    index.declare(`declare preserve_nonecc void @${symbol}(${PARAMETER_TYPES})`);
    return `{ [16 x i8], ptr } { [16 x i8] [${bytesText(hex)}], ptr @${symbol} }`;
  });
  index.append(`@lifted_cases = global [${rows.length} x { [16 x i8], ptr }] [${rows.join(", ")}]`);
  index.append(`@lifted_count = global i64 ${rows.length}`);
  jobs.push(() => compileModule("aarch64", index.toString(), GUEST_CODE));
  return { objects: await inParallel(jobs), count: lifted.length };
}

/** Runs the comparison; gives the harness's report and whether all agreed. */
export async function compareLiftedWithCpu(
  options: Options & { readonly variant?: Variant },
): Promise<{ agreed: boolean; report: string }> {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-lifted-"));
  try {
    const lines = makeCases(options, new Set());
    const cases = join(directory, "cases");
    writeFileSync(cases, `${lines.join("\n")}\n`);
    const { objects, count } = await buildLifted(lines, options.variant ?? "plain");
    const [native, foreign] = [join(directory, "native"), join(directory, "foreign")];
    const bridge = join(directory, "lifted.o");
    const { includeDir } = await linkWithInterpreter("x86_64", "harness.c", native);
    const compile = ["-O1", "-Wall", "-Wextra", `-I${includeDir}`, "-c", join(import.meta.dirname, "lifted.c")];
    await runChecked("aarch64-linux-gnu-gcc", [...compile, "-o", bridge]);
    const more = [`-DLIFTED="${options.variant ?? "plain"}"`, "-Dhc_interpret_one=hc_lifted_one", bridge, ...objects];
    await linkWithInterpreter("aarch64", "harness.c", foreign, more);
    const script = `"$1" "$3" "$4" "$5" "$6" --record | qemu-aarch64 "$2" "$3" "$4" "$5" "$6" --replay`;
    const args = [cases, `${options.seed}`, `${options.count}`, options.edges ? "--edges" : "--anywhere"];
    const result = await run("sh", ["-c", script, "sh", native, foreign, ...args]);
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
      variant: { type: "string", default: "plain" },
      edges: { type: "boolean", default: false },
    },
  });
  const { agreed, report } = await compareLiftedWithCpu({
    ...(values.mnemonic === undefined ? {} : { mnemonics: values.mnemonic.split(",") }),
    seed: Number(values.seed),
    count: Number(values.count),
    encodings: Number(values.encodings),
    target: "aarch64",
    edges: values.edges,
    variant: VARIANTS.find((name) => name === values.variant)!,
  });
  process.stdout.write(report);
  process.exitCode = agreed ? 0 : 1;
}
