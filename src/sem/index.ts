export { TABLE } from "./table.ts";
export { Unsupported } from "./unsupported.ts";
export * from "./vocabulary.ts";
