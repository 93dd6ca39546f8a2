export { IrFunction, IrModule, TBAA, UNLIKELY } from "./function.ts";
export { IrMemory } from "./memory.ts";
export { IrNativeOps } from "./native-ops.ts";
export { IrOps } from "./ops.ts";
export { floatType, IrValue, laneType, type Target, type View } from "./value.ts";
