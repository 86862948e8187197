//! Every input that was once worth keeping, again.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test reports by panicking")]

use std::path::Path;

use data_encoding::BASE64;

fn replay(name: &str) {
    let target = distchat_fuzz::target(name).unwrap();
    target(b"");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let corpus = std::fs::read_to_string(&file).unwrap();
    assert!(!corpus.is_empty(), "{} is empty", file.display());
    for (number, line) in corpus.lines().enumerate() {
        // Should it panic, this is which one.
        println!("{}:{}", file.display(), number + 1);
        target(&BASE64.decode(line.as_bytes()).unwrap());
    }
}

macro_rules! replayed {
    ($($name:ident),+) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name));
        }
    )+};
}
replayed!(bundle, frame, line, mdns, message, replica, screen, socket, store);
