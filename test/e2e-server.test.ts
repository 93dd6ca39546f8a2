// tier: e2e
// A dynamically linked server of several threads, under load, there and back: memcached with its clients; and a program that
// writes to a file only through its map. What the cache has no translations of is interpreted, so that the test's time is bounded; all servers are in the tier "servers". Needs root.

import { translateLater } from "../src/cli/node-list.ts";
import { memcached } from "./servers/memcached.ts";
import { sharedFile } from "./servers/shared-file.ts";
import { testServers } from "./servers/testing.ts";

testServers([sharedFile(), memcached], { translate: translateLater, quietMs: 3_000, timeoutMinutes: 20 });
