// docs/syscalls.md, printed from the table of system calls. `hcontainer syscalls --markdown > docs/syscalls.md`; a test
// compares.

import { SYSCALLS, type SyscallRow, type SyscallSupport } from "./syscalls.ts";

const withSupport = (support: SyscallSupport): SyscallRow[] => SYSCALLS.filter((row) => row.support === support);

/** Names by reason, in the order of the table. */
function byReason(rows: readonly SyscallRow[]): string {
  const groups = new Map<string, string[]>();
  for (const { name, reason } of rows) groups.set(reason, [...(groups.get(reason) ?? []), name]);
  const lines = [...groups].map(([reason, names]) => `| ${names.join(" ")} | ${reason} |`);
  return ["| system calls | |", "|---|---|", ...lines].join("\n");
}

/** What becomes of a system call on the host, in words. */
export function describeWay(row: SyscallRow): string {
  const names = row.host.map((call) => call.name).join(", ");
  switch (row.way) {
    case "same":
      return "the same call";
    case "moved":
      return `${names}, arguments rearranged`;
    case "own":
      return names === "" ? "answered by the runtime" : `converted to ${names}`;
    case "refused":
      return "ENOSYS";
  }
}

/** The page's text. */
export function printSyscallPage(): string {
  const own = withSupport("full").filter((row) => row.way === "own" || row.way === "moved");
  return `# System calls

Printed from the table of \`src/abi/syscalls.ts\` by \`hcontainer syscalls --markdown\`; do not edit.

A program on a foreign node makes x86-64 system calls; the runtime turns each into calls of the foreign kernel. Of the
${SYSCALLS.length} system calls of x86-64 Linux 6.12, ${withSupport("full").length} are supported in full, ${withSupport("partial").length} in part and ${withSupport("refused").length} are refused:
these fail with ENOSYS, as on a kernel that lacks them. Numbers that do not exist fail so too. What the foreign kernel itself
lacks or forbids is as it says.

A pointer at or above the end of x86-64's user addresses gives EFAULT wherever the kernel would read or write it, also inside
of structures: what the runtime keeps there can be neither read nor written by a system call.

## In part

${byReason(withSupport("partial"))}

## Refused

${byReason(withSupport("refused"))}

## Converted in full

These differ between the two kernels in number, arguments or layout. All others are the same call.

${["| system call | becomes |", "|---|---|", ...own.map((row) => `| ${row.name} | ${describeWay(row)} |`)].join("\n")}
`;
}
