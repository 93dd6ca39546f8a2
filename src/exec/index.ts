export { addEntries, executedEntries } from "./executed.ts";
export { type KnownTranslations, offerKnown, translateExecuted } from "./known.ts";
export { linkedFiles } from "./libraries.ts";
export { type FoundProgram, filesOf, locateProgram, qemuCommand, withoutFiles } from "./local.ts";
export { beginMeanwhile, type MeanwhileJob, type MeanwhileRun } from "./meanwhile.ts";
export {
  type OfferedTranslation,
  qemuNodeDirectory,
  TRANSLATIONS,
  translateFiles,
} from "./node-directory.ts";
export { type NodeProgram, prepareOnNode, stageOnNode, stageRoot } from "./on-node.ts";
export { type RootOptions, rootCommand } from "./root.ts";
export { missedEntries, rememberFiles, seenFiles, seenVariants } from "./seen.ts";
