// Tries the semantic of one instruction, to learn what it does to what liveness is computed of. Values know, byte by byte, which
// upper parts of vector registers are in them: who only moves those, or combines them lane by lane, uses them no more than
// what he makes is used. Who asks for a value's text uses all that is in it: floating-point operations above all, whose
// exceptions can be seen.

import { IrFunction, type IrLaneOp, type IrLaneOp1, IrModule, IrValue } from "../llvm/index.ts";
import { LazyFlag, type LiftOptions, LiftSem, type Slot } from "./sem.ts";
import {
  bitsOf,
  type Live,
  LOW_FIRST,
  MASK_FIRST,
  NOTHING_LIVE,
  or,
  UPPER_PARTS,
  upperBit,
  VARIABLES,
} from "./variables.ts";

/** What of `upper` each byte of a value is made of, lowest first. */
type Sources = readonly number[];

const all = (sources: Sources): number => sources.reduce((set, source) => set | source, 0);

/** Notes whose text is asked for. */
class ProbeFunction extends IrFunction {
  readonly sources = new WeakMap<IrValue, Sources>();
  used = 0;

  override text(value: IrValue, type: string): string {
    const sources = this.sources.get(value);
    if (sources) this.used |= all(sources);
    return super.text(value, type);
  }
}

/** What an instruction does to the upper parts of vector registers. */
export interface UpperEffects {
  readonly uses: number;
  readonly kills: number;
  readonly flows: readonly Flow[];
}

/** A part that is made of others and of nothing else that counts. */
export interface Flow {
  /** The bit of the part. */
  readonly to: number;
  readonly from: number;
}

const NO_EFFECTS: UpperEffects = { uses: 0, kills: 0, flows: [] };

export class ProbeSem extends LiftSem {
  readonly #fn: ProbeFunction;
  /** Registers that have been read, and whether all is done under a condition. */
  readonly seen: { read: Live; isConditional: boolean };

  constructor(options: LiftOptions) {
    const fn = new ProbeFunction(new IrModule("aarch64"), "define void @probe()");
    const seen = { read: NOTHING_LIVE, isConditional: false };
    const atHead: IrValue[] = [];
    super(
      fn,
      {
        valueAtHead: (variable) => {
          seen.read = or(seen.read, bitsOf(variable));
          atHead[variable] ??= headValue(fn, variable);
          return atHead[variable];
        },
        anchor: () => ({ value: fn.named(64, "i64", "%probe"), at: 0n }),
        leaveIf: () => {},
        skipIf: () => {
          seen.isConditional = true;
        },
        landing: () => ({ label: "probe", guest: 0 }),
        isDeadAbove: () => false,
      },
      options,
    );
    this.#fn = fn;
    this.seen = seen;
  }

  /** Of the instruction whose semantic has been run. */
  upperEffects(): UpperEffects {
    const isUntouched = this.seen.read.upper === 0 && !this.state.some((slot, v) => slot && upperBit(v, "high") !== 0);
    if (isUntouched) return NO_EFFECTS;
    for (const slot of this.state) if (slot instanceof LazyFlag) this.#fn.text(this.force(slot, true), "i1");
    const flows: Flow[] = [];
    let [uses, kills] = [0, 0];
    this.state.forEach((slot, variable) => {
      const sources = this.#sourcesOfSlot(slot);
      if (slot === undefined) return;
      if (upperBit(variable, "middle") === 0) {
        uses |= all(sources);
        return;
      }
      uses |= all(sources.slice(0, 4));
      for (const part of UPPER_PARTS) {
        const to = upperBit(variable, part);
        const from = all(part === "middle" ? sources.slice(4, 8) : sources.slice(8));
        if (from === to) continue;
        kills |= to;
        if (from !== 0) flows.push({ to, from });
      }
    });
    return { uses: uses | this.#fn.used, kills: this.seen.isConditional ? 0 : kills, flows };
  }

  /** Whether all that the instruction has written to vector registers is known. */
  makesConstants(): boolean {
    const written = this.state.slice(LOW_FIRST, MASK_FIRST).filter((slot) => slot !== undefined);
    return written.length > 0 && written.every((slot) => slot instanceof IrValue && slot.constant !== undefined);
  }

  #sourcesOfSlot(slot: Slot): Sources {
    return (slot instanceof IrValue && this.#fn.sources.get(slot)) || [];
  }

  #isTracked(...values: readonly IrValue[]): boolean {
    return values.some((value) => this.#fn.sources.has(value)) && values.every(({ width }) => width % 8 === 0);
  }

  #sourcesOf(value: IrValue): Sources {
    return this.#fn.sources.get(value) ?? new Array<number>(value.width / 8).fill(0);
  }

  #made(sources: Sources): IrValue {
    return made(this.#fn, sources.length * 8, sources);
  }

  /** What is made lane by lane of values. */
  #laneWise(laneBits: number, values: readonly IrValue[]): IrValue {
    const parts = values.map((value) => this.#sourcesOf(value));
    const together = parts[0]!.map((_, i) => parts.reduce((set, sources) => set | sources[i]!, 0));
    const bytes = laneBits / 8;
    return this.#made(
      together.map((_, i) => {
        const first = i - (i % bytes);
        return all(together.slice(first, first + bytes));
      }),
    );
  }

  override bits(a: IrValue, low: number, width: number): IrValue {
    if (width === a.width || low % 8 !== 0 || width % 8 !== 0 || !this.#isTracked(a)) return super.bits(a, low, width);
    return this.#made(this.#sourcesOf(a).slice(low / 8, (low + width) / 8));
  }

  override zext(a: IrValue, width: number): IrValue {
    if (width === a.width || width % 8 !== 0 || !this.#isTracked(a)) return super.zext(a, width);
    return this.#made([...this.#sourcesOf(a), ...new Array<number>((width - a.width) / 8).fill(0)]);
  }

  override concat(...parts: IrValue[]): IrValue {
    if (parts.length === 1 || !this.#isTracked(...parts)) return super.concat(...parts);
    return this.#made(parts.toReversed().flatMap((part) => this.#sourcesOf(part)));
  }

  override setLane(a: IrValue, laneBits: number, index: number, value: IrValue): IrValue {
    if (a.width === laneBits || !this.#isTracked(a, value)) return super.setLane(a, laneBits, index, value);
    const sources = [...this.#sourcesOf(a)];
    sources.splice((index * laneBits) / 8, laneBits / 8, ...this.#sourcesOf(value));
    return this.#made(sources);
  }

  override shuffle(laneBits: number, a: IrValue, b: IrValue, indices: readonly number[]): IrValue {
    if (laneBits % 8 !== 0 || !this.#isTracked(a, b)) return super.shuffle(laneBits, a, b, indices);
    const sources = [...this.#sourcesOf(a), ...this.#sourcesOf(b)];
    const bytes = laneBits / 8;
    return this.#made(indices.flatMap((index) => sources.slice(index * bytes, (index + 1) * bytes)));
  }

  override splat(value: IrValue, width: number): IrValue {
    if (value.width === width || !this.#isTracked(value)) return super.splat(value, width);
    const sources = this.#sourcesOf(value);
    return this.#made(Array.from({ length: width / 8 }, (_, i) => sources[i % sources.length]!));
  }

  override and(a: IrValue, b: IrValue): IrValue {
    return this.#isCombined(a, b) ? this.#laneWise(8, [a, b]) : super.and(a, b);
  }

  override or(a: IrValue, b: IrValue): IrValue {
    return this.#isCombined(a, b) ? this.#laneWise(8, [a, b]) : super.or(a, b);
  }

  override xor(a: IrValue, b: IrValue): IrValue {
    return this.#isCombined(a, b) ? this.#laneWise(8, [a, b]) : super.xor(a, b);
  }

  /** Of two values, and not known to be one of them or a constant. */
  #isCombined(a: IrValue, b: IrValue): boolean {
    return a !== b && a.constant !== 0n && b.constant !== 0n && this.#isTracked(a, b);
  }

  override lanes(op: IrLaneOp, laneBits: number, a: IrValue, b: IrValue): IrValue {
    return a !== b && this.#isTracked(a, b) ? this.#laneWise(laneBits, [a, b]) : super.lanes(op, laneBits, a, b);
  }

  override lanes1(op: IrLaneOp1, laneBits: number, a: IrValue): IrValue {
    return this.#isTracked(a) ? this.#laneWise(laneBits, [a]) : super.lanes1(op, laneBits, a);
  }
}

function made(fn: ProbeFunction, width: number, sources: Sources): IrValue {
  const value = fn.named(width, `i${width}`, "%probe");
  if (sources.some((source) => source !== 0)) fn.sources.set(value, sources);
  return value;
}

function headValue(fn: ProbeFunction, variable: number): IrValue {
  const { width, type } = VARIABLES[variable]!;
  const value = fn.named(width, type, "%probe");
  const [middle, high] = [upperBit(variable, "middle"), upperBit(variable, "high")];
  if (middle !== 0)
    fn.sources.set(
      value,
      Array.from({ length: 16 }, (_, i) => (i < 4 ? 0 : i < 8 ? middle : high)),
    );
  return value;
}
