//! A LAN on one computer: a network namespace for each host, all on one bridge.
//!
//! Nothing leaves the namespaces: the bridge is in one of its own, and no cable leads out.

use std::{
    fs,
    io::Write as _,
    net::UdpSocket,
    path::Path,
    process::{self, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Machine, PATIENCE, machine::scratch};

/// What the names of all our namespaces begin with; the id of the process that made them follows.
const PREFIX: &str = "dct";
/// Where `ip netns` keeps the namespaces by name.
const NAMESPACES: &str = "/run/netns";
const NETWORK: &str = "10.77.0";
/// Where hosts are that have a second cable.
const SECOND_NETWORK: &str = "10.78.0";
/// Where hosts try whether packets pass; nobody else uses it.
const SETTLING_PORT: u16 = 7_007;
/// The one nftables table in a host: what is in it is a fault.
const FAULTS: &str = "add table inet faults; add chain inet faults in { type filter hook input priority 0; }
                      add chain inet faults out { type filter hook output priority 0; }";

/// Hosts on one network. Their numbers are 0, 1, 2, ...; dropping the LAN removes it.
///
/// A host is a computer of its own: own addresses, own home, own run directory. So hosts can meet by mDNS only.
pub struct Lan {
    number: usize,
    hosts: Vec<Machine>,
    bridged: bool,
}

impl Lan {
    /// A LAN of `hosts` hosts, all of which can reach each other.
    ///
    /// # Panics
    /// If it cannot be made; [`crate::skip::lan_or_skip`] asks first.
    pub fn new(hosts: usize) -> Self {
        assert!((1..=250).contains(&hosts), "a LAN has 1 to 250 hosts");
        let lan = Self::empty(hosts, true);
        let bridge = lan.bridge();
        ip(None, &format!("netns add {bridge}\n"));
        // Without snooping a bridge passes multicasts on to everybody, as a simple switch does.
        let mut cables = "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n".to_owned();
        for host in 0..hosts {
            let (name, cable) = (lan.name(host), cable(host));
            ip(
                None,
                &format!("netns add {name}\nlink add {cable} netns {bridge} type veth peer name eth0 netns {name}\n"),
            );
            // Multicasts need a route.
            let address = lan.address(host);
            ip(
                Some(&name),
                &format!(
                    "link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\nroute add default dev eth0\n"
                ),
            );
            cables += &format!("link set {cable} master br0 up\n");
        }
        ip(Some(&bridge), &cables);
        lan.settle();
        lan
    }

    /// Waits until packets pass. The kernel notices carriers at its leisure and drops packets for a second or so, in
    /// which everybody's first call on mDNS would be lost; on real computers that time is over before anybody chats.
    fn settle(&self) {
        let socket = |host| {
            let address = (self.address(host), SETTLING_PORT);
            self.on(host, || UdpSocket::bind(address)).expect("a host can bind its own address")
        };
        let sockets: Vec<_> = (0..self.hosts.len()).map(socket).collect();
        let deadline = Instant::now() + PATIENCE;
        for (host, socket) in sockets.iter().enumerate() {
            let next = (host + 1) % sockets.len();
            sockets[next].set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
            loop {
                // Refused at first, which is what is being waited for.
                let _ = socket.send_to(&[0], (self.address(next), SETTLING_PORT));
                if sockets[next].recv_from(&mut [0]).is_ok() {
                    break;
                }
                assert!(Instant::now() < deadline, "no packet passes from host {host} to host {next}");
            }
        }
    }

    /// One host that has nothing but its loopback interface, as a laptop without a network.
    pub fn single_loopback() -> Self {
        let lan = Self::empty(1, false);
        let name = lan.name(0);
        ip(None, &format!("netns add {name}\n"));
        ip(Some(&name), "link set lo up\n");
        lan
    }

    fn empty(hosts: usize, bridged: bool) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        sweep();
        let scratch = scratch();
        let machine = |host| Machine::new(Arc::clone(&scratch), &format!("h{host}"), Some(name(number, host)));
        Self { number, hosts: (0..hosts).map(machine).collect(), bridged }
    }

    /// The host of that number.
    pub fn host(&self, host: usize) -> &Machine {
        &self.hosts[host]
    }

    /// That host's address.
    pub fn address(&self, host: usize) -> String {
        format!("{NETWORK}.{}", host + 1)
    }

    /// Pulls a host's cable: it sees its interface go down.
    pub fn cut(&self, host: usize) {
        ip(Some(&self.bridge()), &format!("link set {} down\n", cable(host)));
    }

    /// Plugs a host's cable in again; packets pass a second or so later.
    pub fn join(&self, host: usize) {
        ip(Some(&self.bridge()), &format!("link set {} up\n", cable(host)));
    }

    /// Gives a host another address in place of the one it has, as a router does that has been restarted.
    pub fn move_to(&self, host: usize, address: &str) {
        let old = self.address(host);
        // With its last address an interface loses its routes; and a second one on the network would go with the first.
        self.ip(
            host,
            &format!("addr del {old}/24 dev eth0\naddr add {address}/24 dev eth0\nroute replace default dev eth0"),
        );
    }

    /// Joins two hosts by a cable of their own, so that each gets one more interface, on a network that nobody else is on.
    pub fn wire(&self, one: usize, other: usize) {
        let (name, far) = (self.name(one), self.name(other));
        ip(None, &format!("link add eth1 netns {name} type veth peer name eth1 netns {far}\n"));
        for host in [one, other] {
            self.ip(host, &format!("addr add {SECOND_NETWORK}.{}/24 dev eth1\nlink set eth1 up", host + 1));
        }
    }

    /// From now on a host loses that part of the packets it receives, at random.
    pub fn loss(&self, host: usize, percent: u8) {
        assert!(percent <= 100, "more than all of it");
        // nft refuses a comparison that is always true.
        let chance = if percent < 100 { format!("numgen random mod 100 < {percent}") } else { String::new() };
        self.filter(host, &format!("add rule inet faults in iif eth0 {chance} drop"));
    }

    /// No packet passes between the two groups any more; no interface shows it.
    pub fn split(&self, left: &[usize], right: &[usize]) {
        for (hosts, others) in [(left, right), (right, left)] {
            for &host in hosts {
                let others: Vec<_> = others.iter().map(|&other| self.address(other)).collect();
                self.filter(host, &format!("add rule inet faults in ip saddr {{ {} }} drop", others.join(", ")));
            }
        }
    }

    /// A host's firewall drops what comes `in` or goes `out` and matches this expression of nftables, such as
    /// `udp dport 5353`.
    pub fn firewall(&self, host: usize, chain: &str, packets: &str) {
        self.filter(host, &format!("add rule inet faults {chain} {packets} drop"));
    }

    /// The same, but with the answer that nobody is there, where [`Lan::firewall`] keeps silent.
    pub fn refusing_firewall(&self, host: usize, chain: &str, packets: &str) {
        self.filter(host, &format!("add rule inet faults {chain} {packets} reject with icmpx type port-unreachable"));
    }

    /// Runs `ip` commands on a host, one a line.
    pub fn ip(&self, host: usize, commands: &str) {
        ip(Some(&self.name(host)), &format!("{commands}\n"));
    }

    /// Undoes every [`Lan::split`], [`Lan::loss`] and [`Lan::firewall`].
    pub fn heal(&self) {
        for host in 0..self.hosts.len() {
            self.heal_host(host);
        }
    }

    /// Undoes them on one host, which then hears whatever gets to it.
    pub fn heal_host(&self, host: usize) {
        // Adding it first makes deleting it right where there was none.
        self.nft(host, "add table inet faults\ndelete table inet faults\n");
    }

    /// Runs `work` on a host, as a program of that host would run.
    pub fn on<T: Send>(&self, host: usize, work: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(Path::new(NAMESPACES).join(self.name(host))).expect("the host exists");
        // A namespace is entered by one thread, for good.
        let enter_and_work = move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
                .expect("a namespace can be entered");
            work()
        };
        thread::scope(|scope| match scope.spawn(enter_and_work).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn filter(&self, host: usize, rule: &str) {
        self.nft(host, &format!("{FAULTS}\n{rule}\n"));
    }

    fn nft(&self, host: usize, rules: &str) {
        pipe(Command::new("ip").args(["netns", "exec", &self.name(host), "nft", "-f", "-"]), rules)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn name(&self, host: usize) -> String {
        name(self.number, host)
    }

    fn bridge(&self) -> String {
        format!("{PREFIX}-{}-{}-sw", process::id(), self.number)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let bridge = self.bridged.then(|| self.bridge());
        for name in (0..self.hosts.len()).map(|host| self.name(host)).chain(bridge) {
            // Also of a LAN that failed half-made, so some of it may not be there.
            let _ = pipe(Command::new("ip").args(["netns", "del", &name]), "");
        }
    }
}

/// Tries what a LAN needs, and says what is not there.
pub(crate) fn probe() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    let name = format!("{PREFIX}-{}-probe", process::id());
    let tried = pipe(Command::new("ip").args(["netns", "add", &name]), "").and_then(|()| {
        let rules = format!("{FAULTS}\nadd rule inet faults in iif lo numgen random mod 100 < 1 drop\n");
        pipe(Command::new("ip").args(["netns", "exec", &name, "nft", "-f", "-"]), &rules)
    });
    let _ = pipe(Command::new("ip").args(["netns", "del", &name]), "");
    tried.map_err(|error| {
        format!("network namespaces cannot be used here: {error} (Debian: apt-get install iproute2 nftables)")
    })
}

fn name(lan: usize, host: usize) -> String {
    format!("{PREFIX}-{}-{lan}-h{host}", process::id())
}

/// The switch's end of a host's cable.
fn cable(host: usize) -> String {
    format!("v{host}")
}

/// Removes what test processes that were killed have left.
fn sweep() {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker =
            name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()) {
            // Another test process may be faster.
            let _ = pipe(Command::new("ip").args(["netns", "del", &name]), "");
        }
    }
}

/// Runs `ip` commands, in a namespace or in ours.
fn ip(namespace: Option<&str>, commands: &str) {
    // The first `ip netns` of a computer sets up the directory, and two at once get in each other's way.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    pipe(command.args(["-batch", "-"]), commands).unwrap_or_else(|error| panic!("{error}\n{commands}"));
}

/// Runs a command with this input; says what it said if it fails.
fn pipe(command: &mut Command, input: &str) -> Result<(), String> {
    let mut run = || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip;

    #[test]
    fn a_lan_leaves_nothing_behind() {
        let Some(lan) = skip::lan_or_skip(2) else {
            return;
        };
        let places: Vec<_> =
            [lan.name(0), lan.name(1), lan.bridge()].iter().map(|name| Path::new(NAMESPACES).join(name)).collect();
        let directory = lan.host(0).directory().to_owned();
        let there = || places.iter().chain([&directory]).filter(|place| place.exists()).count();
        assert_eq!(there(), 4);
        drop(lan);
        assert_eq!(there(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let Some(_lan) = skip::lan_or_skip(1) else {
            return;
        };
        let mut short = Command::new("true").spawn().unwrap();
        let (gone, _) = (short.id(), short.wait().unwrap());
        let left = format!("{PREFIX}-{gone}-0-h0");
        ip(None, &format!("netns add {left}\n"));
        sweep();
        assert!(!Path::new(NAMESPACES).join(left).exists());
    }
}
