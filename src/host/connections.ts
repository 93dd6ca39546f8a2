// A container's TCP connections made fit for a dump, and kept while they are restored. CRIU keeps those that a process
// holds. It cannot keep one that the kernel has taken and the server has not accepted yet, nor one that its process has
// closed while the kernel still sends what was written. So before the freeze connection requests are dropped (whoever
// asks repeats them by itself) and the queues get time to be accepted; and once the processes stand still, what is
// closed gets time to be sent. At the restore an engine gives the container its network before CRIU gives it its
// sockets: what a peer sends in between would be answered with a reset. So the node's bridges hold it back until then.

import { isIPv4, isIPv6 } from "node:net";
import type { NodeShell } from "./shell.ts";

const TABLE = "hcontainer_hold";
const RULES = `table inet ${TABLE} {
  chain incoming {
    type filter hook prerouting priority -400; policy accept;
    tcp flags & (syn | ack) == syn drop
  }
}
`;
/** A container that keeps all of its node's processors busy makes it slow. */
const NFT_TIMEOUT_MS = 120_000;
/** A slow server takes its time to accept; what it has not accepted when the time is over, the dump refuses. */
const ACCEPT_SECONDS = 30;
const SEND_SECONDS = 3;
const POLL = `end=$(($(date +%s) + $3))
while [ "$(date +%s)" -le $end ] && awk "$2 { found = 1 } END { exit !found }" "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null
do sleep 0.05; done
:`;
// Fields of /proc/PID/net/tcp: 4 the state in hexadecimal, 5 the queues (sending:receiving), 10 the inode, 0 if no
// process holds the socket. 0A listens (its receiving queue waits to be accepted), 03 is half open.
const UNACCEPTED = '($4 == "0A" && $5 !~ /:00000000$/) || $4 == "03"';
// 04, 09 and 0B are closed here and not yet acknowledged by the peer.
const UNSENT = '$10 == "0" && ($4 == "04" || $4 == "09" || $4 == "0B")';

async function waitWhile(shell: NodeShell, pid: number, condition: string, seconds: number): Promise<void> {
  const words = ["-c", POLL, "sh", String(pid), condition, String(seconds)];
  await shell.run("sh", words, { timeoutMs: (seconds + 60) * 1000 });
}

/** Holds new connections off in the network of process `pid` on the node; the answer lets them in again. */
export async function holdConnections(shell: NodeShell, pid: number): Promise<() => Promise<void>> {
  const enter = ["-t", String(pid), "-n", "nft"];
  const held = await shell.run("nsenter", [...enter, "-f", "-"], { input: RULES, timeoutMs: NFT_TIMEOUT_MS });
  // A node without nft, or a network without the kernel's tables: the dump then tells whether it mattered.
  if (held.status !== 0) return async () => undefined;
  await waitWhile(shell, pid, UNACCEPTED, ACCEPT_SECONDS);
  return () => admitConnections(shell, pid);
}

/** Lets new connections in again, if they are held off. */
export async function admitConnections(shell: NodeShell, pid: number): Promise<void> {
  const words = ["-t", String(pid), "-n", "nft", "delete", "table", "inet", TABLE];
  await shell.run("nsenter", words, { timeoutMs: NFT_TIMEOUT_MS });
}

/** Waits, for a bounded time, until what closed connections still have to send has arrived. */
export async function drainConnections(shell: NodeShell, pid: number): Promise<void> {
  await waitWhile(shell, pid, UNSENT, SEND_SECONDS);
}

// Without a migration to lift it (its process died), a shield ends by itself.
const SHIELD_TIMEOUT = "10m";

// In the family "bridge" both hooks are needed: what comes in by another port, and what the node itself sends or routes.
function shieldRules(name: string, addresses: readonly string[]): string {
  const set = (type: string, elements: readonly string[]): string =>
    `  set ${type} {
    type ${type}
    flags timeout
    timeout ${SHIELD_TIMEOUT}
    ${elements.length === 0 ? "" : `elements = { ${elements.join(", ")} }`}
  }`;
  const chain = (hook: string): string =>
    `  chain ${hook} {
    type filter hook ${hook} priority -300; policy accept;
    ip daddr @ipv4_addr drop
    ip6 daddr @ipv6_addr drop
  }`;
  const [addresses4, addresses6] = [addresses.filter(isIPv4), addresses.filter(isIPv6)];
  const parts = [set("ipv4_addr", addresses4), set("ipv6_addr", addresses6), chain("forward"), chain("output")];
  return `table bridge ${name} {\n${parts.join("\n")}\n}\n`;
}

/**
 * Holds back on the node's bridges what is sent to the addresses, until the answer is called or ten minutes have passed.
 * `key` tells shields of one node apart. On a node without nft, or whose kernel cannot filter bridges, nothing is held
 * back and `onMissing` hears why.
 */
export async function shieldAddresses(
  shell: NodeShell,
  key: string,
  addresses: readonly string[],
  onMissing: (why: string) => void = () => undefined,
): Promise<() => Promise<void>> {
  if (addresses.length === 0) return async () => undefined;
  const name = `hcontainer_shield_${key}`;
  const made = await shell.run("nft", ["-f", "-"], { input: shieldRules(name, addresses), timeoutMs: NFT_TIMEOUT_MS });
  if (made.status !== 0) onMissing(made.stderr);
  return async () => {
    await shell.run("nft", ["delete", "table", "bridge", name], { timeoutMs: NFT_TIMEOUT_MS });
  };
}
