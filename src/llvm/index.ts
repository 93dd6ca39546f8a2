export { IrFunction, IrModule, TBAA, UNLIKELY } from "./function.ts";
export {
  type AtomicOp,
  FAULT_WORDS,
  FAULTS_SECTION,
  GuardedMemory,
  type Landing,
  type Place,
  UNALIGNED_SECTION,
  UNALIGNED_WORDS,
} from "./guarded-memory.ts";
export type { IrLaneOp, IrLaneOp1 } from "./lane-ops.ts";
export { IrMemory } from "./memory.ts";
export { IrNativeOps } from "./native-ops.ts";
export { IrOps } from "./ops.ts";
export { again, floatType, IrValue, laneType, PendingValue, SplitValue, type Target, type View } from "./value.ts";
