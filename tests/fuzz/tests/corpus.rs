//! Every input that was once worth keeping, again.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

fn replay(name: &str) {
    let target = distchat_fuzz::target(name).unwrap();
    target(b"");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    for input in inputs {
        // Should it panic, this is which one.
        println!("{}", input.display());
        target(&std::fs::read(&input).unwrap());
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
replayed!(bundle, frame, line, message, replica, screen, socket, store);
