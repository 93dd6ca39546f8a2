// The demo's log checker: every line must be there once, in order, with its checksum.

import { logLine } from "./demo-image.ts";

export interface LogReport {
  readonly lines: number;
  /** The first thing that is wrong; empty when nothing is. */
  readonly complaint: string;
}

/** Checks a log. Its last line may be unfinished, as it is being written. */
export function checkLog(text: string): LogReport {
  const lines = text.split("\n");
  lines.pop();
  for (const [index, line] of lines.entries()) {
    const wanted = logLine(index + 1);
    if (line !== wanted) return { lines: lines.length, complaint: `line ${index + 1} is '${line}', not '${wanted}'` };
  }
  return { lines: lines.length, complaint: lines.length === 0 ? "the log is empty" : "" };
}
