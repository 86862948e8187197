//! What the examples share: nodes that talk over loopback only, and waiting for something to happen.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use distchat_node::{Config, Event, Events, Node, Room};

/// How long an example waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node in memory that listens on loopback only and finds nobody by itself.
///
/// # Errors
/// If it does not start.
pub async fn start(name: &str) -> Result<Node> {
    let config = Config { memory: true, ..local(name)? };
    Node::start(config).await.with_context(|| format!("{name} does not start"))
}

/// The configuration of a node that talks over loopback only and finds nobody by itself.
///
/// # Errors
/// Never: the addresses are fixed.
pub fn local(name: &str) -> Result<Config> {
    Ok(Config {
        profile: name.into(),
        mdns: false,
        same_machine: false,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        ..Config::default()
    })
}

/// Connects `from` to `to`, as `Node.connect` does in Elixir, and waits until both know.
///
/// # Errors
/// If they are not connected in time.
pub async fn connect(from: &Node, to: &Node) -> Result<()> {
    let mut sides = [(from.events(), to.peer_id()), (to.events(), from.peer_id())];
    let address = to.listeners().into_iter().next().context("the node does not listen")?;
    from.connect(address).await?;
    for (events, other) in &mut sides {
        wait(events, |event| matches!(event, Event::Peer { peer_id, connected: true, .. } if peer_id == other)).await?;
    }
    Ok(())
}

/// Waits for an event.
///
/// # Errors
/// If it does not come in time.
pub async fn wait(events: &mut Events, mut wanted: impl FnMut(&Event) -> bool) -> Result<Event> {
    in_time(async {
        while let Some(event) = events.next().await {
            if wanted(&event) {
                return Ok(event);
            }
        }
        bail!("the node has shut down")
    })
    .await
}

/// Waits until two nodes hold one transcript of a room.
///
/// That both hold as many texts does not say so yet: a name chosen before them may come after them.
///
/// # Errors
/// If they do not come to hold one in time.
pub async fn wait_for_agreement(nodes: [&Node; 2], rooms: [&Room; 2]) -> Result<()> {
    let mut events = [nodes[0].events(), nodes[1].events()];
    in_time(async {
        while rooms[0].fingerprint().await? != rooms[1].fingerprint().await? {
            let [first, second] = &mut events;
            tokio::select! {
                event = first.next() => event,
                event = second.next() => event,
            }
            .context("a node has shut down")?;
        }
        Ok(())
    })
    .await
}

/// Waits until a room holds so many text messages, and returns them.
///
/// # Errors
/// If it does not come to hold them in time.
pub async fn wait_for_messages(node: &Node, room: &Room, count: usize) -> Result<Vec<String>> {
    let mut events = node.events();
    in_time(async {
        loop {
            let messages = room.messages(usize::MAX).await?;
            if messages.len() >= count {
                return Ok(messages
                    .into_iter()
                    .map(|message| format!("<{}> {}", message.nick, message.text))
                    .collect());
            }
            events.next().await.context("the node has shut down")?;
        }
    })
    .await
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => bail!("nothing came for {PATIENCE:?}"),
    }
}
