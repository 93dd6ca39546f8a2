// What a server's case consists of; the steering (run.ts) knows nothing of any server.

import type { ImageRecipe } from "./image.ts";
import type { Watch } from "./watch.ts";

export interface ServerCase {
  readonly name: string;
  /** The server as the table names it. */
  readonly title: string;
  readonly port: number;
  readonly image: ImageRecipe;
  /** The file whose `client` is run as a process of its own in the client's network. */
  readonly client: string;
}

/**
 * Works with the server and checks every reply until `watch.isOver`; then compares all data. `commands` are what the
 * steering says meanwhile: "before-move" and "after-move", each answered by going on to the next.
 */
export type Client = (watch: Watch, commands: AsyncIterable<string>) => Promise<void>;
