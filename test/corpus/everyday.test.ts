// tier: corpus
// The everyday rows of the corpus: dynamically linked programs of Debian, translated with their libraries, against native
// runs of the same root directory. Needs root, qemu-user-static, LLVM 19, mmdebstrap and Debian's mirror.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PROGRAMS } from "./programs.ts";
import { differences, runNatively, runTranslated } from "./run-program.ts";

for (const row of PROGRAMS.filter(({ root }) => root === "everyday")) {
  test(row.name, async () => {
    const native = await runNatively(row);
    // A run that fails at once everywhere would prove nothing.
    assert.equal(native.status, 0, native.stderr);
    assert.deepEqual(differences(native, await runTranslated(row, { modules: [] })), []);
  });
}
