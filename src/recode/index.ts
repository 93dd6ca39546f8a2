export { fileTypeName } from "./check.ts";
export { decodeCpuState, encodeCpuState } from "./cpu-state.ts";
export { moveOpenFlags } from "./file-flags.ts";
export { type Form, formOf } from "./form.ts";
export type { ReadFile, Unlisted } from "./modules.ts";
export { type Problem, RecodeError } from "./problems.ts";
export { type Process, type ProcessTree, readProcessTree, type Thread } from "./process.ts";
export { type ForeignOptions, type ForeignResult, toForeign } from "./to-foreign.ts";
export { type HomeOptions, toHome } from "./to-home.ts";
