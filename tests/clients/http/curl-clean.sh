#!/usr/bin/env bash
# What curl asks for through a route that does nothing. NODE and NGINX are the routes' URLs, FOLDER
# is where nginx has its files.
set -uo pipefail
. "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
ask() { curl -sS -m 20 "$@"; }
field() { tr -d '\r' <"$1" | sed -n "s/^$2: //Ip"; }
told() { python3 -c 'import json, sys; print(json.load(open("told"))[sys.argv[1]])' "$1"; }

# --- downloads ----------------------------------------------------------------------------------

for way in sized chunked closed; do
    ask -D head -o body "$NODE/$way/300000"
    same "$way: exit" "$?" 0
    same "$way: bytes" "$(hash body)" "$(field head X-Sha256)"
    same "$way: length" "$(stat -c %s body)" 300000
done
ask -D head -o body "$NODE/trailers/300000"
same "trailers: bytes" "$(hash body)" "$(field head X-Sha256-After)"
ask -D head "$NODE/hints/" -o body
same "103 comes before 200" "$(grep -ao '^HTTP/1.1 [0-9]*' head | tr '\n' ' ')" \
    "HTTP/1.1 103 HTTP/1.1 200 "
ask -D head "$NODE/fields/" -o body
same "two cookies stay two" "$(grep -aci '^set-cookie: ' head)" 2
same "a long field is whole" "$(field head X-Long | tr -d '\n' | wc -c)" 12000
same "the case of a name is kept" "$(grep -ac '^X-MiXeD: Kept' head)" 1
for status in 204 304 404 500 599; do
    same "status $status" "$(ask -o body -w '%{http_code}' "$NODE/status/$status")" "$status"
done
same "HEAD" "$(ask -I "$NODE/sized/1234" | tr -d '\r' | sed -n 's/^Content-Length: //p')" 1234
shown='%{http_code} %{size_download}'
same "HEAD, chunked" "$(ask -I -o head -w "$shown" "$NODE/chunked/9")" "200 0"

# --- nginx: ranges, conditions, compression, versions -------------------------------------------

ask -o body "$NGINX/large"
same "10 MB" "$(hash body)" "$(hash "$FOLDER/www/large")"
same "range" "$(ask -r 1000-1999 -D head -o body -w '%{http_code}' "$NGINX/large")" 206
same "range: bytes" "$(hash body)" "$(tail -c +1001 "$FOLDER/www/large" | head -c 1000 | hash -)"
same "range: said" "$(field head Content-Range)" "bytes 1000-1999/10000000"
same "two ranges" "$(ask -r 0-9,20-29 -D head -o body -w '%{http_code}' "$NGINX/large")" 206
same "two ranges: length" "$(stat -c %s body)" "$(field head Content-Length)"
same "no range" "$(ask -r 99999999- -o body -w '%{http_code}' "$NGINX/large")" 416
same "unchanged" "$(ask -z "$FOLDER/www/large" -o body -w '%{http_code}' "$NGINX/large")" 304
ask --compressed -D head -o body "$NGINX/text"
same "gzip: bytes" "$(hash body)" "$(hash "$FOLDER/www/text")"
same "gzip: said" "$(field head Content-Encoding)" gzip
same "HTTP/1.0" "$(ask -0 -o body -w '%{http_code}' "$NGINX/large")" 200
same "HTTP/1.0: bytes" "$(hash body)" "$(hash "$FOLDER/www/large")"
same "HTTP/1.0, keep-alive" "$(ask -0 -H 'Connection: keep-alive' -o body -o body \
    -w '%{num_connects} ' "$NGINX/text" "$NGINX/text")" "1 0 "
same "HTTP/1.0 from an upstream of its own mind" \
    "$(ask -0 -o body -w '%{http_code} %{size_download}' "$NODE/chunked/5000")" "200 5000"

# --- uploads ------------------------------------------------------------------------------------

ask -o told -T "$FOLDER/www/large" "$NODE/echo/up?a=b&c=%2F"
same "PUT: bytes" "$(told sha256)" "$(hash "$FOLDER/www/large")"
same "PUT: target" "$(told url)" "/echo/up?a=b&c=%2F"
ask -v -o told -H 'Expect: 100-continue' -T "$FOLDER/www/large" "$NODE/echo" 2>talk
same "Expect: 100 comes" "$(grep -ac '^< HTTP/1.1 100 Continue' talk)" 1
same "Expect: bytes" "$(told sha256)" "$(hash "$FOLDER/www/large")"
ask -v -o body -H 'Expect: 100-continue' -H 'X-Refuse: yes' --expect100-timeout 10 \
    -T "$FOLDER/www/large" -w '%{http_code} %{size_upload}' "$NODE/echo" 2>talk >shown
same "Expect: refused before a byte" "$(cat shown)" "417 0"
ask -o told -H 'Transfer-Encoding: chunked' -T - "$NODE/echo" <"$FOLDER/www/large"
same "chunked upload: bytes" "$(told sha256)" "$(hash "$FOLDER/www/large")"
same "chunked upload: length" "$(told count)" 10000000
same "upload to nginx" "$(ask -T "$FOLDER/www/large" -o body -w '%{http_code}' \
    "$NGINX/put/$$")" 201
same "upload to nginx: bytes" "$(hash "$FOLDER/uploads/put/$$")" "$(hash "$FOLDER/www/large")"
same "an answer before the upload is seen" "$(ask -H 'Expect:' -T "$FOLDER/www/large" \
    -o body -w '%{http_code}' "$NODE/early" 2>talk)" 413
for method in POST DELETE PATCH OPTIONS; do
    ask -o told -X "$method" -H 'X-Own: 1' -d "body of $method" "$NODE/echo"
    same "$method" "$(told method) $(told count)" "$method $((8 + ${#method}))"
done
ask -o told -X OPTIONS --request-target '*' "$NODE/" -w '%{http_code}' >shown
same "OPTIONS *" "$(cat shown)" 404
ask -o told -H 'Accept-Encoding;' -H 'X-Empty;' -H 'Cookie: a=1; b="2"' "$NODE/echo"
same "fields arrive" "$(python3 -c 'import json; h = json.load(open("told"))["headers"]
print(h["x-empty"], h["cookie"], h["host"])')" " a=1; b=\"2\" ${NODE#http://}"

# --- connections --------------------------------------------------------------------------------

same "kept alive" "$(ask -w '%{num_connects}' -o body -o body -o body -o body \
    "$NODE/sized/10" "$NODE/chunked/10" "$NODE/status/204" "$NODE/sized/0")" 1000
same "closed when asked" "$(ask -w '%{num_connects}' -H 'Connection: close' -o body -o body \
    "$NGINX/text" "$NGINX/text")" 11
urls=()
same "an upgrade to HTTP/2 that nginx does not take" "$(ask --http2 -o body -o body \
    -w '%{http_code} %{num_connects} ' "$NGINX/text" "$NGINX/text")" "200 1 200 0 "
same "as a forward proxy would be asked" "$(ask -x "$NGINX" -o body -w '%{http_code}' \
    http://elsewhere.example/text)" 200
for n in {1..40}; do urls+=("$NGINX/text?$n" -o "many-$n"); done
ask -Z --parallel-max 20 "${urls[@]}"
same "40 at a time: exit" "$?" 0
same "40 at a time: bytes" "$(sha256sum many-* | cut -d ' ' -f 1 | sort -u)" \
    "$(hash "$FOLDER/www/text")"

# --- what is no HTTP/1 --------------------------------------------------------------------------

if [[ $PROTOCOL == http ]]; then
    ask -k -o body "${NODE/http:/https:}/sized/1" 2>talk
    same "TLS is told that it is wrong here" "$?" 35
    ask --http2-prior-knowledge -o body "$NODE/sized/1" 2>talk
    same "HTTP/2 is refused" "$(($? != 0))" 1
    same "HTTP/1 after that" "$(ask -o body -w '%{http_code}' "$NODE/sized/1")" 200
fi
all_good curl
