// One iced-x86 code becomes several functions of the interpreter: by kind of its modrm operand, and by the prefixes that
// change what it does. A candidate is a code with one kind of modrm, as the decoder's tables have it; the decoder adds
// the number of the variant that the prefixes select to the candidate's first function.

import type { Form } from "../x86/index.ts";

/** Which prefixes select the variant; the number is AXIS's place in runtime/decode.c. */
export type Axis = "none" | "lock" | "string" | "address" | "mask" | "maskBroadcast" | "broadcast";
export const AXES: readonly Axis[] = ["none", "lock", "string", "address", "mask", "maskBroadcast", "broadcast"];

/** Most variants that an axis has. */
export const MAX_VARIANTS = 6;

/** Static facts of one function. */
export interface Variant {
  readonly form: Form;
  /** The modrm operand is memory. */
  readonly isMemory: boolean;
  readonly isLocked: boolean;
  readonly rep: "none" | "rep" | "repne";
  readonly addressSize: 32 | 64;
  readonly isMasked: boolean;
  readonly isBroadcast: boolean;
}

/** A code with one kind of modrm operand. */
export interface Candidate {
  readonly form: Form;
  readonly modrm: "none" | "register" | "memory";
  readonly axis: Axis;
  /** By variant number; null is no instruction. */
  readonly variants: readonly (Variant | null)[];
}

function axisOf(form: Form, isMemory: boolean): Axis {
  if (form.encoding === "evex") {
    const broadcast = isMemory && form.broadcastBits > 0;
    if (form.canMask) return broadcast ? "maskBroadcast" : "mask";
    return broadcast ? "broadcast" : "none";
  }
  if (form.isString) return "string";
  if (form.hasImplicitMemory && form.addressSize === null) return "address";
  return form.canLock && isMemory ? "lock" : "none";
}

function variantsOf(form: Form, isMemory: boolean, axis: Axis): (Variant | null)[] {
  const plain: Variant = {
    form,
    isMemory,
    isLocked: false,
    rep: "none",
    addressSize: form.addressSize ?? 64,
    isMasked: false,
    isBroadcast: false,
  };
  switch (axis) {
    case "none":
      return [plain];
    case "lock":
      return [plain, { ...plain, isLocked: true }];
    case "string":
      return ([64, 32] as const).flatMap((addressSize) =>
        (["none", "rep", "repne"] as const).map((rep) => ({ ...plain, rep, addressSize })),
      );
    case "address":
      return [plain, { ...plain, addressSize: 32 }];
    case "broadcast":
      return [plain, { ...plain, isBroadcast: true }];
    case "mask":
      return [form.mustMask ? null : plain, { ...plain, isMasked: true }];
    case "maskBroadcast":
      return [
        form.mustMask ? null : plain,
        { ...plain, isMasked: true },
        form.mustMask ? null : { ...plain, isBroadcast: true },
        { ...plain, isMasked: true, isBroadcast: true },
      ];
  }
}

/** The candidates of a code. */
export function candidatesOf(form: Form): Candidate[] {
  const make = (modrm: Candidate["modrm"]): Candidate => {
    const axis = axisOf(form, modrm === "memory");
    return { form, modrm, axis, variants: variantsOf(form, modrm === "memory", axis) };
  };
  if (!form.hasModrm) return [make("none")];
  const candidates: Candidate[] = [];
  if (form.takesRegister) candidates.push(make("register"));
  if (form.takesMemory) candidates.push(make("memory"));
  return candidates;
}
