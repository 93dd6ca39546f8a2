// The demo's client, a process of its own in another network namespace: fetches pages all the time, several at once, and
// holds each against what it must be. Ends when its input ends and prints what it saw as JSON. A connection that is not
// accepted yet is tried again; one that was accepted must answer, however long the server is frozen.

import { get } from "node:http";
import { PAGE_COUNT, pageText } from "./demo-image.ts";

export interface ClientReport {
  readonly pages: number;
  readonly bytes: number;
  /** Pages that were not what they must be, and answers that broke off; the first few in words. */
  readonly wrong: number;
  readonly complaints: readonly string[];
  /** Connections tried again since nobody answered in time. */
  readonly retries: number;
  readonly longestGapMs: number;
}

const CONNECT_TIMEOUT_MS = 1000;
/** What was asked for must have come this long after the end. */
const LAST_ANSWER_MS = 30_000;
const LANES = 3;
const COMPLAINT_LIMIT = 5;

const expected = Array.from({ length: PAGE_COUNT }, (_, n) => pageText(n));

type Outcome =
  | { readonly kind: "page"; readonly text: string }
  | { readonly kind: "retry" }
  | { readonly kind: "broken"; readonly why: string };

/** Fetches one page. */
function fetchPage(address: string, n: number): Promise<Outcome> {
  return new Promise((resolve) => {
    let connected = false;
    const request = get({ host: address, port: 80, path: `/${n}.txt`, agent: false }, (response) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        if (response.statusCode === 200 && response.complete) resolve({ kind: "page", text });
        else resolve({ kind: "broken", why: `status ${response.statusCode}, ${text.length} bytes` });
      });
      response.on("error", (error) => resolve({ kind: "broken", why: error.message }));
    });
    const timer = setTimeout(() => {
      if (!connected) request.destroy(new Error("not accepted"));
    }, CONNECT_TIMEOUT_MS);
    request.on("socket", (socket) => {
      socket.on("connect", () => {
        connected = true;
      });
    });
    request.on("close", () => clearTimeout(timer));
    request.on("error", (error) => resolve(connected ? { kind: "broken", why: error.message } : { kind: "retry" }));
  });
}

/** Fetches pages until `isOver`; answers what was seen. */
async function watch(address: string, isOver: () => boolean): Promise<ClientReport> {
  let [pages, bytes, wrong, retries, longestGapMs] = [0, 0, 0, 0, 0];
  const complaints: string[] = [];
  let last = performance.now();
  const lane = async (first: number): Promise<void> => {
    for (let n = first; !isOver(); n = (n + LANES) % PAGE_COUNT) {
      const outcome = await fetchPage(address, n);
      if (outcome.kind === "retry") retries++;
      else if (outcome.kind === "page" && outcome.text === expected[n]) {
        const now = performance.now();
        longestGapMs = Math.max(longestGapMs, now - last);
        last = now;
        pages++;
        bytes += outcome.text.length;
      } else {
        wrong++;
        const why = outcome.kind === "broken" ? outcome.why : `${outcome.text.length} bytes that differ`;
        if (complaints.length < COMPLAINT_LIMIT) complaints.push(`page ${n}: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  let running = LANES;
  const lanes = Array.from({ length: LANES }, (_, i) => lane(i).then(() => running--));
  const overdue = (async (): Promise<void> => {
    while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 100));
    await new Promise((resolve) => setTimeout(resolve, LAST_ANSWER_MS));
  })();
  await Promise.race([Promise.all(lanes), overdue]);
  if (running > 0) {
    wrong += running;
    complaints.push(`${running} pages were asked for and never came`);
  }
  return { pages, bytes, wrong, complaints, retries, longestGapMs: Math.max(longestGapMs, performance.now() - last) };
}

if (process.argv[1] === import.meta.filename) {
  let over = false;
  process.stdin.resume();
  process.stdin.on("end", () => {
    over = true;
  });
  const report = await watch(process.argv[2]!, () => over);
  process.stdout.write(`${JSON.stringify(report)}\n`);
  process.exit(0);
}
