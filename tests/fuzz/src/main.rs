//! Looks for inputs of one target, named by the variable `DISTCHAT_FUZZ`: see `.ci/fuzz`.
#![no_main]
#![allow(unsafe_code, reason = "the engine finds the entry by its name")]
#![allow(missing_docs, clippy::expect_used, reason = "it is started by a script")]

use std::sync::LazyLock;

use distchat_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("DISTCHAT_FUZZ").expect("DISTCHAT_FUZZ names a target");
    target(&name).expect("there is a target of that name")
});

fuzz_target!(|bytes: &[u8]| CHOSEN(bytes));
