//! What a program did to its data directory, in the order in which it did it.

use std::path::{Path, PathBuf};

/// A change, or what the program said. Paths are below the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It wrote this to its standard output.
    Said(Vec<u8>),
    /// It opened a file, or a directory, which has that number from now on.
    Open {
        /// The number.
        file: u64,
        /// Where.
        path: PathBuf,
        /// It was not there before.
        created: bool,
        /// What was in it is gone.
        emptied: bool,
    },
    /// It wrote into a file.
    Write {
        /// Which.
        file: u64,
        /// Where in it.
        at: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// It cut a file to a length, or lengthened it with zeros.
    Truncate {
        /// Which.
        file: u64,
        /// The length.
        length: u64,
    },
    /// It made all that outlast a power cut: a file's content, or a directory's entries.
    Sync {
        /// Which.
        file: u64,
    },
    /// It renamed a file.
    Rename {
        /// From that.
        from: PathBuf,
        /// To that.
        to: PathBuf,
    },
    /// It removed a file.
    Unlink(PathBuf),
    /// It made a directory.
    Mkdir(PathBuf),
}

/// Reads what `shim.c` has written.
pub(super) fn read(mut bytes: &[u8], data: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        let mut number = || {
            let (head, rest) = bytes.split_first_chunk().expect("a header is whole");
            bytes = rest;
            u64::from_ne_bytes(*head)
        };
        let [what, file, at, length] = [(); 4].map(|()| number());
        let (body, rest) = bytes.split_at(usize::try_from(length).expect("a length"));
        bytes = rest;
        let path = |bytes: &[u8]| {
            let path = Path::new(std::str::from_utf8(bytes).expect("scratch paths are text"));
            path.strip_prefix(data).expect("it is below the data directory").to_owned()
        };
        steps.push(match what {
            0 => Step::Said(body.to_vec()),
            1 => Step::Open { file, path: path(body), created: at & 1 != 0, emptied: at & 2 != 0 },
            2 => Step::Write { file, at, bytes: body.to_vec() },
            3 => Step::Truncate { file, length: at },
            4 => Step::Sync { file },
            5 => {
                let middle = body.iter().position(|byte| *byte == 0).expect("there are two names");
                Step::Rename { from: path(&body[..middle]), to: path(&body[middle + 1..]) }
            }
            6 => Step::Unlink(path(body)),
            7 => Step::Mkdir(path(body)),
            what => panic!("nothing in a trace is called {what}"),
        });
    }
    steps
}
