//! Whether multicasts get through, which way they do not, and who drops them.
//!
//! What a machine sees alone: a packet that it may not send, and one that it has sent and does not hear itself, for that one
//! goes through its own firewall, too. What a peer adds: whether it has heard, on which interface, and the same two things of
//! its own side.

use std::collections::BTreeSet;

use crate::doctor::{
    finding::{Direction, Finding},
    observed::{Ear, Exchange, Kind, Observed, Peer},
};

pub(super) fn judge(seen: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !seen.mdns {
        findings.push(
            Finding::warning("mdns-off", "this node neither looks for others nor is found")
                .cause("--no-mdns is in force")
                .fix("leave it out, or use --connect; `distchat config` shows where it comes from"),
        );
    }
    for ear in &seen.ears {
        // What containers and tunnels do with multicasts keeps nobody apart.
        let lan = seen.interface(&ear.interface).filter(|interface| interface.kind == Kind::Lan);
        if lan.is_some_and(|interface| interface.multicast != Some(false) && interface.carrier != Some(false)) {
            findings.extend(own(ear, heard_on(seen, &ear.interface)));
        }
    }
    for peer in &seen.peers {
        if let Some(exchange) = &peer.exchange {
            findings.extend(between(peer, exchange, seen));
        }
    }
    // Several peers may show the same.
    let mut known = BTreeSet::new();
    findings.retain(|finding| {
        let whose = if OWN.contains(&finding.code) { None } else { finding.peer.clone() };
        known.insert((finding.code, finding.interface.clone(), finding.direction, whose))
    });
    findings
}

/// What is about this machine, whoever shows it.
const OWN: [&str; 3] = ["multicast-in-blocked", "multicast-out-blocked", "multicast-deaf"];
/// Where the repairs of the other machine are to be made.
const THERE: &str = "on that machine";

/// Whether anybody's multicasts came in by this interface.
fn heard_on(seen: &Observed, interface: &str) -> bool {
    seen.ear(interface).is_some_and(|ear| ear.others)
        || seen
            .peers
            .iter()
            .filter_map(|peer| peer.exchange.as_ref())
            .any(|exchange| exchange.heard_here.iter().any(|on| on == interface))
}

/// What an interface shows by itself.
fn own(ear: &Ear, heard: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = &ear.interface;
    if let Some(why) = &ear.mute {
        findings.push(cannot_send(name, why));
    }
    if let Some(why) = &ear.deaf {
        findings.push(
            Finding::apart("multicast-deaf", format!("{name} cannot be listened on for mDNS"))
                .cause(format!("the system says \"{why}\"; another program may have UDP port 5353 for itself"))
                .fix("find that program with `ss -ulpn sport = :5353` and end it, or have it share the port")
                .on(name)
                .way(Direction::In),
        );
    } else if !ear.echo && !heard && ear.mute.is_none() {
        findings.push(cannot_hear(name));
    }
    findings
}

fn cannot_send(name: &str, why: &str) -> Finding {
    Finding::apart("multicast-out-blocked", format!("mDNS does not get out by {name}"))
        .cause(format!(
            "this machine's own firewall drops outgoing UDP to port 5353, or {name} leads nowhere: the system says \"{why}\""
        ))
        .fix(format!(
            "allow outgoing UDP to 224.0.0.251 port 5353 on {name} (ufw: `ufw allow out 5353/udp`; nftables: accept `udp dport \
             5353` in the output chain), then run doctor again"
        ))
        .on(name)
        .way(Direction::Out)
}

fn cannot_hear(name: &str) -> Finding {
    Finding::apart("multicast-in-blocked", format!("mDNS does not get in by {name}"))
        .cause(
            "this machine's own firewall drops incoming UDP to port 5353: even what it sends itself does not come back to it",
        )
        .fix(format!(
            "allow incoming UDP port 5353 on {name} (ufw: `ufw allow 5353/udp`; firewalld: `firewall-cmd --add-service=mdns`; \
             nftables: accept `udp dport 5353` in the input chain), then run doctor again"
        ))
        .on(name)
        .way(Direction::In)
}

/// What this machine and a peer show together.
fn between(peer: &Peer, exchange: &Exchange, seen: &Observed) -> Vec<Finding> {
    let (here, there, name) = (&exchange.here, &exchange.there, peer.ip);
    let mut findings = Vec::new();
    let arrives = |on: &[String], interface: &String| on.contains(interface);
    let (out, into) = (arrives(&there.heard, &there.interface), arrives(&exchange.heard_here, here));
    if out && into {
        let title = format!("multicasts pass between {here} and {name} both ways");
        return vec![Finding::ok("multicast-passes", title).on(here).with(name)];
    }
    if !out {
        findings.push(if let Some(why) = &exchange.mute_here {
            cannot_send(here, why)
        } else if let Some(on) = there.heard.first() {
            Finding::warning("multicast-crossed", format!("{name} hears this machine on {on}, not on {}", there.interface))
                .cause("that machine is on this network by two interfaces, or the network joins two that it is on")
                .fix(format!("use one of them {THERE}"))
                .on(here)
                .way(Direction::Out)
        } else if let Some(why) = &there.deaf {
            Finding::apart("multicast-peer-deaf", format!("{name} cannot listen for mDNS on {}", there.interface))
                .cause(format!("its system says \"{why}\"; another program may have UDP port 5353 for itself"))
                .fix(format!("find that program {THERE} with `ss -ulpn sport = :5353`"))
                .on(here)
                .way(Direction::Out)
        } else if there.mute.is_none() && !there.echo {
            Finding::apart("multicast-peer-in-blocked", format!("mDNS of this machine does not get in at {name}"))
                .cause(format!("the firewall of {name} drops incoming UDP to port 5353 on {}: it does not even hear itself", there.interface))
                .fix(format!("allow incoming UDP port 5353 {THERE} (ufw: `ufw allow 5353/udp`; firewalld: `firewall-cmd --add-service=mdns`)"))
                .on(here)
                .way(Direction::Out)
        } else {
            on_the_way(here, Direction::Out, format!("{name} does not hear the multicasts of this machine"))
        });
    }
    if !into {
        findings.push(if let Some(why) = &there.mute {
            Finding::apart("multicast-peer-out-blocked", format!("mDNS of {name} does not get out there"))
                .cause(format!(
                    "the firewall of {name} drops outgoing UDP to port 5353 on {}: its system says \"{why}\"",
                    there.interface
                ))
                .fix(format!("allow outgoing UDP to port 5353 {THERE}"))
                .on(here)
                .way(Direction::In)
        } else if let Some(on) = exchange.heard_here.first() {
            Finding::warning("multicast-crossed", format!("{name} is heard on {on}, not on {here}"))
                .cause("this machine is on that network by two interfaces, or the network joins two that it is on")
                .fix(format!("use one of {on} and {here}"))
                .on(on)
                .way(Direction::In)
        } else if exchange.mute_here.is_none() && !exchange.echo_here && !heard_on(seen, here) {
            cannot_hear(here)
        } else {
            on_the_way(here, Direction::In, format!("this machine does not hear the multicasts of {name}"))
        });
    }
    findings.into_iter().map(|finding| finding.with(name)).collect()
}

/// Both ends are well, as far as they can tell.
fn on_the_way(here: &str, direction: Direction, title: String) -> Finding {
    Finding::apart("multicast-lost", title)
        .cause(
            "both machines can send and hear themselves, so it is lost between them: an access point that keeps its clients \
             apart (\"client isolation\", a guest network), a switch that holds multicasts back (IGMP snooping without a \
             querier), or a firewall that lets only some addresses in",
        )
        .fix("switch that off, put both on one network that is not for guests, or use --connect: connections get through")
        .on(here)
        .way(direction)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::doctor::finding::{Severity, worst};

    fn with(change: impl Fn(&mut Exchange)) -> Observed {
        let mut seen = healthy();
        seen.ears[0].others = false;
        change(seen.peers[0].exchange.as_mut().unwrap());
        seen
    }

    fn check(seen: &Observed, code: &str, direction: Direction) -> Finding {
        let found = the(judge(seen), code);
        assert_eq!((found.interface.as_deref(), found.direction), (Some("eth0"), Some(direction)), "{found:?}");
        assert_eq!(found.severity, Severity::Apart);
        assert!(!found.cause.is_empty() && !found.fix.is_empty());
        found
    }

    #[test]
    fn a_healthy_lan_passes_multicasts() {
        let found = only(judge(&healthy()));
        assert_eq!((found.code, found.severity), ("multicast-passes", Severity::Ok));
    }

    #[test]
    fn own_firewall_out() {
        let mut seen = with(|exchange| {
            exchange.mute_here = Some("Operation not permitted".into());
            exchange.echo_here = false;
            exchange.there.heard.clear();
        });
        seen.ears[0].mute = Some("Operation not permitted".into());
        seen.ears[0].echo = false;
        let found = check(&seen, "multicast-out-blocked", Direction::Out);
        assert!(found.cause.contains("not permitted"));
        assert_eq!(judge(&seen).len(), 1, "told once, by whoever shows it");
        seen.peers.clear();
        check(&seen, "multicast-out-blocked", Direction::Out);
    }

    #[test]
    fn own_firewall_in() {
        let mut seen = with(|exchange| {
            exchange.echo_here = false;
            exchange.heard_here.clear();
        });
        seen.ears[0].echo = false;
        check(&seen, "multicast-in-blocked", Direction::In);
        assert_eq!(judge(&seen).len(), 1);
        seen.peers.clear();
        check(&seen, "multicast-in-blocked", Direction::In);
        // Whatever becomes of an echo, who hears others is not deaf.
        seen.ears[0].others = true;
        assert_eq!(judge(&seen), []);
    }

    #[test]
    fn the_peers_firewall() {
        let seen = with(|exchange| {
            exchange.there.heard.clear();
            exchange.there.echo = false;
        });
        let found = check(&seen, "multicast-peer-in-blocked", Direction::Out);
        assert!(found.cause.contains("wlan0") && found.cause.contains(PEER), "{}", found.cause);
        let seen = with(|exchange| {
            exchange.heard_here.clear();
            exchange.there.mute = Some("Operation not permitted".into());
            exchange.there.echo = false;
        });
        check(&seen, "multicast-peer-out-blocked", Direction::In);
        let seen = with(|exchange| {
            exchange.there.heard.clear();
            exchange.there.deaf = Some("Address in use".into());
        });
        check(&seen, "multicast-peer-deaf", Direction::Out);
    }

    #[test]
    fn lost_between() {
        check(&with(|exchange| exchange.there.heard.clear()), "multicast-lost", Direction::Out);
        check(&with(|exchange| exchange.heard_here.clear()), "multicast-lost", Direction::In);
        let both = with(|exchange| {
            exchange.there.heard.clear();
            exchange.heard_here.clear();
        });
        assert_eq!(judge(&both).len(), 2, "once for each direction");
    }

    #[test]
    fn heard_on_another_interface() {
        let seen = with(|exchange| exchange.heard_here = vec!["wlan1".into()]);
        let found = the(judge(&seen), "multicast-crossed");
        assert_eq!((found.interface.as_deref(), found.direction), (Some("wlan1"), Some(Direction::In)));
        let seen = with(|exchange| exchange.there.heard = vec!["eth9".into()]);
        assert_eq!(the(judge(&seen), "multicast-crossed").direction, Some(Direction::Out));
    }

    #[test]
    fn the_port_is_taken() {
        let mut seen = healthy();
        seen.ears[0].deaf = Some("Address already in use".into());
        check(&seen, "multicast-deaf", Direction::In);
    }

    #[test]
    fn what_containers_do_does_not_matter() {
        let mut seen = healthy();
        seen.interfaces[1].kind = Kind::Container;
        seen.ears[0] = Ear { mute: Some("no".into()), echo: false, others: false, ..seen.ears[0].clone() };
        seen.peers.clear();
        assert_eq!(judge(&seen), []);
    }

    #[test]
    fn mdns_switched_off() {
        let mut seen = healthy();
        seen.mdns = false;
        assert_eq!(worst(&judge(&seen)), Severity::Warning);
        the(judge(&seen), "mdns-off");
    }
}
