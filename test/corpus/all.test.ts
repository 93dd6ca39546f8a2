// tier: corpus
// Every row of the corpus against native runs, translated with all that it maps: what its script does not name is found by
// a first run. Takes hours without a cache. `node test/corpus/run.ts` runs single rows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PROGRAMS } from "./programs.ts";
import { differences, runNatively, runTranslated } from "./run-program.ts";

for (const row of PROGRAMS) {
  test(row.name, async () => {
    const native = await runNatively(row);
    assert.equal(native.status, 0, native.stderr);
    const first = await runTranslated(row, { modules: [] });
    assert.deepEqual(differences(native, first), []);
    const { modules, unknown, variants } = first;
    if (unknown.length > 0 || variants.length > 1)
      assert.deepEqual(differences(native, await runTranslated(row, { modules, variants })), []);
  });
}
