#!/usr/bin/env bash
# What curl sees of each fault.
set -uo pipefail
. "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
field() { tr -d '\r' <head | sed -n "s/^$1: //Ip"; }

# ask ARGUMENT...: leaves code, status, size, ms and the files head and body.
ask() {
    local shown
    rm -f head body
    shown=$(curl -s -m 10 -D head -o body \
        -w '%{http_code} %{size_download} %{time_starttransfer} %{time_total}' "$@")
    code=$?
    read -r status size first total <<<"$shown"
    first=$((10#${first/./} / 1000)) total=$((10#${total/./} / 1000))
}

# --- answers of our own -------------------------------------------------------------------------

ask "$ERROR/sized/100"
same "http_error" "$code $status $(cat body)" '0 503 {"error":"injected","status":503}'
same "http_error: told" "$(field X-Chaos-Faults)" "http_error;status=503"
same "http_error: type" "$(field Content-Type)" application/json
ask -T "$FOLDER/www/large" "$ERROR/echo"
same "http_error after an upload" "$code $status" "0 503"
ask -H 'Transfer-Encoding: chunked' -T - "$ERROR/echo" <"$FOLDER/www/large"
same "http_error after a chunked upload" "$code $status" "0 503"
ask -I "$ERROR/sized/100"
same "http_error for HEAD" "$code $status $size" "0 503 0"
ask -0 "$ERROR/sized/100"
same "http_error over HTTP/1.0" "$code $status" "0 503"
same "http_error keeps the connection" "$(curl -s -m 10 -w '%{num_connects}' -o body -o body \
    "$ERROR/sized/1" "$ERROR/sized/2")" 10
ask "$TEAPOT/sized/100"
same "a status, body and field of one's own" "$status $(cat body) $(field X-Pot)" \
    "418 short and stout tea"
ask "$REPLACED/sized/100000"
same "http_error after the upstream" "$code $status $(field X-Sha256)" "0 500 "
ask -X PUT -d a -H 'X-Test: 1' "$MATCHED/echo/1"
same "match" "$status" 503
ask -X PUT -d a "$MATCHED/echo/1"
same "no match, no word of it" "$status $(field X-Chaos-Faults)" "200 "
for n in 1 2 3 4; do ask "$SECOND/sized/10" && codes+=" $status"; done
same "every second request" "$codes" " 200 503 200 503"
ask "$GATEWAY/sized/10"
same "connection_error http503" "$code $status" "0 503"
ask "$HELD/sized/10"
same "http_timeout" "$code $status" "0 504"
at_least "http_timeout" "$first" 120

ask "$UNREACHED/faulty"
same "http_error where no upstream is" "$code $status" "0 503"
ask "$UNREACHED/"
same "no upstream" "$code $status" "0 502"

# --- later --------------------------------------------------------------------------------------

for n in 76 77 76 77; do
    ask "$PICKY/sized/$n"
    told='' least=0
    ((n == 77)) && told="latency;latency=150ms" least=150
    same "latency for those that match" "$code $size $(field X-Chaos-Faults)" "0 $n $told"
    at_least "latency for those that match" "$first" $least
done
ask "$DELAYED/chunked/100000"
same "http_delay" "$code $status $size $(hash body)" "0 200 100000 $(field X-Sha256)"
same "http_delay: told" "$(field X-Chaos-Faults)" "http_delay;ms=150"
at_least "http_delay" "$first" 150
ask "$LATE/sized/100000"
same "latency" "$code $status $size $(hash body)" "0 200 100000 $(field X-Sha256)"
at_least "latency" "$first" 150
ask -r 0-499999 "$SLOW/large"
wanted=$(head -c 500000 "$FOLDER/www/large" | hash -)
same "bandwidth" "$code $size $(hash body)" "0 500000 $wanted"
at_least "bandwidth 1 MB/s, 500 kB" "$total" 480
at_least "bandwidth: the first byte came long before the last" "$((total - first))" 300

ask "$PICKY/chunked/100000" # the sizes of its chunks may be hit, too: then curl says so
same "damage for those that match" "$status $([[ $(hash body) == "$(field X-Sha256)" ]] && echo same)" "200 "

# --- broken -------------------------------------------------------------------------------------

ask "$RESET/sized/10"
same "connection_error reset" "$code $status" "56 000"
ask "$CLOSED/sized/10"
same "connection_error close" "$code $status" "52 000"
ask -H "Expect:" -T "$FOLDER/www/large" "$CLOSED/echo"
same "connection_error close of an upload" "$status" 000
for way in sized chunked closed; do
    ask "$HALF/$way/100000"
    same "partial_response, $way: an error" "$status $((code == 18 || code == 56))" "200 1"
    same "partial_response, $way: less" "$((size < 100000))" 1
    ask "$CUT/$way/100000"
    same "partial_response of 1000, $way" "$((code == 18 || code == 56)) $size" "1 1000"
done
ask "$HALF/sized/100000"
same "half is half" "$size" 50000
same "partial_response: told" "$(field X-Chaos-Faults)" "partial_response;fraction=0.5"
ask "$CHUNK/sized/10000"
same "malformed_response, chunk" "$code $status" "56 200"
ask "$GARBAGE/sized/10000"
same "malformed_response, garbage" "$((code == 1 || code == 8)) $size" "1 0"
ask "$EMPTY/sized/10000"
same "malformed_response, empty" "$code $status" "52 000"
ask "$LOST/echo" -d x
same "lose_response" "$code $status" "52 000"

# --- changed ------------------------------------------------------------------------------------

ask "$FLIPPED/sized/100000"
same "payload_corruption, bit_flip: length" "$code $status $size" "0 200 100000"
same "payload_corruption: bytes" "$([[ $(hash body) == "$(field X-Sha256)" ]] && echo intact)" ""
ask "$TRUNCATED/sized/100000"
same "payload_corruption, truncate" "$code $size $(field Content-Length)" "0 50000 50000"
ask -H 'Cookie: a=1' "$HEADERS/echo"
same "http_header of a request" "$(grep -o '"x-tenant":"chaos"' body; grep -o cookie body)" \
    '"x-tenant":"chaos"'
ask "$HEADERS/sized/10"
same "http_header of an answer" "$(field X-Extra) $(field X-Sha256)" "1 "
ask "$DOUBLED/echo" -d "three times"
same "duplicate_request" "$code $status $(grep -o '"count":[0-9]*' body)" '0 200 "count":11'
codes=
for n in 1 2 3 4; do ask "$LIMITED/sized/10?curl" && codes+=" $status"; done
same "rate_limit" "$codes" " 200 200 200 429"
at_least "rate_limit: Retry-After" "$(field Retry-After)000" 1000
same "rate_limit: told" "$(field X-Chaos-Faults)" "rate_limit;status=429"
all_good curl
