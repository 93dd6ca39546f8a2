// Installs on a foreign node what its OCI runtime needs: our code and the runtime of translated processes. Done again only when something of it changed.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { RUNTIME_FILE } from "../abi/index.ts";
import { cached, type NodeShell, runChecked, runPipeline, sha256, sha256OfFile } from "../host/index.ts";
import { NODE_CODE_PATH, nodeCode } from "./node-code.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PARTS = ["package.json", "bin", "LICENSE"];

/** Code and commands as one archive that is the same bytes whenever their content is. */
async function pack(): Promise<string> {
  const code = await nodeCode();
  const list = 'cd "$1" && shift && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum';
  const digests = await runChecked("sh", ["-c", list, "sh", ROOT, ...PARTS]);
  return cached(`node package\n${sha256(code)}\n${digests.stdout}`, ".tar", async (path) => {
    const work = await mkdtemp(join(tmpdir(), "hcontainer-pack-"));
    try {
      await mkdir(dirname(join(work, NODE_CODE_PATH)), { recursive: true });
      await writeFile(join(work, NODE_CODE_PATH), code);
      const stable = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
      await runChecked("tar", [...stable, "-c", "-f", path, "-C", work, "dist", "-C", ROOT, ...PARTS]);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

/**
 * Brings package and runtime to a node, under the directory that holds `nodeDirectory`; answers whether it had to. The
 * node's directory is a link to one of its version, and old versions stay: containers that run have their files mapped.
 */
export async function installNode(shell: NodeShell, nodeDirectory: string, runtimePath: string): Promise<boolean> {
  const directory = dirname(nodeDirectory);
  const archive = await pack();
  const version = sha256([await sha256OfFile(archive), await sha256OfFile(runtimePath)].join("\n"));
  const there = await shell.run("cat", [join(directory, "installed")]);
  if (there.stdout.trim() === version) return false;
  const own = join(directory, "versions", version.slice(0, 16));
  await runPipeline([
    { command: "cat", args: [archive] },
    shell.commandLine("sh", ["-c", 'mkdir -p "$1" "$2/translations" && tar -C "$1" -x -f -', "sh", directory, own]),
  ]);
  await shell.putFile(runtimePath, join(own, RUNTIME_FILE));
  // A directory of that name, made by hand, gives way to the link.
  const link = `chmod 755 "$1/$3" && ln -sfn "$1" "$2.new" &&
    if [ -d "$2" ] && [ ! -L "$2" ]; then mv -T "$2" "$2.old-$(date +%s)"; fi && mv -T "$2.new" "$2"`;
  await shell.runChecked("sh", ["-c", link, "sh", own, nodeDirectory, RUNTIME_FILE]);
  // Called once with nothing to restore: Node then has the code compiled when it matters.
  const nothing = ["restore", "--image-path", join(own, "none"), "none"];
  await shell.run(join(directory, "bin/hcontainer-runtime"), nothing);
  await shell.writeFile(join(directory, "installed"), `${version}\n`);
  return true;
}
