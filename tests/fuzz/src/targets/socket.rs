//! Lines on the socket of a running node, in both directions.

#[path = "../../../../node/src/attach/carried.rs"]
mod carried;
#[path = "../../../../node/src/attach/problem.rs"]
mod problem;
#[path = "../../../../node/src/attach/wire.rs"]
mod wire;

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

/// What is understood is said in a way that is understood as the same.
pub(super) fn run(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    understand::<wire::Asked>(line);
    understand::<wire::Told>(line);
    understand::<wire::Hello>(line);
    let _ = serde_json::from_str::<wire::AnyHello>(line);
}

fn understand<T: Serialize + DeserializeOwned + Debug>(line: &str) {
    let Ok(understood) = serde_json::from_str::<T>(line) else { return };
    let said = serde_json::to_string(&understood).expect("it can be said");
    assert!(!said.contains('\n'));
    let again: T = serde_json::from_str(&said).expect("what is said is understood");
    assert_eq!(format!("{again:?}"), format!("{understood:?}"));
}
