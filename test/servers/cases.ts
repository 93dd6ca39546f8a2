// The servers that are moved.

import { asyncio } from "./asyncio.ts";
import type { ServerCase } from "./case.ts";
import { memcached } from "./memcached.ts";
import { nats } from "./nats.ts";
import { nginx } from "./nginx.ts";
import { postgres } from "./postgres.ts";
import { redis } from "./redis.ts";
import { sqlite } from "./sqlite.ts";

export const SERVERS: readonly ServerCase[] = [redis, nginx, memcached, postgres, asyncio, nats, sqlite];
