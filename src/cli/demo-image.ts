// The demo's image: Debian's busybox-static, unmodified, with pages to serve and a script that logs. Everything in it is
// known in advance, so whoever watches from outside can tell every line and every page right from wrong.

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runPipeline } from "../host/index.ts";
import type { MigrationNode } from "../migrate/index.ts";

export const IMAGE = "hcontainer-demo:latest";
export const PAGE_COUNT = 40;
export const LOG = "/log";
/** Where the demo's container has a volume, and the same log in it. */
export const VOLUME_DIRECTORY = "/data";
export const VOLUME_LOG = `${VOLUME_DIRECTORY}/log`;

const APPLETS = ["sh", "cat", "echo", "sleep", "httpd", "md5sum", "tee", "ls", "ps", "sed", "wget", "date", "tail"];

/** A counter, a process that adds checksums and two that write logs, joined by pipes; beside them a server. */
const SCRIPT = `#!/bin/sh
httpd -p 80 -h /www
count() { n=0; while :; do n=$((n + 1)); echo "line $n"; sleep 0.1; done; }
check() { while read -r line; do sum=$(echo "$line" | md5sum); echo "$line \${sum%% *}"; done; }
count | check | tee -a ${LOG} | tee -a ${VOLUME_LOG}
`;

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

/** What page \`n\` holds; pages differ in size, up to some 60 KiB. */
export function pageText(n: number): string {
  let text = `page ${n}\n`;
  let line = md5(text);
  for (let i = 0; i < (n * n * 47) % 1800; i++) {
    text += `${line}\n`;
    line = md5(line);
  }
  return text;
}

/** Line \`n\` of the log. */
export function logLine(n: number): string {
  return `line ${n} ${md5(`line ${n}\n`)}`;
}

/** Makes the image in the engine of \`node\` from that node's own busybox. */
export async function makeImage(node: MigrationNode): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "hcontainer-demo-"));
  try {
    for (const directory of ["bin", "www", "tmp", "data", "proc", "sys", "dev", "etc"])
      await mkdir(join(root, directory));
    await node.shell.getFile("/usr/bin/busybox", join(root, "bin/busybox"));
    for (const applet of APPLETS) await symlink("busybox", join(root, "bin", applet));
    for (let n = 0; n < PAGE_COUNT; n++) await writeFile(join(root, `www/${n}.txt`), pageText(n));
    await writeFile(join(root, "bin/demo"), SCRIPT, { mode: 0o755 });
    const settings = ["--platform", "linux/amd64", "--change", 'CMD ["/bin/demo"]', "--change", "ENV PATH=/bin"];
    await runPipeline([
      { command: "tar", args: ["-C", root, "--owner=0", "--group=0", "--numeric-owner", "-c", "."] },
      node.shell.commandLine("docker", ["import", ...settings, "-", IMAGE]),
    ]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
