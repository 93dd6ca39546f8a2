// Installs on a foreign node what its OCI runtime needs: our code (TypeScript as it is; Node strips types), the packages
// that it imports, and the runtime of translated processes. Done again only when something of it changed.

import { dirname, join, resolve } from "node:path";
import { RUNTIME_FILE } from "../abi/index.ts";
import { cached, type NodeShell, run, runChecked, runPipeline, sha256, sha256OfFile } from "../host/index.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** Parts of the package that the OCI runtime loads; src/ as a whole, since modules are imported through their index. */
const PARTS = ["package.json", "bin", "src", "node_modules/@bufbuild", "node_modules/iced-x86"];

/** The parts as one archive that is the same bytes whenever their content is. */
async function packParts(): Promise<string> {
  const list = await run("sh", [
    "-c",
    'cd "$1" && shift && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum',
    "sh",
    ROOT,
    ...PARTS,
  ]);
  return cached(["node package", sha256(list.stdout)].join("\n"), ".tar", async (path) => {
    const stable = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"];
    await runChecked("tar", ["-C", ROOT, ...stable, "-c", "-f", path, ...PARTS]);
  });
}

/**
 * Brings package and runtime to a node, under the directory that holds `nodeDirectory`. The old files are replaced one
 * by one by renames, so that what runs meanwhile sees one version or the other of each.
 */
export async function installNode(shell: NodeShell, nodeDirectory: string, runtimePath: string): Promise<boolean> {
  const directory = dirname(nodeDirectory);
  const archive = await packParts();
  const version = sha256([await sha256OfFile(archive), await sha256OfFile(runtimePath)].join("\n"));
  const there = await shell.run("cat", [join(directory, "installed")]);
  if (there.stdout.trim() === version) return false;
  const script = 'mkdir -p "$1" "$2/translations" && tar -C "$1" --unlink-first --recursive-unlink -x -f -';
  await runPipeline([
    { command: "cat", args: [archive] },
    shell.commandLine("sh", ["-c", script, "sh", directory, nodeDirectory]),
  ]);
  await shell.putFile(runtimePath, join(nodeDirectory, RUNTIME_FILE));
  await shell.runChecked("chmod", ["755", join(nodeDirectory, RUNTIME_FILE)]);
  await shell.writeFile(join(directory, "installed"), `${version}\n`);
  return true;
}
