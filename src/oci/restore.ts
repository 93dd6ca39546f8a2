// `restore`: an image set in home form is recoded beside itself, the bundle gets our mount, and the wrapped runtime
// restores the recoded set. The set that the engine gave is not touched. A set of this machine's own architecture is
// the wrapped runtime's business alone.

import { existsSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { InputError } from "../base/index.ts";
import { DirectoryImages, writeChanged } from "../host/index.ts";
import { formOf } from "../recode/index.ts";
import type { RuncArguments } from "./arguments.ts";
import { addNodeMount, readBundle, rootOf, writeBundle } from "./bundle.ts";
import { emptyControlGroups } from "./control-groups.ts";
import { writeKept } from "./kept.ts";
import { displaceMounts } from "./kernel-mounts.ts";
import { reportCriu } from "./log.ts";
import { nodeDirectory } from "./node.ts";
import { recodeToForeign } from "./recoder.ts";
import { runWrapped } from "./wrapped.ts";

/** Runs `restore`; answers the exit status. */
export function restore(args: RuncArguments): number {
  const imagePath = resolve(args.option("image-path") ?? "checkpoint");
  const bundle = resolve(args.option("bundle", "b") ?? ".");
  const images = new DirectoryImages(imagePath);
  const work = `${imagePath}.translated-${process.pid}`;
  try {
    if (formOf(images) !== "home") return runWrapped(args.words);
    if (args.has("lazy-pages"))
      throw new InputError(
        "lazy-pages-unsupported",
        "lazy restore of translated containers is not supported",
        imagePath,
      );
    const node = nodeDirectory();
    const specification = readBundle(bundle);
    const foreign = recodeToForeign(images, rootOf(bundle, specification), node);
    const { changes, kept } = displaceMounts(images, foreign, existsSync);
    writeChanged(images, emptyControlGroups(images, changes), work);
    writeKept(bundle, kept);
    addNodeMount(specification, node);
    writeBundle(bundle, specification);
    const status = runWrapped(args.withOption("image-path", work));
    if (status !== 0) reportCriu(args, args.option("work-path") ?? work, "restore.log");
    return status;
  } finally {
    images.close();
    rmSync(work, { recursive: true, force: true });
  }
}
