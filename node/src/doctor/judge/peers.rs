//! Who is there, whether one gets to them and they get here, and whether both speak the same.

use distchat_node::probe::{Met, Outcome, Refusal, Unmet, Via};

use crate::doctor::{
    finding::{Direction, Finding},
    observed::{Back, NoHelp, Observed, Peer},
};

/// The family of protocols, whatever its version.
const FAMILY: &str = "/distchat/";

pub(super) fn judge(seen: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &seen.undialable {
        findings.push(
            Finding::warning("address-unusable", format!("{address} cannot be dialled"))
                .cause("an address has an IP address and a TCP port, or a UDP port and quic-v1")
                .fix("give one such as /ip4/192.168.1.20/tcp/4001; the other machine shows its own with `distchat peers`"),
        );
    }
    findings.extend(seen.peers.iter().flat_map(|peer| one(peer, seen)));
    for via in [Via::Tcp, Via::Udp] {
        findings.extend(way_in(seen, via));
    }
    findings.extend(nobody(seen));
    findings
}

/// Whether somebody is of our kind, of any version.
fn is_ours(met: &Met) -> bool {
    met.speaks || met.family.starts_with(FAMILY) || !met.versions.is_empty()
}

fn one(peer: &Peer, seen: &Observed) -> Vec<Finding> {
    let finish = |finding: Finding| {
        let finding = if finding.peer.is_none() { finding.with(peer.ip) } else { finding };
        match (&finding.interface, &peer.here) {
            (None, Some(here)) => finding.on(here),
            _ => finding,
        }
    };
    let Some(met) = peer.met() else { return unreachable(peer).into_iter().map(finish).collect() };
    if !is_ours(met) {
        // What else is on the network is nobody's trouble, unless somebody wants to talk to it.
        let other = Finding::warning("other-program", format!("what answers at {} is another program", peer.ip))
            .cause(format!("it calls itself \"{}\" and does not speak {FAMILY}", met.agent))
            .fix("check the address and its port");
        return if peer.found_on.is_none() { vec![finish(other)] } else { Vec::new() };
    }
    if !met.speaks {
        return vec![finish(other_version(peer, met))];
    }
    let mut findings = Vec::new();
    findings.push(Finding::ok("peer", format!("{} is there and speaks the same ({})", peer.ip, met.agent)));
    findings.extend(closed_ports(peer));
    findings.extend(no_help(peer));
    findings.extend(not_found(peer, seen));
    findings.into_iter().map(finish).collect()
}

fn other_version(peer: &Peer, met: &Met) -> Finding {
    let versions = if met.versions.is_empty() { met.family.clone() } else { met.versions.join(", ") };
    Finding::apart("other-version", format!("{} speaks another version of the protocol", peer.ip))
        .cause(format!(
            "it runs \"{}\", which speaks version {versions}; this one, distchat/{}, speaks version {}",
            met.agent,
            env!("CARGO_PKG_VERSION"),
            own_version(),
        ))
        .fix("install the same version on both machines, the newer of the two")
}

/// What stands behind the last slash of the sync protocol's name.
fn own_version() -> &'static str {
    distchat_node::probe::SYNC_PROTOCOL.rsplit('/').next().unwrap_or_default()
}

/// The port of an address, with its protocol.
fn port(address: &distchat_node::Multiaddr) -> String {
    use libp2p::multiaddr::Protocol;
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(format!("TCP port {port}")),
        Protocol::Udp(port) => Some(format!("UDP port {port} (QUIC)")),
        _ => None,
    });
    port.unwrap_or_else(|| address.to_string())
}

/// Nobody was met at any address.
fn unreachable(peer: &Peer) -> Option<Finding> {
    let ports: Vec<String> = peer.dials.iter().map(|(address, _)| port(address)).collect();
    let (ip, ports) = (peer.ip, ports.join(", "));
    let failures: Vec<&Unmet> = peer.dials.iter().filter_map(|(_, met)| met.as_ref().err()).collect();
    // The most telling of them: an answer of any kind tells more than silence.
    let rank = |unmet: &&&Unmet| match unmet {
        Unmet::Other(_) => 0,
        Unmet::Mute => 1,
        Unmet::Refused => 2,
        Unmet::NoWay(_) => 3,
        Unmet::Failed(_) => 4,
        Unmet::Silence => 5,
    };
    let best = failures.iter().min_by_key(rank)?;
    let alive = peer.found_on.is_some();
    let finding = Finding::apart("peer-unreachable", format!("{ip} cannot be connected to")).way(Direction::Out);
    Some(match best {
        Unmet::Other(_) => Finding::warning("peer-other", format!("another node than the address says is at {ip}"))
            .cause("a node has another peer id after every start")
            .fix("leave out the end of the address, from /p2p/ on"),
        Unmet::Mute => Finding::warning("peer-mute", format!("what answers at {ip} does not say what it speaks"))
            .cause("it is another program, an old version, very busy, or it refuses this machine after too many faults")
            .fix("check the address, and start the program on that machine anew"),
        Unmet::Refused => finding
            .cause(format!("nothing listens at {ports} there, or its firewall refuses connections"))
            .fix("look at the port: a node has another one after every start, unless --listen gives it one; else allow it in \
                  the firewall of that machine"),
        Unmet::NoWay(why) => finding
            .cause(format!("the system knows no way there: \"{why}\"; the machine is off, in another network, or this one's \
                            firewall forbids it"))
            .fix("check the address, and that both machines are on one network"),
        Unmet::Silence if alive => finding
            .cause(format!("{ip} is there, and its firewall drops what comes in at {ports}"))
            .fix("allow these ports, or the program, in the firewall of that machine; with --listen /ip4/0.0.0.0/tcp/4001 the \
                  port stays the same. It is together with you as long as it can connect to this one"),
        Unmet::Silence => finding
            .cause(format!("nothing comes back from {ports}: the firewall of {ip} drops it, or there is no such machine"))
            .fix("check the address; allow the port in the firewall of that machine; run doctor there, too"),
        Unmet::Failed(why) => finding.cause(format!("the connection fails: \"{why}\"")).fix("run doctor on that machine, too"),
    })
}

/// Some of its addresses work.
fn closed_ports(peer: &Peer) -> Vec<Finding> {
    let closed = peer.dials.iter().filter_map(|(address, met)| {
        let why = match met {
            Err(Unmet::Refused) => "nothing listens there, or its firewall refuses what comes in".to_owned(),
            Err(unmet @ (Unmet::Silence | Unmet::NoWay(_) | Unmet::Failed(_))) => {
                format!("its firewall drops what comes in there ({unmet})")
            }
            Ok(_) | Err(Unmet::Other(_) | Unmet::Mute) => return None,
        };
        let title = format!("{} does not let this machine in at {}", peer.ip, port(address));
        let finding = Finding::warning("peer-port-closed", title)
            .cause(format!("{why}; another of its ports works"))
            .fix("allow that port in the firewall of that machine")
            .way(Direction::Out);
        Some(finding)
    });
    closed.collect()
}

fn no_help(peer: &Peer) -> Option<Finding> {
    let Some(Err(why)) = &peer.who else { return None };
    let title = format!("{} could not help to test multicast and this machine's ports", peer.ip);
    Some(match why {
        NoHelp::Unknown => Finding::ok("peer-no-help", title).cause("it is an older version that cannot"),
        NoHelp::Refused(Refusal::Often) => Finding::warning("peer-no-help", title)
            .cause("it helps a few times a minute only")
            .fix("run doctor again in a minute"),
        NoHelp::Refused(_) if peer.ip.is_ipv6() => {
            Finding::ok("peer-no-help", title).cause("it is reached by IPv6, and nodes are found by IPv4")
        }
        NoHelp::Refused(_) if !peer.on_link => other_network(peer),
        NoHelp::Refused(_) => Finding::warning("peer-no-help", title)
            .cause("it does not see this machine on a network of its own")
            .fix("check that the masks of both machines' addresses are the same (`ip address`)"),
        NoHelp::Lost(why) => Finding::warning("peer-no-help", title)
            .cause(format!("the connection did not last: {why}"))
            .fix("run doctor again"),
    })
}

fn other_network(peer: &Peer) -> Finding {
    Finding::warning("other-network", format!("{} is on another network, and is not found by itself", peer.ip))
        .cause("multicasts stay on one network: a router does not pass them on")
        .fix("keep using --connect, or put both machines on one network")
}

/// It was given by its address, and should have been found.
fn not_found(peer: &Peer, seen: &Observed) -> Option<Finding> {
    let exchange = peer.exchange.as_ref()?;
    let passes =
        exchange.heard_here.contains(&exchange.here) && exchange.there.heard.contains(&exchange.there.interface);
    if peer.found_on.is_some() || !peer.on_link || !passes || !seen.mdns {
        return None;
    }
    let off = matches!(&peer.who, Some(Ok(who)) if !who.mdns);
    let finding =
        Finding::warning("peer-not-found", format!("{} is not found by itself, though multicasts pass", peer.ip));
    Some(if off {
        finding.cause("it runs with --no-mdns").fix("leave that out there, or keep using --connect")
    } else {
        finding.cause("it did not answer in time").fix("run doctor again; if it stays so, start the program there anew")
    })
}

/// Whether others get in here, at one kind of port.
fn way_in(seen: &Observed, via: Via) -> Option<Finding> {
    let backs = |peer: &Peer| peer.backs.iter().find(|back| back.via == via).cloned();
    let tried: Vec<(&Peer, Back)> = seen.peers.iter().filter_map(|peer| Some((peer, backs(peer)?))).collect();
    let (name, code) = match via {
        Via::Tcp => ("TCP connections", "tcp-in-blocked"),
        Via::Udp => ("UDP packets (QUIC)", "udp-in-blocked"),
    };
    let (peer, back) = tried.iter().find(|(_, back)| !came(back)).or(tried.first())?;
    let port = back.port;
    if came(back) {
        let mut finding = Finding::ok("port-open", format!("{name} get in here, as to port {port}")).way(Direction::In);
        finding.interface = peer.here.clone();
        return Some(finding);
    }
    let some_come = tried.iter().any(|(_, back)| came(back));
    let how = match &back.outcome {
        Outcome::Closed if back.came.is_none() => "nobody listens there any more".to_owned(),
        Outcome::Closed => "they are refused before they reach the program".to_owned(),
        Outcome::Done | Outcome::Silence => "they are dropped without a word".to_owned(),
        Outcome::Failed(why) => format!("the other system says \"{why}\""),
    };
    let cause = if some_come {
        format!(
            "those of others get in: the firewall of {} drops what goes out, or this one's lets only some in; {how}",
            peer.ip
        )
    } else {
        format!("this machine's own firewall drops what comes in at port {port}: {how}")
    };
    let protocol = if via == Via::Tcp { "tcp" } else { "udp" };
    let mut finding = Finding::warning(code, format!("{name} of {} to port {port} do not get in", peer.ip))
        .cause(format!("{cause}. People are together as long as this machine can connect to them; two such machines are apart"))
        .fix(format!(
            "allow the program, or its port, for incoming {protocol}; without --listen it has another port after every start, so \
             give it one, such as --listen /ip4/0.0.0.0/tcp/4001, and allow that (ufw: `ufw allow 4001/{protocol}`)"
        ))
        .way(Direction::In)
        .with(peer.ip);
    finding.interface = peer.here.clone();
    Some(finding)
}

fn came(back: &Back) -> bool {
    back.came.unwrap_or(back.outcome == Outcome::Done)
}

fn nobody(seen: &Observed) -> Vec<Finding> {
    if seen.peers.iter().any(|peer| peer.met().is_none_or(is_ours)) {
        return Vec::new();
    }
    if seen.callers.is_empty() {
        let lans: Vec<&str> = seen.lans().map(|interface| interface.name.as_str()).collect();
        let title =
            format!("nobody was found on {}", if lans.is_empty() { "any network".into() } else { lans.join(", ") });
        let finding = Finding::warning("nobody-found", title)
            .cause(
                "nobody runs the program here, or something keeps you apart that this machine alone cannot see: the firewall of \
                 the other one, an access point that keeps its clients apart",
            )
            .fix(
                "start the program on the other machine and run `distchat doctor` there, too; or take an address that \
                 `distchat peers` shows there, and run `distchat doctor --connect ADDRESS` here",
            );
        return vec![match lans.as_slice() {
            [one] => finding.on(one),
            _ => finding,
        }];
    }
    let silent = |(ip, interface): &(std::net::IpAddr, String)| {
        Finding::apart("peer-deaf", format!("{ip} looks for others, and does not hear this machine"))
            .cause(format!(
                "its questions come in by {interface}, and it does not answer those of this machine: its firewall drops incoming \
                 UDP to port 5353, this machine's drops what goes out, or something between them does"
            ))
            .fix(
                "run `distchat doctor` on that machine, too; or take an address that `distchat peers` shows there, and run \
                 `distchat doctor --connect ADDRESS` here: then the two can find out which",
            )
            .on(interface)
            .way(Direction::Out)
            .with(ip)
    };
    seen.callers.iter().map(silent).collect()
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
