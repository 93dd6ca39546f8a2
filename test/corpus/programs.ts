// The corpus: Debian's programs, untouched, each with real work to do. A row is one run: a shell script in a root directory
// of Debian's packages, in which the shell and all that it starts are translated. Its output, exit status and written files
// must be those of a native run of the same root. Scripts are deterministic: no time stamps, no addresses.

import { DEVELOPMENT } from "./rows-development.ts";
import { LANGUAGES } from "./rows-languages.ts";
import { MEDIA } from "./rows-media.ts";
import { RUNTIMES } from "./rows-runtimes.ts";
import { SERVERS } from "./rows-servers.ts";
import { TOOLS } from "./rows-tools.ts";
import { UTILITIES } from "./rows-utilities.ts";

/** Packages of every root: what scripts look at results with. */
const COMMON = "bash grep sed gawk diffutils findutils xxd";

const packages = (names: string): readonly string[] => `${COMMON} ${names}`.trim().split(/\s+/);

/** Root directories, by name: packages of Debian bookworm; what they depend on comes with them. */
export const ROOTS = {
  /** Rows of this root run interpreted in the tier of the runtime: cheap to fetch, and nothing to translate. */
  core: packages("dash mawk patch bc dc lua5.4 luajit gron ripgrep"),
  /** Programs that most others rest upon. */
  everyday: packages(
    `coreutils patch gzip bzip2 lz4 pcre2-utils sqlite3 perl python3-minimal libpython3.11-stdlib tcc libc6-dev
    binutils libjpeg-turbo-progs rhash`,
  ),
  tools: packages(
    `busybox-static zsh mksh coreutils mawk patch gzip bzip2 xz-utils zstd lz4 brotli lzip tar cpio zip unzip p7zip-full bc dc
    jq file bsdextrautils pcre2-utils openssl sqlite3 libxml2-utils xsltproc m4 ed vim-tiny rhash procps util-linux
    gettext-base groff-base`,
  ),
  modern: packages("ripgrep fd-find bat gron fzf age minify rclone"),
  scripting: packages(
    `perl python3 python3-numpy python3-yaml python3-lxml python3-cryptography lua5.4 luajit tcl ruby php-cli php-sqlite3
    guile-3.0 nodejs gforth sbcl ocaml-nox`,
  ),
  development: packages(
    `gcc g++ libc6-dev tcc make git cmake ninja-build nasm bison flex re2c binutils m4 pkg-config perl`,
  ),
  clang: packages("clang-14 llvm-14 lld-14 libc6-dev"),
  media: packages(
    `imagemagick graphicsmagick libjpeg-turbo-progs pngquant optipng webp sox flac vorbis-tools lame opus-tools ffmpeg
    poppler-utils qpdf potrace graphviz ghostscript librsvg2-bin`,
  ),
  servers: packages("redis-server redis-tools memcached nginx-light curl postgresql-15 netcat-openbsd util-linux"),
  jvm: packages("openjdk-17-jdk-headless"),
  jit: packages(
    "mono-mcs mono-runtime libmono-system-core4.0-cil libmono-system-numerics4.0-cil pypy3 erlang-base swi-prolog-nox",
  ),
  statistics: packages("r-base-core"),
  compilers: packages("golang-1.19-go gfortran fp-compiler fp-units-rtl fp-units-math libc6-dev binutils"),
  haskell: packages("ghc"),
  network: packages(
    `apache2-bin haproxy lighttpd openssh-server openssh-client rsync mosquitto mosquitto-clients bind9 bind9-dnsutils dnsmasq-base
    mariadb-server mariadb-client curl wget procps netcat-openbsd`,
  ),
  utilities: packages(
    "coreutils stockfish povray espeak-ng qrencode zbar-tools gpg gpg-agent gpgconf rsync pigz xmlstarlet",
  ),
  /** Tests that others have written for their programs. */
  suites: packages("coreutils python3 libpython3.11-testsuite"),
  mathematics: packages("pari-gp octave glpk-utils gnuplot-nox maxima units"),
} as const;

export interface CorpusProgram {
  readonly name: string;
  readonly root: keyof typeof ROOTS;
  /** The package that the row is about; its version goes into the table. */
  readonly package: string;
  /** For `sh -e`, in the directory /work. */
  readonly script: string;
  /** Input files in /work. */
  readonly files?: Readonly<Record<string, string>>;
  /** Seconds it may take; 120 unless said. */
  readonly seconds?: number;
}

export const PROGRAMS: readonly CorpusProgram[] = [
  ...TOOLS,
  ...LANGUAGES,
  ...RUNTIMES,
  ...DEVELOPMENT,
  ...MEDIA,
  ...SERVERS,
  ...UTILITIES,
];
