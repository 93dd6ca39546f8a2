// Accesses to guest memory that can be told apart one by one, for arm64. Each is an inline asm that may go on elsewhere
// (callbr): so LLVM neither moves, joins nor drops it, and whatever is needed where a fault leads is kept, as that is an
// edge of the control flow like any other. Every access has a row of three words in FAULTS_SECTION: its address, where to go
// on when it faults, both relative to themselves, and the guest's instruction that is then done by others. One that wants an
// aligned address has a row of two in UNALIGNED_SECTION, relative to themselves: its address, and its form for any other: the
// access, behind a barrier if it stores.
//
// Ordered accesses keep x86's order (TSO). Loads are LDAPR, which everything behind them waits for, and stores are STLR,
// which wait for everything before them. Where these fail, with vectors and (on CPUs without LSE2) with addresses that are
// not aligned, barriers do it: DMB ISHLD behind a load, and DMB ISHST before a store, which is enough as every load before
// has been waited for. Atomic operations are those of LSE that acquire and release, which order all accesses before
// against all behind; a CAS that fails stores nothing and so needs a barrier (Armv8 memory model, "barrier-ordered-before").

import { assert } from "../base/index.ts";
import type { IrFunction } from "./function.ts";
import type { IrOps } from "./ops.ts";
import type { IrValue } from "./value.ts";

/** Sections of object files that hold the rows. */
export const FAULTS_SECTION = "hc_faults";
export const UNALIGNED_SECTION = "hc_unaligned";
/** Of the words of a row of each, how many there are, and how many of them are relative to themselves. */
export const FAULT_WORDS = { all: 3, addresses: 2 } as const;
export const UNALIGNED_WORDS = { all: 2, addresses: 2 } as const;

/** Where a fault leads: a label, and the number of the guest's instruction in the row. */
export interface Landing {
  readonly label: string;
  readonly guest: number;
}

/** An address, and the same as a constant distance from another value. */
export interface Place {
  readonly address: IrValue;
  readonly root: IrValue;
  readonly offset: bigint;
}

export type AtomicOp = "add" | "sub" | "and" | "or" | "xor" | "xchg";

const SUFFIX: Readonly<Record<number, string>> = { 8: "b", 16: "h", 32: "", 64: "" };
/** LSE has no atomic AND and SUB: those take the operand's complement. */
const ATOMICS: Readonly<Record<AtomicOp, string>> = {
  add: "ldadd",
  sub: "ldadd",
  and: "ldclr",
  or: "ldset",
  xor: "ldeor",
  xchg: "swp",
};

function isScalar(width: number): boolean {
  return width === 8 || width === 16 || width === 32 || width === 64;
}

/** Whether one access can do it, else it is cut into parts. */
function isWhole(width: number): boolean {
  return isScalar(width) || width === 128 || width === 256 || width === 512;
}

/** The largest part of `width` bits that one access can do. */
function partOf(width: number): number {
  return [512, 256, 128, 64, 32, 16, 8].find((part) => part <= width)!;
}

/** One inline asm being put together. */
class Asm {
  text = "";
  readonly #outputs: string[] = [];
  readonly #inputs: { constraint: string; operand: string }[] = [];
  readonly #accesses: (readonly string[] | null)[] = [];

  line(text: string): void {
    this.text += `${text}\\0A`;
  }

  output(constraint: string): string {
    this.#outputs.push(constraint);
    return `$${this.#outputs.length - 1}`;
  }

  /** All outputs come before any input. */
  input(constraint: string, operand: string): string {
    this.#inputs.push({ constraint, operand });
    return `$${this.#outputs.length + this.#inputs.length - 1}`;
  }

  /** Adds an access, with its form for addresses that are not aligned: one instruction at most before the access in it. */
  access(text: string, unaligned: readonly string[] | null): void {
    this.#accesses.push(unaligned);
    this.line(`${this.#accesses.length}:${text}`);
  }

  /** Emits it into the function; gives the result's name. Goes on in a new block. */
  emit(fn: IrFunction, type: string, landing: Landing, clobbers = ""): string {
    const label = this.#outputs.length + this.#inputs.length;
    const section = (name: string, flags: string, lines: readonly string[]): void => {
      for (const text of [`.pushsection ${name},\\22${flags}\\22`, ...lines, ".popsection"]) this.line(text);
    };
    const relative = (at: string): string => `.word ${at}-.`;
    const row = (access: string): void =>
      section(FAULTS_SECTION, "a", [relative(access), relative(`\${${label}:l}`), `.word ${landing.guest}`]);
    this.#accesses.forEach((unaligned, i) => {
      const own = `${i + 1}b`;
      row(own);
      if (unaligned === null) return;
      section(".text.hc_unaligned", "ax", ["7:", ...unaligned, `b ${own}+4`]);
      section(UNALIGNED_SECTION, "a", [relative(own), relative("7b")]);
    });
    const constraints = [...this.#outputs, ...this.#inputs.map(({ constraint }) => constraint), "!i", "~{memory}"];
    const operands = this.#inputs.map(({ operand }) => operand).join(", ");
    const [name, next] = [`%${fn.newLabel("m")}`, fn.newLabel("done")];
    const call = `asm sideeffect "${this.text}", "${constraints.join(",")}${clobbers}"(${operands})`;
    const result = type === "void" ? "" : `${name} = `;
    fn.end(`${result}callbr ${type} ${call} to label %${next} [label %${landing.label}]`);
    fn.begin(next);
    return name;
  }
}

/** `$1` as a register of so many bits. */
function sized(operand: string, width: number): string {
  return `\${${operand.slice(1)}:${width === 128 ? "q" : width === 64 ? "x" : "w"}}`;
}

export class GuardedMemory {
  readonly #ops: IrOps;
  readonly #isOrdered: boolean;
  /** Values of fewer than 64 bits that are the low bits of one whose others are 0. */
  readonly #wide = new WeakMap<IrValue, IrValue>();

  constructor(ops: IrOps, isOrdered: boolean) {
    this.#ops = ops;
    this.#isOrdered = isOrdered;
  }

  get #fn(): IrFunction {
    return this.#ops.fn;
  }

  /** A loaded value extended by zeros to 64 bits, if that costs nothing. */
  wide(value: IrValue): IrValue | undefined {
    return this.#wide.get(value);
  }

  /** Loads; a private access need not be ordered. `landing` is where to go on after a fault. */
  load(width: number, place: Place, isPrivate: boolean, landing: () => Landing): IrValue {
    const ops = this.#ops;
    if (!isWhole(width)) {
      const part = partOf(width);
      const low = this.load(part, place, isPrivate, landing);
      const high = this.load(width - part, this.#behind(place, part), isPrivate, landing);
      return ops.concat(high, low);
    }
    if (!isScalar(width)) return this.#loadVector(width, place, isPrivate, landing());
    const asm = new Asm();
    const result = sized(asm.output("=r"), width);
    const plain = `ldr${SUFFIX[width]} ${result}`;
    if (isPrivate || !this.#isOrdered) {
      asm.access(`${plain}, ${this.#operand(asm, place, width)}`, null);
    } else {
      const at = `[${asm.input("r", this.#address(place))}]`;
      const unaligned = width === 8 ? null : [`${plain}, ${at}`, "dmb ishld"];
      asm.access(`ldapr${SUFFIX[width]} ${result}, ${at}`, unaligned);
    }
    const full = this.#fn.named(64, "i64", asm.emit(this.#fn, "i64", landing()));
    if (width === 64) return full;
    const value = this.#fn.value(width, `i${width}`, `trunc i64 ${this.#fn.text(full, "i64")} to i${width}`);
    this.#wide.set(value, full);
    return value;
  }

  #loadVector(width: number, place: Place, isPrivate: boolean, landing: Landing): IrValue {
    const fn = this.#fn;
    const asm = new Asm();
    const registers = Array.from({ length: width / 128 }, () => sized(asm.output("=w"), 128));
    const at = this.#vectorOperands(asm, place, width);
    registers.forEach((register, i) => {
      if (width === 128) asm.access(`ldr ${register}, ${at[0]}`, null);
      else if (i % 2 === 0) asm.access(`ldp ${register}, ${registers[i + 1]}, ${at[i / 2]}`, null);
    });
    if (this.#isOrdered && !isPrivate) asm.line("dmb ishld");
    const part = "<2 x i64>";
    if (width === 128) return fn.named(128, part, asm.emit(fn, part, landing));
    const type = `{ ${registers.map(() => part).join(", ")} }`;
    const all = asm.emit(fn, type, landing);
    const parts = registers.map((_, i) => fn.value(128, part, `extractvalue ${type} ${all}, ${i}`));
    return this.#ops.concat(...parts.reverse());
  }

  store(place: Place, value: IrValue, isPrivate: boolean, landing: () => Landing): void {
    const ops = this.#ops;
    const { width } = value;
    if (!isWhole(width)) {
      const part = partOf(width);
      this.store(place, ops.trunc(value, part), isPrivate, landing);
      this.store(this.#behind(place, part), ops.bits(value, part, width - part), isPrivate, landing);
      return;
    }
    const asm = new Asm();
    if (!isScalar(width)) {
      this.#storeVector(asm, place, value, isPrivate);
    } else {
      const isZero = value.constant === 0n;
      const zero = width === 64 ? "xzr" : "wzr";
      const source = isZero ? zero : sized(asm.input("r", this.#fn.typed(value, `i${width}`)), width);
      const plain = `str${SUFFIX[width]} ${source}`;
      if (isPrivate || !this.#isOrdered) {
        asm.access(`${plain}, ${this.#operand(asm, place, width)}`, null);
      } else {
        const at = `[${asm.input("r", this.#address(place))}]`;
        const unaligned = width === 8 ? null : ["dmb ishst", `${plain}, ${at}`];
        asm.access(`stlr${SUFFIX[width]} ${source}, ${at}`, unaligned);
      }
    }
    asm.emit(this.#fn, "void", landing());
  }

  #storeVector(asm: Asm, place: Place, value: IrValue, isPrivate: boolean): void {
    const { width } = value;
    const part = "<2 x i64>";
    const parts = Array.from({ length: width / 128 }, (_, i) => this.#ops.bits(value, i * 128, 128));
    const registers = parts.map((v) => sized(asm.input("w", this.#fn.typed(v, part)), 128));
    const at = this.#vectorOperands(asm, place, width);
    if (this.#isOrdered && !isPrivate) asm.line("dmb ishst");
    registers.forEach((register, i) => {
      if (width === 128) asm.access(`str ${register}, ${at[0]}`, null);
      else if (i % 2 === 0) asm.access(`stp ${register}, ${registers[i + 1]}, ${at[i / 2]}`, null);
    });
  }

  /** Atomic read-modify-write and full barrier; gives the old value. An address that is not aligned faults. */
  atomicRmw(op: AtomicOp, place: Place, value: IrValue, landing: () => Landing): IrValue {
    const ops = this.#ops;
    const { width } = value;
    assert(isScalar(width), "atomic operations are on integers");
    const operand = op === "sub" ? ops.sub(ops.int(width, 0), value) : op === "and" ? ops.not(value) : value;
    const asm = new Asm();
    const old = sized(asm.output("=r"), width);
    const source = sized(asm.input("r", this.#fn.typed(operand, `i${width}`)), width);
    const at = asm.input("r", this.#address(place));
    asm.access(`${ATOMICS[op]}al${SUFFIX[width]} ${source}, ${old}, [${at}]`, null);
    return this.#narrow(width, asm.emit(this.#fn, "i64", landing()));
  }

  /** Compare and swap, and full barrier; gives the old value. As atomicRmw where the address is not aligned. */
  atomicCas(place: Place, expected: IrValue, desired: IrValue, landing: () => Landing): IrValue {
    const { width } = desired;
    const fn = this.#fn;
    const asm = new Asm();
    if (width === 128) {
      // CASP wants pairs of neighbours; these registers are no arguments of translated code.
      for (const register of ["x8", "x9"]) asm.output(`={${register}}`);
      const halves = [expected, desired].flatMap((v) => [this.#ops.bits(v, 0, 64), this.#ops.bits(v, 64, 64)]);
      halves.slice(0, 2).forEach((half, i) => void asm.input(`${i}`, fn.typed(half, "i64")));
      halves.slice(2).forEach((half, i) => void asm.input(`{x${10 + i}}`, fn.typed(half, "i64")));
      asm.access(`caspal x8, x9, x10, x11, [${asm.input("r", this.#address(place))}]`, null);
      asm.line("dmb ish");
      const pair = asm.emit(fn, "{ i64, i64 }", landing());
      const [low, high] = [0, 1].map((i) => fn.value(64, "i64", `extractvalue { i64, i64 } ${pair}, ${i}`));
      return this.#ops.concat(high!, low!);
    }
    assert(isScalar(width), "compare and swap is on integers or pairs");
    const old = sized(asm.output("=&r"), width);
    asm.input("0", fn.typed(this.#ops.zext(expected, 64), "i64"));
    const source = sized(asm.input("r", fn.typed(desired, `i${width}`)), width);
    const at = asm.input("r", this.#address(place));
    const wanted = width < 32 ? "" : sized(asm.input("r", fn.typed(expected, `i${width}`)), width);
    asm.access(`casal${SUFFIX[width]} ${old}, ${source}, [${at}]`, null);
    if (wanted !== "") {
      asm.line(`cmp ${old}, ${wanted}`);
      asm.line("b.eq 9f");
    }
    asm.line("dmb ish");
    asm.line("9:");
    return this.#narrow(width, asm.emit(fn, "i64", landing(), ",~{cc}"));
  }

  fence(kind: "full" | "load" | "store"): void {
    if (!this.#isOrdered) return;
    const barrier = { full: "ish", load: "ishld", store: "ishst" }[kind];
    this.#fn.effect(`call void asm sideeffect "dmb ${barrier}", "~{memory}"()`);
  }

  /** The low bits of a result of which the others mean nothing. */
  #narrow(width: number, name: string): IrValue {
    return width === 64
      ? this.#fn.named(64, "i64", name)
      : this.#fn.value(width, `i${width}`, `trunc i64 ${name} to i${width}`);
  }

  #address(place: Place): string {
    return this.#fn.typed(place.address, "i64");
  }

  /** The address operand of a plain access, with what fits of the constant. */
  #operand(asm: Asm, { address, root, offset }: Place, width: number): string {
    const bytes = BigInt(width / 8);
    const fits =
      (offset >= -256n && offset < 256n) || (offset >= 0n && offset % bytes === 0n && offset < 4096n * bytes);
    const base = asm.input("r", this.#fn.typed(fits ? root : address, "i64"));
    return fits && offset !== 0n ? `[${base}, #${offset}]` : `[${base}]`;
  }

  /** Address operands of a vector's loads or stores: one of 16 bytes, or pairs of them. */
  #vectorOperands(asm: Asm, place: Place, width: number): string[] {
    if (width === 128) return [this.#operand(asm, place, 128)];
    const last = place.offset + BigInt((width / 256 - 1) * 32);
    const fits = place.offset % 16n === 0n && place.offset >= -1024n && last < 1024n;
    const base = asm.input("r", this.#fn.typed(fits ? place.root : place.address, "i64"));
    return Array.from({ length: width / 256 }, (_, i) => {
      const offset = (fits ? place.offset : 0n) + BigInt(i * 32);
      return offset === 0n ? `[${base}]` : `[${base}, #${offset}]`;
    });
  }

  #behind(place: Place, bits: number): Place {
    const ops = this.#ops;
    const address = ops.add(place.address, ops.int(64, bits / 8));
    return { address, root: place.root, offset: place.offset + BigInt(bits / 8) };
  }
}
