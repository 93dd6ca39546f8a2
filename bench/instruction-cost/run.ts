// What vector instructions cost on arm64: the aarch64 instructions that each SSE and AVX register form becomes in translated
// code, by itself, less what leaving the piece costs. What lies behind the first end of the function is cold (results that are
// NaNs and the like) and not counted. The worst come first.
//
//   node bench/instruction-cost/run.ts [--mnemonic Pshufb,Paddb] [--memory] [--evex] [--show]
//
// With --show the code of each form is printed.

import { parseArgs } from "node:util";
import { Decoder, DecoderOptions, OpKind, Register } from "iced-x86";
import { compileModule, runChecked } from "../../src/host/index.ts";
import { GUEST_CODE } from "../../src/host/translate.ts";
import { IrModule } from "../../src/llvm/index.ts";
import { TABLE } from "../../src/sem/index.ts";
import { enumerateForms, type Form } from "../../src/x86/index.ts";
import { encode, Random } from "../../test/cpu/encode.ts";
import { liftInto } from "../../test/cpu/one-instruction.ts";

const NOP = "90";
const TRIES = 3000;
const FORMS_A_MODULE = 200;

const { values } = parseArgs({
  options: {
    mnemonic: { type: "string" },
    memory: { type: "boolean", default: false },
    evex: { type: "boolean", default: false },
    show: { type: "boolean", default: false },
  },
});

/** Whether all registers are different ones that translated code has in registers, and memory is [base + displacement]. */
function isPlain(hex: string, wantsMemory: boolean): boolean {
  const decoder = new Decoder(64, Buffer.from(hex, "hex"), DecoderOptions.None);
  const instruction = decoder.decode();
  const numbers: number[] = [];
  let plain = instruction.length * 2 === hex.length && instruction.opMask === Register.None;
  for (let i = 0; i < instruction.opCount; i++) {
    const kind = instruction.opKind(i);
    if (kind === OpKind.Memory) {
      plain &&= wantsMemory && instruction.memoryBase === Register.RBP && instruction.memoryIndex === Register.None;
      plain &&= !instruction.isBroadcast && instruction.memoryDisplSize === 1;
    } else if (kind === OpKind.Register) {
      const register = instruction.opRegister(i);
      const bank = [Register.XMM0, Register.YMM0, Register.ZMM0].find((r) => register >= r && register < r + 32);
      if (bank !== undefined) {
        plain &&= register < bank + 8;
        numbers.push(register - bank);
      }
      plain &&= register !== Register.RSP && register !== Register.RBP;
    }
  }
  plain &&= new Set(numbers).size === numbers.length && !hex.startsWith("65") && !instruction.suppressAllExceptions;
  instruction.free();
  decoder.free();
  return plain;
}

function pick(form: Form): string | null {
  const random = new Random(1);
  for (let i = 0; i < TRIES; i++) {
    const { bytes } = encode(random, form, values.memory);
    const hex = Buffer.from(bytes).toString("hex");
    if (isPlain(hex, values.memory)) return hex;
  }
  return null;
}

/** Instructions up to the end of the path that is usually taken. */
function hotCount(text: readonly string[]): number {
  return text.findIndex((line) => /^(br|ret|b)\s/.test(line)) + 1;
}

/** Instructions of each symbol of an object file. */
async function codeOf(object: string): Promise<Map<string, string[]>> {
  const { stdout } = await runChecked("llvm-objdump-19", ["-d", "--no-show-raw-insn", "--no-leading-addr", object]);
  const code = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of stdout.split("\n")) {
    const label = /<(.*)>:$/.exec(line)?.[1];
    if (label !== undefined) {
      current = [];
      code.set(label, current);
    } else if (line.startsWith("\t") || /^ +\t/.test(line)) current.push(line.trim());
  }
  return code;
}

const wanted = values.mnemonic && new Set(values.mnemonic.toLowerCase().split(","));
const chosen: { form: Form; hex: string }[] = [];
for (const form of enumerateForms()) {
  if ((TABLE.get(form.mnemonic)?.support ?? "refused") === "refused") continue;
  if ((form.encoding === "evex") !== values.evex) continue;
  if (!form.operands.some(({ kind }) => kind === "vector") && !/^Crc32/.test(form.mnemonic)) continue;
  if (wanted ? !wanted.has(form.mnemonic.toLowerCase()) : form.operands.some(({ kind }) => kind === "mm")) continue;
  if (values.memory ? !form.takesMemory : form.hasModrm && !form.takesRegister) continue;
  const hex = pick(form);
  if (hex) chosen.push({ form, hex });
}

const costs: { code: string; count: number; text: string[] }[] = [];
const left: string[] = [];
let baseline = 0;
for (let first = 0; first < chosen.length; first += FORMS_A_MODULE) {
  const module = new IrModule("aarch64");
  const part = chosen.slice(first, first + FORMS_A_MODULE);
  const symbols = [{ hex: NOP }, ...part].map(({ hex }, i) => liftInto(module, hex, `c${i}`)?.symbol);
  const ir = module.toString().replaceAll("define hidden", "define");
  const code = await codeOf(await compileModule("aarch64", ir, GUEST_CODE));
  baseline = hotCount(code.get(symbols[0]!)!);
  part.forEach(({ form }, i) => {
    const symbol = symbols[i + 1];
    if (symbol === undefined) left.push(form.code);
    else costs.push({ code: form.code, count: hotCount(code.get(symbol)!) - baseline, text: code.get(symbol)! });
  });
}
costs.sort((a, b) => b.count - a.count);
for (const { code, count, text } of costs) {
  process.stdout.write(`${String(count).padStart(5)} ${code}\n`);
  if (values.show) process.stdout.write(`${text.map((line) => `        ${line}\n`).join("")}`);
}
const sum = costs.reduce((total, { count }) => total + count, 0);
process.stdout.write(`${costs.length} forms, ${sum} instructions, leaving (${baseline}) not counted\n`);
if (left.length > 0) process.stdout.write(`left to the interpreter: ${left.join(" ")}\n`);
