// The programs that `hcontainer bench code` runs, as Debian ships them, and what they do.

/** A program that is started on files, and ends. */
export interface Workload {
  readonly name: string;
  readonly packages: readonly string[];
  /** Path in the root directory. */
  readonly program: string;
  /** Arguments; the working directory has the inputs (bench-inputs.ts). */
  readonly args: readonly string[];
  /** What is sent to the server that it is, over a socket, as many times as said; its reply ends the round. */
  readonly requests?: { readonly socket: string; readonly text: string; readonly count: number; readonly last: string };
}

const redisRound = (): string => {
  const commands = [
    "SET k:%d v%d",
    "GET k:%d",
    "INCR n",
    "LPUSH l x%d",
    "LRANGE l 0 9",
    "LTRIM l 0 99",
    "HSET h f%d %d",
  ];
  let text = "";
  for (let i = 0; i < 50; i++) for (const command of commands) text += `${command.replaceAll("%d", `${i}`)}\r\n`;
  return text;
};

export const WORKLOADS: readonly Workload[] = [
  { name: "gzip", packages: ["gzip"], program: "/usr/bin/gzip", args: ["-9c", "text"] },
  { name: "bzip2", packages: ["bzip2"], program: "/usr/bin/bzip2", args: ["-9c", "small"] },
  { name: "xz", packages: ["xz-utils"], program: "/usr/bin/xz", args: ["-T1", "-4c", "small"] },
  { name: "zstd", packages: ["zstd"], program: "/usr/bin/zstd", args: ["-q", "--single-thread", "-9", "-c", "text"] },
  { name: "sha256sum", packages: ["coreutils"], program: "/usr/bin/sha256sum", args: Array(12).fill("text") },
  { name: "sort", packages: ["coreutils"], program: "/usr/bin/sort", args: ["--parallel=1", "text"] },
  { name: "perl", packages: ["perl"], program: "/usr/bin/perl", args: ["work.pl", "small"] },
  { name: "gawk", packages: ["gawk"], program: "/usr/bin/gawk", args: ["-f", "work.awk", "small"] },
  { name: "lua", packages: ["lua5.4"], program: "/usr/bin/lua5.4", args: ["work.lua"] },
  { name: "python3", packages: ["python3"], program: "/usr/bin/python3", args: ["-S", "work.py"] },
  { name: "sqlite3", packages: ["sqlite3"], program: "/usr/bin/sqlite3", args: [":memory:", ".read work.sql"] },
  { name: "bc", packages: ["bc"], program: "/usr/bin/bc", args: ["-lq", "work.bc"] },
  {
    name: "cjpeg",
    packages: ["libjpeg-turbo-progs"],
    program: "/usr/bin/cjpeg",
    args: ["-quality", "90", "-progressive", "picture.ppm"],
  },
  { name: "flac", packages: ["flac"], program: "/usr/bin/flac", args: ["-s", "-8", "-c", "sound.wav"] },
  { name: "lame", packages: ["lame"], program: "/usr/bin/lame", args: ["--quiet", "-V2", "sound.wav", "-"] },
  {
    name: "redis-server",
    packages: ["redis-server"],
    program: "/usr/bin/redis-server",
    args: ["--port", "0", "--unixsocket", "%s", "--save", "", "--hz", "1", "--loglevel", "warning"],
    requests: { socket: "%s", text: redisRound(), count: 60, last: "SHUTDOWN NOSAVE\r\n" },
  },
];
