# What the clients written in bash share: one line for each check that fails, and the sum.
good=0 bad=0

# same WHAT GOT WANTED
same() {
    if [[ $2 == "$3" ]]; then
        good=$((good + 1))
    else
        bad=$((bad + 1))
        echo "FAIL  $1: got \"$2\", wanted \"$3\"" >&2
    fi
}

# at_least WHAT GOT LEAST, in milliseconds
at_least() { same "$1 ($2 ms, at least $3)" "$(($2 >= $3))" 1; }

hash() { sha256sum "$1" | cut -d ' ' -f 1; }

all_good() {
    echo "$1: $good good, $bad bad"
    ((bad == 0 && good > 0))
}
