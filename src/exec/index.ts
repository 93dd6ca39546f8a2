export { linkedFiles } from "./libraries.ts";
export { type FoundProgram, filesOf, locateProgram, qemuCommand, withoutFiles } from "./local.ts";
export { type OfferedTranslation, qemuNodeDirectory, TRANSLATIONS, translateFiles } from "./node-directory.ts";
export { type NodeProgram, prepareOnNode, stageOnNode, stageRoot } from "./on-node.ts";
export { type RootOptions, rootCommand } from "./root.ts";
export { addEntries, executedEntries, missedEntries, rememberFiles, seenFiles, seenVariants } from "./seen.ts";
