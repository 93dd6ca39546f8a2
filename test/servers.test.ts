// tier: servers
// Debian's servers in containers, moved amd64 → arm64 → amd64 under load; see servers/case.ts. Long: an emulated arm64 node
// does the work. Needs root. `node test/servers/table.ts` makes docs/servers.md from what was measured.
//
//   HCONTAINER_SERVERS     names of servers to take, separated by blanks (default: all)
//   HCONTAINER_TRANSLATE   first (default) or later: whether translations are made before the freeze

import { translate, translateLater } from "../src/cli/node-list.ts";
import { SERVERS } from "./servers/cases.ts";
import { keepReport } from "./servers/table.ts";
import { testServers } from "./servers/testing.ts";

const wanted = process.env["HCONTAINER_SERVERS"]?.split(" ");

testServers(
  SERVERS.filter(({ name }) => wanted?.includes(name) ?? true),
  {
    translate: process.env["HCONTAINER_TRANSLATE"] === "later" ? translateLater : translate,
    quietMs: 10_000,
    timeoutMinutes: 90,
    onReport: keepReport,
  },
);
