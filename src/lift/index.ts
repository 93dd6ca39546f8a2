export { type CodeMap, type CodeSegment, MARK, type Shape } from "./code-map.ts";
export { type Discovery, discover } from "./discover.ts";
export type { UnsupportedShape } from "./effects.ts";
export type { Block, Piece } from "./graph.ts";
export {
  type CodePart,
  type LiftedFile,
  liftFile,
  onlyPart,
  type Shard,
  writeShards,
} from "./module.ts";
export { finishTranslation, linkerScript, type TranslationFacts } from "./translation-file.ts";
