//! Whether a database's log is as it was written.
//!
//! A log is read up to the first page whose checksum is wrong, for so it ends where a process was killed or the power failed
//! while it was written. It ends like that, too, where a byte of it was changed: all that was committed behind that place is
//! gone then, and SQLite does not say a word. The two can be told apart: a transaction is on the disk before the next one is
//! written, so behind one that was never written whole there is nothing. Only of the last one it is not known.
//!
//! The format is that of sqlite.org/fileformat2.html, "The Write-Ahead Log".

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use super::carve::{FRAME_HEADER, LOG_HEADER, PAGE, be32};

/// What a log begins with, but for the last bit, and the version of its format.
const FORMAT: [u32; 2] = [0x377f_0682, 3_007_000];

/// What a log is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum State {
    /// All of it adds up, or it ends in a transaction of which something never came to the disk.
    Sound,
    /// All pages of its last transaction are there, and do not add up. The power may have failed while the last of them was
    /// written, and nobody was told of it; or it was changed since.
    Doubtful,
    /// It was changed, and transactions that were whole are not to be read any more.
    Changed(String),
}

/// What a log is.
///
/// # Errors
/// If the log is there and cannot be read.
pub(in crate::store) fn state(log: &Path) -> io::Result<State> {
    let file = match File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Sound),
        file => file?,
    };
    let frames = file.metadata()?.len().saturating_sub(LOG_HEADER) / (FRAME_HEADER + PAGE) as u64;
    if frames == 0 {
        return Ok(State::Sound);
    }
    let mut file = BufReader::with_capacity(FRAME_HEADER + PAGE, file);
    let mut header = [0; LOG_HEADER as usize];
    file.read_exact(&mut header)?;
    let Some(mut sums) = Sums::of(&header) else {
        return Ok(State::Changed("the first bytes of its log were changed".to_owned()));
    };
    let changed = |number: u64| Ok(State::Changed(format!("page {number} of its log was changed")));
    // The first page that does not add up; whether all of its transaction are there, and whether that has come to its end.
    let (mut broken, mut whole, mut ended) = (None, true, false);
    let mut frame = vec![0; FRAME_HEADER + PAGE];
    for number in 1..=frames {
        file.read_exact(&mut frame)?;
        // Else it is of an earlier log, which this one is being written over.
        let is_of_this = frame[8..16] == header[16..24];
        let first = match broken {
            Some(first) => first,
            None => {
                sums.add(&frame[..8]);
                sums.add(&frame[FRAME_HEADER..]);
                match (sums.are(&frame[16..24]), is_of_this) {
                    (true, true) => continue,
                    // What says which log it is of is in no checksum, and of an earlier one it would have another.
                    (true, false) => return changed(number),
                    (false, _) => broken = Some(number),
                }
                number
            }
        };
        if ended && is_of_this {
            return changed(first);
        }
        whole &= is_of_this || ended;
        ended |= is_of_this && frame[4..8] != [0; 4];
    }
    Ok(if whole && ended { State::Doubtful } else { State::Sound })
}

/// The checksums of a log, each of which is of all that stands before it.
struct Sums {
    word: fn([u8; 4]) -> u32,
    sums: [u32; 2],
}

impl Sums {
    /// Those of a log with that header; none if it is not one of a log of ours.
    fn of(header: &[u8]) -> Option<Self> {
        let is_big_endian = be32(header, 0)?.checked_sub(FORMAT[0])?;
        let word = match is_big_endian {
            0 => u32::from_le_bytes,
            1 => u32::from_be_bytes,
            _ => return None,
        };
        let mut sums = Self { word, sums: [0; 2] };
        sums.add(header.get(..24)?);
        let is_ours = be32(header, 4)? == FORMAT[1] && be32(header, 8)? == PAGE as u32;
        (is_ours && sums.are(header.get(24..)?)).then_some(sums)
    }

    fn add(&mut self, bytes: &[u8]) {
        let [first, second] = &mut self.sums;
        for pair in bytes.chunks_exact(8) {
            let [a, b, c, d, e, f, g, h] = pair else { continue };
            *first = first.wrapping_add((self.word)([*a, *b, *c, *d])).wrapping_add(*second);
            *second = second.wrapping_add((self.word)([*e, *f, *g, *h])).wrapping_add(*first);
        }
    }

    /// Whether these are the checksums so far, as they stand in the file.
    fn are(&self, written: &[u8]) -> bool {
        be32(written, 0) == Some(self.sums[0]) && be32(written, 4) == Some(self.sums[1])
    }
}
