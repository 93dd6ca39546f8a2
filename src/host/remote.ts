// The shell of a node behind ssh. One connection carries all commands (ControlMaster), so that a command costs a round
// trip and not a key exchange. Host keys are pinned in a known-hosts file of the node's own; nothing of the user's ssh
// configuration is read.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./process.ts";
import { type NodeShell, quote, shellOf } from "./shell.ts";

export interface RemoteOptions {
  readonly host: string;
  readonly port?: number;
  readonly user?: string;
  /** The private key that opens the node. */
  readonly identityPath: string;
  /** The node's host key, as a known-hosts file. */
  readonly knownHostsPath: string;
  /** How ssh reaches the host, as its option ProxyCommand has it; `ssh -W %h:%p GATEWAY`, for example. */
  readonly proxyCommand?: string;
  /** Words before ssh itself, such as nsenter into the network namespace from which the node is reached. */
  readonly prefix?: readonly string[];
  /** What every command's environment there gets. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Socket of a connection that all shells of the node share and that nobody closes; who ends the node ends it. Without
   * it the connection is this shell's own.
   */
  readonly controlPath?: string;
}

/** The shell of a node behind ssh. */
export async function remoteShell(name: string, options: RemoteOptions): Promise<NodeShell> {
  // A control socket's path has to be short (108 bytes with ssh's own suffix), so it gets a place of its own.
  const own = options.controlPath === undefined ? await mkdtemp(join(tmpdir(), "hc-ssh-")) : undefined;
  const controlPath = options.controlPath ?? join(own!, "c");
  const destination = `${options.user ?? "root"}@${options.host}`;
  const settings = [
    "BatchMode=yes",
    "ControlMaster=auto",
    `ControlPath=${controlPath}`,
    `ControlPersist=${own === undefined ? "yes" : "60"}`,
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${options.knownHostsPath}`,
    "GlobalKnownHostsFile=/dev/null",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=6",
    "LogLevel=ERROR",
    ...(options.proxyCommand === undefined ? [] : [`ProxyCommand=${options.proxyCommand}`]),
  ];
  const ssh = [
    ...(options.prefix ?? []),
    ...["ssh", "-F", "none", "-i", options.identityPath, "-p", String(options.port ?? 22)],
    ...settings.flatMap((setting) => ["-o", setting]),
  ];
  const close = async (): Promise<void> => {
    if (own === undefined) return;
    const [command, ...args] = ssh;
    await run(command!, [...args, "-O", "exit", destination]);
    await rm(own, { recursive: true, force: true });
  };
  return shellOf(
    name,
    (line) => {
      const env = Object.entries({ ...options.env, ...line.env }).map(([key, value]) => `${key}=${value}`);
      const words = [...(env.length === 0 ? [] : ["env", ...env]), line.command, ...line.args];
      const enter = line.cwd === undefined ? "" : `cd ${quote(line.cwd)} && `;
      const [command, ...args] = ssh;
      const terminal = line.terminal ? ["-t"] : [];
      return {
        command: command!,
        args: [...args, ...terminal, destination, "--", `${enter}exec ${words.map(quote).join(" ")}`],
      };
    },
    close,
  );
}
