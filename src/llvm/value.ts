// A value in LLVM IR. To the semantics a value is just an integer of some width; to LLVM the same bits may be an integer,
// a vector of integer lanes or of floating-point lanes. An IrValue therefore keeps the names of all the views of it that
// exist, and a new view is a bitcast made when somebody asks (function.ts). Constants have no name at all.

/** The host that code is generated for. */
export type Target = "x86_64" | "aarch64";

/** One name of a value, of one LLVM type, valid wherever `block` dominates. */
export interface View {
  readonly type: string;
  readonly name: string;
  readonly block: number;
}

/** A value of `width` bits: a constant, or at least one view. */
export class IrValue {
  readonly width: number;
  readonly constant: bigint | undefined;
  /** The first view is where the value was defined; the others are bitcasts of it. */
  readonly views: View[];

  constructor(width: number, constant: bigint | undefined, views: View[]) {
    this.width = width;
    this.constant = constant;
    this.views = views;
  }

  /** A constant, cut to `width` bits. */
  static constant(width: number, value: bigint): IrValue {
    return new IrValue(width, BigInt.asUintN(width, value), []);
  }

  /** The LLVM type in which the value was made; constants count as integers. */
  get type(): string {
    return this.views.length > 0 ? this.views[0]!.type : `i${this.width}`;
  }
}

/** Values that have been asked for once, when several are made at the same place. */
export type Exact = Map<PendingValue, IrValue>;

/**
 * A result of floating-point operations that is right in every lane that is no NaN, and whose NaNs nobody has looked at yet
 * (ops.ts). Whoever asks for its text makes it right first; operations that pass NaNs on ask for `fast`.
 */
export class PendingValue extends IrValue {
  readonly fast: IrValue;
  readonly laneBits: number;
  /** The lanes that may be wrong if they are NaNs, a bit each. */
  readonly lanes: number;
  /** Operations since the last value that was certain. */
  readonly depth: number;
  /** Computes the right value at the place of writing. */
  readonly makeExact: (known: Exact) => IrValue;
  readonly #settle: (value: PendingValue) => void;
  #right: IrValue | undefined;

  constructor(
    fast: IrValue,
    more: Pick<PendingValue, "laneBits" | "lanes" | "depth" | "makeExact">,
    settle: (value: PendingValue) => void,
  ) {
    super(fast.width, undefined, []);
    this.fast = fast;
    this.laneBits = more.laneBits;
    this.lanes = more.lanes;
    this.depth = more.depth;
    this.makeExact = more.makeExact;
    this.#settle = settle;
  }

  override get type(): string {
    return this.isSettled ? super.type : this.fast.type;
  }

  /** Whether it has been made right, where the place of writing dominates all that follows. */
  get isSettled(): boolean {
    return this.views.length > 0;
  }

  settle(): void {
    if (!this.isSettled) this.#settle(this);
  }

  /** What to read at the place of writing: itself while it is pending, else the right value, of which no more is known. */
  now(): IrValue {
    if (!this.isSettled) return this;
    this.#right ??= new IrValue(this.width, undefined, this.views);
    return this.#right;
  }

  /** The same, to be made right at another place. */
  again(): PendingValue {
    return new PendingValue(this.fast, this, this.#settle);
  }

  /** The right value, at the place of writing. */
  exact(known: Exact): IrValue {
    let value = known.get(this);
    if (!value) {
      value = this.makeExact(known);
      known.set(this, value);
    }
    return value;
  }
}

/**
 * A vector register whose low bits, a scalar, have been written over the rest of what it held. The two are put together where
 * somebody asks for the whole, once in each block: most ask for the scalar alone.
 */
export class SplitValue extends IrValue {
  readonly scalar: IrValue;
  readonly rest: IrValue;
  /** Puts such a scalar and such a rest together at the place of writing. */
  readonly join: (scalar: IrValue, rest: IrValue) => IrValue;

  constructor(scalar: IrValue, rest: IrValue, join: (scalar: IrValue, rest: IrValue) => IrValue) {
    super(rest.width, undefined, []);
    this.scalar = scalar;
    this.rest = rest;
    this.join = join;
  }

  override get type(): string {
    return laneType(this.width, this.scalar.width);
  }
}

/** A value, or if something in it is pending the same to be made right at another place. */
export function again(value: IrValue): IrValue {
  if (value instanceof SplitValue) {
    const [scalar, rest] = [again(value.scalar), again(value.rest)];
    return scalar === value.scalar && rest === value.rest ? value : new SplitValue(scalar, rest, value.join);
  }
  return value instanceof PendingValue && !value.isSettled ? value.again() : value;
}

/** A value, or what it is put together of. */
export function partsOf(value: IrValue): IrValue[] {
  return value instanceof SplitValue ? [...partsOf(value.scalar), ...partsOf(value.rest)] : [value];
}

/** The LLVM type of `width` bits cut into lanes of integers; a single lane is a plain integer. */
export function laneType(width: number, laneBits: number): string {
  const lanes = width / laneBits;
  return lanes === 1 ? `i${laneBits}` : `<${lanes} x i${laneBits}>`;
}

const FLOAT_NAMES: Readonly<Record<number, string>> = { 16: "half", 32: "float", 64: "double" };

/** The LLVM type of `width` bits cut into floating-point lanes; a single lane is a plain scalar. */
export function floatType(width: number, laneBits: number): string {
  const lanes = width / laneBits;
  const scalar = FLOAT_NAMES[laneBits];
  if (scalar === undefined) throw new Error(`internal error: no floating-point type of ${laneBits} bits`);
  return lanes === 1 ? scalar : `<${lanes} x ${scalar}>`;
}

/** The type's part of an intrinsic's name: `<4 x float>` is `v4f32`. */
export function mangle(type: string): string {
  const vector = /^<(\d+) x (\w+)>$/.exec(type);
  if (vector) return `v${vector[1]}${mangle(vector[2]!)}`;
  return type === "half" ? "f16" : type === "float" ? "f32" : type === "double" ? "f64" : type;
}

/** Text of an integer constant of a type (an integer or a vector of integers). */
export function constantText(type: string, value: bigint): string {
  const vector = /^<(\d+) x i(\d+)>$/.exec(type);
  if (!vector) return value.toString();
  if (value === 0n) return "zeroinitializer";
  const bits = Number(vector[2]);
  const lanes: string[] = [];
  for (let i = 0; i < Number(vector[1]); i++) lanes.push(`i${bits} ${BigInt.asUintN(bits, value >> BigInt(i * bits))}`);
  return `<${lanes.join(", ")}>`;
}
