// Interpreters and compilers of languages that run what they read; Rust, Go and Haskell programs; mathematics.

import type { CorpusProgram } from "./programs.ts";

const TEXT = "/usr/share/common-licenses/GPL-3";

export const LANGUAGES: readonly CorpusProgram[] = [
  {
    name: "perl",
    root: "everyday",
    package: "perl",
    script: `perl p.pl; perl -ne 'print if /free/ .. /software/' ${TEXT} | md5sum; perl -MDigest::SHA=sha256_hex -MMIME::Base64 -MList::Util=sum,shuffle -MStorable=dclone -MData::Dumper -MTime::Local -e '$Data::Dumper::Sortkeys=1; print sha256_hex("x"), encode_base64("hello"), sum(1..100), "\\n", Dumper(dclone({a=>[1,2,{b=>3}]})), timegm(0,0,0,1,0,100), "\\n"'; perl -Mthreads -e 'my @t = map { my $n = $_; threads->create(sub { my $s = 0; $s += $_ * $n for 1..1000; $s }) } 1..4; print $_->join, "\\n" for @t'; perl -e 'my $pid = fork; if (!$pid) { exit 7 } waitpid $pid, 0; print $? >> 8, "\\n"; local $SIG{ALRM} = sub { die "alarm\\n" }; eval { alarm 1; select undef, undef, undef, 5 }; print $@; print pack("w/a N n C d>", "ab", 1, 2, 3, 1.5) eq "x" ? 1 : 0, "\\n"; printf "%.17g %s\\n", 0.1 + 0.2, 1e21'`,
    files: {
      "p.pl": `use strict; use warnings; use utf8;
my %h; my $t = do { local (@ARGV, $/) = "${TEXT}"; <> };
$h{lc $1}++ while $t =~ /([A-Za-z]+)/g;
printf "%s %d\\n", $_, $h{$_} for (sort { $h{$b} <=> $h{$a} || $a cmp $b } keys %h)[0..9];
my @p = grep { my $n = $_; !grep { $n % $_ == 0 } 2..sqrt $n } 2..500; print "@p[0..20]\\n";
package A { sub new { bless {v => $_[1]}, $_[0] } sub f { $_[0]{v} * 2 } } package B { our @ISA = 'A'; sub f { my $s = shift; $s->SUPER::f() + 1 } }
print B->new(20)->f, "\\n"; print join(",", map { sprintf "%b", $_ } 1..8), "\\n";
my $s = "abc" x 3; $s =~ s/(b)(c)/\\U$2$1/g; print "$s\\n"; print scalar reverse("hello"), "\\n";
eval { die { code => 42 } }; print $@->{code}, "\\n"; my @s = sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1..200; print "@s[0..9]\\n";
local $_ = "x=1,y=2"; my %m = /(\\w)=(\\d)/g; print join(";", map { "$_$m{$_}" } sort keys %m), "\\n"; print "é" =~ /\\w/ ? "word\\n" : "none\\n"; print 10/3, " ", 2**0.5, " ", int(-3.5), " ", -7 % 3, "\\n";
`,
    },
  },
  {
    name: "python3",
    root: "everyday",
    package: "python3",
    script: "python3 p.py",
    files: {
      "p.py": `import json, re, sqlite3, hashlib, zlib, bz2, lzma, struct, decimal, fractions, collections, itertools, functools, datetime, random, threading, ctypes, math, subprocess, os, io, pickle, csv, textwrap, statistics, heapq, base64, uuid
t = open("${TEXT}").read()
print(collections.Counter(re.findall(r"[a-z]+", t.lower())).most_common(5))
print(json.dumps(json.loads('{"a": [1, 2.5, "\\\\u00e9", null, true], "b": {"c": 1e100}}'), sort_keys=True))
for n in ("md5", "sha1", "sha256", "sha3_512", "blake2b"): print(n, hashlib.new(n, t.encode()).hexdigest()[:20])
for m in (zlib, bz2, lzma): c = m.compress(t.encode()); print(m.__name__, len(c), m.decompress(c).decode() == t)
db = sqlite3.connect(":memory:"); db.execute("create table t(a, b)"); db.executemany("insert into t values(?, ?)", [(i, str(i * i)) for i in range(200)]); print(db.execute("select sum(a), max(length(b)) from t").fetchone())
decimal.getcontext().prec = 60; print(decimal.Decimal(2).sqrt(), fractions.Fraction(1, 3) + fractions.Fraction(1, 7), 2 ** 300, math.factorial(60), pow(3, 10 ** 20, 10 ** 9 + 7))
random.seed(42); print([random.randint(1, 100) for _ in range(8)], random.random(), random.gauss(0, 1))
print(math.sin(1), math.exp(1), math.lgamma(5.5), math.erf(0.3), 0.1 + 0.2, 1e308 * 10, float("nan"), round(2.675, 2), divmod(-7, 3), "%.30f" % 0.1)
r = []; l = threading.Lock()
def work(n):
    s = sum(i * n for i in range(2000))
    with l: r.append(s)
ts = [threading.Thread(target=work, args=(n,)) for n in range(6)]; [x.start() for x in ts]; [x.join() for x in ts]; print(sorted(r))
libc = ctypes.CDLL("libc.so.6"); libc.strlen.restype = ctypes.c_size_t; print(libc.strlen(b"hello"), libc.abs(-5)); a = (ctypes.c_int * 5)(5, 3, 1, 4, 2)
cmp = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda x, y: x[0] - y[0]); libc.qsort(a, 5, 4, cmp); print(list(a))
print(subprocess.run(["sh", "-c", "cat; exit 3"], input=b"piped", capture_output=True)); print(datetime.date(2024, 2, 29) + datetime.timedelta(days=365), struct.pack("<IdQ", 1, 2.5, 3).hex())
@functools.lru_cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(200), list(itertools.islice(itertools.permutations("abc"), 4)), sorted(["b", "A", "c"], key=str.lower), f"{1234567.891:,.2f} {255:#x} {'x':^5}", statistics.stdev([1, 2, 3, 4.5]))
try: 1 / 0
except ZeroDivisionError as e: print(e)
async def co(n):
    import asyncio
    await asyncio.sleep(0.01 * n); return n * n
import asyncio
async def main(): return await asyncio.gather(*(co(n) for n in range(5)))
print(asyncio.run(main())); print(pickle.loads(pickle.dumps({1: [2, (3, {4})]})), textwrap.shorten(t, 60), base64.b64encode(bytes(range(20))), uuid.uuid5(uuid.NAMESPACE_DNS, "x"))
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as p: print(p.map(math.isqrt, [10 ** 20, 10 ** 30]))
`,
    },
    seconds: 300,
  },
  {
    name: "python3: its own tests",
    root: "suites",
    package: "python3",
    // Each test and how it went; times and places are left out.
    script:
      "export PYTHONDONTWRITEBYTECODE=1; python3 -m test -v test_math test_cmath test_array test_binascii test_bytes test_bool test_fcntl test_mmap test_epoll test_json >log.txt 2>&1; echo $?; grep -E '^test.* \\.\\.\\. ' log.txt; rm -rf log.txt /tmp/*",
    seconds: 900,
  },
  {
    name: "python3: network and ssl",
    root: "scripting",
    package: "python3",
    script: "python3 p.py",
    files: {
      "p.py": `import ssl, socket, threading, http.server, urllib.request, selectors, socketserver, xml.etree.ElementTree as ET, zipfile, io, tarfile, tempfile, os, signal, mmap, gzip, logging, argparse, unicodedata, difflib, array, email, configparser, html
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        b = (self.path * 100).encode(); self.send_response(200); self.send_header("Content-Length", str(len(b))); self.end_headers(); self.wfile.write(b)
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), H); threading.Thread(target=s.serve_forever, daemon=True).start()
for i in range(10): assert urllib.request.urlopen("http://127.0.0.1:8080/%d" % i).read() == (b"/%d" % i) * 100
s.shutdown(); print("served")
c = ssl.create_default_context(); print(ssl.OPENSSL_VERSION, len(c.get_ciphers()) > 10, c.verify_mode)
a, b = socket.socketpair(); a.sendall(b"x" * 100); print(len(b.recv(1000)), unicodedata.normalize("NFD", "\\u00e9").encode())
def handler(n, f): print("signal", n)
signal.signal(signal.SIGUSR1, handler); os.kill(os.getpid(), signal.SIGUSR1)
m = mmap.mmap(-1, 8192); m[0:5] = b"hello"; print(m[0:5], m.find(b"l")); r = ET.fromstring("<a><b x='1'>t</b></a>"); print(r.find("b").get("x"), ET.tostring(r))
z = io.BytesIO(); f = zipfile.ZipFile(z, "w", zipfile.ZIP_DEFLATED); f.writestr(zipfile.ZipInfo("a"), "b" * 1000); f.close(); print(len(z.getvalue()), zipfile.ZipFile(z).testzip())
pid = os.fork()
if pid == 0: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); print("\\n".join(difflib.unified_diff(["a", "b"], ["a", "c"], lineterm=""))); x = array.array("d", [1.5, 2.5]); x.byteswap(); print(x.tobytes().hex(), html.unescape("&eacute;&lt;"))
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
print(AESGCM(bytes(16)).encrypt(bytes(12), b"secret", b"aad").hex())
import yaml; print(yaml.safe_load("a: [1, 2.5, null]\\nb: {c: true}")); from lxml import etree; print(etree.tostring(etree.XML("<a><b/></a>"), pretty_print=True))
`,
    },
    seconds: 300,
  },
  {
    name: "numpy and OpenBLAS",
    root: "scripting",
    package: "python3-numpy",
    script: "OPENBLAS_NUM_THREADS=2 python3 p.py",
    files: {
      "p.py": `import numpy as np
r = np.random.default_rng(1); a = r.standard_normal((60, 60)); b = r.standard_normal((60, 60))
print(repr((a @ b).sum()), repr(np.linalg.det(a)), np.linalg.svd(a)[1][:3].tolist(), np.linalg.eigvalsh(a + a.T)[:3].tolist(), np.abs(np.linalg.inv(a) @ a - np.eye(60)).max() < 1e-9)
print(np.fft.fft(np.arange(16.0)).real.tolist(), np.sort(r.integers(0, 1000, 50)).tolist(), np.float32(a).sum(dtype=np.float32).tolist(), np.einsum("ij,jk->ik", a, b)[0, 0], np.exp(a).mean(), np.sin(a).std(), np.float16(1.1), (np.arange(10, dtype=np.uint8) * 30).tolist())
print(np.array2string(np.linspace(0, 1, 7) ** 3, precision=12), np.argsort(a[0])[:5], np.histogram(a, bins=5)[0], np.cumsum(np.arange(100) % 7)[-1], np.bitwise_xor.reduce(np.arange(1000)), np.convolve([1, 2, 3], [0, 1, 0.5]))
`,
    },
    seconds: 300,
  },
  {
    name: "lua",
    root: "core",
    package: "lua5.4",
    script: "lua5.4 p.lua",
    files: {
      "p.lua": `local t = {} for i = 1, 3000 do t[i] = (i * 7919) % 3001 end table.sort(t) print(t[1], t[1500], #t)\nlocal function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(18))\nlocal co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end) print(co(), co(), co())\nprint(string.format("%5.2f %q %x", math.pi, "a\\nb", 255), ("hello world"):gsub("o", "0"), 7 // 2, 7 % -3, 2^53, 1 << 62, 10 / 2, math.maxinteger + 1 == math.mininteger)\nprint(select(2, pcall(error, {code = 1})).code, pcall(error, "x", 0)) print(select("#", table.unpack({1, 2, nil, 4}, 1, 4)), utf8.char(233, 8364), string.pack("<i4d", 1, 2.5):byte(1, -1))\nlocal mt = setmetatable({}, {__index = function(_, k) return k .. "!" end, __call = function(_, x) return x + 1 end}) print(mt.foo, mt(41)) goto e ::e:: print(os.date("!%F", 0), collectgarbage("count") > 0)\n`,
    },
  },
  {
    name: "luajit",
    root: "core",
    package: "luajit",
    script: "luajit p.lua; luajit -joff p.lua | md5sum",
    files: {
      "p.lua": `local s = 0 for i = 1, 200000 do s = s + i % 7 * 1.5 end print(s)\nlocal ffi = require "ffi" ffi.cdef "int abs(int); typedef struct { int x; double y; } p;" print(ffi.C.abs(-3)) local a = ffi.new("p[10]") for i = 0, 9 do a[i].x = i; a[i].y = i * 0.5 end local t = 0 for r = 1, 1000 do for i = 0, 9 do t = t + a[i].x * a[i].y end end print(t)\nlocal bit = require "bit" local h = 0 for i = 1, 50000 do h = bit.bxor(bit.rol(h, 5), i) end print(h)\nlocal q = {} for i = 1, 2000 do q[#q+1] = tostring(i * 3) end print(#table.concat(q, ","))\nlocal function f(n) if n < 2 then return n end return f(n-1) + f(n-2) end print(f(20))\n`,
    },
  },
  {
    name: "tcl",
    root: "scripting",
    package: "tcl",
    script: "tclsh p.tcl",
    files: {
      "p.tcl": `proc fib n {expr {$n < 2 ? $n : [fib [expr {$n-1}]] + [fib [expr {$n-2}]]}}\nputs [fib 15]; array set a {x 1 y 2}; puts [lsort [array names a]]; puts [regexp -inline {(\\w+)@(\\w+)} me@here]; puts [clock format 0 -gmt 1 -format %Y-%m-%d]; puts [expr {2**100}] ; puts [format %.4f [expr {sin(1)}]]; puts [lmap x {1 2 3} {expr {$x*$x}}]; dict set d a b 3; puts [dict get $d a b]; catch {error oops} m; puts $m; puts [string map {a b} banana]; set f [open f w]; puts $f hi; close $f; puts [exec cat f]; oo::class create C {variable v; constructor x {set v $x}; method get {} {return $v}}; puts [[C new 5] get]; after 10 {set done 1}; vwait done; puts [zlib crc32 hello] ; coroutine co apply {{} {yield; yield 5}}; puts [co]\n`,
    },
  },
  {
    name: "ruby",
    root: "scripting",
    package: "ruby",
    script: `ruby p.rb; ruby -ne 'puts $_.split.map(&:capitalize).join(" ") if /GNU/' ${TEXT} | md5sum`,
    files: {
      "p.rb": `require "json"; require "digest"; require "set"; require "bigdecimal"; require "time"\nputs (1..20).each_slice(3).map(&:sum).inspect, 2**200, 10.fdiv(3), "%.10f" % Math::PI, JSON.generate({a: [1, nil, 2.5]}), Digest::SHA256.hexdigest("x")\ndef fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)\nputs fib(16); puts [3, 1, 2].sort { |a, b| b <=> a }.inspect, "héllo".upcase.reverse, %w[a b c].each_with_index.to_h.inspect\nbegin; raise ArgumentError, "bad"; rescue => e; puts e.message; ensure; puts "done"; end\nputs [1, [2, [3]]].flatten.inspect, "a1b22".scan(/\\d+/).inspect, Set.new([1, 2, 2]).size, BigDecimal("1").div(3, 30).to_s, Time.at(0).utc.iso8601, 255.to_s(2), "abc".unpack("C*").inspect\ne = Enumerator.new { |y| a, b = 0, 1; loop { y << a; a, b = b, a + b } }; puts e.lazy.select(&:even?).first(8).inspect\nt = 4.times.map { |i| Thread.new { (1..1000).sum { |x| x * i } } }; puts t.map(&:value).inspect; f = Fiber.new { Fiber.yield 1; 2 }; puts f.resume, f.resume; puts catch(:x) { throw :x, 7 }\nr, w = IO.pipe; pid = fork { r.close; w.write "child"; exit! 3 }; w.close; puts r.read; Process.wait pid; puts $?.exitstatus; GC.start; h = Hash.new { |hh, k| hh[k] = k * 2 }; 1000.times { |i| h[i] }; puts h.values.sum\n`,
    },
    seconds: 240,
  },
  {
    name: "php",
    root: "scripting",
    package: "php-cli",
    script: 'php8.2 -d extension=sqlite3 p.php; php8.2 -r \'echo PHP_INT_MAX + 1, " ", 0.1 + 0.7, "\\n";\'',
    files: {
      "p.php": `<?php\nfunction fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); } echo fib(16), "\\n"; $a = range(1, 20); shuffle($a); sort($a); echo implode(",", $a), "\\n"; echo json_encode(["a" => [1, 2.5, null], "é" => true]), "\\n", md5("x"), " ", hash("sha256", "x"), " ", crc32("x"), "\\n"; preg_match_all('/(\\w)(\\w)\\2/', "hello wool abba", $m); print_r($m[0]); try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo $e->getMessage(), "\\n"; } printf("%05.2f|%'*10s|%b\\n", 3.14159, "x", 10); echo strrev("abc"), ucwords("a b"), date("Y-m-d", 0), "\\n"; class A { function __construct(public readonly int $x) {} function __toString() { return "A$this->x"; } } echo new A(5), "\\n"; function g() { for ($i = 0; $i < 3; $i++) yield $i => $i * $i; } foreach (g() as $k => $v) echo "$k=$v "; echo match(true) { 1 > 2 => "a", default => "b" }, "\\n"; $d = new SQLite3(":memory:"); echo $d->querySingle("select 6*7"), "\\n"; echo gzuncompress(gzcompress("zip")), serialize([1, "a" => 1.5]), bin2hex(pack("nvN", 1, 2, 3)), "\\n"; $s = 0; for ($i = 0; $i < 100000; $i++) $s += $i % 7; echo $s, "\\n"; usort($a, fn($x, $y) => $y <=> $x); echo $a[0], " ", str_pad(number_format(1234567.891, 2), 15, "-", STR_PAD_LEFT), "\\n";\n`,
    },
  },
  {
    name: "guile",
    root: "scripting",
    package: "guile-3.0",
    script: "guile --no-auto-compile p.scm",
    files: {
      "p.scm": `(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))\n(display (fib 15)) (newline) (display (expt 3 200)) (newline) (display (/ 1 3)) (newline) (display (call/cc (lambda (k) (+ 1 (k 42))))) (newline) (display (map (lambda (x) (* x x)) '(1 2 3))) (newline) (display (exact->inexact 22/7)) (newline) (use-modules (srfi srfi-1) (ice-9 regex)) (display (fold + 0 (iota 100))) (newline) (display (match:substring (string-match "[0-9]+" "ab123"))) (newline) (display (sort '(3 1 2) <)) (newline) (catch 'x (lambda () (throw 'x 1)) (lambda a (display a))) (newline) (display (string-upcase "stra\\xdf;e")) (newline)\n`,
    },
    seconds: 300,
  },
  {
    name: "node",
    root: "scripting",
    package: "nodejs",
    script: "node p.js",
    files: {
      "p.js": `const crypto = require("crypto"), zlib = require("zlib"), fs = require("fs"); let s = 0; for (let i = 0; i < 100000; i++) s += i % 7; console.log(s, [3, 1, 2].sort(), 0.1 + 0.2, 2n ** 100n, JSON.stringify({ a: [1, null, "é"] }), /(\\d+)-(?<x>\\w+)/u.exec("12-ab").groups.x, crypto.createHash("sha256").update("x").digest("hex"), zlib.gunzipSync(zlib.gzipSync("zip")).toString()); class A { #v = 1; get v() { return this.#v; } } console.log(new A().v, [...(function* () { yield* [1, 2]; })()], new Map([[1, 2]]), parseFloat("1e400"), (1234.5678).toFixed(2)); (async () => { await new Promise((r) => setTimeout(r, 20)); console.log("later"); })(); function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2); } console.log(f(22)); fs.writeFileSync("out", "written"); process.on("exit", (c) => console.log("exit", c)); new (require("worker_threads").Worker)("require('worker_threads').parentPort.postMessage(6*7)", { eval: true }).on("message", (m) => console.log(m));\n`,
    },
    seconds: 600,
  },
  {
    name: "sbcl",
    root: "scripting",
    package: "sbcl",
    script: "sbcl --script p.lisp",
    files: {
      "p.lisp": `(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (print (fib 20)) (print (expt 7 100)) (print (/ 6 4)) (print (sqrt -4d0)) (print (handler-case (error "x") (error (e) (princ-to-string e)))) (print (loop for i below 10 collect (* i i))) (print (sort (list 3 1 2) #'<)) (defclass a () ((x :initarg :x :reader x))) (defmethod f ((o a)) (* 2 (x o))) (print (f (make-instance 'a :x 21))) (print (format nil "~r ~,3f ~b" 1234 3.14159 10)) (print (funcall (compile nil '(lambda (x) (* x 3))) 14))`,
    },
    seconds: 300,
  },
  {
    name: "ocaml",
    root: "scripting",
    package: "ocaml-nox",
    script: "ocaml p.ml",
    files: {
      "p.ml": `let rec fib n = if n < 2 then n else fib (n-1) + fib (n-2);; print_int (fib 18);; print_newline ();; module M = Map.Make(String);; let m = List.fold_left (fun m k -> M.add k (String.length k) m) M.empty ["a"; "bbb"; "cc"];; M.iter (Printf.printf "%s=%d ") m;; (try failwith "x" with Failure s -> print_string s);; Printf.printf "%.10f %h %d\\n" (sin 1.0) 1.5 max_int;; print_string (String.concat "," (List.map string_of_int (List.sort compare [3;1;2])));; print_newline ()`,
    },
  },
  {
    name: "gforth",
    root: "scripting",
    package: "gforth",
    script: `gforth-fast -e ': fib dup 2 < if exit then dup 1- recurse swap 2 - recurse + ; 18 fib . cr : q 10 0 do i i * . loop ; q cr 2e fsqrt f. cr : s 0 20000 0 do i 7 mod + loop ; s . bye'`,
  },

  // Rust, Go.
  {
    name: "ripgrep",
    root: "core",
    package: "ripgrep",
    script: `rg -j 2 --sort path -n -i 'free software' /usr/share/common-licenses | head -20; rg -c the ${TEXT}; rg -o '\\b[A-Z]{5,}\\b' ${TEXT} | sort | uniq -c; rg -U 'modify\\s+it' ${TEXT}; rg --json Preamble ${TEXT} | grep -v elapsed | head -2; rg nosuch ${TEXT} || echo $?; rg -r '<$1>' '(GNU)' ${TEXT} | head -3`,
  },
  {
    name: "fd",
    root: "modern",
    package: "fd-find",
    script: `fdfind -j 2 . /usr/share/common-licenses | sort; fdfind -e so /usr/lib | sort | head; fdfind -S +30k GPL /usr/share/common-licenses | sort; fdfind -x echo {/.} ';' GPL /usr/share/common-licenses | sort`,
  },
  {
    name: "bat",
    root: "modern",
    package: "bat",
    script: `batcat --color=always --style=full --paging=never s.py; batcat -p -l json j; batcat --list-languages | wc -l`,
    files: { "s.py": "def f(x):\n    return x + 1  # one\n\n\nprint(f'{f(2)}')\n", j: '{"a": [1, null, "x"]}\n' },
  },
  {
    name: "gron",
    root: "core",
    package: "gron",
    script: "gron j; gron j | gron -u; gron -s l",
    files: { j: '{"a":[1,2.5,{"b":null}],"c":"x\\ny","d":true}', l: '{"a":1}\n{"b":[2]}\n' },
  },
  {
    name: "fzf",
    root: "modern",
    package: "fzf",
    script: `seq 1 500 | fzf -f 12 | head; tr -cs A-Za-z '\\n' <${TEXT} | sort -u | fzf -f lcns`,
  },
  {
    name: "age",
    root: "modern",
    package: "age",
    script: `age-keygen -o n 2>/dev/null; p=$(age-keygen -y n); age -r $p -o e ${TEXT}; age -d -i n e | cmp - ${TEXT} && echo same; age -d -i n ${TEXT} || echo $?; age -r age1nope c || echo $?; rm -f n e`,
    files: { c: "none\n" },
  },
  {
    name: "minify",
    root: "modern",
    package: "minify",
    script: "minify h.html; minify c.css; minify j.js; minify --type svg <s.svg; minify --type json <o.json",
    files: {
      "h.html": "<!doctype html>\n<html>\n <body class='a'>\n  <p> Some   text </p> <!-- c -->\n </body>\n</html>\n",
      "c.css": "a { color: #ff0000; margin: 0px 0px; }\n",
      "j.js": "function f(first, second) { var unused = 1; return first + second; }\nconsole.log( f( 1, 2 ) );\n",
      "s.svg": '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 10 10 L 20.000 20"/></svg>',
      "o.json": '{ "a" : [ 1.0 , 2e3 ] }',
    },
  },
  {
    name: "rclone",
    root: "modern",
    package: "rclone",
    script:
      "rclone copy --config /dev/null /usr/share/common-licenses d -L; rclone check --config /dev/null /usr/share/common-licenses d -L 2>&1 | grep -c differences; rclone lsf --config /dev/null -F ps d | sort; rclone hashsum sha1 --config /dev/null d | sort; rclone size --config /dev/null d",
    seconds: 240,
  },

  // Mathematics.
  {
    name: "pari",
    root: "mathematics",
    package: "pari-gp",
    script: "gp -q -f p.gp",
    files: {
      "p.gp":
        "print(factor(2^101-1)); print(zeta(3)); \\p 60\nprint(Pi); print(nextprime(10^40)); print(ellap(ellinit([0,-1,1,-10,-20]),97)); print(polroots(x^5-x-1)); print(matdet(mathilbert(8))); print(bnfinit(x^2-10).no); print(sum(n=1,2000,1.0/n^2)); print(lift(Mod(3,10^30+57)^(10^29)))\nquit\n",
    },
  },
  {
    name: "octave",
    root: "mathematics",
    package: "octave",
    script: "octave-cli --no-gui --no-init-file --no-history p.m",
    files: {
      "p.m":
        "a = magic(6); disp(det(a(1:5,1:5))); disp(eig([2 1;1 3])); disp(a \\ (1:6)'); x = linspace(0,1,50); disp(trapz(x, sin(x))); [q,r] = qr(hilb(4)); disp(norm(q*r-hilb(4)) < 1e-12); disp(fft([1 2 3 4])); s = regexprep('hello','l+','L'); disp(s); f = @(x) x.^2; disp(quad(f,0,1)); c = {1,'a'}; disp(class(c{2})); try error('oops'); catch e; disp(e.message); end; disp(num2str(pi, 15)); disp(cumsum(primes(50)));\n",
    },
    seconds: 600,
  },
  {
    name: "glpk",
    root: "mathematics",
    package: "glpk-utils",
    script: "glpsol --lp p.lp -o out | grep -v -e used -e Time; cat out",
    files: {
      "p.lp":
        "Maximize\n obj: 3 x + 2 y + 4 z\nSubject To\n c1: x + y + 2 z <= 4\n c2: 2 x + 3 z <= 5\n c3: 2 x + y + 3 z <= 7\nGeneral\n x\n z\nEnd\n",
    },
  },
  {
    name: "gnuplot",
    root: "mathematics",
    package: "gnuplot-nox",
    script: `printf 'set term svg\\nset output "o.svg"\\nplot sin(x)*exp(-x/5), x**2/50 with points\\nset term dumb\\nset output\\nplot [0:5] besj0(x)\\nprint gamma(4.5), erf(0.5)\\nf(x)=a*x+b\\nfit f(x) "-" using 1:2 via a,b\\n1 2\\n2 4.1\\n3 5.9\\ne\\nprint a, b\\n' | gnuplot 2>&1 | grep -v -i -e date -e seconds; rm -f fit.log`,
  },
  {
    name: "maxima",
    root: "mathematics",
    package: "maxima",
    script: `printf 'factor(x^6-1);\\nintegrate(sin(x)^3,x);\\nsolve(x^3-6*x^2+11*x-6=0,x);\\nbfloat(%%pi),fpprec:40;\\n30!;\\ndiff(x^x,x);\\n' | maxima --very-quiet --no-init`,
    seconds: 600,
  },
  {
    name: "units",
    root: "mathematics",
    package: "units",
    script:
      "units -t '100 miles/hour' m/s; units -t 'tempF(72)' tempC; units '1 gallon' liters; units -t 'sqrt(2) m^2' acre",
  },
];
