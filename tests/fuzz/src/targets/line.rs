//! What a person, or a script, types: lines, commands, options.

use std::time::Duration;

use distchat_node::RoomName;

use crate::cli::{
    command::{self, Typed},
    input::{Input, Splitter},
};

/// No line is longer than a message can be, and each means something or says why it does not.
pub(super) fn run(bytes: &[u8]) {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    // It comes in pieces, which need not end where lines do.
    for piece in bytes.chunks(7) {
        splitter.feed(piece, &mut found);
    }
    splitter.end(&mut found);
    for line in found {
        let Input::Line(line) = line else { continue };
        assert!(!line.contains('\n'));
        match command::read(line.clone()) {
            Typed::Nothing => assert!(line.is_empty()),
            Typed::Text(text) => assert!(line == text || line == format!("/{text}")),
            Typed::Command(_) => assert!(line.starts_with('/')),
            Typed::Wrong(problem) => assert!(line.starts_with('/') && !problem.message.is_empty()),
        }
        if let Ok(name) = RoomName::parse(&line) {
            assert_eq!(RoomName::parse(name.as_str()), Ok(name), "a name is its own normal form");
        }
        let _ = crate::cli::args::seconds(&line).map(|time: Duration| time.as_secs_f64());
    }
}
