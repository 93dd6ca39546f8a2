// Compilers, assemblers, linkers, build and version control tools.

import type { CorpusProgram } from "./programs.ts";

const C_SOURCE = `#include <stdio.h>
#include <math.h>
#include <string.h>
struct s { int a; double b; };
static double f(struct s x) { return x.a * x.b + sin(x.b); }
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
int main(int argc, char **argv) {
    struct s x = { 3, 1.5 }; char t[32]; long double l = 1.0L / 3;
    for (int i = 0; i < 5; i++) { x.a += i; printf("%d %.10f\\n", i, f(x)); }
    snprintf(t, sizeof t, "%s-%d", "text", argc); puts(t); printf("%.20Lf %d %zu\\n", l, fib(15), strlen(t));
    switch (argc + 3) { case 1: return 1; case 4: return 5; default: return 2; }
}
`;

const CXX_SOURCE = `#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
struct Base { virtual ~Base() { std::cout << "~"; } virtual int value() const { return 1; } };
struct Derived : Base { int value() const override { return 2; } };
struct Guard { const char *n; ~Guard() { std::cout << "unwound " << n << "\\n"; } };
int deep(int n) { Guard g{n % 2 ? "odd" : "even"}; if (n == 0) throw std::out_of_range("deep"); return deep(n - 1) + 1; }
int main() {
    try { deep(5); } catch (const std::exception &e) { std::cout << "caught " << e.what() << "\\n"; }
    for (int i = 0; i < 200; i++) { try { if (i % 3 == 0) throw i; else throw std::string("s"); } catch (int k) { if (k % 60 == 0) std::cout << k << " "; } catch (...) { } }
    std::unique_ptr<Base> p = std::make_unique<Derived>(); std::cout << p->value() << (dynamic_cast<Derived *>(p.get()) != nullptr) << "\\n";
    std::map<std::string, int> m; std::istringstream in("a b c a b a"); std::string w; while (in >> w) m[w]++; for (auto &[k, v] : m) std::cout << k << v << " ";
    std::vector<int> v; for (int i = 0; i < 1000; i++) v.push_back(i * 7919 % 1009); std::sort(v.begin(), v.end()); std::cout << v[500] << " " << std::count_if(v.begin(), v.end(), [](int x) { return x % 2; }) << "\\n";
    long sums[4] = {}; std::vector<std::thread> t; for (int k = 0; k < 4; k++) t.emplace_back([&, k] { try { for (int i = 0; i < 10000; i++) sums[k] += i % (k + 2); throw k; } catch (int e) { sums[k] += e; } }); for (auto &x : t) x.join();
    for (long s : sums) std::cout << s << " "; std::cout.precision(15); std::cout << 1.0 / 3 << std::hex << 255 << std::endl; try { std::rethrow_exception(std::make_exception_ptr(std::runtime_error("again"))); } catch (std::runtime_error &e) { std::cerr << e.what() << "\\n"; return 3; }
}
`;

export const DEVELOPMENT: readonly CorpusProgram[] = [
  {
    name: "gcc: C",
    root: "development",
    package: "gcc-12",
    script: `gcc -O0 -S -o a0.s p.c -fverbose-asm -fno-ident; gcc -O2 -g0 -S -o a2.s p.c; gcc -O2 p.c -o p -lm -Wl,--build-id=none; ./p || echo status $?; gcc -E p.c | wc -l; gcc -Wall -Wextra -fsyntax-only bad.c || echo $?; objdump -d p | grep -c call; nm p | grep -c ' T '; size p; readelf -h p | head -5`,
    files: { "p.c": C_SOURCE, "bad.c": "int main( { return x; }\nint f(int unused) { }\n" },
    seconds: 400,
  },
  {
    name: "g++: exceptions",
    root: "development",
    package: "g++-12",
    script: `g++ -std=c++20 -O1 p.cc -o p -pthread; ./p || echo status $?; ldd p | sed 's/ (.*//' | grep -v vdso; strip p; ./p | md5sum`,
    files: { "p.cc": CXX_SOURCE },
    seconds: 600,
  },
  {
    name: "as and ld",
    root: "everyday",
    package: "binutils",
    script: `as a.s -o a.o; ld -o a a.o; ./a || echo status $?; objdump -d a.o; ar rcD l.a a.o; nm l.a; readelf -S a.o | head -12; objcopy -O binary a.o a.bin; xxd a.bin; strings -n 3 a; c++filt _ZNSt6vectorIiE4pushEv; addr2line -e a 0 || :`,
    files: {
      "a.s": `.globl _start\n.text\n_start: mov $1,%eax; mov $1,%edi; lea m(%rip),%rsi; mov $6,%edx; syscall\n vaddps %ymm1,%ymm2,%ymm3\n mov $60,%eax; mov $7,%edi; syscall\n.data\nm: .ascii "hello\\n"\n`,
    },
  },
  {
    name: "tcc",
    root: "everyday",
    package: "tcc",
    script: `tcc -o p p.c -lm; ./p || echo status $?; tcc -run r.c a b || echo $?; tcc -c p.c -o p.o; tcc -E r.c | tail -3`,
    files: {
      "p.c": C_SOURCE,
      "r.c": `#include <stdio.h>\nint main(int c, char **v) { for (int i = 1; i < c; i++) puts(v[i]); return c; }\n`,
    },
  },
  {
    name: "make",
    root: "development",
    package: "make",
    script: `make -s -j2 >/dev/null; make -n clean; make -q || echo $?; touch -d 2001-01-01 a.out; make; make nosuch || echo $?; cat all; rm a.in`,
    files: {
      Makefile: `SRC := a b c\nall: $(SRC:%=%.out)\n\tcat $^ > $@\n%.out: %.in\n\ttr a-z A-Z < $< > $@\n\t@echo made $@ from $<\nclean: ; rm -f *.out all\n.PHONY: clean\n$(info $(words $(SRC)) $(patsubst %,x%,$(SRC)) $(shell echo shell) $(sort c b a))\n`,
      "a.in": "aaa\n",
      "b.in": "bbb\n",
      "c.in": "ccc\n",
    },
  },
  {
    name: "cmake and ninja",
    root: "development",
    package: "cmake",
    script: `cmake -P p.cmake; mkdir b; cd b; cmake -G Ninja -DCMAKE_BUILD_TYPE=Release .. >log; grep -c 'Check for working' log; ninja | tail -1; ./p || echo $?; ctest 2>&1 | grep tests; cd ..; rm -rf b`,
    files: {
      "p.cmake": `set(l 3 1 2)\nlist(SORT l)\nmessage("\${l}")\nmath(EXPR x "6*7")\nmessage(\${x})\nstring(REGEX REPLACE "([a-z]+)" "<\\\\1>" y "ab 12 cd")\nmessage(\${y})\nstring(SHA256 h "x")\nmessage(\${h})\nfile(WRITE out "text")\nforeach(i RANGE 3)\nmessage(\${i})\nendforeach()\n`,
      "CMakeLists.txt": `cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_executable(p p.c)\ntarget_link_libraries(p m)\nenable_testing()\nadd_test(NAME t COMMAND p)\n`,
      "p.c": C_SOURCE,
    },
    seconds: 900,
  },
  {
    name: "git",
    root: "development",
    package: "git",
    script: `export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a; git init -q -b main r; cd r; cp /usr/share/common-licenses/* . 2>/dev/null; git add .; git commit -qm first; sed -i s/free/FREE/ GPL-3; git diff --stat; git commit -qam second; git checkout -qb side HEAD~; echo x >new; git add new; git commit -qm third; git merge -q main -m merge; git log --oneline --graph --stat; git rev-parse HEAD; git blame GPL-3 | head -3; git show HEAD~1 --stat; git tag v1; git describe --tags; git grep -c FREE; git stash list; git gc -q; git fsck; git count-objects; git clone -q . ../c; cd ../c; git log --format=%H; git rebase -q HEAD~1; git archive HEAD | sha256sum; git bundle create -q ../b HEAD; git bundle verify ../b; cd ..; rm -rf r c b`,
    seconds: 300,
  },
  {
    name: "nasm",
    root: "development",
    package: "nasm",
    script: `nasm -f elf64 a.asm -o a.o; ld a.o -o a; ./a; nasm -f bin -l l b.asm -o b.bin; od -x b.bin; cat l; ndisasm -b 64 b.bin`,
    files: {
      "a.asm": `section .data\nm db "hi",10\nsection .text\nglobal _start\n_start: mov rax,1\n mov rdi,1\n mov rsi,m\n mov rdx,3\n syscall\n mov rax,60\n xor rdi,rdi\n syscall\n`,
      "b.asm": `bits 64\n%macro x 1\n mov rax,%1\n%endmacro\nx 5\n%rep 3\n vaddpd ymm1,ymm2,[rax+rcx*8]\n%endrep\n ret\n`,
    },
  },
  {
    name: "bison, flex and re2c",
    root: "development",
    package: "bison",
    script: `bison -d -o y.c g.y; flex -o l.c s.l; sha256sum y.c y.h l.c; re2c -o r.c r.re; tail -5 r.c; rm y.c y.h l.c r.c`,
    files: {
      "g.y": `%token N\n%left '+' '-'\n%left '*'\n%%\ne: e '+' e { $$ = $1 + $3; } | e '*' e { $$ = $1 * $3; } | N;\n%%\n`,
      "s.l": `%option noyywrap\n%%\n[0-9]+ { return 1; }\n[a-z]+("-"[a-z]+)* { return 2; }\n. ;\n%%\n`,
      "r.re": `/*!re2c\nre2c:define:YYCTYPE = char; re2c:yyfill:enable = 0;\n[0-9]+ { return 1; }\n"if"|"else" { return 2; }\n* { return 0; }\n*/\n`,
    },
  },
  {
    name: "clang",
    root: "clang",
    package: "clang-14",
    script: `clang-14 -O2 -S -emit-llvm p.c -o p.ll; grep -v -e ident -e source_filename p.ll | md5sum; clang-14 -O1 p.c -o p -lm -fuse-ld=lld; ./p || echo $?; clang-14 -fsyntax-only bad.c || echo $?; llvm-objdump-14 -d p | grep -c call; opt-14 -O3 -S p.ll -o - | wc -l; llc-14 -O1 p.ll -o - | grep -v ident | wc -l`,
    files: { "p.c": C_SOURCE, "bad.c": "int main( { return x; }\n" },
    seconds: 900,
  },
];
