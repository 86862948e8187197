//! Two who meet without being told of each other.

use std::collections::BTreeSet;

use distchat_tests::{
    Machine, PATIENCE,
    converge::{converged, reported},
    is, skip,
};

use crate::common::{pair, texts};

#[test]
fn two_hosts_of_a_lan_need_nothing_but_the_room() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let ann = lan.host(0).chat("ann").bare().room("general").start();
    let early = ann.say_and_wait("anybody here?");
    let bob = lan.host(1).chat("bob").bare().room("general").start();
    // What was said before bob was there reaches him, too.
    assert_eq!(bob.wait_text("anybody here?"), early);
    let answer = bob.say_and_wait("yes, me");
    assert_eq!(ann.wait_text("yes, me"), answer);
    assert_eq!((early.author, answer.author), (ann.author(), bob.author()));
    let history = converged(&[&ann, &bob], &reported([&ann, &bob]), PATIENCE);
    assert_eq!(texts(&history), ["anybody here?", "yes, me"]);
}

#[test]
fn two_terminals_of_a_laptop_without_a_network_meet() {
    let Some(laptop) = skip::loopback_or_skip() else {
        return;
    };
    let start = |name| laptop.host(0).chat(name).bare().options(["--name", name]).room("general").start();
    let (ann, bob) = (start("ann"), start("bob"));
    ann.say("hello");
    bob.wait_text("hello");
    bob.say("hello yourself");
    ann.wait_text("hello yourself");
    assert_ne!(ann.author(), bob.author());
    converged(&[&ann, &bob], &reported([&ann, &bob]), PATIENCE);
}

#[test]
fn a_host_comes_back_to_a_lan() {
    let Some(lan) = skip::lan_or_skip(2) else {
        return;
    };
    let (ann, mut bob) = (lan.host(0).chat("ann").start(), lan.host(1).chat("bob").start());
    ann.wait_peers(1);
    bob.kill9();
    ann.say_and_wait("are you still there?");
    bob.restart();
    bob.wait_text("are you still there?");
    bob.say("now I am");
    ann.wait_text("now I am");
}

#[test]
fn two_machines_meet_by_address() {
    // Two run directories and no mDNS: nothing but the address can bring them together.
    let (here, there) = (Machine::loopback(), Machine::loopback());
    let ann = here.chat("ann").start();
    let address = ann.ready("listen")[0].as_str().expect("it listens somewhere").to_owned();
    assert!(address.ends_with(&format!("/p2p/{}", ann.ready("peer_id").as_str().unwrap())), "{address}");

    let bob = there.chat("bob").options(["--connect", &address]).start();
    bob.say("by option");
    ann.wait_text("by option");

    let eve = Machine::loopback().chat("eve").start();
    eve.send(&format!("/connect {address}"));
    eve.say("by command");
    ann.wait_text("by command");
    // Ann passes on what eve says: the two have never heard of each other.
    bob.wait_text("by command");

    let peers = ann.ask("/peers", "peers");
    let authors: BTreeSet<_> =
        peers["peers"].as_array().unwrap().iter().filter_map(|peer| peer["author"].as_str()).collect();
    assert_eq!(authors, BTreeSet::from([bob.author().as_str(), eve.author().as_str()]));
}

#[test]
fn a_lost_peer_is_dialled_again() {
    let (here, there) = (Machine::loopback(), Machine::loopback());
    let mut ann = here.chat("ann").start();
    let address = ann.ready("listen")[0].as_str().expect("it listens somewhere").to_owned();
    let (port, _) = address.split_once("/p2p/").unwrap();
    let bob = there.chat("bob").options(["--connect", port]).start();
    bob.wait_peers(1);
    // The same port, and another peer id: that of a process is its own.
    let port = port.to_owned();
    ann.restart_as(|launch| launch.listen(&port));
    ann.say("I am back");
    bob.wait_text("I am back");
}

#[test]
fn saying_the_same_thing_twice_is_saying_it_twice() {
    let machine = Machine::loopback();
    let (ann, bob) = pair(&machine, &["general"]);
    for line in ["ok", "ok", "ok"] {
        ann.say(line);
        bob.say(line);
    }
    let mut heard = BTreeSet::new();
    bob.wait_for("six times ok", PATIENCE, |event| {
        if is(event, "message") && event["text"] == "ok" {
            heard.insert(event["id"].to_string());
        }
        heard.len() == 6
    });
    assert_eq!(converged(&[&ann, &bob], &reported([&ann, &bob]), PATIENCE).len(), 6);
}

#[test]
fn a_nick_is_shown_beside_what_is_said_under_it() {
    let machine = Machine::loopback();
    let ann = machine.chat("ann").nick("Ann of Green Gables").start();
    let bob = machine.chat("bob").start();
    ann.say_and_wait("one");
    ann.send("/nick Anne with an e");
    ann.say_and_wait("two");
    bob.wait_text("two");
    let history = converged(&[&ann, &bob], &reported([&ann]), PATIENCE);
    let nicks: Vec<_> = history.iter().map(|message| message.nick.as_str()).collect();
    assert_eq!(nicks, ["Ann of Green Gables", "Anne with an e"]);
}
