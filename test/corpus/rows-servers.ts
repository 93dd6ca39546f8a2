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
  {
    name: "apache",
    root: "network",
    package: "apache2-bin",
    script: `${WAIT}mkdir -p www run; cp /usr/share/common-licenses/GPL-3 www/page; seq 1 20000 >www/big; apache2 -f /work/a.conf -k start; until_works curl -s http://127.0.0.1:8081/page; curl -s http://127.0.0.1:8081/page | cmp - www/page && echo page; curl -s --compressed http://127.0.0.1:8081/big | sha256sum; curl -s -r 10-29 http://127.0.0.1:8081/big; curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8081/nosuch; for i in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:8081/page http://127.0.0.1:8081/big | sha256sum & done; wait; curl -s http://127.0.0.1:8082/page | sha256sum; apache2 -f /work/a.conf -k stop; until_works sh -c '! test -e run/pid'; rm -rf www run`,
    files: {
      "a.conf":
        "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\nLoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\nLoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so\nLoadModule filter_module /usr/lib/apache2/modules/mod_filter.so\nLoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\nLoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so\nServerName x\nServerRoot /work\nPidFile /work/run/pid\nDefaultRuntimeDir /work/run\nErrorLog /work/run/e\nListen 127.0.0.1:8081\nListen 127.0.0.1:8082\nDocumentRoot /work/www\nSetOutputFilter DEFLATE\nThreadsPerChild 8\nStartServers 2\n<Directory />\nRequire all granted\n</Directory>\n<VirtualHost 127.0.0.1:8082>\nProxyPass / http://127.0.0.1:8081/\n</VirtualHost>\n<VirtualHost 127.0.0.1:8081>\n</VirtualHost>\n",
    },
    seconds: 240,
  },
  {
    name: "haproxy and lighttpd",
    root: "network",
    package: "haproxy",
    script: `${WAIT}mkdir -p www; cp /usr/share/common-licenses/GPL-3 www/page; seq 1 20000 >www/big; lighttpd -D -f l.conf 2>/dev/null & until_works curl -s http://127.0.0.1:8081/page; haproxy -f h.cfg 2>/dev/null & h=$!; until_works curl -s http://127.0.0.1:8082/page; curl -s http://127.0.0.1:8082/page | cmp - www/page && echo page; for i in 1 2 3 4; do curl -s http://127.0.0.1:8082/big | sha256sum; done; curl -s -H 'X-Which: b' -D - -o /dev/null http://127.0.0.1:8082/page | grep -i -e x-through -e HTTP; curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8082/no; kill $h $(cat l.pid); wait; rm -rf www l.pid`,
    files: {
      "l.conf": `server.document-root = "/work/www"\nserver.bind = "127.0.0.1"\nserver.port = 8081\nserver.pid-file = "/work/l.pid"\n`,
      "h.cfg":
        "global\n nbthread 2\ndefaults\n mode http\n timeout connect 5s\n timeout client 50s\n timeout server 50s\nfrontend f\n bind 127.0.0.1:8082\n http-request deny deny_status 403 if { path /no }\n use_backend b if { hdr(X-Which) b }\n default_backend a\nbackend a\n server s 127.0.0.1:8081\nbackend b\n http-response set-header X-Through b\n server s 127.0.0.1:8081\n",
    },
    seconds: 240,
  },
  {
    name: "ssh",
    root: "network",
    package: "openssh-server",
    script: `${WAIT}echo 'sshd:x:110:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd; mkdir -p /run/sshd /root/.ssh; chmod 700 /root /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t rsa -b 2048 -N '' -f key; cp key.pub /root/.ssh/authorized_keys; /usr/sbin/sshd -D -e -f /dev/null -p 2222 -h /work/host -o UsePAM=no -o 'Subsystem=sftp /usr/lib/openssh/sftp-server' -o PidFile=/work/pid 2>log & until_works nc -z 127.0.0.1 2222; on() { ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i key -p 2222 root@127.0.0.1 "$@"; }; on 'echo hello; exit 3' || echo $?; seq 1 20000 | on sha256sum; on cat /usr/share/common-licenses/GPL-3 | sha256sum; rsync -a -e 'ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i key -p 2222' root@127.0.0.1:/usr/share/common-licenses/ copy/; ls copy; sha256sum copy/GPL-3; scp -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i key -P 2222 a.txt root@127.0.0.1:/work/b.txt; cat b.txt; kill $(cat pid); wait; rm -rf host* key* /root/.ssh log pid copy`,
    files: { "a.txt": "one\ntwo\n" },
    seconds: 240,
  },
  {
    name: "mosquitto",
    root: "network",
    package: "mosquitto",
    script: `${WAIT}mosquitto -c m.conf >/dev/null 2>&1 & m=$!; until_works nc -z 127.0.0.1 1883; (mosquitto_sub -t 'a/#' -C 5 -v -q 1 >got) & s=$!; mosquitto_pub -t r -r -m kept; mosquitto_sub -t r -C 1; until_works sh -c 'mosquitto_pub -q 1 -t a/ready -m x; test -s got'; for i in 1 2 3 4 5; do mosquitto_pub -q 2 -t a/b -m "m$i"; done; wait $s; grep -c a/ got; rm got; kill $m; wait $m || :`,
    files: { "m.conf": "listener 1883 127.0.0.1\nallow_anonymous true\nuser root\n" },
  },
  {
    name: "bind and dnsmasq",
    root: "network",
    package: "bind9",
    script: `${WAIT}mkdir -p /var/cache/bind /run/named; named -4 -f -c /work/n.conf -n 2 >/dev/null 2>&1 & b=$!; until_works dig +time=1 +tries=1 @127.0.0.1 -p 5300 www.example.test; dnsmasq -k -C /dev/null -p 5301 --no-resolv --no-hosts --server=127.0.0.1#5300 --listen-address=127.0.0.1 --bind-interfaces -u root --address=/local.test/10.9.8.7 2>/dev/null & d=$!; until_works dig +time=1 +tries=1 @127.0.0.1 -p 5301 local.test; for q in www.example.test 'example.test MX' 'example.test TXT' nosuch.example.test '-x 10.0.0.1' ; do dig +noall +answer +comments @127.0.0.1 -p 5300 $q | sed -e 's/id: [0-9]*//' -e /COOKIE/d; done; dig +short +tcp @127.0.0.1 -p 5301 www.example.test; dig +short @127.0.0.1 -p 5301 local.test; named-checkzone example.test z; kill $b $d; wait; rm -f n.pid managed-keys.*`,
    files: {
      "n.conf": `options { directory "/work"; listen-on port 5300 { 127.0.0.1; }; recursion no; pid-file "/work/n.pid"; session-keyfile none; };\ncontrols { };\nzone "example.test" { type master; file "/work/z"; };\n`,
      z: '$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\nwww IN A 10.0.0.1\nwww IN AAAA fd00::1\n@ IN MX 10 www\n@ IN TXT "hello"\n',
    },
    seconds: 240,
  },
  {
    name: "mariadb",
    root: "network",
    package: "mariadb-server",
    script: `${WAIT}mkdir -p d tmp; export TMPDIR=/work/tmp; mariadb-install-db --no-defaults --user=root --auth-root-authentication-method=normal --datadir=/work/d --skip-test-db >/dev/null 2>&1; mariadbd --no-defaults --user=root --datadir=/work/d --socket=/work/s --skip-networking --pid-file=/work/pid >/dev/null 2>log & until_works mariadb --no-defaults -u root -S /work/s -e 'select 1'; mariadb --no-defaults -u root -S /work/s <q; mariadb-admin --no-defaults -u root -S /work/s shutdown; wait; rm -rf d tmp log s pid`,
    files: {
      q: "create database a; use a; create table t(i int primary key auto_increment, s varchar(40), n decimal(20,5)) engine=innodb;\ninsert into t(s, n) select md5(seq), seq * 1.5 from seq_1_to_2000;\nselect count(*), sum(n), max(s), avg(n) from t; create index x on t(s); select i, s from t where s like 'cc%' order by s limit 3;\nstart transaction; delete from t where i < 1000; select count(*) from t; rollback; select count(*) from t;\nselect json_extract('{\"a\": [1, 2]}', '$.a[1]'), sqrt(2), pow(2, 0.5), date_add('2024-02-28', interval 2 day), regexp_replace('abab', 'b', 'x'), aes_encrypt('a', 'k') = aes_encrypt('a', 'k');\n",
    },
    seconds: 600,
  },
];
