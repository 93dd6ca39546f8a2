export { codeKey, type KeySegment, keyName } from "./code-key.ts";
export { defineStruct, type Field, offsetOf, printC, type Struct } from "./layout.ts";
export { printHeader } from "./print-header.ts";
export { printSyscalls } from "./print-syscalls.ts";
export * from "./runtime-header.ts";
export * from "./state.ts";
export { describeWay, printSyscallPage } from "./syscall-page.ts";
export * from "./syscalls.ts";
export * from "./translation.ts";
