// Runs every row of the table through a binding that knows only widths, for every form of its mnemonic.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TABLE, Unsupported } from "../../src/sem/index.ts";
import { enumerateForms } from "../../src/x86/index.ts";
import { usesOf, widthInsn, widthSem } from "./width-binding.ts";

const forms = enumerateForms();

test("every form of every row keeps the rules of the vocabulary", () => {
  const wrong: string[] = [];
  let ran = 0;
  for (const form of forms) {
    const row = TABLE.get(form.mnemonic);
    if (!row) continue;
    for (const use of usesOf(form)) {
      const trace = { effects: 0, ended: false };
      try {
        row.semantic(widthSem(trace), widthInsn(form, use, trace));
        assert.notEqual(row.support, "refused");
        ran++;
      } catch (error) {
        if (error instanceof Unsupported) continue;
        wrong.push(
          `${form.code} ${JSON.stringify(use)}: ${(error as Error).message.split("\n").slice(0, 3).join(" ")}`,
        );
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(ran > 1500, `${ran} uses`);
});

test("rows that are not full say why", () => {
  for (const row of TABLE.values()) assert.equal(row.support === "full", row.reason === undefined, row.mnemonic);
});
