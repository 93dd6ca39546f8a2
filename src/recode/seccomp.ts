import type { Changes, ImageSource } from "../image/index.ts";
export function seccompToForeign(_source: ImageSource): Changes {
  return new Map();
}
export function seccompToHome(_source: ImageSource): Changes {
  return new Map();
}
