// Images of servers: Debian's unmodified packages with what they depend on, and a few files of a test's own. What only
// people read, and what no server here starts, is left out for its size.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { programRoot, runChecked, runPipeline } from "../../src/host/index.ts";
import type { MigrationNode } from "../../src/migrate/index.ts";

const RELEASE = "bookworm";
const LEFT_OUT = [
  ...["usr/share/perl", "usr/share/perl5", "usr/share/i18n", "usr/lib/x86_64-linux-gnu/perl-base", "usr/share/gdb"],
  ...["usr/lib/x86_64-linux-gnu/gconv", "usr/lib/locale", "var/cache", "var/lib/apt", "var/lib/unpacked"],
];

/** What an image is made of. */
export interface ImageRecipe {
  readonly name: string;
  readonly packages: readonly string[];
  /** Files of the packages that nothing needs here, left out for their size. */
  readonly leftOut?: readonly string[];
  readonly directories?: readonly string[];
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly command: readonly string[];
  /** Lines for /etc/passwd and /etc/group, which packages add when they are configured. */
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
}

/** The name that the image of a recipe has. */
export function imageOf(recipe: ImageRecipe): string {
  return `hcontainer-server-${recipe.name}:latest`;
}

async function build(recipe: ImageRecipe, root: string): Promise<void> {
  const packed = await programRoot({ architecture: "amd64", release: RELEASE, packages: recipe.packages });
  await runChecked("cp", ["-a", packed, root]);
  for (const path of [...LEFT_OUT, ...(recipe.leftOut ?? [])])
    await rm(join(root, path), { recursive: true, force: true });
  const directories = ["dev", "proc", "run", "sys", "tmp", ...(recipe.directories ?? [])];
  for (const directory of directories) await mkdir(join(root, directory), { recursive: true });
  for (const [path, content] of Object.entries(recipe.files ?? {})) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content, { mode: 0o755 });
  }
  for (const [name, lines] of [
    ["passwd", recipe.users],
    ["group", recipe.groups],
  ] as const)
    for (const line of lines ?? []) await writeFile(join(root, "etc", name), `${line}\n`, { flag: "a" });
}

/** Makes the image in the engine of `node`. */
export async function makeServerImage(node: MigrationNode, recipe: ImageRecipe): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-image-"));
  const root = join(scratch, "root");
  try {
    await build(recipe, root);
    const words = ["import", "--platform", "linux/amd64", "--change", `CMD ${JSON.stringify(recipe.command)}`];
    await runPipeline([
      { command: "tar", args: ["--owner=0", "--group=0", "--numeric-owner", "-c", "-C", root, "."] },
      node.shell.commandLine("docker", [...words, "-", imageOf(recipe)]),
    ]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
