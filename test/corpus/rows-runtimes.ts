// Runtime systems that make code while they run, or manage memory by signals and page protection; and the compilers of
// languages that bring a runtime of their own.

import type { CorpusProgram } from "./programs.ts";

export const RUNTIMES: readonly CorpusProgram[] = [
  {
    name: "java",
    root: "jvm",
    package: "openjdk-17-jre-headless",
    script:
      "export PATH=/usr/lib/jvm/java-17-openjdk-amd64/bin:$PATH; javac -J-Xshare:off -J-XX:TieredStopAtLevel=1 P.java; java -Xshare:off -XX:-UsePerfData -Xmx256m P; rm -f *.class",
    files: {
      "P.java": `import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.math.BigInteger; import java.security.MessageDigest;
public class P {
  static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  record Point(int x, int y) {}
  public static void main(String[] a) throws Exception {
    System.out.println(fib(24) + " " + BigInteger.TWO.pow(200) + " " + Math.sin(1) + " " + (0.1 + 0.2) + " " + (float) 1e10 + " " + (int) Double.NaN + " " + (long) 1e30);
    try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("null"); }
    try { int z = a.length; System.out.println(1 / z); } catch (ArithmeticException e) { System.out.println(e.getMessage()); }
    try { deep(0); } catch (StackOverflowError e) { System.out.println("deep"); }
    System.out.println(IntStream.range(0, 1000).filter(i -> i % 7 == 0).boxed().collect(Collectors.summingInt(i -> i)) + " " + new Point(1, 2));
    var m = new TreeMap<String, Integer>(); for (String w : "the quick brown fox jumps over the lazy dog the end".split(" ")) m.merge(w, 1, Integer::sum); System.out.println(m);
    ExecutorService e = Executors.newFixedThreadPool(4); var fs = new ArrayList<Future<Long>>(); for (int i = 0; i < 8; i++) { final long n = i; fs.add(e.submit(() -> LongStream.range(0, 20000).map(x -> x * n).sum())); } for (var f : fs) System.out.print(f.get() + " "); e.shutdown(); System.out.println();
    byte[] d = MessageDigest.getInstance("SHA-256").digest("x".getBytes()); System.out.println(HexFormat.of().formatHex(d));
    var l = new ArrayList<byte[]>(); for (int i = 0; i < 3000; i++) { l.add(new byte[50000]); if (l.size() > 100) l.clear(); } System.gc(); System.out.println(String.format("%.3f %x %s", Math.PI, 255, "x".repeat(3)));
    double s = 0; for (int i = 0; i < 300000; i++) s += Math.sqrt(i) * (i % 3); System.out.println(s);
  }
  static int deep(int n) { return deep(n + 1) + 1; }
}
`,
    },
    seconds: 600,
  },
  {
    name: "mono",
    root: "jit",
    package: "mono-runtime-common",
    script: "mcs -r:System.Numerics.dll p.cs && mono p.exe; rm -f p.exe",
    files: {
      "p.cs": `using System; using System.Linq; using System.Collections.Generic; using System.Threading; using System.Numerics;
class P { static int Fib(int n) { return n < 2 ? n : Fib(n - 1) + Fib(n - 2); }
  static void Main() { Console.WriteLine(Fib(22)); try { string s = null; Console.WriteLine(s.Length); } catch (NullReferenceException) { Console.WriteLine("null"); }
    try { int z = 0; Console.WriteLine(1 / z); } catch (DivideByZeroException e) { Console.WriteLine(e.GetType()); }
    Console.WriteLine(string.Join(",", Enumerable.Range(0, 50).Where(i => i % 7 == 0).Select(i => i * i))); Console.WriteLine(BigInteger.Pow(3, 100)); Console.WriteLine(Math.Sin(1).ToString("R"));
    var t = Enumerable.Range(1, 4).Select(i => { var th = new Thread(() => { long s = 0; for (int k = 0; k < 10000; k++) s += k * i; lock (typeof(P)) sum += s; }); th.Start(); return th; }).ToList(); t.ForEach(x => x.Join()); Console.WriteLine(sum); }
  static long sum; }
`,
    },
    seconds: 600,
  },
  {
    name: "pypy",
    root: "jit",
    package: "pypy3",
    script: "pypy3 p.py",
    files: {
      "p.py": `import json, re, hashlib, collections
def f(n):
    s = 0
    for i in range(n): s += i * i % 7
    return s
print(f(100000), sum(x * 1.5 for x in range(20000)), 2 ** 200, sorted({str(i): i for i in range(20)}), json.dumps({"a": [1, 2.5, None]}))
print(re.sub(r"(\\w+) (\\w+)", r"\\2 \\1", "hello world"), hashlib.sha256(b"x").hexdigest(), collections.Counter("mississippi").most_common(2), 0.1 + 0.2)
class A:
    def __init__(self, x): self.x = x
    def g(self): return self.x + 1
print(sum(A(i).g() for i in range(10000)))
try: [][1]
except IndexError as e: print(e)
`,
    },
    seconds: 600,
  },
  {
    name: "erlang",
    root: "jit",
    package: "erlang-base",
    script: "erlc p.erl; erl -noshell -s p main -s init stop; rm -f p.beam erl_crash.dump",
    files: {
      "p.erl": `-module(p). -export([main/0, fib/1]).
fib(N) when N < 2 -> N; fib(N) -> fib(N - 1) + fib(N - 2).
loop(S) -> receive {add, X} -> loop(S + X); {get, P} -> P ! S end.
main() -> io:format("~p ~p~n", [fib(20), 1 bsl 200]), L = spawn(fun() -> loop(0) end), [L ! {add, X} || X <- lists:seq(1, 1000)], L ! {get, self()}, receive S -> io:format("~p~n", [S]) end,
  io:format("~p ~s~n", [lists:sort([3, 1, 2]), binary:encode_hex(crypto_free(<<"x">>))]), (try 1 / zero() catch error:E -> io:format("~p~n", [E]) end), Ps = [spawn_monitor(fun() -> exit(fib(I)) end) || I <- lists:seq(1, 12)],
  io:format("~p~n", [[receive {'DOWN', R, process, P, V} -> V end || {P, R} <- Ps]]), io:format("~p ~p~n", [math:sin(1.0), re:replace("hello", "l+", "L", [{return, list}])]).
zero() -> list_to_integer("0"). crypto_free(X) -> erlang:md5(X).
`,
    },
    seconds: 600,
  },
  {
    name: "swi-prolog",
    root: "jit",
    package: "swi-prolog-nox",
    script: `swipl -q -g main -t halt p.pl`,
    files: {
      "p.pl": `:- use_module(library(lists)).
q(N, Qs) :- numlist(1, N, L), permutation(L, Qs), safe(Qs), !.
safe([]). safe([Q|T]) :- no(Q, T, 1), safe(T).
no(_, [], _). no(Q, [P|T], D) :- Q =\\= P + D, Q =\\= P - D, D1 is D + 1, no(Q, T, D1).
main :- q(6, Q), print(Q), nl, X is 2 ** 150, print(X), nl, Y is sin(1), print(Y), nl, catch(atom_length(_, _), error(E, _), (print(E), nl)), findall(A-B, (member(A, [1, 2]), member(B, [x, y])), L), print(L), nl, atom_codes(A2, "abc"), format("~w ~a ~2f~n", [A2, abc, 3.14159]).
`,
    },
    seconds: 600,
  },
  {
    name: "R",
    root: "statistics",
    package: "r-base-core",
    script: "cp /usr/lib/R/etc/Renviron.ucf /etc/R/Renviron; Rscript --vanilla p.R",
    files: {
      "p.R": `set.seed(1); x <- rnorm(50); y <- 2 * x + rnorm(50); m <- lm(y ~ x); print(coef(m)); print(summary(m)$r.squared); print(t.test(x)$p.value)
print(solve(matrix(c(2, 1, 1, 3), 2))); print(svd(matrix(1:6, 2))$d); print(table(cut(x, 3))); s <- function(n) if (n < 2) n else s(n - 1) + s(n - 2); print(s(15)); print(tryCatch(stop("oops"), error = function(e) conditionMessage(e)))
print(gsub("(a+)", "<\\\\1>", "baab")); print(quantile(x)); print(optimize(function(z) (z - 1)^2, c(-3, 3))$minimum); print(fft(1:4)); print(sapply(split(mtcars$mpg, mtcars$cyl), mean))
`,
    },
    seconds: 600,
  },
  {
    name: "go",
    root: "compilers",
    package: "golang-1.19-go",
    script:
      "export PATH=/usr/lib/go-1.19/bin:$PATH GOCACHE=/tmp/go GOPATH=/tmp/gopath GOFLAGS=-mod=mod GO111MODULE=off GOROOT=/usr/lib/go-1.19; go build -trimpath -o p p.go && ./p; go vet p.go; sha256sum p; rm -rf /tmp/go /tmp/go-build* /tmp/gopath",
    files: {
      "p.go": `package main
import ("fmt"; "sort"; "strings"; "sync"; "crypto/sha256"; "math/big")
func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }
func main() { var wg sync.WaitGroup; r := make([]int, 8); for i := range r { wg.Add(1); go func(i int) { defer wg.Done(); r[i] = fib(i + 10) }(i) }; wg.Wait(); fmt.Println(r)
 m := map[string]int{}; for _, w := range strings.Fields("a b a c b a") { m[w]++ }; k := []string{}; for x := range m { k = append(k, x) }; sort.Strings(k); fmt.Println(k, m["a"]); fmt.Printf("%x %v\\n", sha256.Sum256([]byte("x")), new(big.Int).Exp(big.NewInt(3), big.NewInt(100), nil))
 defer func() { fmt.Println(recover()) }(); var p *struct{ x int }; fmt.Println(p.x) }
`,
    },
    seconds: 900,
  },
  {
    name: "gfortran",
    root: "compilers",
    package: "gfortran-12",
    script: "gfortran -O2 -o p p.f90 && ./p",
    files: {
      "p.f90": `program p
  implicit none
  real(8) :: a(20,20), b(20), s
  integer :: i, j
  complex(8) :: z
  do i = 1, 20; do j = 1, 20; a(i,j) = 1d0 / (i + j - 1); end do; b(i) = i; end do
  print *, sum(matmul(a, b)), maxval(a), dot_product(b, b)
  z = (1d0, 2d0); print *, sqrt(z), exp(z), abs(z)
  s = 0; do i = 1, 100000; s = s + sin(dble(i)) * mod(i, 7); end do
  print '(F20.10, 1X, ES15.7, 1X, I5, 1X, Z8)', s, s, 42, 255
  print *, real(1, 16) / 3, huge(1), tiny(1d0), trim(adjustl("  hello "))
end program
`,
    },
    seconds: 600,
  },
  {
    name: "fpc",
    root: "compilers",
    package: "fp-compiler-3.2.2",
    script:
      "export PATH=/usr/lib/x86_64-linux-gnu/fpc/3.2.2:$PATH; fpc -Mobjfpc -v0 '-Fu/usr/lib/x86_64-linux-gnu/fpc/3.2.2/units/x86_64-linux/*' p.pas && ./p; rm -f p.o",
    files: {
      "p.pas": `program p; uses sysutils, math;
function fib(n: integer): integer; begin if n < 2 then fib := n else fib := fib(n - 1) + fib(n - 2) end;
var i: integer; s: extended; a: array[1..10] of integer;
begin writeln(fib(20)); s := 0; for i := 1 to 1000 do s := s + 1 / i; writeln(s:0:15, ' ', sqrt(2):0:17, ' ', power(2, 0.5):0:15, ' ', ln(10):0:17);
 try i := 0; writeln(10 div i) except on e: Exception do writeln(e.message) end; try a[1] := strtoint('x') except on e: EConvertError do writeln(e.message) end; writeln(format('%5.2f|%x|%s', [3.14159, 255, 'a'])) end.
`,
    },
    seconds: 600,
  },
  {
    name: "ghc",
    root: "haskell",
    package: "ghc",
    script: "ghc-pkg recache --global; ghc -v0 -O0 p.hs && ./p; rm -f p.o p.hi",
    files: {
      "p.hs": `import Control.Concurrent
import Control.Exception
import qualified Data.Map as M
import Text.Printf
primes :: [Int]
primes = f [2 ..] where f (p : xs) = p : f [x | x <- xs, x \`mod\` p /= 0]
main :: IO ()
main = do
  print (takeWhile (< 100) primes)
  print (2 ^ (200 :: Int) :: Integer, sum [1 .. 10000 :: Int], sin 1 :: Double)
  vs <- mapM (\\n -> do { v <- newEmptyMVar; _ <- forkIO (putMVar v (sum [1 .. n * 100 :: Int])); return v }) [1 .. 5]
  mapM takeMVar vs >>= print
  r <- try (evaluate (1 \`div\` (0 :: Int))) :: IO (Either ArithException Int)
  print r
  print (M.toList (M.fromListWith (+) [(c, 1 :: Int) | c <- "mississippi"]))
  printf "%.3f %s %x\\n" (pi :: Double) "x" (255 :: Int)
`,
    },
    seconds: 900,
  },
];
