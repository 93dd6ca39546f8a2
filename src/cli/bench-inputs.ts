// What the programs of `hcontainer bench code` work on: made here from a fixed seed, so that every run on every machine has
// the same bytes. Texts have words of natural frequencies, pictures and sounds have structure and noise.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fractionsFrom } from "../base/index.ts";
import { cached } from "../host/index.ts";

/** Changes when other bytes are made. */
const FORMAT = 2;

function makeText(bytes: number): string {
  const random = fractionsFrom(1);
  const pick = (letters: string): string => letters[Math.floor(random() * letters.length)]!;
  const words = Array.from({ length: 4000 }, () => {
    let word = "";
    for (let syllables = 1 + Math.floor(random() * 4); syllables > 0; syllables--)
      word += pick("bcdfghlmnprstvw") + pick("aeiou") + (random() < 0.3 ? pick("lnrst") : "");
    return word;
  });
  let text = "";
  while (text.length < bytes) {
    // The n-th word is about as frequent as 1/n.
    const line = Array.from({ length: 4 + Math.floor(random() * 9) }, () => words[Math.floor(4001 ** random()) - 1]);
    text += `${line.join(" ")}\n`;
  }
  return text;
}

/** A picture in PPM form: gradients, edges and noise. */
function makePicture(width: number, height: number): Uint8Array {
  const random = fractionsFrom(2);
  const head = Buffer.from(`P6\n${width} ${height}\n255\n`);
  const body = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2;
      const at = (y * width + x) * 3;
      body[at] = (x * 255) / width + random() * 8;
      body[at + 1] = inside ? 200 : (y * 255) / height;
      body[at + 2] = 128 + 100 * Math.sin(x / 9) * Math.cos(y / 13) + random() * 4;
    }
  }
  return Buffer.concat([head, body]);
}

/** A sound in WAV form: two voices and noise, 44.1 kHz, 16 bits, stereo. */
function makeSound(seconds: number): Uint8Array {
  const random = fractionsFrom(3);
  const rate = 44_100;
  const samples = Math.floor(seconds * rate);
  const wav = Buffer.alloc(44 + samples * 4);
  wav.write("RIFF", 0);
  wav.writeUInt32LE(36 + samples * 4, 4);
  wav.write("WAVEfmt ", 8);
  for (const [at, value] of [
    [16, 16],
    [24, rate],
    [28, rate * 4],
  ] as const)
    wav.writeUInt32LE(value, at);
  for (const [at, value] of [
    [20, 1],
    [22, 2],
    [32, 4],
    [34, 16],
  ] as const)
    wav.writeUInt16LE(value, at);
  wav.write("data", 36);
  wav.writeUInt32LE(samples * 4, 40);
  for (let i = 0; i < samples; i++) {
    const t = i / rate;
    const tone = 9000 * Math.sin(2 * Math.PI * 440 * t) * Math.exp(-(t % 0.5) * 4);
    const bass = 6000 * Math.sin(2 * Math.PI * (110 + 30 * Math.sin(t)) * t);
    const noise = (random() - 0.5) * 600;
    wav.writeInt16LE(Math.round(tone + bass + noise), 44 + i * 4);
    wav.writeInt16LE(Math.round(tone / 2 - bass + noise), 46 + i * 4);
  }
  return wav;
}

const PERL = `my (%n, $t); while (<>) { $n{$_}++ for split; s/([aeiou])/<$1>/g; $t += length }
my @k = sort { $n{$b} <=> $n{$a} || $a cmp $b } keys %n; print "$k[0] $n{$k[0]} $t\\n";
`;
const AWK = `{ for (i = 1; i <= NF; i++) n[$i]++; s += length($0) }
END { for (w in n) if (n[w] > m || n[w] == m && w < b) { m = n[w]; b = w }; print b, m, s }
`;
const LUA = `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(23))
local t = {} for i = 1, 20000 do t[i] = i * 7919 % 10007 end table.sort(t) print(t[1], t[20000])
local s = {} for i = 1, 3000 do s[#s + 1] = string.format("%d:%s", i, ("x"):rep(i % 7)) end
local c = 0 for w in table.concat(s, ","):gmatch("%d+:x+") do c = c + #w end print(c)
`;
const PYTHON = `import json, re
class Node:
    def __init__(self, value): self.value, self.left, self.right = value, None, None
    def add(self, value):
        side = "left" if value < self.value else "right"
        child = getattr(self, side)
        if child is None: setattr(self, side, Node(value))
        else: child.add(value)
    def depth(self): return 1 + max((c.depth() for c in (self.left, self.right) if c), default=0)
root, x = Node(500), 7
for i in range(3000): x = x * 16807 % 2147483647; root.add(x % 1000)
words = {}
for word in re.findall(r"[a-z]+", open("small").read()): words[word] = words.get(word, 0) + 1
data = json.loads(json.dumps(words))
print(root.depth(), len(data), sorted(data, key=lambda w: (-data[w], w))[:5], sum(i * i % 7 for i in range(100000)))
`;
const SQL = `create table t(a integer primary key, b text, c real);
with recursive r(i) as (select 1 union all select i + 1 from r where i < 10000)
  insert into t select i, printf('n%05d', i * 7919 % 20011), i * 1.5 from r;
create index tb on t(b);
select count(*), sum(c), min(b) from t where b like 'n01%';
select substr(b, 1, 3) g, count(*), avg(c) from t group by g order by 2 desc, 1 limit 5;
select count(*) from t x join t y on x.b = y.b where x.a % 3 = 0;
`;
const BC = "scale = 400\n4 * a(1)\ne(1)\nsqrt(2)\n2 ^ 3000\n";

/** The directory with all inputs, in the cache. */
export function benchInputs(): Promise<string> {
  return cached(["bench inputs", FORMAT, PERL, AWK, LUA, PYTHON, SQL, BC].join("\n"), "-bench", async (directory) => {
    const text = makeText(1_500_000);
    const files: Record<string, string | Uint8Array> = {
      text,
      small: text.slice(0, text.indexOf("\n", 300_000) + 1),
      "picture.ppm": makePicture(640, 480),
      "sound.wav": makeSound(4),
      "work.pl": PERL,
      "work.awk": AWK,
      "work.lua": LUA,
      "work.py": PYTHON,
      "work.sql": SQL,
      "work.bc": BC,
    };
    await mkdir(directory);
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  });
}
