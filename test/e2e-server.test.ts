// tier: e2e
// Dynamically linked servers under load, there and back, with their clients: memcached (threads) and nginx (a master and
// workers); and a program that writes to a file only through its map. What the cache has no translations of is interpreted, so that the test's time is bounded; all servers are in the tier "servers". Needs root.

import { translateLater } from "../src/cli/node-list.ts";
import { memcached } from "./servers/memcached.ts";
import { nginx } from "./servers/nginx.ts";
import { sharedFile } from "./servers/shared-file.ts";
import { testServers } from "./servers/testing.ts";

testServers([sharedFile(), memcached, nginx], { translate: translateLater, quietMs: 3_000, timeoutMinutes: 20 });
