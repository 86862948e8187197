//! Starts that fail, and what the next one still has to tell.

use std::{fs, net::TcpListener};

use super::{tests::config, *};

/// How a history is damaged, and what is told of it.
const DAMAGES: [(&str, &str); 3] =
    [("its first bytes", "was damaged"), ("its last change", "was not written whole"), ("all", "was gone or empty")];

/// A profile in a directory of its own, whose process was killed and whose history was damaged since.
async fn damaged(what: &str) -> (tempfile::TempDir, Config) {
    let [running, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let config = |dir: &tempfile::TempDir| Config {
        memory: false,
        data_dir: Some(dir.path().to_owned()),
        offline: true,
        ..config("alice")
    };
    let node = Node::start(config(&running)).await.unwrap();
    let room = node.open_room(&"general".parse().unwrap()).await.unwrap();
    for number in 0..3 {
        room.broadcast(&format!("line {number}")).await.unwrap();
    }
    let [from, to] = [&running, &killed].map(|dir| dir.path().join("alice"));
    crate::private::create_dir(&to).unwrap();
    for name in ["key", "history.sqlite3", "history.sqlite3-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    node.shutdown().await;
    let [file, log] = ["history.sqlite3", "history.sqlite3-wal"].map(|name| to.join(name));
    match what {
        "its first bytes" => fs::write(&file, [0x5a; 8192]).unwrap(),
        "its last change" => {
            let mut bytes = fs::read(&log).unwrap();
            let last = bytes.len() - 100;
            bytes[last] ^= 1;
            fs::write(&log, bytes).unwrap();
        }
        _ => {
            fs::remove_file(&file).unwrap();
            fs::remove_file(&log).unwrap();
            fs::write(to.join("search.sqlite3"), "").unwrap();
        }
    }
    let config = config(&killed);
    (killed, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_of_the_history_is_told_though_the_start_fails_after_that() {
    for (what, words) in DAMAGES {
        let (_dir, config) = damaged(what).await;
        let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", occupied.local_addr().unwrap().port());
        let failing = Config { offline: false, listen: vec![address.parse().unwrap()], ..config.clone() };
        for _ in 0..2 {
            let error = Node::start(failing.clone()).await.unwrap_err();
            assert!(error.to_string().contains("listen"), "{error}");
        }
        // Nor does whoever runs a node without asking keep it from the next one.
        Node::start(config.clone()).await.unwrap().shutdown().await;
        let node = Node::start(config.clone()).await.unwrap();
        let warnings = node.warnings().to_vec();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{what}: {warnings:?}");
        node.shutdown().await;
        // Nobody needs to hear it twice.
        let node = Node::start(config).await.unwrap();
        assert_eq!(node.warnings(), [""; 0], "{what}");
        node.shutdown().await;
    }
}
