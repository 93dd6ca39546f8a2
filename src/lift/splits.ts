// Vector registers that are a scalar and the rest of what they held, where paths meet (src/llvm/value.ts, SplitValue): each part is
// a phi of its own.

import { floatType } from "../llvm/index.ts";
import { type Live, upperBitsAbove } from "./variables.ts";

/** The parts as operand texts; `width` is the scalar's. */
export interface SplitText {
  readonly width: number;
  readonly scalar: string;
  readonly rest: string;
}

/** Of what was dropped. */
export const NO_SPLIT: SplitText = { width: 0, scalar: "zeroinitializer", rest: "zeroinitializer" };

/** LLVM type of a rest. */
export const REST_TYPE = "<2 x i64>";

/** LLVM type of a part. */
export function partType(part: "scalar" | "rest", width: number): string {
  return part === "scalar" ? floatType(width, width) : REST_TYPE;
}

/** Name of a part of the register of this name. */
export function partName(name: string, part: "scalar" | "rest"): string {
  return `${name}_${part}`;
}

/** The phis of both parts, a line each. */
export function splitPhi(
  name: string,
  width: number,
  arms: readonly (readonly [SplitText, label: string])[],
): string[] {
  return (["scalar", "rest"] as const).map((part) => {
    const values = arms.map(([text, label]) => `[ ${text[part]}, %${label} ]`);
    return `${partName(name, part)} = phi ${partType(part, width)} ${values.join(", ")}`;
  });
}

/** Whether nobody reads more of a variable than a scalar of this width. */
export function isAllScalar(variable: number, width: number, { upper }: Live): boolean {
  const bits = upperBitsAbove(variable, width);
  return bits !== null && (upper & bits) === 0;
}
