// The shell of a node that is this machine: commands run as they are, or behind a prefix (nsenter into the namespaces
// that the node's engine lives in), with what the node's environment adds.

import { type NodeShell, shellOf } from "./shell.ts";

export interface LocalOptions {
  /** Words before every command, such as `["nsenter", "--net=/run/x"]`. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The shell of this machine. */
export function localShell(name: string, options: LocalOptions = {}): NodeShell {
  const [first, ...rest] = options.prefix ?? [];
  return shellOf(name, (line) => {
    const env = { ...options.env, ...line.env };
    if (first === undefined) return { ...line, env };
    return { command: first, args: [...rest, line.command, ...line.args], env, cwd: line.cwd };
  });
}
