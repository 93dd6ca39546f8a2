// The recoder as the OCI runtime uses it.

import type { Changes, ImageSource } from "../image/index.ts";

/** What an image set holds: a program of this machine's own architecture is none of our business. */
export type Form = "home" | "foreign" | "native";

export interface Recoder {
  formOf(images: ImageSource): Form;
  /** Home form to translated form, for the node whose directory is given. */
  toForeign(images: ImageSource, nodeDirectory: string): Changes;
  toHome(images: ImageSource): Changes;
}
