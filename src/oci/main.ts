// The part of `hcontainer-runtime` that needs more than a shell: what a verb does is in the file of its name, loaded when
// asked for. Failures are reported as an engine reads them.

import { RuncArguments } from "./arguments.ts";
import { reportFailure } from "./log.ts";

async function runVerb(args: RuncArguments): Promise<number> {
  switch (args.verb) {
    case "restore":
      return (await import("./restore.ts")).restore(args);
    case "checkpoint":
      return (await import("./checkpoint.ts")).checkpoint(args);
    case "exec":
      return (await import("./create.ts")).exec(args);
    case "create":
    case "run":
      return (await import("./create.ts")).create(args);
    default:
      return (await import("./wrapped.ts")).runWrapped(args.words);
  }
}

const args = new RuncArguments(process.argv.slice(2));
try {
  process.exitCode = await runVerb(args);
} catch (error) {
  reportFailure(args, error);
  process.exitCode = 1;
}
