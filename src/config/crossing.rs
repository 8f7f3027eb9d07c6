//! Checks among routes: names, addresses that collide, routes that lead to themselves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::plan::{Endpoint, Host};
use super::route::{Draft, Located};
use super::value::Found;

/// Notes what is wrong with routes that are right by themselves.
pub(super) fn check(drafts: &[Draft], found: &mut Found) {
    check_addresses(drafts, found);
    check_names(drafts, found);
    drafts.iter().for_each(|draft| check_loop(draft, found));
}

fn check_names(drafts: &[Draft], found: &mut Found) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some((name, default)) = &draft.name else { continue };
        let Some(earlier) = first.get(name.value.as_str()).map(|index| &drafts[*index]) else {
            first.insert(&name.value, index);
            continue;
        };
        let earlier_default = earlier.name.as_ref().is_some_and(|(_, default)| *default);
        if *default && earlier_default && collide(draft, earlier) {
            continue; // said already, and moving one of them changes its name
        }
        let way_out = if *default { "give it a \"name\"" } else { "unique names" };
        let Located { path, pos, value } = name;
        found.note(
            path,
            *pos,
            format!("{value:?} is the name of {} too ({way_out})", earlier.label),
        );
    }
}

fn check_addresses(drafts: &[Draft], found: &mut Found) {
    for (index, draft) in drafts.iter().enumerate() {
        let earlier = drafts[..index].iter().find(|earlier| collide(draft, earlier));
        let (Some(listen), Some(earlier)) = (&draft.listen, earlier) else { continue };
        let Some(other) = &earlier.listen else { continue };
        let how = match same(&listen.value, &other.value) {
            true => "is the address of".to_owned(),
            false => format!("overlaps {} of", other.value),
        };
        let message = format!(
            "{} of {} {how} {} too (another address or port)",
            listen.value,
            called(draft),
            called(earlier)
        );
        found.note(&listen.path, listen.pos, message);
    }
}

/// `routes[1] "db"`.
fn called(draft: &Draft) -> String {
    match &draft.name {
        Some((name, _)) => format!("{} {:?}", draft.label, name.value),
        None => draft.label.clone(),
    }
}

fn collide(left: &Draft, right: &Draft) -> bool {
    match (&left.listen, &right.listen) {
        (Some(left), Some(right)) => {
            let (left, right) = (&left.value, &right.value);
            left.port == right.port
                && left.port != 0
                && (same(left, right) || covers(left, right) || covers(right, left))
        }
        _ => false,
    }
}

fn same(left: &Endpoint, right: &Endpoint) -> bool {
    left.port == right.port && canonical(&left.host) == canonical(&right.host)
}

/// True when `wildcard` is one, and takes the address of `other` as well.
fn covers(wildcard: &Endpoint, other: &Endpoint) -> bool {
    match (canonical(&wildcard.host), canonical(&other.host)) {
        (Host::Ip(IpAddr::V6(ip)), _) => ip.is_unspecified(), // of both families
        (Host::Ip(IpAddr::V4(ip)), Host::Ip(IpAddr::V4(_))) => ip.is_unspecified(),
        (Host::Ip(IpAddr::V4(_)) | Host::Name(_), _) => false,
    }
}

/// A connection to a wildcard address is one to the loopback address.
fn as_target(host: &Host) -> Host {
    match canonical(host) {
        Host::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => Host::Ip(Ipv4Addr::LOCALHOST.into()),
        Host::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => Host::Ip(Ipv6Addr::LOCALHOST.into()),
        host => host,
    }
}

fn canonical(host: &Host) -> Host {
    match host {
        Host::Ip(ip) => Host::Ip(ip.to_canonical()),
        Host::Name(name) if name == "localhost" || name == "localhost." => {
            Host::Ip(Ipv4Addr::LOCALHOST.into())
        }
        Host::Name(name) => Host::Name(name.clone()),
    }
}

fn check_loop(draft: &Draft, found: &mut Found) {
    let (Some(listen), Some(upstream)) = (&draft.listen, &draft.upstream) else { return };
    let target = Endpoint { host: as_target(&upstream.value.host), port: upstream.value.port };
    let loopback = matches!(target.host, Host::Ip(ip) if ip.is_loopback());
    let by_wildcard =
        loopback && target.port == listen.value.port && covers(&listen.value, &target);
    if same(&listen.value, &target) || by_wildcard {
        let Located { path, pos, value } = upstream;
        let message = format!("{value} is the route's own address (another address or port)");
        found.note(path, *pos, message);
    }
}
