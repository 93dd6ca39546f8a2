// A container's TCP connections made fit for a dump. CRIU keeps those that a process holds. It cannot keep one that the
// kernel has taken and the server has not accepted yet, nor one that its process has closed while the kernel still sends
// what was written. So before the freeze connection requests are dropped (whoever asks repeats them by itself) and the
// queues get time to be accepted; and once the processes stand still, what is closed gets time to be sent.

import type { NodeShell } from "./shell.ts";

const TABLE = "hcontainer_hold";
const RULES = `table inet ${TABLE} {
  chain incoming {
    type filter hook prerouting priority -400; policy accept;
    tcp flags & (syn | ack) == syn drop
  }
}
`;
const TRIES = 60;
const POLL = `tries=0
while [ $tries -lt ${TRIES} ] && awk "$2 { found = 1 } END { exit !found }" "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null
do tries=$((tries + 1)); sleep 0.05; done
:`;
// Fields of /proc/PID/net/tcp: 4 the state in hexadecimal, 5 the queues (sending:receiving), 10 the inode, 0 if no
// process holds the socket. 0A listens (its receiving queue waits to be accepted), 03 is half open.
const UNACCEPTED = '($4 == "0A" && $5 !~ /:00000000$/) || $4 == "03"';
// 04, 09 and 0B are closed here and not yet acknowledged by the peer.
const UNSENT = '$10 == "0" && ($4 == "04" || $4 == "09" || $4 == "0B")';

async function waitWhile(shell: NodeShell, pid: number, condition: string): Promise<void> {
  await shell.run("sh", ["-c", POLL, "sh", String(pid), condition], { timeoutMs: 60_000 });
}

/** Holds new connections off in the network of process `pid` on the node; the answer lets them in again. */
export async function holdConnections(shell: NodeShell, pid: number): Promise<() => Promise<void>> {
  const enter = ["-t", String(pid), "-n", "nft"];
  const held = await shell.run("nsenter", [...enter, "-f", "-"], { input: RULES, timeoutMs: 30_000 });
  // A node without nft, or a network without the kernel's tables: the dump then tells whether it mattered.
  if (held.status !== 0) return async () => undefined;
  await waitWhile(shell, pid, UNACCEPTED);
  return () => admitConnections(shell, pid);
}

/** Lets new connections in again, if they are held off. */
export async function admitConnections(shell: NodeShell, pid: number): Promise<void> {
  const words = ["-t", String(pid), "-n", "nft", "delete", "table", "inet", TABLE];
  await shell.run("nsenter", words, { timeoutMs: 30_000 });
}

/** Waits, for a bounded time, until what closed connections still have to send has arrived. */
export async function drainConnections(shell: NodeShell, pid: number): Promise<void> {
  await waitWhile(shell, pid, UNSENT);
}
