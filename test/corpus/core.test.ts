// tier: runtime
// The core rows of the corpus: a shell, text tools, big numbers, interpreters, a JIT, a Go and a Rust program of Debian, dynamically
// linked or not, interpreted with all their libraries, against native runs of the same root directory. Needs root,
// qemu-user-static, LLVM 19, mmdebstrap and Debian's mirror.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PROGRAMS } from "./programs.ts";
import { differences, runNatively, runTranslated } from "./run-program.ts";

/** A minute on an idle machine, all rows together; the limit is for hangs. */
const SECONDS = 600;

for (const row of PROGRAMS.filter(({ root }) => root === "core")) {
  test(row.name, async () => {
    const native = await runNatively(row);
    // A run that fails at once everywhere would prove nothing.
    assert.equal(native.status, 0, native.stderr);
    assert.deepEqual(
      differences(native, await runTranslated({ ...row, seconds: SECONDS }, { modules: [], interpret: true })),
      [],
    );
  });
}
