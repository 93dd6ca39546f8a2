// Image sets of processes that never were: random registers, signal actions, areas, pages and files, in the shape that
// CRIU 4.x gives them. For tests that need neither root nor criu; what real dumps hold is tested with real dumps.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { randomFrom } from "../../src/base/index.ts";
import * as image from "../../src/image/index.ts";
import { MemoryImages } from "../../src/image/index.ts";

const encoder = new TextEncoder();
const PAGE = 4096n;
const AREA = 0x40_0000n;

export interface SyntheticOptions {
  readonly processes?: number;
  readonly threads?: number;
}

export class Synthetic {
  readonly files = new Map<string, Uint8Array>();
  private readonly random: (below: number) => number;

  constructor(seed: number, options: SyntheticOptions = {}) {
    this.random = randomFrom(seed);
    for (let i = 0; i < 8; i++) this.random(2);
    const processes = options.processes ?? 1 + this.random(3);
    const tree = [];
    let pid = 1;
    for (let index = 0; index < processes; index++) {
      const threads = options.threads ?? 1 + this.random(4);
      const tids = Array.from({ length: threads }, (_, i) => pid + i);
      tree.push(create(image.PstreeEntrySchema, { pid, ppid: index === 0 ? 0 : 1, pgid: 1, sid: 1, threads: tids }));
      this.addProcess(tids, index + 1);
      pid += threads + this.random(3);
    }
    tree.push(create(image.PstreeEntrySchema, { pid, ppid: 1, pgid: 1, sid: 1, threads: [] }));
    const zombie = create(image.TaskCoreEntrySchema, { taskState: 2, blkSigset: 0n, comm: encoder.encode("gone") });
    this.write(image.CoreEntrySchema, `core-${pid}.img`, [create(image.CoreEntrySchema, { mtype: 1, tc: zombie })]);
    this.write(image.PstreeEntrySchema, "pstree.img", tree);
    this.addFiles();
    this.write(image.MountEntrySchema, "mountpoints-12.img", this.mounts());
    const capability = Array.from({ length: 24 }, () => this.u32());
    const name = encoder.encode("A CPU");
    const cpu = { vendorId: 1, cpuFamily: 6, model: 143, stepping: 8, capabilityVer: 2, capability, modelId: name };
    const x86Entry = [create(image.CpuinfoX86EntrySchema, { ...cpu, xfeaturesMask: 0xe5n, xsaveSize: 2688 })];
    this.write(image.CpuinfoEntrySchema, "cpuinfo.img", [create(image.CpuinfoEntrySchema, { x86Entry })]);
  }

  get set(): MemoryImages {
    return new MemoryImages(this.files);
  }

  private write<S extends Parameters<typeof image.encodeRecords>[0]>(
    schema: S,
    name: string,
    messages: Parameters<typeof image.encodeRecords<S>>[2],
  ): void {
    this.files.set(name, image.encodeRecords(schema, name, messages));
  }

  private u32(): number {
    return (this.random(0x10000) * 0x10000 + this.random(0x10000)) >>> 0;
  }

  private u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  private bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.random(256));
  }

  private words(length: number): bigint[] {
    return Array.from({ length }, () => this.u64());
  }

  private halves(length: number): number[] {
    return Array.from({ length }, () => this.u32());
  }

  private registers(): MessageInitShape<typeof image.X86RegistersSchema> {
    const [r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, cx, dx, si, di] = this.words(14) as bigint[];
    const isInterrupted = this.random(3) === 0;
    return {
      ...{ r15: r15!, r14: r14!, r13: r13!, r12: r12!, bp: bp!, bx: bx!, r11: r11!, r10: r10!, r9: r9!, r8: r8! },
      ...{ cx: cx!, dx: dx!, si: si!, di: di!, sp: this.u64(), ip: this.u64(), fsBase: this.u64(), gsBase: this.u64() },
      ax: isInterrupted ? 0xffff_ffff_ffff_fffcn : this.u64(),
      origAx: isInterrupted ? 35n : 0xffff_ffff_ffff_ffffn,
      flags: (this.u64() & 0x24_4cd5n) | 0x202n,
      ...{ cs: 0x33n, ss: 0x2bn, ds: 0n, es: 0n, fs: 0n, gs: 0n, mode: 1 },
    };
  }

  private floats(): MessageInitShape<typeof image.X86FloatRegistersSchema> {
    const present = BigInt(3 | (this.random(2) << 2) | (this.random(8) << 5) | 0x200);
    return {
      ...{ cwd: 0x37f, swd: this.random(0x10000), twd: this.random(256), fop: this.random(2048) },
      ...{ rip: this.u64(), rdp: this.u64(), mxcsr: 0x1f80 | this.random(64), mxcsrMask: 0x2ffff },
      ...{ stSpace: this.halves(32), xmmSpace: this.halves(64) },
      xsave: {
        ...{ xstateBv: present, ymmhSpace: this.halves(64), opmaskReg: this.words(8) },
        ...{ zmmUpper: this.words(64), hi16Zmm: this.words(128), pkru: [0x5555_5554, 0] },
      },
    };
  }

  private addThread(tid: number, isLeader: boolean, vmId: number): void {
    const tls = [12, 13, 14].map((entryNumber) => ({
      ...{ entryNumber, baseAddr: 0, limit: 0, seg32bit: false, contentsH: false, contentsL: false },
      ...{ readExecOnly: true, limitInPages: false, segNotPresent: true, usable: false },
    }));
    const core = create(image.CoreEntrySchema, {
      mtype: 1,
      threadInfo: { clearTidAddr: this.u64(), gpregs: this.registers(), fpregs: this.floats(), tls },
      threadCore: {
        ...{ futexRla: this.u64(), futexRlaLen: 24, comm: encoder.encode("thread") },
        sas: { ssSp: this.u64(), ssSize: 8192n, ssFlags: this.random(3) },
      },
    });
    if (this.random(2)) {
      const registered = { rseqAbiPointer: this.u64(), rseqAbiSize: 32, signature: 0x5305_3053, rseqCsPointer: 0n };
      const rseq = this.random(4) ? registered : { rseqAbiPointer: 0n, rseqAbiSize: 0, signature: 0 };
      core.threadCore!.rseqEntry = create(image.RseqEntrySchema, rseq);
    }
    if (isLeader) {
      core.tc = create(image.TaskCoreEntrySchema, {
        ...{ taskState: 1, blkSigset: this.u64(), comm: encoder.encode("synthetic") },
        sigactions: Array.from({ length: 62 }, () => {
          const handler = this.random(2) ? BigInt(this.random(2)) : this.u64();
          return { handler, flags: this.u64() & 0xdfff_ffffn, restorer: this.u64(), mask: this.u64() };
        }),
      });
      core.ids = create(image.TaskKobjIdsEntrySchema, { vmId, filesId: vmId, fsId: 1, sighandId: vmId });
    } else {
      core.threadCore!.blkSigset = this.u64();
    }
    // Fields of a newer CRIU, between those that we know and after them.
    core.$unknown = [{ no: 7, wireType: 0, data: Uint8Array.of(5) }];
    core.threadCore!.$unknown = [{ no: 3, wireType: 0, data: Uint8Array.of(1) }];
    this.write(image.CoreEntrySchema, `core-${tid}.img`, [core]);
  }

  private addProcess(tids: readonly number[], id: number): void {
    for (const [index, tid] of tids.entries()) this.addThread(tid, index === 0, id);
    const vma = (start: bigint, pages: number, prot: number, status: number, more: object = {}) => ({
      ...{ start, end: start + BigInt(pages) * PAGE, pgoff: 0n, shmid: 0n, prot, flags: 0x22, status, fd: -1n },
      ...more,
    });
    const areas = [
      vma(AREA, 4, 5, 0x41, { shmid: 2n, flags: 2, fdflags: 0o100000 }),
      vma(AREA + 4n * PAGE, 2, 3, 0x41, { shmid: 2n, flags: 2, pgoff: 4n * PAGE, fdflags: 0o100000 }),
      vma(AREA + 16n * PAGE, 1 + this.random(30), 3, 0x221),
      vma(0x7fff_0000_0000n, 4, 3, 0x201, { flags: 0x122 }),
      vma(0x7fff_f000_0000n, 4, 1, 0x1001),
      vma(0x7fff_f000_4000n, 1, 1, 0x1001),
      vma(0x7fff_f000_5000n, 2, 5, 0x209),
      vma(0xffff_ffff_ff60_0000n, 1, 4, 0x5),
    ];
    const [startCode, brk] = [AREA, AREA + 17n * PAGE];
    const mm = create(image.MmEntrySchema, {
      ...{ startCode, endCode: AREA + 4n * PAGE, startData: AREA + 4n * PAGE, endData: AREA + 6n * PAGE },
      ...{ startStack: 0x7fff_0000_2000n, startBrk: AREA + 16n * PAGE, brk, argStart: this.u64(), argEnd: this.u64() },
      ...{ envStart: this.u64(), envEnd: this.u64(), exeFileId: 2, savedAuxv: this.words(42).concat(0n, 0n) },
      vmas: areas,
    });
    const tid = tids[0]!;
    this.write(image.MmEntrySchema, `mm-${tid}.img`, [mm]);
    this.addMemory(tid, id, mm.vmas);
  }

  private addMemory(pid: number, id: number, areas: readonly image.VmaEntry[]): void {
    const kind = image.kindOf("pagemap-1.img")!;
    const extra = new Uint8Array(0);
    const head = image.encodeMessage(image.PagemapHeadSchema, create(image.PagemapHeadSchema, { pagesId: id }));
    const records = [{ message: head, extra }];
    const pages: Uint8Array[] = [];
    for (const { start, end, status } of areas) {
      if (status & 0x1044 || status === 0x5) continue;
      for (let at = start; at < end; at += PAGE * BigInt(1 + this.random(3))) {
        const entry = create(image.PagemapEntrySchema, { vaddr: at, compatNrPages: 1, flags: 4, nrPages: 1n });
        records.push({ message: image.encodeMessage(image.PagemapEntrySchema, entry), extra });
        pages.push(this.bytes(4096));
      }
    }
    this.files.set(`pagemap-${pid}.img`, image.writeImage({ kind, records }));
    this.files.set(`pages-${id}.img`, new Uint8Array(Buffer.concat(pages)));
  }

  private addFiles(): void {
    const flags = (): number => this.u32() & 0o7777777;
    const reg = (id: number, name: string) => ({
      type: 1,
      id,
      reg: { id, flags: flags(), pos: 0n, name: encoder.encode(name), mntId: 20, size: 4096n },
    });
    const files: MessageInitShape<typeof image.FileEntrySchema>[] = [
      reg(1, "/"),
      reg(2, "/bin/program"),
      { type: 2, id: 3, pipe: { id: 3, pipeId: 7, flags: flags() } },
      { type: 4, id: 4, isk: { id: 4, ino: 1, family: 2, type: 1, state: 10, flags: flags() } },
      { type: 5, id: 5, usk: { id: 5, ino: 2, flags: flags(), peer: 0, name: new Uint8Array(0) } },
      { type: 6, id: 6, efd: { id: 6, flags: flags() } },
      { type: 7, id: 7, epfd: { id: 7, flags: flags() } },
      { type: 12, id: 8, ffy: { id: 8, flags: flags(), evflags: flags() } },
      { type: 11, id: 9, tty: { id: 9, ttyInfoId: 1, flags: flags() } },
      { type: 18, id: 10, memfd: { id: 10, flags: flags() } },
    ];
    this.write(
      image.FileEntrySchema,
      "files.img",
      files.map((file) => create(image.FileEntrySchema, file)),
    );
  }

  private mounts(): image.MountEntry[] {
    const mount = (mntId: number, parentMntId: number, place: string) =>
      create(image.MountEntrySchema, {
        ...{ fstype: 5, mntId, rootDev: mntId, parentMntId, flags: 0, sharedId: 0, masterId: 0, sbFlags: 0 },
        ...{ root: encoder.encode("/"), mountpoint: encoder.encode(place) },
        ...{ source: encoder.encode("tmpfs"), options: encoder.encode("") },
      });
    return [mount(21, 20, "/proc"), mount(20, 1, "/")];
  }
}

/** A file for readFile of such sets: no ELF file, so all code is interpreted. */
export const noFile = (): null => null;
