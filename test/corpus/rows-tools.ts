// Shells, text tools, compressors, archivers, checksums, OpenSSL.

import type { CorpusProgram } from "./programs.ts";

const TEXT = "/usr/share/common-licenses/GPL-3";
const LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6";
/** Packs the text and a library, unpacks them again, and shows the sizes and digests. */
const roundTrip = (pack: string, unpack: string): string => `
cat ${TEXT} /usr/share/common-licenses/LGPL-2.1 >text; head -c 200000 ${LIBC} >binary
for f in text binary; do ${pack} <$f >$f.packed; ${unpack} <$f.packed >$f.new; cmp $f $f.new; done
sha256sum *.packed; wc -c *.packed`;

const shells = (shell: string, extra = ""): string => `cat >s <<'END'
fib() { if [ $1 -lt 2 ]; then echo $1; else echo $(( $(fib $(($1-1))) + $(fib $(($1-2))) )); fi; }
fib 7
i=0; while [ $i -lt 500 ]; do i=$((i+1)); case $i in *77*) echo $i;; esac; done
trap 'echo usr1' USR1; kill -USR1 $$
(exit 3) || echo status $?
for f in /etc/p*; do echo "\${f##*/}"; done | sort | head -3
read a b <<X
one two three
X
echo "$b-$a" \${#b}
printf '%05d|%-6s|%x\\n' 42 ab 255
f() { local x=1; x=$((x+1)); echo $x; }; f
seq 1 300 | while read n; do [ $((n % 99)) = 0 ] && echo $n; done; :
sleep 0.1 & wait $!; echo waited $?
sh -c 'kill -TERM $$'; echo killed $?
${extra}
END
${shell} s`;

export const TOOLS: readonly CorpusProgram[] = [
  // Shells.
  { name: "dash", root: "core", package: "dash", script: shells("dash") },
  {
    name: "bash",
    root: "everyday",
    package: "bash",
    script: shells(
      "bash",
      `declare -A m; m[x]=1; m[y]=2; echo \${m[x]} \${#m[@]}; a=(3 1 2); echo \${a[@]:1} \${!a[*]}; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo \${BASH_REMATCH[2]}; diff <(seq 3) <(seq 4); echo {a..e} \${a[0]^^} $'\\t'x; shopt -s extglob; echo \${PWD//+(o)/0}`,
    ),
  },
  {
    name: "zsh",
    root: "tools",
    package: "zsh",
    script: shells(
      "zsh -f",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell replaces it
      "a=(c b a); echo ${(o)a} ${a[1]}; print -l {1..3}; echo ${(U)a[2]}; zmodload zsh/mathfunc; echo $(( sin(1.0) ))",
    ),
  },
  { name: "mksh", root: "tools", package: "mksh", script: shells("mksh") },
  {
    name: "busybox",
    root: "tools",
    package: "busybox-static",
    script: shells("busybox sh", "seq 1 50 | busybox awk '{s+=$1*1.5} END {print s}'; busybox sha512sum /etc/passwd"),
  },
  // Coreutils and text tools.
  {
    name: "coreutils: files",
    root: "everyday",
    package: "coreutils",
    script: `mkdir -p a/b; cp ${TEXT} a/x; cp -a a c; ln -s x a/l; ln a/x a/h; touch -d 2001-02-03T04:05:06 a/t; ls -lR --time-style=+%Y a/b | head; ls -1sS a; stat -c '%n %s %h %F %a' a/*; mv c/x c/y; rm -r c; chmod 640 a/t; du -a --apparent-size a | sort; readlink -f a/l; mktemp -u -p . >/dev/null; truncate -s 5000 big; dd if=a/x of=part bs=1000 skip=3 count=2 2>/dev/null; cksum part; install -D -m 600 a/x q/w/e; find . | sort; rmdir a/b; basename a/x; dirname a/x; df / >/dev/null; sync; split -b 10000 a/x sp.; ls sp.*; shred -u part; realpath q/../a`,
  },
  {
    name: "coreutils: text",
    root: "everyday",
    package: "coreutils",
    script: `t=${TEXT}; sort $t | uniq -c | sort -rn | head -5; tr -cs A-Za-z '\\n' <$t | sort -f | uniq -ic | sort -k1,1nr -k2 | head; cut -c5-20 $t | tail -3; fold -w 40 $t | md5sum; fmt -w 60 $t | sha1sum; nl $t | tail -2; od -A d -t x1z $t | tail -3; paste -d: a c; expand $t | unexpand -a | cksum; tac $t | head -2; wc $t; comm -12 a b; join a b; csplit -s $t 100 200; ls xx*; pr -2 $t | head -20 | tail -5; numfmt --to=iec 123456789; factor 1234567890123456789 340282366920938463463374607431768211297 || :; seq -w 1 3 20; shuf -i 1-5 --random-source=$t; base64 $t | tail -1; base32 a; b2sum $t; sha224sum $t; sha384sum $t; sha512sum $t; sum $t; ptx b | head -3; tsort c; expr 12 \\* 12; echo 'x y' | tee q; printf '%s %.3e\\n' a 3.14159; date -u -d @1700000000 +%c; sort -g d; sort -h e; sort -V f; sort -R --random-source=$t a`,
    files: {
      a: "a 1\nb 2\nc 3\nd 4\n",
      b: "a x\nc y\nd z\n",
      c: "a b\nb c\nd b\n",
      d: "1e3\n-5.5\n0x10\n3.14\n",
      e: "1K\n3M\n2G\n512\n",
      f: "v1.10\nv1.9\nv1.2.3\n",
    },
  },
  {
    name: "checksums",
    root: "everyday",
    package: "coreutils",
    script: `for p in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum; do $p ${LIBC}; done; sha256sum ${TEXT} >s; sha256sum -c s; rhash --all ${TEXT}`,
  },
  {
    name: "grep",
    root: "everyday",
    package: "grep",
    script: `t=${TEXT}; grep -c the $t; grep -n -i 'free software' $t; grep -E '(\\w+) \\1' $t; grep -v e $t | sort -u; grep -o '[A-Z]\\{4,\\}' $t | sort | uniq -c; grep -w -A1 -B1 Corresponding $t | head; grep -F -x -f p $t; grep -rl GNU /usr/share/common-licenses | sort; grep -z x $t >/dev/null && echo z; grep -c ELF ${LIBC}; grep -E -c '^[^aeiou]*$' $t; grep nosuch $t || echo $?`,
    files: { p: "  0. Definitions.\nnope\n" },
  },
  {
    name: "grep -P",
    root: "everyday",
    package: "libpcre2-8-0",
    script: `t=${TEXT}; grep -P -o '(?<=the )\\w+(?= of)' $t | sort | uniq -c | sort -rn | head; grep -P -c '^(?!.*the).*$' $t; grep -P '(\\w)(\\w)\\2\\1' $t | md5sum; pcre2grep -n '(?i)\\bgnu\\b(?! gen)' $t | head -5; printf '/(a+)+b/jit\\n aaaaab\\n ac\\n/(?<n>\\\\d+)-\\\\k<n>/utf,jit\\n 12-12\\n' >in; pcre2test -jit in`,
  },
  {
    name: "sed",
    root: "everyday",
    package: "sed",
    script: `t=${TEXT}; sed -n '/Preamble/,/Definitions/p' $t | sed 's/\\(\\w*\\) \\(\\w*\\)/\\2 \\1/g; y/abc/xyz/' | cksum; sed -E 's/([A-Z])([a-z]+)/\\L\\1\\U\\2/g' $t | tail -3; sed '1!G;h;$!d' $t | head -3; sed -i.bak 's/GNU/gnu/2' f; cat f f.bak; sed = f | sed 'N;s/\\n/ /'; sed -n '$=' $t; sed ':a;N;$!ba;s/\\n/,/g' f; sed 's/x/y/e' </dev/null; sed --debug -n p f | head -3`,
    files: { f: "GNU is GNU\nnot unix\n" },
  },
  {
    name: "gawk",
    root: "everyday",
    package: "gawk",
    script: `t=${TEXT}; gawk '{for(i=1;i<=NF;i++) c[tolower($i)]++} END {n=asorti(c,k); for(i=1;i<=n;i++) if (c[k[i]]>40) print k[i], c[k[i]]}' $t; gawk 'BEGIN {for (i=0;i<5;i++) printf "%.15g %.6f %e\\n", sin(i), exp(i), log(i+1); print 2^53+1, 7%3, -7%3, int(-3.7), substr("hello",2,3); print strftime("%F",0,1); printf "%c%d\\n", 65, "12abc"}'; gawk -M 'BEGIN {print 2^200}'; gawk --re-interval 'match($0, /([a-z]+)ware/, m) {print m[1]}' $t | sort | uniq -c; echo a:b | gawk -F: -v OFS=- '{$1=$1; print; print toupper($2) | "cat"}'; gawk 'function f(n) {return n<2?n:f(n-1)+f(n-2)} BEGIN {print f(16)}'`,
  },
  {
    name: "mawk",
    root: "core",
    package: "mawk",
    script: `t=${TEXT}; mawk '{n+=NF; l+=length} /the/ {c++} END {print NR,n,l,c}' $t; mawk 'BEGIN {for (i=0;i<20000;i++) s+=sqrt(i)*i; printf "%.10g\\n", s; while ((getline x < "'$t'") > 0) k++; print k}'; mawk '{gsub(/[aeiou]+/,"<&>"); print}' $t | md5sum`,
  },
  {
    name: "diff and patch",
    root: "core",
    package: "diffutils",
    script: `sed 's/free/FREE/; 40d; 100a new' ${TEXT} >b; cp ${TEXT} a; diff a b >p || echo $?; diff -u --label a --label b a b >u || :; diff -y -W 70 a b | tail -3 || :; cmp a b || echo $?; sdiff -s a b | md5sum; diff3 a b a | head -5; cp a c; patch c u; cmp c b && echo same; patch -R c p; cmp c a && echo back; wc p u`,
  },
  {
    name: "findutils",
    root: "tools",
    package: "findutils",
    script: `cd /usr/share/common-licenses; find . -type f -size +10k -printf '%s %f\\n' | sort -n; find /usr/lib -name 'libc*' | sort | head; find . -maxdepth 1 -name 'G*' -exec sh -c 'echo "$0" | wc -c' {} \\; ; find . -type l | sort | xargs -n 3 -P 2 echo | sort | md5sum; find / -xdev -perm -4000 2>/dev/null | sort | head -3; find . -newer GPL-3 -o -regex '.*GPL.*' | sort; echo a b c | xargs -n1 -I{} echo '<{}>'`,
  },
  {
    name: "ed, vim and m4",
    root: "tools",
    package: "ed",
    script: `cp ${TEXT} f; printf '/Preamble/\\n.,+2p\\n1,10d\\ng/GNU/s//gnu/g\\nw g\\nq\\n' | ed -s f; md5sum g; vim.tiny -u NONE -es -c '%s/the/THE/g' -c 'g/^$/d' -c 'sort' -c 'w h' -c 'q!' f; md5sum h; m4 m`,
    files: {
      m: "define(`f', `ifelse($1, 0, 1, `eval($1 * f(decr($1)))')')f(10)\nforloop\nchangequote([,])define([x],[y])x len([abc]) translit(hello, a-y, b-z) format([%05.2f], 3.14159)\nesyscmd(echo hi)",
    },
  },
  {
    name: "util-linux",
    root: "tools",
    package: "bsdextrautils",
    script: `hexdump -C ${TEXT} | head -5; column -t -s, c; rev c; xxd ${LIBC} | tail -2; xxd -r -p x; look ab w || :; cal 9 1752 || :; getopt -o ab: -l long: -- -a -b 1 --long=x y; setsid -w echo hi; flock lock echo locked; ionice true || :; file -b ${LIBC} ${TEXT} /usr/bin/dash; printenv HOME; envsubst <e`,
    files: { c: "a,bb,ccc\n1,2,3\n", x: "48656c6c6f0a", w: "aa\nab\nabc\nb\n", e: "home $HOME\n" },
  },
  {
    name: "bc and dc",
    root: "core",
    package: "bc",
    script: `echo 'scale=50; 4*a(1); e(1); s(1); l(2); sqrt(2)' | bc -l; echo '2^500; define f(n) { if (n<2) return 1; return n*f(n-1); } f(80); obase=16; 12345678901234567890; ibase=2; 1011' | bc; dc -e '100 k 2 v p 16 o 255 p [la1+dsa*pla10>y]sy 0sa1 lyx'`,
  },
  // Compressors and archivers.
  {
    name: "gzip",
    root: "everyday",
    package: "gzip",
    script: `${roundTrip("gzip -n", "gunzip")}; gzip -n9 <text | cksum; gzip -l text.packed 2>&1 | head -1; zcat <text.packed | head -1; echo x | gunzip || echo $?`,
  },
  { name: "bzip2", root: "everyday", package: "bzip2", script: roundTrip("bzip2 -9", "bunzip2") },
  {
    name: "xz",
    root: "tools",
    package: "xz-utils",
    script: `${roundTrip("xz -6", "xz -d")}; xz -9e --format=lzma <text | xz -d --format=lzma | cmp - text; xz -T2 --block-size=50000 -k text; xz -l text.xz`,
  },
  {
    name: "zstd",
    root: "tools",
    package: "zstd",
    script: `${roundTrip("zstd -q -3", "zstd -q -d")}; zstd -q -19 --ultra <text | cksum; zstd -q -T2 <binary | zstd -dq | cmp - binary; zstd -q --train /usr/share/common-licenses/* -o dict --maxdict=4000 && zstd -q -D dict <text | cksum`,
  },
  { name: "lz4", root: "everyday", package: "lz4", script: roundTrip("lz4 -9 -q", "lz4 -d -q") },
  { name: "brotli", root: "tools", package: "brotli", script: roundTrip("brotli -q 6", "brotli -d") },
  { name: "lzip", root: "tools", package: "lzip", script: roundTrip("lzip -6", "lzip -d") },
  {
    name: "tar and cpio",
    root: "tools",
    package: "tar",
    script: `tar --sort=name --mtime=@0 --owner=0 --group=0 -C /usr/share -cf a.tar common-licenses; tar tvf a.tar; tar --zstd --mtime=@0 -cf b.tzst -C /usr/share common-licenses/GPL-2; mkdir x; tar xf a.tar -C x --exclude='*BSD*'; diff -r x/common-licenses /usr/share/common-licenses || :; find x | sort | cpio -o -H newc --quiet 2>/dev/null | cpio -it --quiet; tar -cf - x | tar -tf - | wc -l; rm b.tzst a.tar`,
  },
  {
    name: "zip and unzip",
    root: "tools",
    package: "zip",
    script: `cp ${TEXT} t; touch -d 2001-01-01T00:00:00 t; zip -X -q a.zip t; unzip -l a.zip; unzip -p a.zip | cmp - t; zip -X -q -e -P secret b.zip t; unzip -P secret -t b.zip; rm b.zip; zip -X -q -0 - t | cksum; sha256sum a.zip; zipinfo a.zip | head -3`,
  },
  {
    name: "7z",
    root: "tools",
    package: "p7zip-full",
    script: `7z a -bd -mx=5 -mtm=off a.7z ${TEXT} ${LIBC} | grep -v -e Locale -e CPU -e p7zip -e Intel -e AMD | tail -3; 7z t -bd a.7z | tail -4; 7z x -bd -so a.7z GPL-3 | cmp - ${TEXT}; 7z a -bd -tzip -mtm=off -mx=9 -mmt=1 b.zip ${TEXT} >/dev/null; cksum b.zip; rm a.7z b.zip`,
    seconds: 240,
  },
  // Data.
  {
    name: "sqlite3",
    root: "everyday",
    package: "sqlite3",
    script: `sqlite3 db <q; sqlite3 -json db 'select b, count(*) n, avg(a) from t group by b order by n, b limit 3'; sqlite3 db .dump | md5sum; sqlite3 db 'pragma integrity_check; vacuum'; sha256sum db`,
    files: {
      q: "create table t(a integer primary key, b text, c real);\nwith recursive n(x) as (select 1 union all select x+1 from n where x<3000) insert into t select x, hex(x%37), x*1.1 from n;\ncreate index i on t(b);\nselect sum(c), max(b), total(a) from t;\nselect * from t where b like '1%' order by c desc limit 5;\nbegin; update t set c=c/3; delete from t where a%5=0; commit;\nselect printf('%.10f', avg(c)) from t;\nselect json_group_array(a) from (select a from t limit 5);\ncreate virtual table f using fts5(x); insert into f values('the quick brown fox'),('lazy dog'); select * from f where f match 'quick';\nselect round(sqrt(2),9), upper('äb'), substr('hello',-3), date(0,'unixepoch'), 5/2, 5.0/2, 1e400, -1<<3;\nwith w as (select a, row_number() over (partition by b order by c) r from t) select count(*) from w where r=1;\n",
    },
  },
  {
    name: "jq",
    root: "tools",
    package: "jq",
    script: `jq . j; jq -c '.a | map(.x * 1.5) | add' j; jq -r '.a[] | select(.x > 1) | "\\(.y): \\(.x)"' j; jq -n '[range(2000)] | map(. * .) | add, (map(tostring) | join("") | length), ([limit(5; .[])] | @csv)'; jq -e '.nope' j || echo $?; jq -S 'to_entries' j; jq '[.a[].y | test("^[a-n]")]' j; echo '{' | jq . || echo $?`,
    files: { j: '{"a":[{"x":1,"y":"abc"},{"x":2.25,"y":"xyz\\u00e9"},{"x":1e3,"y":"n"}],"b":null,"c":true}' },
  },
  {
    name: "libxml2 and libxslt",
    root: "tools",
    package: "libxml2-utils",
    script: `xmllint --format d.xml; xmllint --xpath 'sum(//v)' d.xml; xsltproc s.xsl d.xml; xmllint --noout --schema /dev/null d.xml || echo $?; xmllint --c14n d.xml | md5sum; echo '<a><b></a>' | xmllint - || echo $?`,
    files: {
      "d.xml": '<?xml version="1.0"?><r xmlns:x="urn:x"><e id="1"><v>1.5</v></e><e id="2"><v>2.25</v><x:y/></e></r>',
      "s.xsl":
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:output method="text"/><xsl:template match="/"><xsl:for-each select="//e"><xsl:sort select="@id" order="descending"/><xsl:value-of select="format-number(v * 3, \'0.00\')"/><xsl:text>&#10;</xsl:text></xsl:for-each></xsl:template></xsl:stylesheet>',
    },
  },
  {
    name: "groff",
    root: "tools",
    package: "groff-base",
    script: `groff -Tutf8 -man m; groff -Tps -ms <s | grep -v Date | md5sum; echo 'x sup 2 over y' | eqn -Tutf8 2>/dev/null | tail -2; tbl t | nroff | head -20`,
    files: {
      m: ".TH T 1 2000-01-01\n.SH NAME\nt \\- a test of words that fill lines until they have to be broken somewhere, hyphenated or not\n.SH SYNOPSIS\n.B t\n[\\fIoption\\fR]...\n",
      s: ".TL\nTitle\n.NH\nSection\n.PP\nSome text.\n",
      t: ".TS\nbox,tab(:);\nl n.\nab:1.5\nc:22.25\n.TE\n",
    },
  },
  // OpenSSL.
  {
    name: "openssl: digests and ciphers",
    root: "tools",
    package: "openssl",
    script: `for d in md5 sha1 sha256 sha512 sha3-256 blake2b512 shake128 ripemd160 sm3; do openssl dgst -$d ${LIBC} || :; done; for c in aes-128-cbc aes-256-ctr aes-256-gcm chacha20 camellia-128-cbc des-ede3-cbc aria-128-cbc sm4-cbc; do openssl enc -$c -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 000102030405060708090a0b0c0d0e0f -in ${TEXT} -out $c.enc 2>&1 | grep -v hex || :; done; sha256sum *.enc; openssl enc -d -aes-256-ctr -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 000102030405060708090a0b0c0d0e0f -in aes-256-ctr.enc | cmp - ${TEXT}; openssl dgst -sha256 -hmac key ${TEXT}; openssl kdf -keylen 16 -kdfopt digest:SHA256 -kdfopt pass:p -kdfopt salt:saltsalt -kdfopt iter:1000 PBKDF2; openssl kdf -keylen 16 -kdfopt pass:p -kdfopt salt:s -kdfopt n:256 -kdfopt r:8 -kdfopt p:1 SCRYPT; openssl prime 1000000007 170141183460469231731687303715884105727`,
  },
  {
    name: "openssl: signatures",
    root: "tools",
    package: "openssl",
    script: `for a in 'RSA -pkeyopt rsa_keygen_bits:2048' 'EC -pkeyopt ec_paramgen_curve:P-256' 'EC -pkeyopt ec_paramgen_curve:secp384r1' ED25519 ED448; do openssl genpkey -algorithm $a -out k.pem 2>/dev/null; openssl pkey -in k.pem -pubout -out p.pem; case $a in ED*) openssl pkeyutl -sign -rawin -inkey k.pem -in ${TEXT} -out s; openssl pkeyutl -verify -rawin -pubin -inkey p.pem -in ${TEXT} -sigfile s;; *) openssl dgst -sha256 -sign k.pem -out s ${TEXT}; openssl dgst -sha256 -verify p.pem -signature s ${TEXT};; esac; done; openssl genpkey -algorithm X25519 -out x1; openssl genpkey -algorithm X25519 -out x2; openssl pkey -in x1 -pubout -out y1; openssl pkey -in x2 -pubout -out y2; openssl pkeyutl -derive -inkey x1 -peerkey y2 -out z1; openssl pkeyutl -derive -inkey x2 -peerkey y1 -out z2; cmp z1 z2 && echo agreed; rm -f *.pem s x1 x2 y1 y2 z1 z2; openssl pkeyutl -sign -rawin -inkey fixed.key -in ${TEXT} | sha256sum`,
    files: {
      "fixed.key":
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n",
    },
    seconds: 240,
  },
  {
    name: "openssl: TLS",
    root: "tools",
    package: "openssl",
    script: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -subj /CN=localhost -days 10 2>/dev/null
for v in tls1_3 tls1_2; do openssl s_server -accept 4433 -key k -cert c -www -quiet -$v >/dev/null 2>&1 & s=$!; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:4433 -CAfile c -verify_return_error -servername localhost -ign_eof >out 2>/dev/null && break; done; grep -q 'Verify return code: 0' out && echo verified; grep -e 'Cipher is' out | tail -1; grep -e '^HTTP' out; { kill $s; wait $s || :; } 2>/dev/null; done; rm k c out`,
    seconds: 240,
  },
];
