//! Two programs with one profile, in one process.

use std::time::Duration;

use distchat_node::Config;

use super::*;

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(60);

/// Whoever runs the node, and one that is attached.
async fn both(disk: &tempfile::TempDir) -> (Client, Client) {
    let config = Config { data_dir: Some(disk.path().to_owned()), offline: true, ..Config::default() };
    let host = Client::start(config.clone(), Face::Daemon).await.unwrap();
    let guest = Client::open(config, Face::Command).await.unwrap();
    assert_eq!(guest.attached_to(), Some(std::process::id()));
    (host, guest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_long_a_question_is_refused_and_those_after_it_are_answered() {
    let disk = tempfile::tempdir().unwrap();
    let (host, guest) = both(&disk).await;
    let room = guest.open_room(&"general".parse().unwrap()).await.unwrap();
    let long = "x".repeat(2 << 20);
    let asking = async {
        assert_eq!(guest.search(&long, 1).await.unwrap_err().code, "too-long");
        assert_eq!(room.broadcast(&long).await.unwrap_err().code, "too-long");
        assert_eq!(room.broadcast("short").await.unwrap().text, "short");
        assert_eq!(guest.search("short", usize::MAX).await.unwrap().hits.len(), 1);
    };
    tokio::time::timeout(LONG, asking).await.expect("all is answered");
    guest.shutdown().await;
    host.shutdown().await;
}
