# bash completion of chaos-proxy, made by `make dist` from the table of options; do not edit

_chaos_proxy() {
    local word verb= words= files=
    COMPREPLY=()
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
        --admin | --attribute | --bind | --drop-rate | --event-log | --from | --grace-ms | --header | --host | --latency-ms | --listen | --protocol | --route | --seed | --timeout-ms | --tox | --toxicName | --toxicity | --ttl | --type | --wait | -H | -a | -l | -n | -t) :; return 0 ;;
        --log-level) COMPREPLY=($(compgen -W "error warn info debug trace" -- "$current")); return 0 ;;
        --log-format) COMPREPLY=($(compgen -W "text json" -- "$current")); return 0 ;;
        --config | -c) COMPREPLY=($(compgen -f -- "$current")); return 0 ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case $verb:$word in
            :run | :check | :explain | :faults | :presets | :demo | :health | :replay | :help | :list | :inspect | :create | :toggle | :delete | :toxic | :toxiproxy-server) verb=$word ;;
            toxic:add) verb='toxic add' ;;
            toxic:update) verb='toxic update' ;;
            toxic:remove) verb='toxic remove' ;;
        esac
    done
    case $verb in
        'run') words='--config -c --route --latency-ms --drop-rate --timeout-ms --bind --seed --log-level --log-format --grace-ms --admin --insecure-admin --event-log --quiet --verbose --help -h --version -V' files=1 ;;
        'check') words='--config -c --route --latency-ms --drop-rate --timeout-ms --bind --seed --log-level --log-format --grace-ms --admin --insecure-admin --event-log --quiet --verbose --help -h --version -V' files=1 ;;
        'explain') words='--config -c --header -H --from --help -h --version -V' files=1 ;;
        'faults') words='--json --help -h --version -V' ;;
        'presets') words='--json --help -h --version -V' ;;
        'demo') words='--bind --seed --log-level --log-format --grace-ms --admin --insecure-admin --event-log --quiet --verbose --help -h --version -V' ;;
        'health') words='--admin --wait --live --help -h --version -V' ;;
        'replay') words='--json --help -h --version -V' files=1 ;;
        'help') words='--help -h --version -V' ;;
        'list') words='--host --json --help --version' ;;
        'inspect') words='--host --json --help --version' ;;
        'create') words='--listen -l --upstream -u --protocol --host --json --help --version' ;;
        'toggle') words='--host --json --help --version' ;;
        'delete') words='--host --json --help --version' ;;
        'toxic add') words='--toxicName -n --type -t --toxicity --tox --ttl --attribute -a --upstream -u --downstream -d --host --json --help --version' ;;
        'toxic update') words='--toxicName -n --toxicity --tox --ttl --attribute -a --host --json --help --version' ;;
        'toxic remove') words='--toxicName -n --host --json --help --version' ;;
        'toxic') words='add update remove' ;;
        '') words='run check explain faults presets demo health replay help list inspect create toggle delete toxic toxiproxy-server --config -c --route --latency-ms --drop-rate --timeout-ms --bind --seed --log-level --log-format --grace-ms --admin --insecure-admin --event-log --quiet --verbose --help -h --version -V' files=1 ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ -z $files || $current = -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _chaos_proxy chaos-proxy
