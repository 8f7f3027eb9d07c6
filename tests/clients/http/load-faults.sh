#!/usr/bin/env bash
# wrk and ab count what faults do.
set -uo pipefail
. "$(dirname "$0")/checks.sh"

at_once=10 # so many may be on their way at the end, most of them those that Node answers
shown=$(wrk -t 1 -c "$at_once" -d 1s --timeout 5s "$SECOND/sized/10" 2>&1)
answered=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$shown")
wrong=$(sed -n 's/^ *Non-2xx or 3xx responses: //p' <<<"$shown")
odd=$((2 * ${wrong:-0} - ${answered:-0}))
same "wrk: every second is wrong, odd $odd" "$((wrong > 0 && odd <= at_once && -odd <= at_once))" 1
same "wrk: no socket errors" "$(grep 'Socket errors' <<<"$shown")" ""
shown=$(ab -q -s 20 -n 400 -c 10 -k "$ERROR/sized/10" 2>&1)
same "ab: all are answered" "$(sed -n 's/^Complete requests: *//p' <<<"$shown")" 400
same "ab: all with 503" "$(sed -n 's/^Non-2xx responses: *//p' <<<"$shown")" 400
same "ab: connections are kept" "$(sed -n 's/^Keep-Alive requests: *//p' <<<"$shown")" 400
all_good "wrk, ab"
