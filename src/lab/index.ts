export { arm64Disk, type NodeDisk } from "./disk.ts";
export {
  attach,
  down,
  type Lab,
  type LabNode,
  type LabOptions,
  type LabStatus,
  labDirectory,
  type NodeStatus,
  purge,
  status,
  up,
} from "./lab.ts";
export type { Architecture } from "./recipe.ts";
export type { Progress } from "./roots.ts";
