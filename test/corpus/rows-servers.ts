// Servers, each asked by its own client over the loopback of the run's network.

import type { CorpusProgram } from "./programs.ts";

/** Shell function: waits until a command succeeds. */
const WAIT = `until_works() { n=0; until "$@" >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 150 ] || return 1; sleep 0.2; done; }
`;

export const SERVERS: readonly CorpusProgram[] = [
  {
    name: "redis",
    root: "servers",
    package: "redis-server",
    script: `${WAIT}redis-server --port 6379 --save '' --daemonize no --io-threads 2 --dir /work >log & until_works redis-cli ping; redis-cli set a 1; redis-cli incrby a 41; redis-cli rpush l x y z; redis-cli lrange l 0 -1; redis-cli zadd z 1.5 a 2.25 b; redis-cli zrange z 0 -1 withscores; redis-cli hset h f v; redis-cli hgetall h; redis-cli eval 'local s = 0 for i = 1, 1000 do s = s + i end return s' 0; redis-cli geoadd g 13.361389 38.115556 p 15.087269 37.502669 c; redis-cli geodist g p c; redis-cli pfadd hll a b c; redis-cli pfcount hll; redis-cli incrbyfloat f 3.14; redis-cli xadd s 1-1 k v; redis-cli xrange s - +; seq 1 500 | sed 's/.*/SET k& v&/' | redis-cli --pipe | tail -1; redis-cli dbsize; redis-cli setbit b 7 1; redis-cli bitcount b; redis-cli object encoding l; redis-cli --csv sort l alpha desc; redis-cli nosuch; redis-cli bgsave; until_works sh -c 'redis-cli info persistence | grep -q rdb_bgsave_in_progress:0'; redis-check-rdb dump.rdb | grep -c OK; redis-cli shutdown nosave || :; wait; rm -f log dump.rdb`,
    seconds: 240,
  },
  {
    name: "memcached",
    root: "servers",
    package: "memcached",
    script: `${WAIT}memcached -u root -t 4 -p 11211 & m=$!; until_works nc -z 127.0.0.1 11211; printf 'set a 0 0 5\\r\\nhello\\r\\nget a\\r\\nset n 0 0 1\\r\\n5\\r\\nincr n 37\\r\\nappend a 0 0 1\\r\\n!\\r\\ngets a\\r\\ndelete n\\r\\nget n\\r\\nbad\\r\\nmg a v\\r\\nquit\\r\\n' | nc -q 3 127.0.0.1 11211 | sed 's/ [0-9]*$//'; { kill $m; wait $m || :; } 2>/dev/null; echo ended`,
  },
  {
    name: "nginx",
    root: "servers",
    package: "nginx-light",
    script: `${WAIT}mkdir -p www logs /var/lib/nginx /var/log/nginx; cp /usr/share/common-licenses/GPL-3 www/page; seq 1 20000 >www/big; nginx -t -c /work/n.conf -p /work; nginx -c /work/n.conf -p /work & until_works curl -s http://127.0.0.1:8080/page; curl -s http://127.0.0.1:8080/page | cmp - www/page && echo page; curl -s --compressed http://127.0.0.1:8080/big | sha256sum; curl -s -r 10-29 http://127.0.0.1:8080/big; curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8080/nosuch; curl -s http://127.0.0.1:8080/r/x; for i in 1 2 3 4 5; do curl -s http://127.0.0.1:8080/page http://127.0.0.1:8080/big; done | sha256sum; kill -QUIT $(cat n.pid); wait; rm -rf www logs`,
    files: {
      "n.conf": `daemon off; user root; worker_processes 2; pid /work/n.pid; error_log /work/logs/e;\nevents { worker_connections 64; }\nhttp { access_log off; gzip on; gzip_types *; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s; server { listen 127.0.0.1:8080; root /work/www; sendfile on; location ~ ^/r/(\\w+) { return 200 "got $1\\n"; } } }\n`,
    },
    seconds: 240,
  },
  {
    name: "postgresql",
    root: "servers",
    package: "postgresql-15",
    script: `mkdir -p d; chown 100:65534 d .; export PGDATA=/work/d; run() { setpriv --reuid 100 --regid 65534 --clear-groups "$@"; }; echo 'postgres:x:100:65534::/work:/bin/sh' >>/etc/passwd; run initdb -N --no-locale -E UTF8 -A trust >/dev/null; run postgres --single -D d postgres <q 2>/dev/null | grep -e ' = '; rm -rf d`,
    files: {
      q: "create table t as select i, md5(i::text) m, i * 1.5::numeric n from generate_series(1, 500) i\nselect count(*), sum(n), max(m), avg(n)::numeric(20,10) from t\nselect sqrt(2::float8), 2::numeric ^ 100, to_char(now() - now(), 'HH24'), '{1,2}'::int[] || 3, jsonb_build_object('a', 1)\ncreate index on t(m)\nselect i from t where m like 'c%' order by m desc limit 2\nselect 1/0\nselect string_agg(x, ',' order by x) from regexp_split_to_table('b a c', ' ') x\n",
    },
    seconds: 900,
  },
];
