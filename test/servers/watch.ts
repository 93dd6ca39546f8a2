// What every client of a server shares: it records each reply that was checked, in phases that whoever steers the test
// names, and the longest time without one; it collects what was wrong; it opens connections, again and again until the
// server takes them, and reads them bytewise.

import { connect, type Socket } from "node:net";

export interface PhaseReport {
  readonly name: string;
  readonly replies: number;
  readonly ms: number;
  /** The longest time without a reply that began or ended in this phase. */
  readonly longestGapMs: number;
}

export interface ClientReport {
  readonly replies: number;
  readonly connections: number;
  /** Connections tried again since nobody answered in time. */
  readonly retries: number;
  readonly wrong: number;
  /** The first few that were wrong, in words. */
  readonly complaints: readonly string[];
  readonly phases: readonly PhaseReport[];
}

const CONNECT_TIMEOUT_MS = 2000;
const COMPLAINT_LIMIT = 8;

/** The record of one client's work. */
export class Watch {
  readonly address: string;
  readonly port: number;
  /** Set when the client is to come to its end. */
  isOver = false;
  #connections = 0;
  #retries = 0;
  #wrong = 0;
  readonly #complaints: string[] = [];
  readonly #phases: { name: string; replies: number; begin: number; end: number; longestGapMs: number }[] = [];
  #last = performance.now();

  constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
    this.phase("start");
  }

  /** Begins a phase, which ends the one before it. */
  phase(name: string): void {
    const now = performance.now();
    const before = this.#phases.at(-1);
    if (before !== undefined) before.end = now;
    this.#phases.push({ name, replies: 0, begin: now, end: 0, longestGapMs: 0 });
  }

  /** Waits for a reply in the phase at hand, but no longer than `limitMs`. */
  async reply(limitMs: number): Promise<void> {
    for (let waited = 0; waited < limitMs && this.#phases.at(-1)!.replies === 0; waited += 50) await pause(50);
  }

  /** A reply came and was right. */
  right(): void {
    const now = performance.now();
    const phase = this.#phases.at(-1)!;
    phase.replies++;
    phase.longestGapMs = Math.max(phase.longestGapMs, now - this.#last);
    this.#last = now;
  }

  /** Something was not as it must be. */
  wrong(why: string): void {
    this.#wrong++;
    if (this.#complaints.length < COMPLAINT_LIMIT) this.#complaints.push(why);
  }

  /** Holds what came against what was expected. */
  check(what: string, got: string, expected: string): void {
    if (got === expected) this.right();
    else this.wrong(`${what}: ${show(got)}, not ${show(expected)}`);
  }

  /** A connection to the server; those that nobody accepts in time are tried again. Undefined when all is over. */
  async open(): Promise<Connection | undefined> {
    while (!this.isOver) {
      const socket = await tryConnect(this.address, this.port);
      if (socket !== undefined) {
        this.#connections++;
        return new Connection(socket);
      }
      this.#retries++;
      await pause(100);
    }
    return undefined;
  }

  /**
   * Runs lanes until all is over. A lane that fails is a complaint: a connection that was accepted must not break. After
   * the end each has `patienceMs` to see its last reply.
   */
  async run(lanes: readonly (() => Promise<void>)[], patienceMs: number): Promise<void> {
    let running = lanes.length;
    const all = lanes.map(async (lane, index) => {
      try {
        await lane();
      } catch (error) {
        this.wrong(`lane ${index}: ${error instanceof Error ? error.message : String(error)}`);
      }
      running--;
    });
    const overdue = (async (): Promise<void> => {
      while (!this.isOver) await pause(100);
      for (let waited = 0; waited < patienceMs && running > 0; waited += 100) await pause(100);
    })();
    await Promise.race([Promise.all(all), overdue]);
    if (running > 0) this.wrong(`${running} lanes wait for a reply that never came`);
  }

  report(): ClientReport {
    const now = performance.now();
    const phases = this.#phases.map(({ name, replies, begin, end, longestGapMs }) => ({
      name,
      replies,
      ms: Math.round((end || now) - begin),
      longestGapMs: Math.round(longestGapMs),
    }));
    const replies = phases.reduce((sum, phase) => sum + phase.replies, 0);
    return {
      replies,
      connections: this.#connections,
      retries: this.#retries,
      wrong: this.#wrong,
      complaints: this.#complaints,
      phases,
    };
  }
}

/** A text for a complaint. */
export function show(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}… (${text.length})` : text);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function tryConnect(host: string, port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(undefined);
    }, CONNECT_TIMEOUT_MS);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}

/** One connection, read in pieces of known ends. */
export class Connection {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #held = 0;
  #failure: string | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#held += chunk.length;
      this.#wake?.();
    });
    const fail = (why: string): void => {
      this.#failure ??= why;
      this.#wake?.();
    };
    socket.on("error", (error) => fail(error.message));
    socket.on("end", () => fail("the server closed the connection"));
    socket.on("close", () => fail("the connection was closed"));
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Waits for `count` bytes and answers them. */
  async bytes(count: number): Promise<Buffer> {
    await this.#until(() => this.#held >= count);
    return this.#take(count);
  }

  /** Waits for a text that ends in `end`, and answers it without that. */
  async line(end = "\r\n"): Promise<string> {
    let at = -1;
    await this.#until(() => {
      at = this.#joined().indexOf(end);
      return at >= 0;
    });
    return this.#take(at + end.length).toString("latin1", 0, at);
  }

  /** What has come until the server closes the connection. */
  async rest(): Promise<Buffer> {
    await this.#until(() => this.#failure !== undefined).catch(() => undefined);
    if (this.#failure !== "the server closed the connection") throw new Error(this.#failure);
    return this.#take(this.#held);
  }

  close(): void {
    this.#socket.destroy();
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #take(count: number): Buffer {
    const all = this.#joined();
    this.#held -= count;
    this.#chunks = count < all.length ? [all.subarray(count)] : [];
    return all.subarray(0, count);
  }

  async #until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.#failure !== undefined) throw new Error(this.#failure);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
