// Prints runtime/gen/abi.h from the tables of this directory.

import { printC } from "./layout.ts";
import { PARK_STOPPED, RUNTIME_FILE, RUNTIME_HEADER_OFFSET, RUNTIME_MAGIC, RuntimeHeader } from "./runtime-header.ts";
import * as state from "./state.ts";
import {
  FaultRow,
  TRANSLATION_HEADER_OFFSET,
  TRANSLATION_MAGIC,
  TranslationHeader,
  UnalignedRow,
  VARIANTS,
} from "./translation.ts";

const hex = (value: number | bigint): string => `0x${value.toString(16)}${typeof value === "bigint" ? "ull" : "u"}`;

/** The text of the C header that the runtime includes. */
export function printHeader(): string {
  const constants: [string, number | bigint][] = [
    ["ABI_VERSION", state.ABI_VERSION],
    ["HC_BASE", state.HC_BASE],
    ["HC_BASE_QEMU_USER", state.HC_BASE_QEMU_USER],
    ["PROC_AREA_OFFSET", state.PROC_AREA_OFFSET],
    ["PROC_AREA_BYTES", state.PROC_AREA_BYTES],
    ["PROC_PRIVATE_OFFSET", state.PROC_PRIVATE_OFFSET],
    ["PROC_HOME_BLOB_OFFSET", state.PROC_HOME_BLOB_OFFSET],
    ["PROC_HOME_BLOB_BYTES", state.PROC_HOME_BLOB_BYTES],
    ["PROC_MISSED_OFFSET", state.PROC_MISSED_OFFSET],
    ["MISSED_ENTRIES", state.MISSED_ENTRIES],
    ["PROC_EXECUTED_OFFSET", state.PROC_EXECUTED_OFFSET],
    ["PROC_EXECUTED_BYTES", state.PROC_EXECUTED_BYTES],
    ["MISSED_ENOUGH", state.MISSED_ENOUGH],
    ["PROC_MAGIC", state.PROC_MAGIC],
    ["THREAD_AREA_OFFSET", state.THREAD_AREA_OFFSET],
    ["THREAD_AREA_BYTES", state.THREAD_AREA_BYTES],
    ["MAX_THREADS", state.MAX_THREADS],
    ["MAX_MODULES", state.MAX_MODULES],
    ["TRANSLATION_OFFSET", state.TRANSLATION_OFFSET],
    ["LOOKUP_BITS", state.LOOKUP_BITS],
    ["LOOKUP_ENTRIES", state.LOOKUP_ENTRIES],
    ["LOOKUP_SHIFT", state.LOOKUP_SHIFT],
    ["LOOKUP_OFFSET", state.LOOKUP_OFFSET],
    ["SECOND_LOOKUP_OFFSET", state.SECOND_LOOKUP_OFFSET],
    ["SECOND_LOOKUP_ENTRIES", state.SECOND_LOOKUP_ENTRIES],
    ["SECOND_LOOKUP_SHIFT", state.SECOND_LOOKUP_SHIFT],
    ["THREAD_PRIVATE_OFFSET", state.THREAD_PRIVATE_OFFSET],
    ["THREAD_HOME_BLOB_OFFSET", state.THREAD_HOME_BLOB_OFFSET],
    ["THREAD_HOME_BLOB_BYTES", state.THREAD_HOME_BLOB_BYTES],
    ["DECODE_CACHE_OFFSET", state.DECODE_CACHE_OFFSET],
    ["DECODE_CACHE_BYTES", state.DECODE_CACHE_BYTES],
    ["THREAD_SIGNAL_STACK_OFFSET", state.THREAD_SIGNAL_STACK_OFFSET],
    ["THREAD_SIGNAL_STACK_BYTES", state.THREAD_SIGNAL_STACK_BYTES],
    ["SECCOMP_ORIGINAL_MAGIC", state.SECCOMP_ORIGINAL_MAGIC],
    ["QUIESCE_SIGNAL", state.QUIESCE_SIGNAL],
    ["RUNTIME_MAGIC", RUNTIME_MAGIC],
    ["RUNTIME_HEADER_OFFSET", RUNTIME_HEADER_OFFSET],
    ["TRANSLATION_MAGIC", TRANSLATION_MAGIC],
    ["TRANSLATION_HEADER_OFFSET", TRANSLATION_HEADER_OFFSET],
    ...VARIANTS.map((name, index): [string, number] => [`VARIANT_${name.toUpperCase()}`, index]),
    ...Object.entries(state.EXIT).map(([name, value]): [string, number] => [`EXIT_${name.toUpperCase()}`, value]),
    ...Object.entries(state.MODULE_STATUS).map(([name, value]): [string, number] => [
      `MODULE_${name.toUpperCase()}`,
      value,
    ]),
  ];
  let text = "/* Printed from src/abi by src/abi/print-header.ts; do not edit. */\n#pragma once\n";
  text += "#ifdef __ASSEMBLER__\n";
  for (const [name, value] of constants) text += `#define ${name} 0x${value.toString(16)}\n`;
  for (const struct of [state.CpuState, state.ThreadState, state.ProcState]) {
    for (const field of struct.fields)
      text += `#define ${struct.name.toUpperCase()}_${field.name.toUpperCase()} 0x${field.offset.toString(16)}\n`;
  }
  text += "#else\n#include <stddef.h>\n#include <stdint.h>\n\n";
  for (const [name, value] of constants) text += `#define ${name} ${hex(value)}\n`;
  text += `#define NODE_MOUNT "${state.NODE_MOUNT}"\n#define RUNTIME_FILE "${RUNTIME_FILE}"\n`;
  text += `#define PARK_STOPPED "${PARK_STOPPED}"\n`;
  state.VDSO_CALLS.forEach((name, index) => {
    text += `#define ${name.replace("__vdso_", "VDSO_").toUpperCase()} ${index}\n`;
  });
  for (const struct of [...state.STRUCTS, FaultRow, UnalignedRow, TranslationHeader, RuntimeHeader])
    text += `\n${printC(struct)}`;
  return `${text}#endif\n`;
}
