//! Many nodes in many rooms with nothing to say.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use distchat_examples::start;
use distchat_node::{Node, RoomName};

use crate::machine;

const NODES: usize = 25;
const ROOMS: usize = 10;
/// What is still going on after the last peer was met: rounds, until all have agreed with all.
const SETTLE: Duration = Duration::from_secs(45);
const MEASURE: Duration = Duration::from_secs(60);

/// Meets, waits, and measures.
pub(crate) async fn run() -> Result<()> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..NODES {
        let node = start(&format!("node{n}")).await?;
        for room in 0..ROOMS {
            let room = node.open_room(&format!("room{room}").parse::<RoomName>()?).await?;
            if n == 0 {
                room.broadcast("the only line here").await?;
            }
        }
        for other in &nodes {
            node.connect(other.listeners().into_iter().next().context("it does not listen")?).await?;
        }
        nodes.push(node);
    }
    let until = Instant::now() + Duration::from_secs(60);
    let met = |node: &Node| node.rooms().iter().all(|room| room.peers + 1 == NODES && room.messages > 0);
    while !nodes.iter().all(met) {
        ensure!(Instant::now() < until, "not all nodes have met in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(SETTLE).await;

    let (cpu, (bytes, packets), start) = (machine::cpu(), machine::loopback(), Instant::now());
    tokio::time::sleep(MEASURE).await;
    let (cpu_after, (bytes_after, packets_after)) = (machine::cpu(), machine::loopback());
    let each = start.elapsed().as_secs_f64() * NODES as f64;
    println!(
        "  {NODES} nodes in {ROOMS} rooms: {:.2} % of a core, {:.0} B/s and {:.1} packets/s sent by each",
        100.0 * cpu_after.saturating_sub(cpu).as_secs_f64() / each,
        (bytes_after - bytes) as f64 / each,
        (packets_after - packets) as f64 / each,
    );
    futures::future::join_all(nodes.iter().map(Node::shutdown)).await;
    Ok(())
}
