//! The calls of Toxiproxy 2.12: what each does to the routes, and what it says.

use std::slice;

use super::json::{self, Json};
use super::print;
use super::wire::{self, Failure, Spot, ToxicEdit};
use super::{Call, error};
use crate::config::{FAULTS_MAX, ROUTES_MAX};
use crate::control::routes::{RouteEdit, RouteView, Routes};
use crate::fault::{Spec, too_much};
use crate::http::{Reply, Request};

/// Does what is asked for; the answer.
pub(super) fn perform(call: Call<'_>, request: &Request, routes: &dyn Routes) -> Reply {
    let body = &request.body;
    let done = match call {
        Call::ListProxies => Ok(list_proxies(routes)),
        Call::CreateProxy => create_proxy(body, routes),
        Call::Populate => return populate(body, routes),
        Call::ShowProxy(proxy) => get(proxy, routes).map(|route| proxy_reply(200, &route)),
        Call::EditProxy(proxy) => edit_proxy(proxy, body, routes),
        Call::DeleteProxy(proxy) => {
            routes.delete(proxy).map(|()| Reply::new(204)).map_err(Failure::Refused)
        }
        Call::ListToxics(proxy) => list_toxics(proxy, routes),
        Call::AddToxic(proxy) => add_toxic(proxy, body, routes),
        Call::ShowToxic(proxy, toxic) => show_toxic(proxy, toxic, routes),
        Call::EditToxic(proxy, toxic) => edit_toxic(proxy, toxic, body, routes),
        Call::DeleteToxic(proxy, toxic) => delete_toxic(proxy, toxic, routes),
        Call::Reset => routes.reset().map(|()| Reply::new(204)).map_err(Failure::Reset),
        Call::Version => Ok(version()),
    };
    done.unwrap_or_else(|failure| error(failure.status(), &failure.to_string()))
}

/// What clients take for a version that knows PATCH and all eight toxics; with a blank, and with
/// an end of line.
fn version() -> Reply {
    let reply = Reply::new(200).with("Content-Type", "application/json;charset=utf-8");
    reply.with_body("{\"version\": \"2.12.0\"}\n")
}

fn json_reply(status: u16, body: String) -> Reply {
    Reply::new(status).with("Content-Type", "application/json").with_body(body)
}

fn proxy_reply(status: u16, route: &RouteView) -> Reply {
    let mut body = String::new();
    print::print_proxy(route, &mut body);
    json_reply(status, body)
}

fn toxic_reply(spec: &Spec) -> Reply {
    let mut body = String::new();
    print::print_toxic(spec, &mut body);
    json_reply(200, body)
}

fn parse(body: &[u8]) -> Result<Json, Failure> {
    json::first_value(body).map_err(Failure::BadBody)
}

fn get(proxy: &str, routes: &dyn Routes) -> Result<RouteView, Failure> {
    routes.get(proxy).ok_or(Failure::NO_PROXY)
}

fn list_proxies(routes: &dyn Routes) -> Reply {
    let mut body = String::new();
    print::print_object(&routes.all(), &mut body);
    json_reply(200, body)
}

/// The names of all proxies.
fn names(routes: &dyn Routes) -> Vec<String> {
    routes.all().into_iter().map(|route| route.name).collect()
}

/// Refuses one more proxy than there may be; else the name is taken note of.
fn check_room(name: &str, names: &mut Vec<String>) -> Result<(), Failure> {
    if names.len() >= ROUTES_MAX && !names.iter().any(|other| other == name) {
        return Err(Failure::TooMany("proxies", ROUTES_MAX));
    }
    names.push(name.to_owned());
    Ok(())
}

fn create_proxy(body: &[u8], routes: &dyn Routes) -> Result<Reply, Failure> {
    let json = parse(body)?;
    let spot = Spot::default();
    let proxy = wire::proxy(&json, &spot)?;
    proxy.check_required(&spot)?;
    let wanted = proxy.wanted(&spot)?;
    check_room(&wanted.name, &mut names(routes))?;
    let route = routes.create(wanted).map_err(Failure::Refused)?;
    Ok(proxy_reply(201, &route))
}

/// What `/populate` answers to this body: makes the proxies so; one that fails ends it, and those
/// before it stay.
fn populate(body: &[u8], routes: &dyn Routes) -> Reply {
    let (mut done, mut names) = (Vec::new(), names(routes));
    let failure = wanted_proxies(body).and_then(|all| {
        for wanted in all {
            check_room(&wanted.name, &mut names)?;
            done.push(routes.ensure(wanted).map_err(Failure::Refused)?);
        }
        Ok(())
    });
    match failure {
        Ok(()) => populated(Ok(()), &done),
        Err(failure) => populated(Err((failure.status(), &failure.to_string())), &done),
    }
}

/// The answer of `/populate`: the proxies that are there, and why it went no further.
pub(super) fn populated(outcome: Result<(), (u16, &str)>, done: &[RouteView]) -> Reply {
    let mut body = String::from("{");
    let status = match outcome {
        Ok(()) => 201,
        Err((status, text)) => {
            body.push_str("\"error\":");
            print::print_text(text, &mut body);
            body.push_str(&format!(",\"status\":{status},"));
            status
        }
    };
    body.push_str("\"proxies\":");
    print::print_list(done, print::print_proxy, &mut body);
    body.push('}');
    json_reply(status, body)
}

/// The same for the file of proxies to begin with: what it says holds, so no toxic in it has a ttl.
pub fn populate_file(body: &[u8], routes: &dyn Routes) -> Reply {
    for route in wanted_proxies(body).unwrap_or_default() {
        if let Some(spec) = route.faults.iter().find(|spec| spec.ttl.is_some()) {
            let why = "a fault of a configuration stays (leave the ttl out)";
            return error(400, &format!("proxy {:?}: toxic {:?}: {why}", route.name, spec.name));
        }
    }
    populate(body, routes)
}

/// All that is asked for, looked at before anything is done.
fn wanted_proxies(body: &[u8]) -> Result<Vec<RouteView>, Failure> {
    let json = parse(body)?;
    let list = json.list().map_err(Failure::BadBody)?;
    if list.len() > ROUTES_MAX {
        return Err(Failure::TooMany("proxies", ROUTES_MAX));
    }
    let spots: Vec<Spot> = (0..list.len()).map(Spot::of_proxy).collect();
    let read = list.iter().zip(&spots).map(|(json, spot)| wire::proxy(json, spot));
    let proxies = read.collect::<Result<Vec<_>, Failure>>()?;
    let all = || proxies.iter().zip(&spots);
    all().try_for_each(|(proxy, spot)| proxy.check_required(spot))?;
    all().map(|(proxy, spot)| proxy.wanted(spot)).collect()
}

fn edit_proxy(name: &str, body: &[u8], routes: &dyn Routes) -> Result<Reply, Failure> {
    get(name, routes)?; // looked up before the body is read
    let json = parse(body)?;
    let proxy = wire::proxy(&json, &Spot::default())?;
    let text = |text: Option<&str>| text.map(str::to_owned);
    let edit = RouteEdit {
        listen: text(proxy.listen),
        upstream: text(proxy.upstream),
        protocol: proxy.protocol,
        enabled: proxy.enabled,
    };
    let route = routes.edit(name, edit).map_err(Failure::Refused)?;
    Ok(proxy_reply(200, &route))
}

fn list_toxics(proxy: &str, routes: &dyn Routes) -> Result<Reply, Failure> {
    let route = get(proxy, routes)?;
    let mut body = String::new();
    print::print_toxics(&route.faults, &mut body);
    Ok(json_reply(200, body))
}

fn show_toxic(proxy: &str, toxic: &str, routes: &dyn Routes) -> Result<Reply, Failure> {
    let route = get(proxy, routes)?;
    let place = position(&route.faults, toxic)?;
    Ok(toxic_reply(&route.faults[place]))
}

fn position(faults: &[Spec], toxic: &str) -> Result<usize, Failure> {
    faults.iter().position(|spec| spec.name == toxic).ok_or(Failure::NoToxic)
}

/// Changes the faults of a proxy under the lock of the routes; what `decide` tells of it.
fn change<T>(
    proxy: &str,
    routes: &dyn Routes,
    mut decide: impl FnMut(&[Spec]) -> Result<(Vec<Spec>, T), Failure>,
) -> Result<T, Failure> {
    let mut outcome = Err(Failure::NO_PROXY);
    let mut edit = |faults: &[Spec]| {
        let (faults, told) = match decide(faults) {
            Ok((faults, told)) => (Some(faults), Ok(told)),
            Err(failure) => (None, Err(failure)),
        };
        outcome = told;
        faults
    };
    routes.edit_faults(proxy, &mut edit).map_err(Failure::Refused)?;
    outcome
}

fn add_toxic(proxy: &str, body: &[u8], routes: &dyn Routes) -> Result<Reply, Failure> {
    let json = parse(body);
    let protocol = get(proxy, routes)?.protocol;
    let spec = change(proxy, routes, |faults| {
        let json = json.as_ref().map_err(Failure::clone)?;
        let spec = wire::toxic(json, &Spot::default(), protocol, faults)?;
        if faults.len() >= FAULTS_MAX {
            return Err(Failure::TooMany("toxics", FAULTS_MAX));
        }
        Ok(([faults, slice::from_ref(&spec)].concat(), spec))
    })?;
    Ok(toxic_reply(&spec))
}

fn edit_toxic(
    proxy: &str,
    toxic: &str,
    body: &[u8],
    routes: &dyn Routes,
) -> Result<Reply, Failure> {
    let json = parse(body);
    let protocol = get(proxy, routes)?.protocol;
    let spec = change(proxy, routes, |faults| {
        let place = position(faults, toxic)?;
        let json = json.as_ref().map_err(Failure::clone)?;
        let edit = ToxicEdit::read(json, &Spot::default())?;
        let mut faults = faults.to_vec();
        edit.apply(&mut faults[place], protocol, &Spot::default())?;
        let spec = faults[place].clone();
        let group = |other: &&Spec| other.among.one_of == spec.among.one_of;
        if spec.among.one_of.is_some()
            && let Some(sum) = too_much(faults.iter().filter(group))
        {
            let reason = format!("toxicity: those of its group would add up to {sum} (at most 1)");
            return Err(Failure::BadBody(reason));
        }
        Ok((faults, spec))
    })?;
    Ok(toxic_reply(&spec))
}

fn delete_toxic(proxy: &str, toxic: &str, routes: &dyn Routes) -> Result<Reply, Failure> {
    change(proxy, routes, |faults| {
        let place = position(faults, toxic)?;
        let mut faults = faults.to_vec();
        faults.remove(place);
        Ok((faults, ()))
    })?;
    Ok(Reply::new(204))
}
