// Programs that people use beside those of the other lists: ciphers, copies, codes, speech, pictures of a scene, chess.

import type { CorpusProgram } from "./programs.ts";

const TEXT = "seq 1 4000 | awk '{ print $1, $1 * $1 % 997, \"line of text\" }' >in.txt";

export const UTILITIES: readonly CorpusProgram[] = [
  {
    name: "stockfish",
    root: "utilities",
    package: "stockfish",
    script:
      "/usr/games/stockfish bench 16 1 4 default depth 2>&1 | sed -E 's/ (nps|time|hashfull) [0-9]+//g' | grep -E 'bestmove|Nodes searched|depth 4'",
    seconds: 300,
  },
  {
    name: "povray",
    root: "utilities",
    package: "povray",
    script:
      "printf 'camera { location <0,2,-5> look_at 0 } light_source { <5,8,-6> rgb 1 } plane { y, -1 pigment { checker rgb 1, rgb 0.2 } finish { reflection 0.3 } } sphere { 0, 1 pigment { rgb <0.8,0.3,0.1> } finish { phong 0.8 } } torus { 1.4, 0.2 rotate x*40 pigment { marble turbulence 0.7 } } isosurface { function { x*x + y*y*1.5 + z*z - 0.4 + 0.1*sin(9*x) } contained_by { box { -1, 1 } } translate <1.6,0.4,-1> pigment { rgb <0.2,0.5,0.9> } }' >in.pov; povray +Iin.pov +Oout.ppm +FP +W64 +H48 +A0.3 -J +WT1 -D -GA 2>err.txt; echo $?; tail -c 9216 out.ppm | cksum; rm -f err.txt out.ppm",
    seconds: 300,
  },
  {
    name: "espeak-ng",
    root: "utilities",
    package: "espeak-ng",
    script:
      "espeak-ng -w a.wav 'Containers move between machines.'; cksum a.wav; espeak-ng -v de -s 140 -p 30 -w b.wav 'Guten Tag'; cksum b.wav; espeak-ng -q --ipa 'translation'; rm -rf a.wav b.wav ~/.config /tmp/pulse-*",
  },
  {
    name: "qrencode and zbar",
    root: "utilities",
    package: "zbar-tools",
    script:
      "qrencode -o a.png -s 4 -l H 'a message of some length, 0123456789'; zbarimg -q --raw a.png; qrencode -t UTF8 -m 1 short; qrencode -8 -t ASCII -l L text; rm a.png",
  },
  {
    name: "gnupg",
    root: "utilities",
    package: "gpg",
    script: `${TEXT}; export GNUPGHOME=$PWD/home; mkdir -m 700 home; gpg --batch -q --passphrase '' --pinentry-mode loopback --quick-gen-key 'A B <a@b.c>' ed25519 sign never 2>/dev/null; gpg --batch -q --sign -o a.gpg in.txt; gpg --batch -q -d a.gpg 2>/dev/null | cmp - in.txt && echo signed; gpg --batch -q --passphrase secret --pinentry-mode loopback -c --cipher-algo AES256 -o b.gpg in.txt; gpg --batch -q --passphrase secret --pinentry-mode loopback -d b.gpg | cksum; gpg --print-md SHA512 in.txt; gpgconf --kill all; rm -rf home a.gpg b.gpg`,
    seconds: 240,
  },
  {
    name: "rsync and pigz",
    root: "utilities",
    package: "rsync",
    script: `${TEXT}; mkdir a; split -l 500 in.txt a/part-; rsync -a a/ b/; echo changed >>b/part-ab; rsync -rc --stats a/ b/ | grep -E 'Number of (regular files transferred|files)|Literal|Matched'; diff -r a b && echo same; pigz -p 3 -k in.txt; pigz -dc in.txt.gz | cksum; pigz -p 1 -9 -nc in.txt | cksum; rm -rf a b in.txt.gz`,
  },
  {
    name: "xmlstarlet",
    root: "utilities",
    package: "xmlstarlet",
    script:
      "printf '<r><i n=\"2\">b</i><i n=\"1\">a</i></r>' >in.xml; xmlstarlet sel -t -m '//i' -s A:N:- @n -v 'concat(@n, \":\", .)' -n in.xml; xmlstarlet ed -u '//i[@n=1]' -v new -d '//i[@n=2]' in.xml; xmlstarlet fo -t in.xml; xmlstarlet val -w in.xml; echo '<a><b></a>' | xmlstarlet val -e -",
  },
];
