//! What the command line does in the world: read a configuration, serve, wait for signals.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::signals::Signals;
use super::toxiproxy_server::{self, ServerAsked};
use super::{
    Command, Overrides, RunOptions, Source, UsageError, admin, client, demo, explain, health,
    replay,
};
use crate::admin::Metrics;
use crate::config::plan::{Admin, Plan, Shutdown};
use crate::config::{self, SIZE_MAX};
use crate::embed::Running;
use crate::journal::Journal;
use crate::problem::Problems;
use crate::shell::dial::words;
use crate::shell::event_log::{EventLog, Recording};
use crate::shell::logger;
use crate::units::Span;

/// Done, or stopped as asked.
const FINE: u8 = 0;

/// Could not run: a listener that cannot be bound, a signal handler that cannot be set.
const COULD_NOT_RUN: u8 = 1;

/// A command line or a configuration that is not valid.
const NOT_VALID: u8 = 2;

/// Why the process ends with another code than 0: the lines for stderr, and the code.
pub struct Failure {
    lines: Vec<String>,
    code: u8,
}

/// Carries a command out. What fails has been told on stderr.
pub fn execute(command: Command) -> u8 {
    let result = match command {
        Command::Run(options) => run(&options),
        Command::Check(options) => check(&options),
        Command::Explain(options, asked) => explain::run(&options, &asked),
        Command::Faults { json: true } => print(&super::faults_json()),
        Command::Faults { json: false } => print(&super::faults_text()),
        Command::Presets { json: true } => print(&super::presets_json()),
        Command::Presets { json: false } => print(&super::presets_text()),
        Command::Demo(overrides) => demo::run(&overrides),
        Command::Health(asked) => health::run(&asked),
        Command::Replay(asked) => replay::run(&asked),
        Command::Client(asked) => client::run(&asked),
        Command::ToxiproxyServer(asked) => toxiproxy_server(asked),
        Command::Help(verb) => print(&super::help(verb)),
        Command::Version => print(&super::version()),
    };
    match result {
        Ok(()) => FINE,
        Err(failure) => failure.tell(),
    }
}

impl Failure {
    /// The command line is not valid.
    pub fn usage(error: &impl Display) -> Failure {
        Failure { lines: vec![format!("chaos-proxy: {error}")], code: NOT_VALID }
    }

    /// It was valid, and could not be done.
    pub fn could_not_run(error: &impl Display) -> Failure {
        Failure { lines: vec![format!("chaos-proxy: {error}")], code: COULD_NOT_RUN }
    }

    /// The same for a program.
    pub(super) fn could_not_run_json(error: String) -> Failure {
        Failure { lines: vec![error], code: COULD_NOT_RUN }
    }

    /// The command line cannot be understood; told as it asks for.
    pub fn misuse(error: &UsageError) -> Failure {
        match error {
            UsageError::Client(misuse, true) => {
                let lines = vec![client::error_json(&misuse.to_string(), None)];
                Failure { lines, code: NOT_VALID }
            }
            _ => Failure::usage(error),
        }
    }

    fn not_valid(problems: &Problems, source: &str) -> Failure {
        Failure { lines: problems.lines(source), code: NOT_VALID }
    }

    /// What was found is not fine, and stdout has told it.
    pub(super) fn told() -> Failure {
        Failure { lines: Vec::new(), code: COULD_NOT_RUN }
    }

    /// Writes its lines; a closed stderr is fine.
    pub fn tell(&self) -> u8 {
        if self.lines.is_empty() {
            return self.code;
        }
        let _ = writeln!(io::stderr(), "{}", self.lines.join("\n"));
        self.code
    }
}

/// Writes to stdout; a reader that has seen enough is fine.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::could_not_run(&format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn run(options: &RunOptions) -> Result<(), Failure> {
    let signals = Signals::listen().map_err(|error| Failure::could_not_run(&error))?;
    let plan = read_plan(options)?;
    serve(plan, &options.overrides, &signals)
}

fn check(options: &RunOptions) -> Result<(), Failure> {
    let plan = read_plan(options)?;
    let json = serde_json::to_string_pretty(&plan);
    for (index, route) in plan.routes.iter().enumerate() {
        if let Some(shares) = explain::shares(route) {
            let place = format!("routes[{index}] {:?}", route.name);
            let _ = writeln!(io::stderr(), "chaos-proxy: {place}: {shares}"); // may be closed
        }
        for (number, spec) in route.faults.iter().enumerate() {
            let name = &spec.name;
            let place = format!("routes[{index}].faults[{number}] {name:?}");
            if let Some(remark) = spec.remark() {
                let _ = writeln!(io::stderr(), "chaos-proxy: {place}: {remark}"); // may be closed
            }
        }
    }
    print(&format!("{}\n", json.map_err(|error| Failure::could_not_run(&error))?))
}

pub(super) fn read_plan(options: &RunOptions) -> Result<Plan, Failure> {
    let bind = options.overrides.bind;
    let (name, read) = match &options.source {
        Source::File(path) => {
            let name = path.display().to_string();
            let text = read_file(path).map_err(|error| cannot_read(&name, &error))?;
            (name, config::read_for(&text, bind))
        }
        Source::Stdin => {
            let text = bounded_read(io::stdin()).map_err(|error| cannot_read("stdin", &error))?;
            ("stdin".to_owned(), config::read_for(&text, bind))
        }
        Source::Inline { routes, latency_ms, drop_rate, timeout_ms } => {
            let flags = config::Inline {
                routes: &routes.iter().map(String::as_str).collect::<Vec<_>>(),
                latency_ms: latency_ms.as_deref(),
                drop_rate: drop_rate.as_deref(),
                timeout_ms: timeout_ms.as_deref(),
                bind,
            };
            ("command line".to_owned(), config::plan_for_routes(&flags))
        }
    };
    let mut plan = read.map_err(|problems| Failure::not_valid(&problems, &name))?;
    apply(&options.overrides, &mut plan);
    Ok(plan)
}

/// Puts what the command line says over what the configuration says.
pub(super) fn apply(overrides: &Overrides, plan: &mut Plan) {
    plan.seed = overrides.seed.or(plan.seed);
    plan.log.level = overrides.log_level.unwrap_or(plan.log.level);
    plan.log.format = overrides.log_format.unwrap_or(plan.log.format);
    plan.shutdown.grace = overrides.grace.unwrap_or(plan.shutdown.grace);
    if let Some(listen) = &overrides.admin {
        match &mut plan.admin {
            Some(admin) => admin.listen = listen.clone(),
            None => plan.admin = Some(Admin::at(listen.clone())),
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    bounded_read(File::open(path)?)
}

/// All of it, or one byte more than a configuration may have, which is then refused as too large.
fn bounded_read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(SIZE_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn cannot_read(name: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("no such file (give the path of a configuration{})", super::command_hint(name))
        }
        io::ErrorKind::IsADirectory => "a directory (name a file in it)".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it (change its mode)".to_owned(),
        _ => words(error),
    };
    Failure {
        lines: vec![format!("chaos-proxy: {}: {reason}", name.escape_debug())],
        code: NOT_VALID,
    }
}

fn open_events(path: &Path) -> Result<EventLog, Failure> {
    EventLog::open(path).map_err(|error| {
        let name = path.display().to_string();
        Failure::usage(&format!(
            "--event-log: {}: {} (name a file that can be written)",
            name.escape_debug(),
            words(&error)
        ))
    })
}

/// Serves until the signals say otherwise.
pub(super) fn serve(plan: Plan, overrides: &Overrides, signals: &Signals) -> Result<(), Failure> {
    let shutdown = plan.shutdown;
    let events = overrides.event_log.as_deref().map(open_events).transpose()?;
    let admin = match &plan.admin {
        Some(admin) => Some(admin::Ready::bind(admin, overrides.insecure_admin)?),
        None => None,
    };
    let draining = admin.as_ref().map(admin::Ready::draining).unwrap_or_default();
    // Nobody could repeat a run whose seed was chosen and not told.
    let (sink, log) = logger::start(plan.log, plan.seed.is_none());
    let journal = Arc::new(Journal::new(sink, logger::stamp));
    let recording = events.map(|events| events.record(&journal)).transpose();
    let recording = recording.map_err(|error| Failure::could_not_run(&error))?;
    signals.hold();
    let running =
        Running::start_told(plan, &journal).map_err(|error| Failure::could_not_run(&error))?;
    let server = match admin {
        Some(ready) => Some(ready.open(&running, Metrics::ALL)?),
        None => None,
    };
    signals.serve(running, shutdown, &draining, server);
    recording.into_iter().for_each(Recording::finish);
    drop(journal); // and with it what it logs with
    log.finish();
    Ok(())
}

/// Serves Toxiproxy's API, with the proxies of its file to begin with.
fn toxiproxy_server(asked: ServerAsked) -> Result<(), Failure> {
    let options = match asked {
        ServerAsked::Serve(options) => options,
        ServerAsked::Version => return print(&toxiproxy_server::version()),
        ServerAsked::Help => return print(&toxiproxy_server::usage("toxiproxy-server")),
    };
    let signals = Signals::listen().map_err(|error| Failure::could_not_run(&error))?;
    let plan = options.plan().map_err(|error| Failure::usage(&error))?;
    let proxies = match &options.config {
        None => Vec::new(),
        Some(path) => {
            read_file(path).map_err(|error| cannot_read(&path.display().to_string(), &error))?
        }
    };
    let ready = match &plan.admin {
        Some(admin) => admin::Ready::bind(admin, true)?,
        None => unreachable!("the server of an API has one"),
    };
    let draining = ready.draining();
    let (sink, log) = logger::start(plan.log, plan.seed.is_none());
    signals.hold();
    let running =
        Running::start_with(plan, sink).map_err(|error| Failure::could_not_run(&error))?;
    if options.config.is_some() {
        running.populate(&proxies).map_err(|error| Failure::usage(&error))?;
    }
    let server = ready.open(&running, options.metrics)?;
    // Toxiproxy does not wait for connections in flight, and nobody who replaces it expects that.
    let at_once = Shutdown { grace: Span::ZERO, delay: Span::ZERO };
    signals.serve(running, at_once, &draining, Some(server));
    log.finish();
    Ok(())
}
