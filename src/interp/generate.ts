// Generates the interpreter: LLVM modules with one function an instruction variant, and the decoder's tables.

import { IrFunction, IrModule, type Target } from "../llvm/index.ts";
import { TABLE, Unsupported } from "../sem/index.ts";
import { enumerateForms } from "../x86/index.ts";
import { InterpreterSem } from "./binding.ts";
import { FormInsn } from "./form-insn.ts";
import { type PlacedCandidate, printHeader, printTables } from "./tables.ts";
import { candidatesOf, MAX_VARIANTS, type Variant } from "./variants.ts";

/** A form that the interpreter leaves out although its mnemonic has a row. */
export interface Omission {
  readonly code: string;
  readonly reason: string;
}

/** All that the build compiles, as text. */
export interface GeneratedInterpreter {
  /** LLVM IR, `shards` modules of about equal size. */
  readonly modules: readonly string[];
  /** interp-tables.h and interp-tables.c. */
  readonly header: string;
  readonly tables: string;
  /** iced-x86 codes that at least one function exists for. */
  readonly codes: readonly string[];
  /** Entries of hc_ops: names of functions, which begin with hc_op_ and the code; null where there is no instruction. */
  readonly functions: readonly (string | null)[];
  readonly omissions: readonly Omission[];
}

/** Denormals as mxcsr says: LLVM must not take a comparison with zero for more than it is. */
const ATTRIBUTES = `nounwind null_pointer_is_valid strictfp minsize optsize "denormal-fp-math"="dynamic,dynamic"`;

/** Writes the function of a variant into `module`; gives the reason if the semantic does not know the form. */
function generateFunction(module: IrModule, name: string, variant: Variant): string | null {
  const row = TABLE.get(variant.form.mnemonic);
  if (!row) return "no row";
  const fn = new IrFunction(module, `define void @${name}(ptr %state, ptr %decoded) ${ATTRIBUTES}`);
  const sem = new InterpreterSem(fn);
  try {
    row.semantic(sem, new FormInsn(variant, sem));
  } catch (error) {
    if (error instanceof Unsupported) return error.message;
    if (error instanceof Error) error.message = `${variant.form.code}: ${error.message}`;
    throw error;
  }
  sem.finish();
  return null;
}

/** A mnemonic's module: the same whatever else there is, so that a change of one family leaves most modules as they are. */
function shardOf(mnemonic: string, shards: number): number {
  let hash = 0;
  for (let i = 0; i < mnemonic.length; i++) hash = (Math.imul(hash, 31) + mnemonic.charCodeAt(i)) >>> 0;
  return hash % shards;
}

/** Generates the whole interpreter for a host. */
export function generateInterpreter(target: Target, shards: number): GeneratedInterpreter {
  const modules = Array.from({ length: shards }, () => new IrModule(target));
  const placed: PlacedCandidate[] = [];
  // Forms without a row are in the tables, too, since they hide others; their variants are these empty entries.
  const functions: (string | null)[] = Array.from({ length: MAX_VARIANTS }, () => null);
  const codes = new Set<string>();
  const omissions = new Map<string, Omission>();
  for (const form of enumerateForms()) {
    if (!TABLE.has(form.mnemonic)) {
      for (const candidate of candidatesOf(form)) placed.push({ candidate, first: 0 });
      continue;
    }
    const module = modules[shardOf(form.mnemonic, shards)]!;
    for (const candidate of candidatesOf(form)) {
      const first = functions.length;
      candidate.variants.forEach((variant, number) => {
        const name = `hc_op_${form.code}_${candidate.modrm}_${number}`;
        const reason = variant ? generateFunction(module, name, variant) : "not an instruction";
        functions.push(reason === null ? name : null);
        if (reason === null) codes.add(form.code);
        else if (variant) omissions.set(`${form.code} ${reason}`, { code: form.code, reason });
      });
      placed.push({ candidate, first });
    }
  }
  return {
    modules: modules.map((module) => module.toString()),
    header: printHeader(functions.length),
    tables: printTables(placed, functions),
    codes: [...codes],
    functions,
    omissions: [...omissions.values()],
  };
}
