//! A history that somebody has had a hand in, or that a disk has mangled.

use std::{sync::LazyLock, time::Duration};

use distchat_node::{Config, Node, inspect};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts")
});

/// A node starts with it, shows what can be shown, or says why not.
pub(super) fn run(bytes: &[u8]) {
    let home = tempfile::tempdir().expect("there is room for a file");
    let profile = home.path().join("default");
    std::fs::create_dir(&profile).expect("there is room for a directory");
    let file = profile.join("history.sqlite3");
    std::fs::write(&file, bytes).expect("there is room for a file");
    let looked = inspect::history(&file, Duration::from_secs(1));
    RUNTIME.block_on(async {
        let config = Config { data_dir: Some(home.path().to_owned()), offline: true, ..Config::default() };
        let started = Node::start(config).await;
        let Ok(node) = started else { return };
        if let Ok(rooms) = node.stored_rooms().await {
            for stored in rooms.into_iter().take(3) {
                let Ok(room) = node.open_room(&stored.name).await else { continue };
                let _ = room.messages(50).await;
                let _ = room.fingerprint().await;
                // What was acknowledged is shown, or it is said that nothing can be.
                if let Ok(said) = room.broadcast("still here").await
                    && let Ok(newest) = room.messages(usize::from(u8::MAX)).await
                    && newest.len() < usize::from(u8::MAX)
                {
                    assert!(newest.iter().any(|message| message.id == said.id), "{looked:?}: it was acknowledged");
                }
            }
        }
        node.shutdown().await;
    });
}
