export {
  type DynamicInfo,
  type ElfSymbol,
  type Needs,
  R_X86_64,
  type Relocation,
  readDynamic,
  readNeeds,
  readStaticSymbols,
} from "./dynamic.ts";
export {
  type ElfFile,
  executableSegments,
  fileCodeKey,
  fileOffset,
  loadSegments,
  PF,
  PT,
  readBuildId,
  readElf,
  type Section,
  type Segment,
} from "./file.ts";
export { type FrameRange, readFrames } from "./frames.ts";
