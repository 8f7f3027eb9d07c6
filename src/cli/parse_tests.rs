//! Command lines: what they ask for, or what is wrong with them.

use std::os::unix::ffi::OsStringExt;

use super::*;

/// Arguments as in a shell, separated by spaces; `VAR=value` before them sets a variable.
fn read(line: &str) -> Result<Command, UsageError> {
    let is_variable = |part: &&str| part.starts_with("CHAOS_PROXY_");
    let parts: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
    let (variables, args): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(is_variable);
    let env = |name: &str| {
        let pairs = variables.iter().filter_map(|part| part.split_once('='));
        pairs.clone().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value))
    };
    parse(args.into_iter().map(|arg| if arg == "''" { "" } else { arg }.into()), &env)
}

/// The command in short: its name, its source, what goes over the configuration.
fn short(line: &str) -> String {
    match read(line) {
        Ok(Command::Run(options)) => format!("run {}", options_short(&options)),
        Ok(Command::Check(options)) => format!("check {}", options_short(&options)),
        Ok(Command::Explain(options, asked)) => {
            let from = asked.from.map(|ip| format!(" from {ip}")).unwrap_or_default();
            let (source, headers) = (options_short(&options), asked.headers.join(" "));
            format!("explain {source} {} [{headers}]{from}", asked.request)
        }
        Ok(Command::Demo(overrides)) => format!("demo{}", overrides_short(&overrides)),
        Ok(Command::Faults { json }) => format!("faults json={json}"),
        Ok(Command::Presets { json }) => format!("presets json={json}"),
        Ok(Command::Health(asked)) => {
            format!("health {} wait={} live={}", asked.admin, asked.wait, asked.live)
        }
        Ok(Command::Replay(asked)) => format!("{asked:?}"),
        Ok(Command::Client(asked)) => format!("client {asked:?}"),
        Ok(Command::ToxiproxyServer(asked)) => format!("toxiproxy-server {asked:?}"),
        Ok(Command::Help(topic)) => format!("help {topic:?}"),
        Ok(Command::Version) => "version".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn options_short(options: &RunOptions) -> String {
    let source = match &options.source {
        Source::File(path) => format!("file {}", path.display()),
        Source::Stdin => "stdin".to_owned(),
        Source::Inline { routes, latency_ms, drop_rate, timeout_ms } => {
            let knobs = [latency_ms, drop_rate, timeout_ms];
            let knobs: Vec<&str> =
                knobs.into_iter().map(|knob| knob.as_deref().unwrap_or("none")).collect();
            format!("inline {} {}", routes.join(" "), knobs.join(" "))
        }
    };
    source + &overrides_short(&options.overrides)
}

fn overrides_short(overrides: &Overrides) -> String {
    let seed = overrides.seed.map(|seed| format!(" seed={seed}"));
    let level = overrides.log_level.map(|level| format!(" level={level:?}"));
    let format = overrides.log_format.map(|format| format!(" format={format:?}"));
    let grace = overrides.grace.map(|grace| format!(" grace={grace}"));
    let bind = overrides.bind.map(|bind| format!(" bind={bind}"));
    [seed, level, format, grace, bind].into_iter().flatten().collect()
}

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(short(line), expected, "chaos-proxy {line}");
}

#[test]
fn requests_to_explain() {
    check("explain a.yaml /x", "explain file a.yaml /x []");
    check("explain -c a.yaml /x -H a:1 --header=b:2", "explain file a.yaml /x [a:1 b:2]");
    check("explain - /x --from ::1", "explain stdin /x [] from ::1");
    check("CHAOS_PROXY_CONFIG=e.yaml explain /x", "explain file e.yaml /x []");
    let missing = "no request given (a configuration and a request: chaos-proxy explain CONFIG \
                   'GET /api/users')";
    check("explain", missing);
    check("explain a.yaml", missing);
    check("explain -c a.yaml", missing);
    check("explain a /x --from b", "--from: \"b\" (an IP address)");
    let foreign = "-H: not an option of check (only of explain)";
    check("check a.yaml -H a:1", &foreign.replace("-H", "--header"));
    check("explain a --seed 1", "--seed: not an option of explain (only of run, check, demo)");
    let three = "\"a\" and \"b\": two configurations (give one; a command comes first)";
    check("explain a b /x", three);
}

#[test]
fn sources() {
    check("a.yaml", "run file a.yaml");
    check("run a.yaml", "run file a.yaml");
    check("-c a.yaml", "run file a.yaml");
    check("run --config=a.yaml", "run file a.yaml");
    check("--config a=b.yaml", "run file a=b.yaml");
    check("-c -", "run stdin");
    check("-", "run stdin");
    check("CHAOS_PROXY_CONFIG=e.yaml", "run file e.yaml");
    check("CHAOS_PROXY_CONFIG=-", "run stdin");
    check("a.yaml CHAOS_PROXY_CONFIG=e.yaml", "run file a.yaml");
    check("check a.yaml", "check file a.yaml");
    check("check CHAOS_PROXY_CONFIG=e.yaml --seed 1", "check file e.yaml seed=1");
}

#[test]
fn routes_without_a_file() {
    check("--route 1=h:2", "run inline 1=h:2 none none none");
    check("--route=1=h:2 --route 3=h:4", "run inline 1=h:2 3=h:4 none none none");
    let knobs = "--latency-ms 5 --drop-rate 5% --timeout-ms=-1";
    check(&format!("run --route 1=h:2 {knobs}"), "run inline 1=h:2 5 5% -1");
    check("check --route 1=h:2", "check inline 1=h:2 none none none");
    check("--route 1=h:2 CHAOS_PROXY_CONFIG=e.yaml", "run inline 1=h:2 none none none");
}

#[test]
fn words_and_dashes() {
    check("-- run", "run file run");
    check("./run", "run file ./run");
    check("-c run", "run file run");
    check("--seed 1 check a.yaml", "check file a.yaml seed=1");
    check("check -- --odd", "check file --odd");
    check("--config=--odd", "run file --odd");
    check("a.yaml --", "run file a.yaml");
}

#[test]
fn overrides_come_from_flags_or_else_from_the_environment() {
    let flags = "--seed 7 --log-level warn --log-format json --grace-ms 250";
    let expected = "seed=7 level=Warn format=Json grace=250ms";
    check(&format!("a {flags}"), &format!("run file a {expected}"));
    check(&format!("demo {flags}"), &format!("demo {expected}"));
    let env = "CHAOS_PROXY_SEED=8 CHAOS_PROXY_LOG_LEVEL=trace CHAOS_PROXY_LOG_FORMAT=text \
               CHAOS_PROXY_GRACE_MS=0";
    let from_env = "seed=8 level=Trace format=Text grace=0ms";
    check(&format!("{env} a"), &format!("run file a {from_env}"));
    check(&format!("{env} demo"), &format!("demo {from_env}"));
    check(&format!("{env} a {flags}"), &format!("run file a {expected}"));
    check("a --bind [::1]", "run file a bind=::1");
    check("demo CHAOS_PROXY_BIND=0.0.0.0", "demo bind=0.0.0.0");
    check("a --quiet", "run file a level=Warn");
    check("a --verbose", "run file a level=Debug");
    check("a --quiet CHAOS_PROXY_LOG_LEVEL=trace", "run file a level=Warn");
    check("a --seed 18446744073709551615", "run file a seed=18446744073709551615");
    check("a CHAOS_PROXY_SEED= CHAOS_PROXY_LOG_LEVEL= CHAOS_PROXY_GRACE_MS=", "run file a");
}

#[test]
fn other_commands() {
    check("faults", "faults json=false");
    check("faults --json", "faults json=true");
    check("demo", "demo");
    check("health", "health 127.0.0.1:8474 wait=0ms live=false");
    let asked = "health --wait 1500ms --live --admin localhost:1";
    check(asked, "health localhost:1 wait=1500ms live=true");
    check("health CHAOS_PROXY_ADMIN=[::]:9", "health [::]:9 wait=0ms live=false");
    check("health --wait 1h", "health 127.0.0.1:8474 wait=1h live=false");
    check("health --wait 3601s", r#"--wait: "3601s" (a time, such as 10s, at most 1h)"#);
    check("-V", "version");
    check("run --version", "version");
    check("--help", "help None");
    check("-h", "help None");
    check("help", "help None");
    check("help faults", "help Some(Faults)");
    check("check --help", "help Some(Check)");
    check("--seed x --help", "help None");
    check("--help CHAOS_PROXY_SEED=x", "help None");
    check("faults CHAOS_PROXY_SEED=x", "faults json=false");
}

#[test]
fn the_client_by_its_words_or_by_the_name_of_the_program() {
    let called = |line: &str| {
        let command = parse_called(line.split(' ').map(Into::into), &|_| None);
        matches!(command, Ok(Command::Client(_)) | Err(UsageError::Client(..)))
    };
    for line in ["chaos-proxy list", "toxiproxy-cli run", "/bin/my-toxiproxy-cli -h h:1 ls"] {
        assert!(called(line), "{line}");
    }
    for line in ["chaos-proxy run list", "/toxiproxy-cli/chaos-proxy a.yaml", ""] {
        assert!(!called(line), "{line}");
    }
}

#[test]
fn options_that_are_wrong() {
    let unknown = r#""--sead": unknown option (see chaos-proxy --help, did you mean "--seed"?)"#;
    check("a --sead 1", unknown);
    check("a --sead=1", unknown);
    check("a --bind web", r#"--bind: "web" (an IP address, such as 0.0.0.0)"#);
    check("-x", r#""-x": unknown option (see chaos-proxy --help)"#);
    let all = "a whole number, 0..18446744073709551615";
    check("a --seed", &format!("--seed: no value given (write --seed N: {all})"));
    check("a --seed --quiet", &format!("--seed: no value given (write --seed N: {all})"));
    let file = "a file name, or - for standard input";
    check("-c", &format!("--config: no value given (write --config FILE: {file})"));
    check("a --quiet=yes", r#"--quiet: "yes" (it takes no value: write --quiet)"#);
    check("a --seed 1 --seed 2", "--seed: given twice (give it once)");
    check("-c a --config b", "--config: given twice (give it once)");
    check("a --json", "--json: not an option of run (only of faults, presets, replay)");
    check("demo -c a", "--config: not an option of demo (only of run, check, explain)");
}

#[test]
fn values_that_are_wrong() {
    let all = "(a whole number, 0..18446744073709551615)";
    for seed in ["-1", "1.5", "+1", "0x1", "18446744073709551616", "eleven"] {
        check(&format!("a --seed {seed}"), &format!("--seed: {seed:?} {all}"));
        check(&format!("a --seed={seed}"), &format!("--seed: {seed:?} {all}"));
        let line = format!("a CHAOS_PROXY_SEED={seed}");
        check(&line, &format!("CHAOS_PROXY_SEED: {seed:?} {all}"));
    }
    check("a --seed=", &format!(r#"--seed: "" {all}"#));
    let grace = "(a whole number of milliseconds, 0..3600000)";
    check("a --grace-ms 3600001", &format!(r#"--grace-ms: "3600001" {grace}"#));
    check("a --grace-ms 10s", &format!(r#"--grace-ms: "10s" {grace}"#));
    check(
        "a --log-level wran",
        r#"--log-level: "wran" (error, warn, info, debug, trace, did you mean "warn"?)"#,
    );
    check("a CHAOS_PROXY_LOG_FORMAT=xml", r#"CHAOS_PROXY_LOG_FORMAT: "xml" (text, json)"#);
    check("''", r#"--config: "" (a file name, or - for standard input)"#);
    check("--config=", r#"--config: "" (a file name, or - for standard input)"#);
}

#[test]
fn sources_that_are_wrong() {
    let ways = |command: &str| {
        format!(
            "no configuration given (name a file: chaos-proxy{command} CONFIG; or a route: \
             chaos-proxy{command} --route 6380=127.0.0.1:6379; or set CHAOS_PROXY_CONFIG)"
        )
    };
    check("", &ways(""));
    check("run", &ways(""));
    check("check", &ways(" check"));
    check("--seed 1 CHAOS_PROXY_CONFIG=", &ways(""));
    let two = "two configurations";
    check("a --route 1=h:2", &format!(r#""a" and --route: {two} (give one of them)"#));
    check("-c a --route 1=h:2", &format!(r#""a" and --route: {two} (give one of them)"#));
    let first = "give one; a command comes first";
    check("a b", &format!(r#""a" and "b": {two} ({first})"#));
    check("a -c b", &format!(r#""a" and "b": {two} ({first})"#));
    let near = r#", did you mean "check"?"#;
    check("chekc b", &format!(r#""chekc" and "b": {two} ({first}{near})"#));
    let knob = "only with --route (in a configuration each route has its own)";
    check("a --latency-ms 5", &format!("--latency-ms: {knob}"));
    check("--drop-rate 1", &format!("--drop-rate: {knob}"));
    check("a --quiet --verbose", "--quiet and --verbose contradict each other (give one)");
    let level = "--verbose and --log-level contradict each other (give one)";
    check("a --log-level info --verbose", level);
}

#[test]
fn words_that_are_wrong() {
    check("faults x", r#""x": unexpected (write chaos-proxy faults [--json])"#);
    check("help run x", r#""x": unexpected (write chaos-proxy help [COMMAND])"#);
    let all = "run, check, explain, faults, presets, demo, health, replay, help";
    let near = r#", did you mean "faults"?"#;
    check("help fault", &format!(r#""fault": unknown command ({all}{near})"#));
}

#[test]
fn what_is_not_utf8_is_one_line() {
    let bad = || OsString::from_vec(b"a\xff\n".to_vec());
    let error = parse([bad()].into_iter(), &|_| None).expect_err("not UTF-8");
    let way_out = "(rename the file, or read it from standard input with -c -)";
    assert_eq!(
        error.to_string(),
        format!(r#"argument "a{}\n" is not UTF-8 {way_out}"#, '\u{fffd}')
    );
    let env = |name: &str| (name == "CHAOS_PROXY_SEED").then(bad);
    let error = parse(["a".into()].into_iter(), &env).expect_err("not UTF-8");
    let place = "CHAOS_PROXY_SEED";
    let expected = format!(r#"{place}: "a{}\n" is not UTF-8 (set it to UTF-8 text)"#, '\u{fffd}');
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_error_is_one_line() {
    for line in ["a --x\n", "a b\nc", "help x\r\n", "--quiet=\x1b[1m", "a --seed \n"] {
        let error = short(line);
        assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
    }
}

#[test]
fn recordings_to_replay() {
    check("replay a", r#"ReplayAsked { events: "a", json: false }"#);
    check("replay --json a", r#"ReplayAsked { events: "a", json: true }"#);
    check("replay", "no events given (name a file: chaos-proxy replay EVENTS)");
    check("replay a b", r#""b": unexpected (write chaos-proxy replay EVENTS [--json])"#);
}
