#!/bin/sh
# The tools must be right before they judge others: each fault that the checker names is made once.
#   test_lines.sh path/to/millrace_lines path/to/millrace_bench_loop
set -eu
lines=$1
loop=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect CODE TEXT COMMAND...: the command exits with CODE and prints TEXT.
expect() {
    code=$1
    text=$2
    shift 2
    got=0
    out=$("$@" 2>err) || got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* ($out $(cat err))"
    case "$out" in
    *"$text"*) ;;
    *) fail "no $text in $out: $*" ;;
    esac
}

"$lines" --lines 10001 a.log 2>err
[ "$(wc -l <a.log)" = 10001 ] || fail "10001 lines"
[ "$(wc -c <a.log)" = 1900190 ] || fail "190 bytes on average"
expect 0 '"lines":10001,"bytes":1900190,"files":1,"lost":0,"repeated":0,"out_of_order":0,"damaged":0,"foreign":0' \
    "$lines" --check --lines 10001 --files 1 a.log
expect 1 '"lost":2' "$lines" --check --lines 10003 a.log
expect 1 '"lost":10001' "$lines" --check --lines 10001 --files 2 a.log

sed 500,509d a.log >b.log
expect 1 '"lost":10,' "$lines" --check b.log
sed 500p a.log >b.log
expect 1 '"lost":0,"repeated":1' "$lines" --check b.log
{ head -n 99 a.log; sed -n 102,200p a.log; sed -n 100,101p a.log; tail -n +201 a.log; } >b.log
expect 1 '"lost":0,"repeated":0,"out_of_order":2' "$lines" --check b.log
sed '77s/ HTTP/ HTTQ/' a.log >b.log
expect 1 '"damaged":1' "$lines" --check b.log
expect 0 '"damaged":0' "$lines" --check --loose b.log
sed 's/.*/{"message":"&"}/' a.log >b.log
expect 0 '"foreign":0' "$lines" --check b.log
{ echo hello; cat a.log; } >b.log
expect 1 '"foreign":1' "$lines" --check b.log
expect 0 '"foreign":1' "$lines" --check --foreign-fine b.log
expect 0 '"lines":10001' sh -c "cat a.log | '$lines' --check"

for how in rename copytruncate; do
    mkdir $how
    "$lines" --lines 1000 --files 3 --rotate $how --rotate-lines 300 "$how/x-{file}.log" 2>err
    [ "$(ls $how | wc -l)" = 12 ] || fail "$how: $(ls $how)"
    expect 0 '"lines":3000,' "$lines" --check --lines 1000 --files 3 $how/x-0.log.3 $how/x-0.log.2 $how/x-0.log.1 \
        $how/x-0.log $how/x-1.log.[3] $how/x-1.log.2 $how/x-1.log.1 $how/x-1.log $how/x-2.log.3 $how/x-2.log.2 \
        $how/x-2.log.1 $how/x-2.log
done
mkdir keep
"$lines" --lines 1000 --rotate rename --rotate-lines 100 --keep 2 keep/y.log 2>err
expect 1 '"lost":700' "$lines" --check --lines 1000 keep/y.log.2 keep/y.log.1 keep/y.log

"$lines" --lines 100 c.log 2>err
"$lines" --lines 50 --first 100 --append c.log 2>err
expect 0 '"lines":150' "$lines" --check --lines 150 c.log
"$lines" --lines 30 --files 2 --rate 1000 - 2>err >d.log
expect 0 '"latency_ms":{"p50":' "$lines" --check --latency --lines 30 --files 2 d.log
expect 2 '' "$lines" --files 2 no-hole.log
expect 2 '' "$lines" --bogus

expect 0 '"records":10001' "$loop" a.log out.bin
expect 0 '"codec":"lz4","headers":true' "$loop" --lz4 --headers --block 64 a.log out.bin
echo ok
