//! `distchat doctor` names what keeps people apart: its cause, the interface and the direction.

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, sync::mpsc::SyncSender,
    thread,
};

use distchat_tests::{Chat, Lan, Launch, Machine, skip};
use futures::StreamExt;
use libp2p::{SwarmBuilder, identify, noise, swarm::SwarmEvent, tcp, yamux};
use serde_json::Value;
use tokio::sync::oneshot;

/// All is well.
const WELL: i32 = 0;
const WARNINGS: i32 = 10;
const APART: i32 = 11;

/// What the doctor has found.
#[derive(Debug)]
struct Diagnosis {
    code: i32,
    findings: Vec<Value>,
}

impl Diagnosis {
    fn of(launch: Launch) -> Self {
        let finished = launch.options(["doctor"]).run(b"");
        let findings: Vec<Value> = finished.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!findings.is_empty(), "{finished:#?}");
        Self { code: finished.code.unwrap(), findings }
    }

    /// The one finding of that name.
    #[track_caller]
    fn the(&self, code: &str) -> &Value {
        let of: Vec<_> = self.findings.iter().filter(|finding| finding["code"] == code).collect();
        assert_eq!(of.len(), 1, "one {code} in {self:#?}");
        of[0]
    }

    /// Checks that this is what is wrong, where it is, which way, and that the cause is told in these words.
    #[track_caller]
    fn names(&self, code: &str, interface: &str, direction: &str, cause: &str) {
        let finding = self.the(code);
        assert_eq!(
            (finding["interface"].as_str(), finding["direction"].as_str()),
            (Some(interface), Some(direction)),
            "{self:#?}"
        );
        assert!(finding["cause"].as_str().unwrap().contains(cause), "{cause:?} in {finding:#}");
        assert_ne!(finding["fix"], "");
    }

    /// Checks that nothing else is wrong.
    #[track_caller]
    fn only(&self, exit: i32, codes: &[&str]) {
        let wrong: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding["severity"] != "ok")
            .map(|finding| &finding["code"])
            .collect();
        assert_eq!(wrong, codes, "{self:#?}");
        assert_eq!(self.code, exit, "{self:#?}");
    }
}

/// A host that listens on the ports 4001, and one on which the doctor is asked, which is to listen there, too.
fn lan() -> Option<(Lan, Chat)> {
    let lan = skip::lan_or_skip(2)?;
    let chat = on_4001(lan.host(1).chat("bob")).start();
    Some((lan, chat))
}

fn on_4001(launch: Launch) -> Launch {
    launch.listen("/ip4/0.0.0.0/tcp/4001").listen("/ip4/0.0.0.0/udp/4001/quic-v1")
}

fn doctor(lan: &Lan) -> Launch {
    on_4001(lan.host(0).chat("ann"))
}

/// With the address of the other, as somebody gives it whom discovery does not help.
fn told(lan: &Lan) -> Launch {
    let address = format!("/ip4/{}/tcp/4001", lan.address(1));
    doctor(lan).options(["--connect", &address])
}

#[test]
fn a_healthy_lan_has_nothing_to_complain_of() {
    let Some((lan, _bob)) = lan() else { return };
    let found = Diagnosis::of(doctor(&lan));
    found.only(WELL, &[]);
    assert_eq!(found.the("multicast-passes")["interface"], "eth0");
    assert_eq!(found.the("peer")["peer"], lan.address(1));
    found.the("clock");

    // A node of the same profile goes on, and is no obstacle.
    let ann = doctor(&lan).start();
    ann.wait_peers(1);
    let found = Diagnosis::of(doctor(&lan));
    found.only(WELL, &[]);
    found.the("profile-in-use");
    ann.say_and_wait("still here");
    let met: BTreeSet<_> =
        ann.events().iter().filter_map(|event| event["peer_id"].as_str().map(str::to_owned)).collect();
    assert!(met.len() <= 2, "besides itself and the other it met nobody: {met:?}");
}

#[test]
fn own_firewall_drops_mdns_coming_in() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(0, "in", "udp dport 5353");
    let found = Diagnosis::of(told(&lan));
    found.only(APART, &["multicast-in-blocked"]);
    found.names("multicast-in-blocked", "eth0", "in", "this machine's own firewall drops incoming UDP to port 5353");
}

#[test]
fn own_firewall_drops_mdns_going_out() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(0, "out", "udp dport 5353");
    let found = Diagnosis::of(told(&lan));
    found.only(APART, &["multicast-out-blocked"]);
    found.names("multicast-out-blocked", "eth0", "out", "this machine's own firewall drops outgoing UDP to port 5353");
}

#[test]
fn the_others_firewall_drops_mdns_coming_in() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(1, "in", "udp dport 5353");
    let found = Diagnosis::of(told(&lan));
    found.only(APART, &["multicast-peer-in-blocked"]);
    let cause = format!("the firewall of {} drops incoming UDP to port 5353 on eth0", lan.address(1));
    found.names("multicast-peer-in-blocked", "eth0", "out", &cause);

    // Without its address it is known by its questions; or else, if it has come just before, by what it told of itself then.
    let found = Diagnosis::of(doctor(&lan));
    let deaf = found.findings.iter().any(|finding| finding["code"] == "peer-deaf");
    let (code, cause) =
        if deaf { ("peer-deaf", "its questions come in by eth0") } else { ("multicast-peer-in-blocked", &*cause) };
    found.only(APART, &[code]);
    found.names(code, "eth0", "out", cause);
    assert_eq!(found.the(code)["peer"], lan.address(1));
}

#[test]
fn the_others_firewall_drops_mdns_going_out() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(1, "out", "udp dport 5353");
    let found = Diagnosis::of(told(&lan));
    found.only(APART, &["multicast-peer-out-blocked"]);
    let cause = format!("the firewall of {} drops outgoing UDP to port 5353 on eth0", lan.address(1));
    found.names("multicast-peer-out-blocked", "eth0", "in", &cause);
}

#[test]
fn something_between_keeps_clients_apart() {
    let Some((lan, _bob)) = lan() else { return };
    // As an access point does that passes on what is for one, and not what is for all.
    lan.firewall(1, "in", &format!("ip saddr {} ip daddr 224.0.0.251", lan.address(0)));
    let found = Diagnosis::of(told(&lan));
    found.only(APART, &["multicast-lost"]);
    found.names("multicast-lost", "eth0", "out", "client isolation");
}

#[test]
fn own_port_is_closed_by_a_firewall() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(0, "in", "tcp dport 4001");
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["tcp-in-blocked"]);
    found.names("tcp-in-blocked", "eth0", "in", "this machine's own firewall drops what comes in at port 4001");

    // The same port of a node that runs.
    let ann = doctor(&lan).start();
    ann.wait_peers(1);
    let found = Diagnosis::of(lan.host(0).chat("second"));
    found.names("tcp-in-blocked", "eth0", "in", "this machine's own firewall drops what comes in at port 4001");
}

#[test]
fn the_others_ports_are_closed() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(1, "in", "tcp dport 4001");
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["peer-port-closed"]);
    found.names("peer-port-closed", "eth0", "out", "its firewall drops what comes in there");

    lan.firewall(1, "in", "udp dport 4001");
    let found = Diagnosis::of(doctor(&lan));
    found.only(APART, &["peer-unreachable"]);
    found.names("peer-unreachable", "eth0", "out", "its firewall drops what comes in at");
}

#[test]
fn nobody_listens_at_the_others_ports() {
    let Some((lan, _bob)) = lan() else { return };
    lan.refusing_firewall(1, "in", "tcp dport 4001");
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["peer-port-closed"]);
    found.names("peer-port-closed", "eth0", "out", "nothing listens");

    lan.refusing_firewall(1, "in", "udp dport 4001");
    let found = Diagnosis::of(doctor(&lan));
    found.only(APART, &["peer-unreachable"]);
    found.names("peer-unreachable", "eth0", "out", "nothing listens at");
}

#[test]
fn a_second_interface_swallows_multicasts() {
    let Some((lan, _bob)) = lan() else { return };
    lan.ip(
        0,
        "link add dummy0 type veth peer name dummy1\nlink set dummy1 up\naddr add 10.99.0.1/24 dev dummy0\nlink set dummy0 up\nroute replace default dev dummy0\n\
         route add 224.0.0.0/4 dev dummy0",
    );
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["multicast-elsewhere"]);
    found.names("multicast-elsewhere", "dummy0", "out", "which swallows them");
    // And it is true that this program is not kept apart by it.
    doctor(&lan).start().wait_peers(1);
}

#[test]
fn a_second_interface_swallows_the_network() {
    let Some((lan, _bob)) = lan() else { return };
    let network = "10.77.0.0/24";
    lan.ip(
        0,
        &format!(
            "link add tun0 type veth peer name tun1\nlink set tun1 up\naddr add 10.99.0.1/24 dev tun0\nlink set tun0 up\nroute del {network} dev eth0\n\
             route add {network} dev tun0 src 10.99.0.1"
        ),
    );
    let found = Diagnosis::of(doctor(&lan));
    assert_eq!(found.code, APART);
    found.names("lan-elsewhere", "tun0", "out", "tun0, the interface of a VPN, has a route for the same network");
}

#[test]
fn nobody_is_there() {
    let Some(lan) = skip::lan_or_skip(1) else { return };
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["nobody-found"]);
    let fix = found.the("nobody-found")["fix"].as_str().unwrap();
    assert!(fix.contains("run `distchat doctor` there, too") && fix.contains("--connect"), "{fix}");
}

#[test]
fn there_is_no_network() {
    let Some(lan) = skip::loopback_or_skip() else { return };
    let found = Diagnosis::of(lan.host(0).chat("ann"));
    assert_eq!(found.code, APART);
    assert!(found.the("no-network")["cause"].as_str().unwrap().contains("no interface but the loopback interface"));
}

#[test]
fn a_clock_is_off() {
    if !skip::clocks_or_skip() {
        return;
    }
    let Some((lan, _bob)) = lan() else { return };
    let found = Diagnosis::of(doctor(&lan).clock("+365d"));
    found.only(WARNINGS, &["clock"]);
    let clock = found.the("clock");
    let title = format!("the clock of this machine is 365 days ahead of that of {}", lan.address(1));
    assert_eq!((clock["title"].as_str(), clock["peer"].as_str()), (Some(&*title), Some(&*lan.address(1))));
}

#[test]
fn files_are_looked_at() {
    let Some((lan, _bob)) = lan() else { return };
    let mut ann = doctor(&lan).start();
    ann.stop();
    let profile = doctor(&lan).profile_dir();
    fs::set_permissions(profile.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = Diagnosis::of(doctor(&lan));
    found.only(WARNINGS, &["key-readable"]);
    assert_eq!(found.the("key-readable")["cause"], "its mode is 644");
    found.the("history");
    let mode = fs::metadata(profile.join("key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "it looks and does not touch");

    fs::write(
        profile.join("history.sqlite3"),
        "no database, but as long as the head of one would be, about a hundred bytes or so",
    )
    .unwrap();
    let _ = fs::remove_file(profile.join("history.sqlite3-wal"));
    let found = Diagnosis::of(doctor(&lan));
    assert_eq!(found.code, WARNINGS);
    assert!(found.the("history-damaged")["cause"].as_str().unwrap().contains("moves it aside"), "{found:#?}");
}

#[test]
fn a_directory_is_absent_or_in_the_way() {
    let Some((lan, _bob)) = lan() else { return };
    let host: &Machine = lan.host(0);
    let found = Diagnosis::of(doctor(&lan).data_dir(host.directory().join("nowhere/yet")));
    found.only(WELL, &[]);
    found.the("data-dir-absent");
    assert!(!host.directory().join("nowhere").exists(), "it looks and does not make");

    fs::write(host.directory().join("file"), "").unwrap();
    let found = Diagnosis::of(doctor(&lan).data_dir(host.directory().join("file")));
    found.only(APART, &["data-dir"]);
    assert_eq!(found.the("data-dir")["cause"], "it is not a directory");
}

#[test]
fn a_disk_is_full() {
    let Some((lan, _bob)) = lan() else { return };
    let disk = Disk::mounted(lan.host(0).directory().join("disk"), "1m");
    let found = Diagnosis::of(doctor(&lan).data_dir(&disk.0));
    found.only(APART, &["disk-full"]);
    assert!(found.the("disk-full")["title"].as_str().unwrap().contains("1 MiB are free"), "{found:#?}");
}

/// A small disk in memory.
struct Disk(PathBuf);

impl Disk {
    fn mounted(at: PathBuf, size: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        assert!(
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status().unwrap().success()
        );
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What still looks into it keeps it no longer than it looks.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_peer_speaks_another_version() {
    let Some(lan) = skip::lan_or_skip(2) else { return };
    let (stop, stopped) = oneshot::channel();
    let (listening, ready) = std::sync::mpsc::sync_channel(1);
    let found = thread::scope(|scope| {
        scope.spawn(|| lan.on(1, || of_another_version(&listening, stopped)));
        ready.recv().unwrap();
        let found = Diagnosis::of(told(&lan));
        stop.send(()).unwrap();
        found
    });
    found.only(APART, &["other-version"]);
    let finding = found.the("other-version");
    assert_eq!((finding["interface"].as_str(), finding["peer"].as_str()), (Some("eth0"), Some(&*lan.address(1))));
    let cause = finding["cause"].as_str().unwrap();
    assert!(cause.contains("distchat/9.9.9") && cause.contains("/distchat/2"), "{cause}");
}

/// A node that calls itself one of another version, at port 4001.
fn of_another_version(listening: &SyncSender<()>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| {
                let config = identify::Config::new("/distchat/2".to_owned(), key.public());
                identify::Behaviour::new(config.with_agent_version("distchat/9.9.9".to_owned()))
            })
            .unwrap()
            .build();
        swarm.listen_on("/ip4/0.0.0.0/tcp/4001".parse().unwrap()).unwrap();
        let serve = async {
            loop {
                if let SwarmEvent::NewListenAddr { .. } = swarm.select_next_some().await {
                    // Once is enough.
                    let _ = listening.try_send(());
                }
            }
        };
        tokio::select! {
            () = serve => {}
            _ = stopped => {}
        }
    });
}

#[test]
fn people_are_told_in_words() {
    let Some((lan, _bob)) = lan() else { return };
    lan.firewall(0, "in", "udp dport 5353");
    let finished = told(&lan).plain().options(["doctor"]).run(b"");
    assert_eq!(finished.code, Some(APART));
    let text = finished.stdout.join("\n");
    assert!(text.starts_with("APART    [eth0 in] mDNS does not get in by eth0\n         why: "), "{text}");
    assert!(text.contains("\n         do:  allow incoming UDP port 5353 on eth0"), "{text}");
    assert!(finished.stderr.iter().any(|line| line == "* listening for others"), "{finished:#?}");
}

/// SQLite throws the log of an empty file away, also for those who only read.
#[test]
fn what_is_left_of_a_history_that_is_gone_is_left_as_it_is() {
    let Some(lan) = skip::loopback_or_skip() else { return };
    let mut ann = lan.host(0).chat("ann").room("general").start();
    let [history, log] = ["history.sqlite3", "history.sqlite3-wal"].map(|name| ann.launch().profile_dir().join(name));
    for is_empty in [true, false] {
        ann.say_and_wait("nobody heard this");
        let said = ann.history().len();
        ann.kill9();
        let left = fs::read(&log).unwrap();
        fs::remove_file(&history).unwrap();
        if is_empty {
            fs::write(&history, "").unwrap();
        }
        Diagnosis::of(ann.launch().clone()).the("history-damaged");
        assert!(fs::read(&log).is_ok_and(|now| now == left), "the log is as it was");
        ann.restart();
        ann.wait_told("was damaged", distchat_tests::PATIENCE);
        assert_eq!(ann.history().len(), said);
    }
}
