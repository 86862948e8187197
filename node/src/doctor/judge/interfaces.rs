//! Interfaces that are missing, without a network, or in the way.

use crate::doctor::{
    finding::{Direction, Finding},
    observed::{Interface, Kind, Observed},
};

pub(super) fn judge(seen: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(none(seen));
    findings.extend(seen.lans().filter_map(own));
    findings.extend(only_ip6(seen));
    findings.extend(networks(seen));
    findings.extend(multicast_route(seen));
    findings.extend(default_route(seen));
    findings
}

/// There is nothing to be found on.
fn none(seen: &Observed) -> Option<Finding> {
    if seen.lans().any(|interface| interface.carrier != Some(false)) {
        return None;
    }
    let outside: Vec<&Interface> =
        seen.interfaces.iter().filter(|interface| interface.is_outside() && !interface.links.is_empty()).collect();
    let finding = Finding::apart("no-network", "this machine is on no local network");
    let unplugged =
        seen.interfaces.iter().find(|interface| interface.kind == Kind::Lan && interface.carrier == Some(false));
    Some(match (unplugged, outside.iter().find(|interface| interface.kind != Kind::Lan)) {
        (Some(interface), _) => finding
            .cause(format!("{} has no cable, is in no Wi-Fi, or is switched off", interface.name))
            .fix(format!("plug in the cable or join a Wi-Fi; `ip link set {} up` switches it on", interface.name))
            .on(&interface.name),
        (None, Some(other)) => finding
            .cause(format!("the only address is on {}, {}", other.name, other.kind.words()))
            .fix("connect to the network where the others are")
            .on(&other.name),
        (None, None) => finding
            .cause("no interface but the loopback interface has an IPv4 address")
            .fix("connect to a network, and check that it gives an address (DHCP); nodes of this machine meet without"),
    })
}

fn own(interface: &Interface) -> Option<Finding> {
    if interface.carrier == Some(false) || interface.multicast != Some(false) {
        return None;
    }
    let name = &interface.name;
    Some(
        Finding::apart("multicast-off", format!("{name} carries no multicasts, so nobody is found on it"))
            .cause(format!("multicast is switched off on {name}"))
            .fix(format!("`ip link set {name} multicast on`"))
            .on(name),
    )
}

fn only_ip6(seen: &Observed) -> Vec<Finding> {
    let only = |interface: &&Interface| interface.kind == Kind::Lan && interface.links.is_empty() && interface.ip6;
    let finding = |interface: &Interface| {
        Finding::warning("only-ipv6", format!("{} has only IPv6, on which nobody is found by itself", interface.name))
            .cause("discovery uses IPv4")
            .fix("have the network give IPv4 addresses, or use --connect with an IPv6 address")
            .on(&interface.name)
    };
    // Beside another network it does not matter, and link-local addresses are on every interface.
    let alone = seen.lans().next().is_none();
    seen.interfaces.iter().filter(only).filter(|_| alone).map(finding).collect()
}

/// Networks whose hosts are reached by another interface.
fn networks(seen: &Observed) -> Vec<Finding> {
    let wrong = seen.routes.networks.iter().filter(|(own, by)| by.as_ref() != Some(own));
    wrong
        .map(|(own, by)| match by {
            Some(by) => {
                let words = seen.interface(by).map_or("another interface", |other| other.kind.words());
                Finding::apart("lan-elsewhere", format!("packets to the network of {own} leave by {by}"))
                    .cause(format!("{by}, {words}, has a route for the same network, and it comes first: it swallows what is meant for {own}"))
                    .fix(format!("end what has made {by}, or have it leave the local network out (many VPNs call that \"allow LAN access\"); `ip route` shows the routes"))
                    .on(by)
                    .way(Direction::Out)
            }
            None => Finding::apart("lan-unreachable", format!("there is no way to the network of {own}"))
                .cause(format!("the route of {own}'s own network is missing or forbidden"))
                .fix(format!("switch {own} off and on again; if a VPN runs, have it allow the local network"))
                .on(own)
                .way(Direction::Out),
        })
        .collect()
}

/// Multicasts of whoever does not choose.
fn multicast_route(seen: &Observed) -> Option<Finding> {
    let lan = seen.lans().find(|interface| interface.carrier != Some(false))?;
    let Some(by) = &seen.routes.multicast else { return None };
    let other = seen.interface(by)?;
    if other.kind == Kind::Lan && (other.carrier != Some(false)) {
        return None;
    }
    let words = other.kind.words();
    let title = format!("multicasts leave by {by}, {words}, and not by {}", lan.name);
    let cause = format!("the route for multicasts, or the default route, leads to {by}, which swallows them");
    let fix = format!("`ip route add 224.0.0.0/4 dev {}`, or end what has made {by}", lan.name);
    // Only Linux lets the source address choose, which is what this program's discovery relies on.
    let finding = if cfg!(target_os = "linux") {
        let cause = format!("{cause}; this program names the interface and is not kept apart by it, others may be");
        Finding::warning("multicast-elsewhere", title).cause(cause)
    } else {
        Finding::apart("multicast-elsewhere", title).cause(cause)
    };
    Some(finding.fix(fix).on(by).way(Direction::Out))
}

/// A VPN is worth a word, and more than that if nobody is found.
fn default_route(seen: &Observed) -> Option<Finding> {
    let by = seen.routes.default.as_ref()?;
    let other = seen.interface(by)?;
    if other.kind == Kind::Lan || seen.routes.multicast.as_ref() == Some(by) {
        return None;
    }
    let title = format!("the way to the world is {by}, {}", other.kind.words());
    let finding = if seen.peers.is_empty() {
        Finding::warning("default-elsewhere", title)
            .cause(format!("some VPNs also keep packets from the local network, and nobody was found while {by} is up"))
            .fix(format!("try again without {by}, or have it allow the local network"))
    } else {
        Finding::ok("default-elsewhere", title)
    };
    Some(finding.on(by).way(Direction::Out))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_plain_lan_is_well() {
        assert_eq!(judge(&healthy()), []);
    }

    #[test]
    fn no_network() {
        let mut seen = healthy();
        seen.interfaces.retain(|interface| interface.kind == Kind::Loopback);
        let found = only(judge(&seen));
        assert_eq!((found.code, found.severity), ("no-network", Severity::Apart));
        assert!(found.cause.contains("no interface but the loopback"));

        let mut seen = healthy();
        seen.interfaces[1].carrier = Some(false);
        let found = only(judge(&seen));
        assert_eq!((found.code, found.interface.as_deref()), ("no-network", Some("eth0")));
        assert!(found.cause.contains("no cable"));

        let mut seen = healthy();
        seen.interfaces[1] = interface("docker0", Kind::Container, "172.17.0.1");
        let found = only(judge(&seen));
        assert_eq!((found.code, found.interface.as_deref()), ("no-network", Some("docker0")));
    }

    #[test]
    fn multicast_switched_off() {
        let mut seen = healthy();
        seen.interfaces[1].multicast = Some(false);
        let found = only(judge(&seen));
        assert_eq!((found.code, found.severity), ("multicast-off", Severity::Apart));
    }

    #[test]
    fn only_ipv6() {
        let mut seen = healthy();
        seen.interfaces[1].links.clear();
        seen.interfaces[1].ip6 = true;
        assert!(judge(&seen).iter().any(|found| found.code == "only-ipv6"));
    }

    #[test]
    fn a_tunnel_takes_the_lan() {
        let mut seen = healthy();
        seen.interfaces.push(interface("tun0", Kind::Vpn, "10.8.0.2"));
        seen.routes.networks = vec![("eth0".into(), Some("tun0".into()))];
        let found = only(judge(&seen));
        assert_eq!((found.code, found.severity), ("lan-elsewhere", Severity::Apart));
        assert_eq!((found.interface.as_deref(), found.direction), (Some("tun0"), Some(Direction::Out)));
        assert!(found.cause.contains("a VPN"), "{}", found.cause);
        seen.routes.networks = vec![("eth0".into(), None)];
        assert_eq!(only(judge(&seen)).code, "lan-unreachable");
    }

    #[test]
    fn multicasts_go_elsewhere() {
        let mut seen = healthy();
        seen.interfaces.push(interface("dummy0", Kind::Dummy, "10.99.0.1"));
        seen.routes.multicast = Some("dummy0".into());
        seen.routes.default = Some("dummy0".into());
        let found = only(judge(&seen));
        assert_eq!((found.code, found.interface.as_deref()), ("multicast-elsewhere", Some("dummy0")));
        assert_eq!(found.direction, Some(Direction::Out));
    }

    #[test]
    fn a_vpn_matters_if_nobody_is_found() {
        let mut seen = healthy();
        seen.interfaces.push(interface("wg0", Kind::Vpn, "10.99.0.1"));
        seen.routes.default = Some("wg0".into());
        assert_eq!(only(judge(&seen)).severity, Severity::Ok);
        seen.peers.clear();
        assert_eq!(only(judge(&seen)).severity, Severity::Warning);
    }
}
