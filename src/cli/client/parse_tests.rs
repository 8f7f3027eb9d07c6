//! Command lines of the client: what they ask for, or what is wrong with them.

use std::os::unix::ffi::OsStringExt;

use super::super::plan;
use super::*;

/// Arguments as in a shell, separated by spaces; `TOXIPROXY_URL=value` sets the variable.
fn read(line: &str, style: Style) -> Result<Asked, Misuse> {
    let parts: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
    let (set, args): (Vec<&str>, Vec<&str>) =
        parts.into_iter().partition(|part| part.starts_with("TOXIPROXY_URL="));
    let url = set.first().and_then(|part| part.split_once('=')).map(|(_, url)| url.into());
    let env = |name: &str| url.clone().filter(|_| name == SERVER_ENV);
    parse(args.into_iter().map(|arg| if arg == "''" { "" } else { arg }.into()), &env, style)
}

/// The first request, and who is asked where that is not the default.
fn short(line: &str, style: Style) -> String {
    match read(line, style) {
        Ok(Asked::Call(call)) => {
            let server = format!("{}{}", call.server.endpoint, call.server.prefix);
            let server = if server == "localhost:8474" { "" } else { &format!("{server} ") };
            let json = if call.json { " json" } else { "" };
            let request = plan::first(&call.task);
            let body = request.body.map(|body| format!(" {body}")).unwrap_or_default();
            format!("{server}{} {}{body}{json}", request.method, request.path)
        }
        Ok(Asked::Help(_, verb)) => format!("help {verb:?}"),
        Ok(Asked::Version(style)) => format!("version {style:?}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(short(line, Style::Chaos), expected, "chaos-proxy {line}");
}

#[track_caller]
fn check_toxiproxy(line: &str, expected: &str) {
    assert_eq!(short(line, Style::Toxiproxy), expected, "toxiproxy-cli {line}");
}

#[test]
fn commands_and_their_other_words() {
    for word in ["list", "l", "li", "ls"] {
        check(word, "GET /proxies");
    }
    for word in ["inspect", "i", "ins"] {
        check(&format!("{word} p"), "GET /proxies/p");
    }
    for word in ["create", "c", "new"] {
        let expected =
            r#"POST /proxies {"enabled":true,"listen":":1","name":"p","upstream":"h:2"}"#;
        check(&format!("{word} -l :1 -u h:2 p"), expected);
        check(&format!("{word} p --listen=:1 --upstream h:2"), expected);
        let expected = r#"POST /proxies {"enabled":true,"listen":":1","name":"p","protocol":"http","upstream":"h:2"}"#;
        check(&format!("{word} -l :1 -u h:2 --protocol http p"), expected);
    }
    for word in ["toggle", "tog"] {
        check(&format!("{word} p"), "GET /proxies/p");
    }
    for word in ["delete", "d"] {
        check(&format!("{word} p"), "DELETE /proxies/p");
    }
    for toxic in ["toxic", "t"] {
        for word in ["remove", "r", "delete", "d"] {
            check(&format!("{toxic} {word} -n x p"), "DELETE /proxies/p/toxics/x");
        }
    }
}

#[test]
fn toxics() {
    let added = |stream: &str, rest: &str| {
        format!(r#"POST /proxies/p/toxics {{{rest}"stream":"{stream}","type":"latency"}}"#)
    };
    let plain = added("downstream", r#""attributes":{},"#);
    check("toxic add -t latency p", &plain);
    check("t a p -t latency", &plain);
    check("toxic add p --type=latency --downstream", &plain);
    check("toxic add p --type=latency --upstream=false", &plain);
    check("toxic add -type latency -d=true p", &plain);
    check("toxic add -u -t latency p", &added("upstream", r#""attributes":{},"#));
    let full = r#""attributes":{"jitter":-5,"latency":100},"name":"x","#;
    let attributes = "-a latency=100.0 --attribute jitter=-5 --attribute=latency=1e2";
    check(
        &format!("toxic add -n x -t latency {attributes} --tox 0.25 p"),
        &added("downstream", full).replace(r#","type""#, r#","toxicity":0.25,"type""#),
    );
    let updated = |body: &str| format!("PATCH /proxies/p/toxics/x {body}");
    check("toxic update -n x p", &updated(r#"{"attributes":{}}"#));
    check("toxic u p -n x --ttl 30s", &updated(r#"{"attributes":{},"ttl":"30s"}"#));
    check("toxic u p -n x --ttl 0", &updated(r#"{"attributes":{},"ttl":0}"#));
    check("toxic u p -n x --tox 1", &updated(r#"{"attributes":{},"toxicity":1}"#));
    let values = "-a a=1.5 -a b=text -a c= -a d=x=y -a e=inf -a f=9223372036854775807";
    let body = r#"{"a":1.5,"b":"text","c":"","d":"x=y","e":"inf","f":9223372036854775807}"#;
    check(&format!("toxic u p -n x {values}"), &updated(&format!(r#"{{"attributes":{body}}}"#)));
}

#[test]
fn names_are_escaped_in_paths() {
    check("inspect a/b?c%", "GET /proxies/a%2Fb%3Fc%25");
    check("inspect ü", "GET /proxies/%C3%BC");
    check("inspect a-b_c.d~e", "GET /proxies/a-b_c.d~e");
    check("inspect -- --host", "GET /proxies/--host");
    check("inspect -", "GET /proxies/-");
}

#[test]
fn servers() {
    check("list --host h:1", "h:1 GET /proxies");
    check("--host http://h:1/ list", "h:1 GET /proxies");
    check("--host=HTTP://h list", "h:80 GET /proxies");
    check("list --host [::1]:8474", "[::1]:8474 GET /proxies");
    check("list --host [::1]", "[::1]:80 GET /proxies");
    check("list --host http://h:1/a/b/", "h:1/a/b GET /proxies");
    check("list TOXIPROXY_URL=http://e:2", "e:2 GET /proxies");
    check("list --host h:1 TOXIPROXY_URL=http://e:2", "h:1 GET /proxies");
    check("list TOXIPROXY_URL=", "GET /proxies");
    check("list --json", "GET /proxies json");
    check("--json toxic remove -n x p", "DELETE /proxies/p/toxics/x json");
    let only = "(only http is spoken: write http://HOST:PORT)";
    let error = format!(r#"--host: "https://h:1" has the scheme "https" {only}"#);
    check("list --host https://h:1", &error);
    check("list TOXIPROXY_URL=https://h:1", &error.replace("--host", "TOXIPROXY_URL"));
    check(
        "list --host h:x",
        &config::endpoint("h:x", false)
            .map_or_else(|why| format!("--host: {why}"), |_| String::new()),
    );
    let more = "(http://HOST:PORT, and nothing more)";
    check("list --host u:p@h:1", &format!(r#"--host: "u:p@h:1" {more}"#));
    check("list --host h:1/?a", &format!(r#"--host: "h:1/?a" {more}"#));
}

#[test]
fn the_two_names_of_the_program() {
    check("list -h", "help Some(List)");
    check("toxic add --help", "help Some(ToxicAdd)");
    check("help toxic add", "help Some(ToxicAdd)");
    check("list -V", "version Chaos");
    check_toxiproxy("-h h:1 list", "h:1 GET /proxies");
    check_toxiproxy("-h=h:1 list", "h:1 GET /proxies");
    check_toxiproxy("--host h:1 list", "h:1 GET /proxies");
    check_toxiproxy("--help", "help None");
    check_toxiproxy("help", "help None");
    check_toxiproxy("-v", "version Toxiproxy");
    check_toxiproxy("--version", "version Toxiproxy");
    check_toxiproxy("", "no command given (list, inspect, create, toggle, delete, toxic)");
    check_toxiproxy(
        "run",
        r#""run": unknown command (list, inspect, create, toggle, delete, toxic)"#,
    );
}

#[test]
fn what_is_wrong() {
    check("toxic", "no command given after toxic (add, update, remove)");
    let near = r#", did you mean "update"?"#;
    check("toxic updat", &format!(r#""updat": unknown command (add, update, remove{near})"#));
    check("list x", r#""x": unexpected (write list)"#);
    check("inspect", "the name of the proxy is missing (write inspect NAME)");
    check("inspect ''", "the name of the proxy is missing (write inspect NAME)");
    check("inspect a b", r#""b": unexpected (write inspect NAME)"#);
    let create = "(write create -l ADDR -u ADDR [--protocol WORD] NAME)";
    check("create p -l :1", &format!("--upstream ADDR is missing {create}"));
    check("create p -u :1 -l=", &format!("--listen ADDR is missing {create}"));
    check("create p -l -u h:1", "--listen: no value given (write --listen ADDR)");
    check("create p -l", "--listen: no value given (write --listen ADDR)");
    check("create p -l a -l b", "--listen: given twice (give it once)");
    check("toxic add p -t x -u -d", "--upstream and --downstream contradict each other (give one)");
    check("toxic add p -t x -u=yes", r#"--upstream: "yes" (it takes no value: write --upstream)"#);
    for share in ["1.1", "-0.1", "x", "NaN", ""] {
        let error = format!(r#"--toxicity: {share:?} (a share, 0..1)"#);
        check(&format!("toxic add p -t x --tox={share}"), &error);
    }
    for pair in ["latency", "=5"] {
        let error = format!(r#"--attribute: {pair:?} (KEY=VALUE, such as latency=100)"#);
        check(&format!("toxic add p -t x -a {pair}"), &error);
    }
    let options = "[--tox F] [--ttl SPAN] [-a KEY=VALUE]...";
    let add = format!("(write toxic add -t TYPE [-n TOXIC] {options} [-u | -d] NAME)");
    check("toxic add p", &format!("--type TYPE is missing {add}"));
    let update = "(write toxic update -n TOXIC [--tox F] [--ttl SPAN] [-a KEY=VALUE]... NAME)";
    check("toxic update p", &format!("--toxicName TOXIC is missing {update}"));
    check("toxic remove p", "--toxicName TOXIC is missing (write toxic remove -n TOXIC NAME)");
    let own = "--host, --json, --help, --version";
    check(
        "list --hots=h:1",
        &format!(r#""--hots": unknown option of list ({own}, did you mean "--host"?)"#),
    );
    check("list -l", &format!(r#""-l": unknown option of list ({own})"#));
    check_toxiproxy("-x list", r#""-x": unknown option before a command (--host, --json, --help)"#);
}

#[test]
fn what_is_not_utf8_is_one_line() {
    let bad = || OsString::from_vec(b"a\xff\n".to_vec());
    let error = parse(["inspect".into(), bad()].into_iter(), &|_| None, Style::Chaos);
    let expected = format!(r#"argument "a{}\n" is not UTF-8"#, '\u{fffd}');
    assert_eq!(error.expect_err("not UTF-8").to_string(), expected);
    let error = parse(["list".into()].into_iter(), &|_| Some(bad()), Style::Chaos);
    let error = error.expect_err("not UTF-8").to_string();
    assert!(error.starts_with("TOXIPROXY_URL: ") && !error.contains('\n'), "{error}");
}

#[test]
fn which_arguments_are_for_the_client() {
    let meant = |line: &str| {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        is_meant(&args)
    };
    for line in ["list", "t add", "--json ls", "--host h list", "--host=h", "help toxic", "-h c"] {
        assert!(meant(line), "{line}");
    }
    for line in ["run list", "./list", "--seed 1 list", "faults --json", "--help", "help", "-- l"] {
        assert!(!meant(line), "{line}");
    }
}
