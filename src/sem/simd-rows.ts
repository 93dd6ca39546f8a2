// The rows of all vector and x87 families, for the table.

import { EVEX_COMPARE } from "./evex-compare.ts";
import { EVEX_LANES } from "./evex-lanes.ts";
import { EVEX_MASK } from "./evex-mask.ts";
import { FLOAT_ARITHMETIC } from "./float-arithmetic.ts";
import { FLOAT_COMPARE } from "./float-compare.ts";
import { FLOAT_CONVERT } from "./float-convert.ts";
import { FLOAT_SPECIAL } from "./float-special.ts";
import { SIMD_CRYPTO } from "./simd-crypto.ts";
import { SIMD_GATHER } from "./simd-gather.ts";
import { SIMD_INTEGER } from "./simd-integer.ts";
import { SIMD_MOVES } from "./simd-moves.ts";
import { SIMD_REFUSED } from "./simd-refused.ts";
import { SIMD_SHIFT } from "./simd-shift.ts";
import { SIMD_SHUFFLE } from "./simd-shuffle.ts";
import { SIMD_STRING } from "./simd-string.ts";
import type { Row } from "./vocabulary.ts";
import { X87_ARITHMETIC } from "./x87-arithmetic.ts";
import { X87_CONTROL } from "./x87-control.ts";

export const SIMD_ROWS: readonly Row[] = [
  ...SIMD_MOVES,
  ...SIMD_INTEGER,
  ...SIMD_SHIFT,
  ...SIMD_SHUFFLE,
  ...SIMD_STRING,
  ...SIMD_GATHER,
  ...SIMD_CRYPTO,
  ...EVEX_MASK,
  ...EVEX_COMPARE,
  ...EVEX_LANES,
  ...FLOAT_ARITHMETIC,
  ...FLOAT_COMPARE,
  ...FLOAT_CONVERT,
  ...FLOAT_SPECIAL,
  ...X87_CONTROL,
  ...X87_ARITHMETIC,
  ...SIMD_REFUSED,
];
