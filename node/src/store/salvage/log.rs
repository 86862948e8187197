//! Whether a database's log is as it was written.
//!
//! A log is read up to the first page whose checksum is wrong, for so it ends where a process was killed or the power failed
//! while it was written. It ends like that, too, where a byte of it was changed: all that was committed behind that place is
//! gone then, and SQLite does not say a word. The two can be told apart. A transaction is on the disk before the next one is
//! written, so behind one that was never written whole there is nothing; and one of which every page is there was.
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

/// What was changed of a log, if anything was. One that ends in a transaction that was not written whole is as it was written.
///
/// # Errors
/// If the log is there and cannot be read.
pub(in crate::store) fn changed(log: &Path) -> io::Result<Option<String>> {
    let file = match File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let frames = file.metadata()?.len().saturating_sub(LOG_HEADER) / (FRAME_HEADER + PAGE) as u64;
    if frames == 0 {
        return Ok(None);
    }
    let mut file = BufReader::with_capacity(FRAME_HEADER + PAGE, file);
    let mut header = [0; LOG_HEADER as usize];
    file.read_exact(&mut header)?;
    let Some(mut sums) = Sums::of(&header) else {
        return Ok(Some("the first bytes of its log were changed".to_owned()));
    };
    let changed = |number: u64| Ok(Some(format!("page {number} of its log was changed")));
    let (mut broken, mut whole, mut ended) = (None, true, false);
    let mut frame = vec![0; FRAME_HEADER + PAGE];
    for number in 1..=frames {
        file.read_exact(&mut frame)?;
        // Else it is of an earlier log, which this one is being written over.
        let is_of_this = frame[8..16] == header[16..24];
        if broken.is_none() {
            sums.add(&frame[..8]);
            sums.add(&frame[FRAME_HEADER..]);
            match (sums.are(&frame[16..24]), is_of_this) {
                (true, true) => continue,
                // What says which log it is of is in no checksum, and of an earlier one it would have another.
                (true, false) => return changed(number),
                (false, _) => broken = Some(number),
            }
        }
        let commits = is_of_this && frame[4..8] != [0; 4];
        whole &= is_of_this;
        if ended && is_of_this || whole && commits {
            return changed(broken.unwrap_or(number));
        }
        ended |= commits;
    }
    Ok(None)
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
