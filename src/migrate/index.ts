export { findProblems } from "./check.ts";
export { type Container, inspectContainer } from "./container.ts";
export { installNode } from "./install.ts";
export { journalDirectory, unfinishedJournals } from "./journal.ts";
export { type MigrateOptions, MigrationFailed, type MigrationReport, migrate, type StepTime } from "./migrate.ts";
export { type Architecture, closeNode, FOREIGN_RUNTIME, type MigrationNode, openNode } from "./node.ts";
export type { Problem } from "./problem.ts";
export { type RecoveryReport, recover } from "./recover.ts";
export { type StagedTranslation, stageLater, type Translate } from "./translations.ts";
