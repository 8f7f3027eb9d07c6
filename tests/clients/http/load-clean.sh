#!/usr/bin/env bash
# wrk and ab through a route that does nothing: every request is answered, and none wrongly.
set -uo pipefail
. "$(dirname "$0")/checks.sh"
requests=2000

# --- wrk: keep-alive, 20 at a time ---
shown=$(wrk -t 1 -c 20 -d 1s --timeout 5s "$NGINX/text" 2>&1)
same "wrk: errors" "$(grep -E 'Socket errors|Non-2xx' <<<"$shown")" ""
answered=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$shown")
same "wrk: answers (${answered:-none})" "$((${answered:-0} > 100))" 1

# --- ab: HTTP/1.0, with and without keep-alive, and uploads ---
ask_ab() {
    local what=$1 answered
    shift
    shown=$(ab -q -s 20 -n "$requests" -c 20 "$@" 2>&1)
    answered=$(sed -n 's/^Complete requests: *//p' <<<"$shown")
    same "ab $what: answers" "$answered" "$requests"
    same "ab $what: failed" "$(sed -n 's/^Failed requests: *//p' <<<"$shown")" 0
    same "ab $what: no other status" "$(grep -c 'Non-2xx' <<<"$shown")" 0
}
ask_ab "-k" -k "$NGINX/text"
same "ab -k: kept alive" "$(sed -n 's/^Keep-Alive requests: *//p' <<<"$shown")" "$requests"
ask_ab "" "$NGINX/text"
requests=500
ask_ab "upload" -k -p "$FOLDER/www/text" -T application/octet-stream -l "$NODE/echo"
all_good "wrk, ab"
