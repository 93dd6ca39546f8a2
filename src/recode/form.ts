// Which form an image set is in.

import { HC_BASE } from "../abi/index.ts";
import {
  CoreEntrySchema,
  decodeRecords,
  decodeSingle,
  type ImageSource,
  PstreeEntrySchema,
  readWhole,
} from "../image/index.ts";
import { Layout, MACHINE } from "./layout.ts";

/** `home`: x86-64 processes; `foreign`: translated ones; `native`: any other architecture's own. */
export type Form = "home" | "foreign" | "native";

/** The form of a set, by its root process. */
export function formOf(source: ImageSource): Form {
  const [root] = decodeRecords(PstreeEntrySchema, "pstree.img", readWhole(source, "pstree.img"));
  const name = `core-${root?.pid ?? 0}.img`;
  const core = decodeSingle(CoreEntrySchema, name, readWhole(source, name));
  if (core.mtype === MACHINE.x86_64) return "home";
  const layout = new Layout(HC_BASE);
  const tls = core.tiAarch64?.tls ?? 0n;
  const isOurs = core.mtype === MACHINE.aarch64 && tls >= layout.threadArea(0) && tls < layout.translations;
  return isOurs ? "foreign" : "native";
}
