//! Somebody hostile who comes and goes.
//!
//! What each of these must not do is shown by the tests of hostile peers. Here they are company: whatever they do, the
//! messages of the others arrive.

use std::{net::SocketAddr, time::Duration};

use distchat_crdt::{RoomId, RoomName, sync::SYNC_PROTOCOL};
use distchat_hostile::{Connection, Member, Rpc};
use futures::AsyncWriteExt;
use tokio::time::{sleep, timeout};

/// How many connections are held open at once.
const MANY: usize = 200;
/// How many streams, a few less than are taken.
const STREAMS: usize = 100;
/// How long one may take to open.
const OPENING: Duration = Duration::from_secs(2);
/// The pause between two frames of somebody who does not simply send as much as it can.
const PAUSE: Duration = Duration::from_millis(20);

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Sends gossip in a topic of nobody's, as fast as it is taken.
    Floods,
    /// Opens connections and holds them.
    Besieges,
    /// Opens streams, says what they are for, and no more.
    Starves,
    /// Enters a room and gossips what is no frame.
    Babbles,
}

impl Act {
    pub(crate) const ALL: [Self; 4] = [Self::Floods, Self::Besieges, Self::Starves, Self::Babbles];

    /// Does it to a node, again and again, until it is dropped.
    pub(crate) async fn play(self, node: SocketAddr, room: &str) {
        loop {
            // That it is turned away, or thrown out, is what should happen to it: then it comes again.
            let _ = match self {
                Self::Floods => floods(node).await,
                Self::Besieges => besieges(node).await,
                Self::Starves => starves(node).await,
                Self::Babbles => babbles(node, room).await,
            };
            sleep(10 * PAUSE).await;
        }
    }
}

async fn floods(node: SocketAddr) -> std::io::Result<()> {
    let connection = Connection::to(node).await?;
    let mut gossip = connection.speaking("/meshsub/1.1.0").await?;
    let mut number = 0_u64;
    loop {
        number += 1;
        gossip.write_all(&Rpc::default().publish("nobody's", &[number.to_be_bytes(); 64].concat()).bytes()).await?;
    }
}

async fn besieges(node: SocketAddr) -> std::io::Result<()> {
    let mut open = Vec::new();
    while open.len() < MANY {
        match timeout(OPENING, Connection::to(node)).await {
            Ok(Ok(connection)) => open.push(connection),
            _ => sleep(PAUSE).await,
        }
    }
    std::future::pending().await
}

async fn starves(node: SocketAddr) -> std::io::Result<()> {
    let mut connection = Connection::to(node).await?;
    let mut open = Vec::new();
    while open.len() < STREAMS {
        // On one of two a request begins. One on which nothing at all is said the node would never hear of.
        let stream = async {
            if open.len() % 2 == 0 {
                return connection.unheard().await;
            }
            let mut stream = connection.speaking(SYNC_PROTOCOL).await?;
            stream.write_all(&[0, 0]).await?;
            stream.flush().await?;
            Ok(stream)
        };
        match timeout(OPENING, stream).await {
            Ok(stream) => open.push(stream?),
            Err(_) => sleep(PAUSE).await,
        }
    }
    // That is soon, for requests that do not come.
    connection.ended().await;
    Ok(())
}

async fn babbles(node: SocketAddr, room: &str) -> std::io::Result<()> {
    let name = RoomName::parse(room).map_err(std::io::Error::other)?;
    let member = Member::of(node, RoomId::of(&name)).await?;
    let mut gossip = member.gossip().await?;
    let (room, topic) = (member.room(), member.topic());
    let mut number = 0_u64;
    loop {
        number += 1;
        // What is no message, and what is not even sealed.
        let rpc = match number % 2 {
            0 => Rpc::default().say(&room, &number.to_be_bytes()),
            _ => Rpc::default().publish(&topic, &number.to_be_bytes()),
        };
        gossip.write_all(&rpc.bytes()).await?;
        gossip.flush().await?;
        sleep(PAUSE).await;
    }
}
