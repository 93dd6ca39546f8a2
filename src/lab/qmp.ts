// QEMU's control socket. The protocol is described in QEMU's "QMP Protocol Specification": lines of JSON, a greeting,
// then commands that are answered in order, with events between the answers.

import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { HostError } from "../base/index.ts";

type Reply = { readonly return?: unknown; readonly error?: { readonly desc?: string } };

/** A connection to a virtual machine's control socket. */
export class ControlSocket {
  readonly #socket: Socket;
  readonly #waiting: ((reply: Reply) => void)[] = [];
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    createInterface({ input: socket }).on("line", (line) => {
      const message = JSON.parse(line) as Reply & { QMP?: unknown; event?: unknown };
      if (message.QMP === undefined && message.event === undefined) this.#waiting.shift()?.(message);
    });
    socket.on("close", () => {
      this.#closed = true;
      for (const waiting of this.#waiting.splice(0)) waiting({ error: { desc: "the virtual machine ended" } });
    });
    socket.on("error", () => undefined);
  }

  static async open(path: string): Promise<ControlSocket> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (cause) => reject(new HostError("qemu-control", `cannot reach ${path}`, "", cause)));
    });
    const control = new ControlSocket(socket);
    await control.execute("qmp_capabilities");
    return control;
  }

  /** Runs a command and returns its answer. */
  async execute(command: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const reply = await new Promise<Reply>((resolve) => {
      if (this.#closed) resolve({ error: { desc: "the virtual machine ended" } });
      this.#waiting.push(resolve);
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
    });
    if (reply.error !== undefined)
      throw new HostError("qemu-control", `${command}: ${reply.error.desc ?? "refused"}`, JSON.stringify(reply.error));
    return reply.return;
  }

  /** Runs a query and returns the `status` in its answer. */
  async status(query: string): Promise<string> {
    const answer = await this.execute(query);
    return typeof answer === "object" && answer !== null && "status" in answer ? String(answer.status) : "";
  }

  close(): void {
    this.#socket.destroy();
  }
}
