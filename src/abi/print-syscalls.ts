// Prints runtime/gen/syscalls.h from the table of system calls: the host's numbers, a prototype for each handler, and
// the table by which runtime/syscalls.c acts.

import { SYSCALL_POINTERS } from "./syscall-pointers.ts";
import { type ArgumentSource, HOST_SYSCALLS, OPEN_FLAG_BITS, SYSCALLS, type SyscallRow } from "./syscalls.ts";

/** One byte an argument: 0..5 guest argument; 0x10 + n open flags from argument n; 0x20 + n constant n. */
function sourceCode(source: ArgumentSource, constants: bigint[]): number {
  switch (source.kind) {
    case "guest":
      return source.index;
    case "openFlags":
      return 0x10 + source.index;
    case "constant": {
      if (!constants.includes(source.value)) constants.push(source.value);
      return 0x20 + constants.indexOf(source.value);
    }
    case "computed":
      throw new Error("a moved call has no computed arguments");
  }
}

function printRow(row: SyscallRow, constants: bigint[]): string {
  const fields: string[] = [`.way = WAY_${row.way.toUpperCase()}`];
  if (row.way === "own") fields.push(`.handler = hc_sys_${row.name}`);
  const host = row.host[0];
  if (host && row.way !== "own") fields.push(`.host = ${host.number}`);
  if (host && row.way === "moved") {
    const codes = host.arguments.map((argument) => `0x${sourceCode(argument, constants).toString(16)}`);
    fields.push(`.count = ${codes.length}`, `.from = { ${codes.join(", ")} }`);
  }
  const kinds = SYSCALL_POINTERS[row.name];
  if (kinds !== undefined) fields.push(`.pointers = "${kinds}"`);
  if (kinds !== undefined && /[imMwvo]/.test(kinds)) fields.push(".nested = 1");
  return `    [${row.number}] = { ${fields.join(", ")} }, /* ${row.name} */\n`;
}

/** The text of the C header of system calls. The table itself is compiled where SYSCALL_TABLE is defined. */
export function printSyscalls(): string {
  let text = "/* Printed from src/abi/syscalls.ts by src/abi/print-syscalls.ts; do not edit. */\n#pragma once\n\n";
  for (const [name, number] of Object.entries(HOST_SYSCALLS)) text += `#define HOST_${name} ${number}\n`;
  for (const row of SYSCALLS) text += `#define GUEST_${row.name} ${row.number}\n`;
  for (const [name, x86, arm] of OPEN_FLAG_BITS) {
    text += `#define GUEST_${name} 0x${x86.toString(16)}\n#define HOST_${name} 0x${arm.toString(16)}\n`;
  }
  text += `#define GUEST_SYSCALL_LIMIT ${Math.max(...SYSCALLS.map((row) => row.number)) + 1}\n\n`;
  text += "enum { WAY_NONE, WAY_SAME, WAY_MOVED, WAY_OWN, WAY_REFUSED };\n\n";
  for (const row of SYSCALLS) if (row.way === "own") text += `hc_handler hc_sys_${row.name};\n`;
  const constants: bigint[] = [];
  const rows = SYSCALLS.map((row) => printRow(row, constants)).join("");
  text += "\n#ifdef SYSCALL_TABLE\nstatic const struct syscall_row syscall_rows[GUEST_SYSCALL_LIMIT] = {\n";
  text += `${rows}};\nstatic const int64_t syscall_constants[] = { ${constants.join(", ")} };\n#endif\n`;
  return text;
}
