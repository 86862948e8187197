//! `distchat doctor`: what keeps people apart, why, and what to do.
//!
//! # How it goes about it
//! First it looks, then it thinks. What it looks at is [`observed`]: interfaces and routes ([`interfaces`]), what multicasts do
//! without anybody's help, and who answers ([`listening`]), what peers can tell ([`meeting`]), the profile's files ([`files`]).
//! What it thinks is [`judge`], pure functions from that to [`Finding`]s: how bad, what, why, what to do, on which interface,
//! which way. [`show`] puts them into words.
//!
//! # What can be known, and how
//! *Alone.* A machine may not send: its system says so when its own firewall drops what goes out. It may not hear: what is
//! sent to a group is looped back to the sender through its own firewall, so an echo that does not come back was dropped here.
//! Both tell apart "my firewall" and "nobody is there", which look the same to somebody who only waits.
//!
//! *With a peer.* Any node helps, see [`distchat_node::probe`]: each of the two sends multicasts and listens for those of the
//! other, and each listens for its own. So for each direction it is known whether it works, and if not, whose firewall it is
//! or that it is something between the two. The peer also comes to this machine's port, and tells its clock. Peers are those
//! that mDNS finds, and those whose address is given with `--connect`, for where nobody is found there would be nobody to ask.
//!
//! *With neither*, it listens for half a minute for nodes that ask: those are there, and do not hear this machine.
//!
//! # What it leaves alone
//! A running node of the same profile goes on: the doctor has a key of its own, which it forgets, answers nobody, announces
//! nothing, reads the history without writing, and looks at files without changing them. It dials addresses that were
//! given, and of what is found on the network only those of the host itself that has sent them.

mod ears;
mod files;
mod finding;
mod interfaces;
mod judge;
mod listening;
mod meeting;
mod observed;
mod show;

use distchat_node::{
    Config, Multiaddr, PeerId, inspect,
    probe::{Link, Prober, links},
};
use tokio::task::spawn_blocking;

pub(crate) use finding::{Finding, worst};
pub(crate) use show::{json, text};

use observed::{Files, Interface, Observed, Routes};

/// What this machine shows by itself.
struct Machine {
    links: Vec<Link>,
    interfaces: Vec<Interface>,
    routes: Routes,
    files: Result<Option<Files>, String>,
    neighbours: Result<Vec<(PeerId, Vec<Multiaddr>)>, String>,
}

/// Looks at everything that `config` makes use of, and tells what is the matter, the worst first. `progress` is told what is
/// being done, one line at a time. Takes about ten seconds; half a minute longer if there is nobody to ask.
pub(crate) async fn examine(config: Config, progress: &mut (dyn FnMut(&str) + Send)) -> Vec<Finding> {
    progress("looking at interfaces and files");
    let about = config.clone();
    let machine = match spawn_blocking(move || look(&about)).await {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) => return vec![unknown(&error.to_string())],
        Err(error) => return vec![unknown(&error.to_string())],
    };
    let links = machine.links;
    progress("listening for others");
    let (given, undialable): (Vec<_>, Vec<_>) =
        config.connect.iter().cloned().partition(|address| Prober::destination(address).is_some());
    let heard = listening::look(&links, given.is_empty(), progress).await;
    let mut found = heard.found;
    found.retain(|_, found| !meeting::is_own(&links, found.ip));
    if !found.is_empty() || !given.is_empty() {
        progress("asking others what gets through to them");
    }
    let running: Vec<Multiaddr> = machine.neighbours.iter().flatten().flat_map(|(_, list)| list.clone()).collect();
    let peers = meeting::look(&links, found, &given, meeting::Ports::of(&config, &running)).await;
    let mut findings = Vec::new();
    let files = machine.files.unwrap_or_else(|why| {
        let title = "there is no place for the profile: the program does not start";
        findings.push(Finding::apart("data-dir", title).cause(why).fix("give a directory with --data-dir"));
        None
    });
    findings.extend(judge::judge(&Observed {
        mdns: config.mdns,
        undialable: undialable.iter().map(Multiaddr::to_string).collect(),
        interfaces: machine.interfaces,
        routes: machine.routes,
        ears: heard.ears,
        callers: heard.callers.into_iter().collect(),
        peers,
        files,
        neighbours: Some(machine.neighbours.map(|neighbours| neighbours.len())),
    }));
    findings
}

/// What only takes a moment and may block.
fn look(config: &Config) -> std::io::Result<Machine> {
    let (interfaces, routes) = interfaces::look()?;
    Ok(Machine {
        links: links()?,
        interfaces,
        routes,
        files: files::look(config),
        neighbours: inspect::neighbours(config),
    })
}

fn unknown(why: &str) -> Finding {
    Finding::warning("unknown", "this machine's interfaces cannot be looked at")
        .cause(why)
        .fix("check that this user may see the network's settings")
}
