// Keeps a container's network silent from the dump until its processes are gone or go on: what a peer sends in between
// must not be acknowledged by sockets whose state has been dumped, and what ends here must not say farewell (FIN, RST)
// to peers of a container that goes on elsewhere. One nftables table in the container's network namespace.

import { readlinkSync } from "node:fs";
import { run, runChecked } from "../host/index.ts";

const TABLE = "hcontainer_freeze";
const RULES = `table inet ${TABLE} {
  chain incoming { type filter hook prerouting priority -400; policy drop; }
  chain outgoing { type filter hook output priority -400; policy drop; }
}
`;

function networkNamespace(pid: number | "self"): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

/** Silences the network of the container; the answer undoes it. A container in the node's own network is left alone. */
export async function lockNetwork(initPid: number): Promise<() => Promise<void>> {
  if (networkNamespace(initPid) === networkNamespace("self")) return async () => undefined;
  const enter = ["-t", String(initPid), "-n", "nft"];
  await runChecked("nsenter", [...enter, "-f", "-"], { input: RULES, timeoutMs: 20_000 });
  return async () => {
    await run("nsenter", [...enter, "delete", "table", "inet", TABLE], { timeoutMs: 20_000 });
  };
}
