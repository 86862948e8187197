//! What outlasts the task, so that it can be made anew when it has crashed: nobody who holds a [`super::Network`] notices more
//! than that all peers were gone for a moment.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use distchat_crdt::{Topic, sync::GossipKey};
use libp2p::{Multiaddr, core::transport::ListenerId, identity::Keypair, multiaddr::Protocol};
use tracing::error;

use super::{
    NetConfig, NetError, NetEvent, NetInput,
    dial::MAX_WANTED,
    entered::Entered,
    inbox::Inbox,
    start,
    swarm::{Inputs, Outputs, Task},
};
use crate::restart::{Decision, Intensity};

/// Where a node listens that was not told where. The first must do, the others may fail.
const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];

/// The process's side of the network, whatever becomes of the task.
pub(super) struct Kept {
    keypair: Keypair,
    config: NetConfig,
    out: Outputs,
    entered: Entered,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    rooms: BTreeMap<u32, (Topic, GossipKey, Inbox)>,
    topics: BTreeMap<Topic, u32>,
    /// Addresses that a person gave since the start.
    wanted: Vec<Multiaddr>,
    /// Where the task listens, with the ports that the system chose.
    listen: Vec<Multiaddr>,
    /// Listeners that came later and have not told their port yet, and at which of these addresses they are.
    late: Vec<(ListenerId, usize)>,
}

impl Kept {
    pub(super) fn new(keypair: Keypair, config: NetConfig, out: Outputs, entered: Entered) -> Self {
        Self { keypair, config, out, entered, changing: Mutex::default() }
    }

    /// The lock is held for moments and never while something can fail, so a poisoned one holds whole data.
    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    pub(super) fn mdns(&self) -> bool {
        self.config.mdns
    }

    pub(super) fn out(&self) -> &Outputs {
        &self.out
    }

    /// Who has entered which room.
    pub(super) fn entered(&self) -> Entered {
        self.entered.clone()
    }

    /// Whether a person said where to listen.
    pub(super) fn asked_for(&self) -> bool {
        !self.config.listen.is_empty()
    }

    /// Where to listen at first, the system choosing ports.
    pub(super) fn listen_first(&self) -> Vec<Multiaddr> {
        if self.asked_for() {
            return self.config.listen.clone();
        }
        DEFAULT_LISTEN.iter().filter_map(|address| address.parse().ok()).collect()
    }

    /// A room has been joined.
    pub(super) fn joined(&self, handle: u32, topic: Topic, key: GossipKey, inbox: Inbox) {
        let mut changing = self.changing();
        if let Some(before) = changing.topics.insert(topic, handle) {
            changing.rooms.remove(&before);
        }
        changing.rooms.insert(handle, (topic, key, inbox));
    }

    /// A room has been left.
    pub(super) fn left(&self, handle: u32) {
        let mut changing = self.changing();
        if let Some((topic, ..)) = changing.rooms.remove(&handle)
            && changing.topics.get(&topic) == Some(&handle)
        {
            changing.topics.remove(&topic);
        }
    }

    /// A person wants this address.
    pub(super) fn wanted(&self, address: Multiaddr) {
        let mut changing = self.changing();
        if !changing.wanted.contains(&address) && changing.wanted.len() < MAX_WANTED {
            changing.wanted.push(address);
        }
    }

    /// Notes the ports that the system chose for these addresses, each of which has a listener, or has none yet.
    pub(super) fn listening(
        &self,
        addresses: &[Multiaddr],
        ids: &[Option<ListenerId>],
        known: &[(ListenerId, Multiaddr)],
    ) {
        let with_port = |(address, id): (&Multiaddr, &Option<ListenerId>)| {
            let chosen =
                known.iter().find(|(listener, _)| Some(*listener) == *id).and_then(|(_, address)| port(address));
            chosen.map_or_else(|| address.clone(), |chosen| set_port(address, chosen))
        };
        let listen = addresses.iter().zip(ids).map(with_port).collect();
        let mut changing = self.changing();
        (changing.listen, changing.late) = (listen, Vec::new());
    }

    /// The one of these addresses that had no listener has this one now, at this address.
    pub(super) fn listens(&self, nth: usize, address: Multiaddr, listener: ListenerId) {
        let mut changing = self.changing();
        if let Some(before) = changing.listen.get_mut(nth) {
            *before = address;
            changing.late.push((listener, nth));
        }
    }

    /// A listener tells where it listens. If it came later its port may have been the system's choice.
    pub(super) fn tells(&self, listener: ListenerId, address: &Multiaddr) {
        let mut changing = self.changing();
        let Some(at) = changing.late.iter().position(|(late, _)| *late == listener) else { return };
        let (_, nth) = changing.late.swap_remove(at);
        if let (Some(before), Some(chosen)) = (changing.listen.get_mut(nth), port(address)) {
            *before = set_port(before, chosen);
        }
    }

    /// Where the task of before listened.
    pub(super) fn listened(&self) -> Vec<Multiaddr> {
        self.changing().listen.clone()
    }

    /// Gives a new task what the one before it had.
    pub(super) fn restore(&self, task: &mut Task) -> Result<(), NetError> {
        let (rooms, wanted) = {
            let changing = self.changing();
            (changing.rooms.clone(), changing.wanted.clone())
        };
        for address in self.config.connect.iter().chain(&wanted) {
            task.dialer.want(Instant::now(), address)?;
        }
        for (handle, (topic, key, inbox)) in rooms {
            task.swarm.behaviour_mut().gossip.subscribe(topic, key);
            task.rooms.rejoin(handle, topic, inbox);
        }
        // Who was connected to the task before is not connected to this one.
        for (peer, address) in self.out.peers.send_replace(Vec::new()) {
            task.rooms.deliver_all(|| NetInput::PeerDown { peer });
            self.out.event(NetEvent::Disconnected { peer, address });
        }
        Ok(())
    }
}

/// Runs the task, and another one whenever it crashes, up to OTP's restart intensity. Returns when it has ended by itself,
/// or has crashed too often.
pub(super) async fn keep(kept: Arc<Kept>, first: Box<Task>, inputs: Inputs) {
    let shutdown = inputs.shutdown.clone();
    // The task holds the lock while it runs; what it has not taken when it crashes, the next one takes.
    let inputs = Arc::new(tokio::sync::Mutex::new(inputs));
    let mut intensity = Intensity::default();
    let mut task = Some(first);
    loop {
        let failure = match task.take() {
            Some(task) => {
                let inputs = inputs.clone();
                let running = tokio::spawn(async move { Box::pin(task.run(&mut *inputs.lock().await)).await });
                match running.await {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                }
            }
            None => {
                let mut made = Box::pin(start::task(&kept, kept.listened(), true)).await;
                if made.is_err() {
                    // Somebody else may have taken the port in between.
                    made = Box::pin(start::task(&kept, kept.listen_first(), true)).await;
                }
                match made {
                    Ok(made) => {
                        task = Some(made);
                        continue;
                    }
                    Err(error) => error.to_string(),
                }
            }
        };
        if shutdown.is_cancelled() {
            return;
        }
        match intensity.crashed(tokio::time::Instant::now()) {
            Decision::Restart(pause) => {
                error!(failure, ?pause, "the network crashed and is started again");
                let message = "the network has crashed and is started again: all peers will be back in a moment";
                kept.out.warn("network-restarted", message.to_owned());
                tokio::time::sleep(pause).await;
            }
            Decision::GiveUp => {
                error!(failure, "the network crashed too often and stays down");
                return;
            }
        }
    }
}

fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

fn set_port(address: &Multiaddr, port: u16) -> Multiaddr {
    let with_port = |part| match part {
        Protocol::Tcp(0) => Protocol::Tcp(port),
        Protocol::Udp(0) => Protocol::Udp(port),
        part => part,
    };
    address.iter().map(with_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_port_is_set() {
        let check = |address: &str, expect: &str| {
            assert_eq!(set_port(&address.parse().unwrap(), 4711).to_string(), expect);
        };
        check("/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/tcp/4711");
        check("/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/udp/4711/quic-v1");
        check("/ip6/::1/tcp/9", "/ip6/::1/tcp/9");
    }
}
