export type { InterpreterBuild } from "./build-interpreter.ts";
export type { RuntimePlace } from "./build-runtime.ts";
export {
  cacheDirectory,
  cached,
  codeCacheDirectory,
  exists,
  findCached,
  sha256,
  sha256OfFile,
  withLock,
} from "./cache.ts";
export { admitConnections, drainConnections, holdConnections, shieldAddresses } from "./connections.ts";
export { CRIU_SETTINGS, type CriuOptions, criuDump, criuRestore, criuWords } from "./criu.ts";
export {
  type Architecture,
  alternatives,
  MIRROR,
  type ProgramRoot,
  packageVersions,
  programRoot,
  unpackPackages,
} from "./debian.ts";
export {
  Docker,
  type EngineReply,
  type Json,
  jsonAt,
  listAt,
  objectAt,
  type RequestOptions,
  textAt,
} from "./docker.ts";
export { parseEntries, readEntries, rememberEntries } from "./entry-hints.ts";
export { DirectoryImages, writeChanged } from "./image-directory.ts";
export {
  type CompileTarget,
  cachedFiles,
  compileC,
  compileModule,
  inParallel,
  llvmVersion,
  type ModuleOptions,
} from "./llvm-tools.ts";
export { type LocalOptions, localShell } from "./local.ts";
export {
  FOREIGN_RUNTIME,
  NODE_DIRECTORY,
  NODE_PACKAGE,
  NODE_VERSION,
  nodeArchive,
  OCI_RUNTIME,
} from "./node-program.ts";
export { buildInterpreter, buildRuntime, findTranslation, translateFile } from "./on-demand.ts";
export {
  type CommandLine,
  commandFailed,
  describe,
  lastLines,
  type RunOptions,
  type RunResult,
  run,
  runChecked,
  runPipeline,
} from "./process.ts";
export { findProgram, isHomeProgram, resolveInside, scriptInterpreter } from "./programs.ts";
export { type RemoteOptions, remoteShell } from "./remote.ts";
export { type NodeShell, quote, shellOf, type Wrap } from "./shell.ts";
export type { Growth, TranslateOptions, Translation, TranslationReport } from "./translate.ts";
