// The process beside a running program. Its input is a line, the MeanwhileJob as JSON; it works until that input ends, or
// somebody ends it.

import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { keyName, VARIANTS } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { fileCodeKey, readElf } from "../elf/index.ts";
import { type Growth, resolveInside, translateFile } from "../host/index.ts";
import { type ExecutedCode, ExecutedList, executedName, keepCode, parseExecuted, rememberedCode } from "./executed.ts";
import { partOfEntries } from "./known.ts";
import type { MeanwhileJob } from "./meanwhile.ts";
import { offerMore } from "./node-directory.ts";

/** So many new entries are translated at once; fewer have to wait. */
const MANY_ENTRIES = 20;
const WAIT_MS = 2_000;
/** When an earlier run's translation is at hand, so much more, in parts of what that has: all of it is compiled again. */
const GROWTH = 0.1;
const GROWTH_WAIT_MS = 30_000;
const PAUSE_MS = 100;
const READ_BYTES = 1 << 20;
const NICE = 5;
/** Instructions of the files that are kept analysed, of which a million takes half a gigabyte of memory. */
const KEPT_INSTRUCTIONS = 8_000_000;

/** Lines that are added to a file, as they come. */
class LogReader {
  readonly #path: string;
  #at = 0;
  #rest = "";

  constructor(path: string) {
    this.#path = path;
  }

  async lines(): Promise<string[]> {
    const file = await open(this.#path);
    try {
      const buffer = Buffer.alloc(READ_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, this.#at);
        if (bytesRead === 0) break;
        this.#at += bytesRead;
        this.#rest += buffer.toString("latin1", 0, bytesRead);
      }
    } finally {
      await file.close();
    }
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop()!;
    return lines;
  }
}

interface Wanted {
  readonly code: ExecutedCode;
  /** How many of its entries are translated. */
  translated: number;
  /** Whether this process has translated them. */
  isOurs: boolean;
  /** Since when there are entries that are not; infinite when there are none. */
  since: number;
}

/** The work of the process beside. */
class Meanwhile {
  readonly #job: MeanwhileJob;
  readonly #log: LogReader;
  readonly #list = new ExecutedList();
  readonly #wanted = new Map<string, Wanted>();
  readonly #whole: Set<string>;
  readonly #parts: ReadonlyMap<string, number>;
  /** Files by the name of their code key. */
  readonly #files = new Map<string, string>();
  readonly #seenPaths = new Set<string>();
  readonly #growths = new Map<string, Growth>();

  constructor(job: MeanwhileJob) {
    this.#job = job;
    this.#log = new LogReader(job.log);
    this.#whole = new Set(job.known.whole.map(executedName));
    this.#parts = new Map(job.known.parts.map((part) => [executedName(part), part.entries]));
  }

  async run(): Promise<void> {
    for (const path of this.#job.files) await this.#addFile(path);
    while (!isEnding) {
      for (const line of await this.#log.lines()) await this.#take(line);
      const next = this.#mostWanted();
      if (next) await this.#translate(next);
      else await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }

  async #take(line: string): Promise<void> {
    if (line.startsWith("/")) {
      await this.#addFile(line);
      return;
    }
    const code = parseExecuted(line);
    if (code && this.#list.addEntries(code, [code.pc]) > 0) this.#note(code);
  }

  #note(code: ExecutedCode): void {
    const name = executedName(code);
    const known = this.#wanted.get(name) ?? {
      code: { key: code.key, variant: code.variant },
      translated: this.#parts.get(name) ?? 0,
      isOurs: false,
      since: Number.POSITIVE_INFINITY,
    };
    this.#wanted.set(name, known);
    known.since = Math.min(known.since, performance.now());
  }

  async #addFile(path: string): Promise<void> {
    if (this.#seenPaths.has(path)) return;
    this.#seenPaths.add(path);
    const file = resolveInside(this.#job.root, path);
    if (file === undefined || this.#job.without.some((part) => path.includes(part))) return;
    try {
      const key = keyName(fileCodeKey(readElf(await readFile(file), file)));
      if (this.#files.has(key)) return;
      this.#files.set(key, file);
      for (const variant of VARIANTS) {
        const code = { key, variant };
        if (this.#list.addEntries(code, await rememberedCode(code, "executed")) > 0) this.#note(code);
      }
    } catch {
      // No file any more, or no x86-64 program: nothing to translate.
    }
  }

  #mostWanted(): Wanted | undefined {
    const now = performance.now();
    let best: Wanted | undefined;
    let most = 0;
    for (const [name, wanted] of this.#wanted) {
      if (this.#whole.has(name) || !this.#files.has(wanted.code.key)) continue;
      const fresh = this.#list.entriesOf(wanted.code).size - wanted.translated;
      const isFromBefore = wanted.translated > 0 && !wanted.isOurs;
      const many = Math.max(MANY_ENTRIES, isFromBefore ? wanted.translated * GROWTH : 0);
      const waitMs = isFromBefore ? GROWTH_WAIT_MS : WAIT_MS;
      if (fresh > most && (fresh >= many || now - wanted.since > waitMs)) [best, most] = [wanted, fresh];
    }
    return best;
  }

  async #translate(wanted: Wanted): Promise<void> {
    const { key, variant } = wanted.code;
    const file = this.#files.get(key)!;
    const entries = this.#list.entriesOf(wanted.code);
    const [start, count] = [performance.now(), entries.size];
    try {
      const part = partOfEntries(entries);
      const { path, report } = await translateFile(file, { variant, part, growths: this.#growths });
      await offerMore(this.#job.directory, { name: report.name, path });
      await keepCode(wanted.code, "translated", part.executed);
      this.#say(`${file}: ${count} entries, ${variant}, ${Math.round(performance.now() - start)} ms`);
    } catch (error) {
      // The signal has reached our tools as well, and what they had begun is tidied up by now.
      if (isEnding) return;
      if (!(error instanceof InputError)) throw error;
      // Of what was executed until now there may be nothing that can be translated.
      if (error.code !== "elf-no-code") this.#whole.add(executedName(wanted.code));
      this.#say(`${file} is interpreted: ${error.message}`);
    }
    this.#forgetSome();
    wanted.translated = count;
    wanted.isOurs = true;
    wanted.since = this.#list.entriesOf(wanted.code).size > count ? performance.now() : Number.POSITIVE_INFINITY;
  }

  /** Forgets the files that were analysed first when there are too many; they are analysed anew if they grow again. */
  #forgetSome(): void {
    let instructions = 0;
    for (const [key, { analysis }] of [...this.#growths].reverse()) {
      instructions += analysis.lifted.instructions;
      if (instructions > KEPT_INSTRUCTIONS && this.#growths.size > 1) this.#growths.delete(key);
    }
  }

  #say(text: string): void {
    if (this.#job.isVerbose) process.stderr.write(`meanwhile: ${text}\n`);
  }
}

let isEnding = false;
process.on("SIGTERM", () => {
  isEnding = true;
});
const input = createInterface({ input: process.stdin }).once("close", () => process.exit(0));
const [job] = (await once(input, "line")) as [string];
setPriority(NICE);
await new Meanwhile(JSON.parse(job) as MeanwhileJob).run();
process.exit(0);
