//! Long histories to begin with: several authors who talked at once, held by each of them.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, ensure};

use crate::talk::{close, cluster, member, talk};

/// How many nodes talked, and hold it.
pub(crate) const HOLDERS: usize = 3;

/// The data directory of the nodes `node0`, `node1`, ... that hold `messages` or a few more; made if it is not there.
pub(crate) async fn of(kept: &Path, messages: usize) -> Result<PathBuf> {
    let dir = kept.join(format!("history-{messages}"));
    if dir.exists() {
        return Ok(dir);
    }
    let part = kept.join(format!("history-{messages}.part"));
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::create_dir_all(&part)?;
    let start = Instant::now();
    let nodes = cluster(&part, HOLDERS).await?;
    talk(&nodes, messages.div_ceil(HOLDERS) * HOLDERS).await?;
    close(nodes).await;
    let mut prints = Vec::new();
    for n in 0..HOLDERS {
        let (node, room, _) = member(&part, &format!("node{n}")).await?;
        prints.push(room.fingerprint().await?);
        node.shutdown().await;
    }
    ensure!(prints.windows(2).all(|pair| pair.first() == pair.last()), "the holders differ");
    std::fs::rename(&part, &dir)?;
    println!("  ({messages} messages said by {HOLDERS} nodes in {:.1?})", start.elapsed());
    Ok(dir)
}
