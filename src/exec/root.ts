// A command line that runs a program in a root directory, in namespaces of its own: what is mounted there ends with it.

import { NODE_MOUNT } from "../abi/index.ts";
import type { CommandLine } from "../host/index.ts";

export interface RootOptions {
  readonly root: string;
  /**
   * A directory for a layer over the root: what the program writes goes to its `upper`, and the root stays as it is. It
   * has to exist, on a file system that overlayfs takes.
   */
  readonly layer?: string | undefined;
  /** What the program sees as NODE_MOUNT. */
  readonly node?: string | undefined;
  /** A file that the program's runtime writes to, seen as `log` of NODE_MOUNT. */
  readonly log?: string | undefined;
  readonly cwd?: string | undefined;
  /** Whether it gets processes and a network (loopback only) of its own, which end with it. */
  readonly isIsolated?: boolean | undefined;
}

const ENTER = `
set -e
root=$1 layer=$2 node=$3 log=$4 cwd=$5 isolated=$6
shift 6
if [ -n "$layer" ]; then
  mkdir -p "$layer/upper" "$layer/work" "$layer/root"
  mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
  root=$layer/root
fi
for directory in proc sys dev tmp; do
  [ -d "$root/$directory" ] || mkdir "$root/$directory"
done
if [ -n "$isolated" ]; then
  ip link set lo up
  mount -t proc proc "$root/proc"
else
  mount --rbind /proc "$root/proc"
fi
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
if [ -n "$node" ]; then
  mkdir -p "$root${NODE_MOUNT}"
  mount --bind "$node" "$root${NODE_MOUNT}"
  [ -z "$log" ] || mount --bind "$log" "$root${NODE_MOUNT}/log"
fi
if [ -n "$isolated" ]; then
  unshare --root="$root" --wd="$cwd" -- "$@"
  exit $?
fi
exec unshare --root="$root" --wd="$cwd" -- "$@"
`;

/** The command that runs `words` (a path inside the root and its arguments) there. Needs root. */
export function rootCommand(options: RootOptions, words: readonly string[], env: CommandLine["env"] = {}): CommandLine {
  const own = options.isIsolated ? ["--pid", "--fork", "--kill-child", "--net", "--ipc"] : [];
  const flags = ["--mount", "--propagation", "private", ...own];
  const { root, layer = "", node = "", log = "", cwd = "/" } = options;
  const settings = [root, layer, node, log, cwd, options.isIsolated ? "1" : ""];
  return { command: "unshare", args: [...flags, "--", "sh", "-c", ENTER, "sh", ...settings, ...words], env };
}
