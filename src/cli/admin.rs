//! The admin API of a process: who may use it, where it listens, and how it comes and goes with
//! the routes.

use std::env;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::serve::Failure;
use crate::admin::{AdminOptions, Metrics, RequestIds, Token};
use crate::config::plan::Admin;
use crate::embed::Running;
use crate::shell::admin_server::AdminServer;
use crate::shell::dial::words;
use crate::shell::listener::Bound;
use crate::shell::resolve;

/// The variable that holds the token where no file does.
const TOKEN_VARIABLE: &str = "CHAOS_PROXY_ADMIN_TOKEN";

/// An API that is bound and does not answer yet.
pub(super) struct Ready {
    bound: Bound,
    allowed_hosts: Vec<String>,
    token: Option<Token>,
    draining: Arc<AtomicBool>,
    insecure: bool,
}

impl Ready {
    /// Binds the API. Refuses to open it beyond this machine without a token, unless `insecure`.
    pub(super) fn bind(admin: &Admin, insecure: bool) -> Result<Ready, Failure> {
        let token = token(admin)?;
        let addrs = resolve::blocking(&admin.listen).map_err(|error| {
            Failure::could_not_run(&format!("admin: {}: {}", admin.listen, words(&error)))
        })?;
        let exposed = token.is_none() && !addrs.iter().all(|addr| addr.ip().is_loopback());
        if exposed && !insecure {
            return Err(Failure::usage(&format!(
                "admin: {} is beyond this machine and there is no token (give admin.tokenFile, \
                 {TOKEN_VARIABLE}, a loopback address, or --insecure-admin)",
                admin.listen
            )));
        }
        let bound = Bound::bind_to(&addrs).map_err(|(addr, error)| {
            let hint = crate::shell::listener::hint(&error);
            Failure::could_not_run(&format!("admin: {addr}: {}; {hint}", words(&error)))
        })?;
        // Whoever asks by another name is a page in a browser, unless the port is open to all.
        let mut allowed_hosts = admin.allowed_hosts.clone();
        allowed_hosts.extend((exposed && insecure).then(|| "*".to_owned()));
        let draining = Arc::default();
        Ok(Ready { bound, allowed_hosts, token, draining, insecure: exposed })
    }

    /// Says not ready from when this is set.
    pub(super) fn draining(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.draining)
    }

    /// Begins to answer for the routes of `running`.
    pub(super) fn open(self, running: &Running, metrics: Metrics) -> Result<AdminServer, Failure> {
        let options = AdminOptions {
            allowed_hosts: self.allowed_hosts,
            token: self.token,
            draining: self.draining,
            ids: RequestIds::new(running.seed()),
            metrics,
        };
        let server = running.open_admin(self.bound, options, self.insecure);
        server.map_err(|error| Failure::could_not_run(&error))
    }
}

/// The token from the file, or else from the environment.
fn token(admin: &Admin) -> Result<Option<Token>, Failure> {
    let (place, text) = match &admin.token_file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Failure::usage(&format!("admin.tokenFile: {path:?}: {}", words(&error)))
            })?;
            (format!("admin.tokenFile: {path:?}"), text)
        }
        None => match env::var(TOKEN_VARIABLE) {
            Ok(text) if !text.is_empty() => (TOKEN_VARIABLE.to_owned(), text),
            _ => return Ok(None),
        },
    };
    match Token::new(&text) {
        Some(token) => Ok(Some(token)),
        None => Err(Failure::usage(&format!("{place}: an empty token (write one into it)"))),
    }
}
