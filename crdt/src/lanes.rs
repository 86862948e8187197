//! SHA-256 (FIPS 180-4) of many byte strings, eight at a time.
//!
//! One SHA-256 is a chain of operations of which each waits for the one before, and fills a small part of a processor
//! without SHA instructions. Eight independent ones fit its vector registers, one in each 32-bit lane, and take hardly
//! longer than one (Gueron and Krasnov, *Simultaneous hashing of multiple messages*, 2012). Where the processor has SHA
//! instructions these are faster, so there the strings are hashed one by one.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u32x8};
use sha2::block_api::compress256;

use crate::id::sha256;

/// How many strings are hashed side by side.
const LANES: usize = 8;
/// With fewer strings left a step of all lanes costs more than a step of each by itself.
const FEW: usize = 2;
/// Bytes of a block.
const BLOCK: usize = 64;

/// The fractional parts of the square roots of the first 8 primes (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2).
const ROUND: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// The SHA-256 of each.
pub(crate) fn sha256_all(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    let level = Level::new();
    if inputs.len() <= FEW || has_sha_instructions() || level.is_fallback() {
        return inputs.iter().map(|input| sha256(&[input])).collect();
    }
    in_lanes(level, inputs)
}

fn has_sha_instructions() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// One number for each lane.
type Row = [u32; LANES];

/// A string on its way through a lane.
struct Job<'a> {
    /// Which of the inputs.
    at: usize,
    /// The whole blocks that are left of it.
    whole: std::slice::Iter<'a, [u8; BLOCK]>,
    /// What follows them: the rest, the padding, and the length.
    end: [u8; 2 * BLOCK],
    /// Where in `end` the next block is.
    end_at: usize,
}

impl<'a> Job<'a> {
    fn new(at: usize, input: &'a [u8]) -> Self {
        let (whole, rest) = input.as_chunks::<BLOCK>();
        let mut end = [0; 2 * BLOCK];
        end[..rest.len()].copy_from_slice(rest);
        end[rest.len()] = 0x80;
        // One block if the mark and eight bytes of length fit behind the rest, else two.
        let end_at = if rest.len() + 9 <= BLOCK { BLOCK } else { 0 };
        if end_at == BLOCK {
            end.copy_within(..BLOCK, BLOCK);
        }
        end[2 * BLOCK - 8..].copy_from_slice(&(8 * input.len() as u64).to_be_bytes());
        Self { at, whole: whole.iter(), end, end_at }
    }

    /// The next block.
    fn next(&mut self) -> &[u8; BLOCK] {
        match self.whole.next() {
            Some(block) => block,
            None => {
                let (blocks, _) = self.end.as_chunks::<BLOCK>();
                self.end_at += BLOCK;
                &blocks[self.end_at / BLOCK - 1]
            }
        }
    }

    fn is_done(&self) -> bool {
        self.end_at == self.end.len()
    }
}

/// A lane that has done its string takes the next one, so that strings of different lengths keep all lanes busy.
fn in_lanes(level: Level, inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut hashes = vec![[0; 32]; inputs.len()];
    let mut waiting = inputs.iter().enumerate();
    let mut lanes: [Option<Job<'_>>; LANES] = [const { None }; LANES];
    let mut state = [[0; LANES]; 8];
    let mut words = [[0; LANES]; 16];
    loop {
        for (n, lane) in lanes.iter_mut().enumerate().filter(|(_, lane)| lane.is_none()) {
            let Some((at, input)) = waiting.next() else { break };
            *lane = Some(Job::new(at, input));
            state.iter_mut().zip(INITIAL).for_each(|(row, word)| row[n] = word);
        }
        if lanes.iter().flatten().count() <= FEW {
            break;
        }
        for (n, job) in lanes.iter_mut().enumerate() {
            let Some(job) = job else { continue };
            let (bytes, _) = job.next().as_chunks::<4>();
            words.iter_mut().zip(bytes).for_each(|(row, word)| row[n] = u32::from_be_bytes(*word));
        }
        dispatch!(level, simd => compress(simd, &mut state, &words));
        for (n, lane) in lanes.iter_mut().enumerate() {
            if let Some(job) = lane.take_if(|job| job.is_done()) {
                hashes[job.at] = digest(&state.map(|row| row[n]));
            }
        }
    }
    for (n, job) in lanes.iter_mut().enumerate() {
        let Some(job) = job else { continue };
        let mut state = state.map(|row| row[n]);
        while !job.is_done() {
            compress256(&mut state, &[*job.next()]);
        }
        hashes[job.at] = digest(&state);
    }
    hashes
}

fn digest(state: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut::<4>();
    words.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    bytes
}

/// FIPS 180-4, 6.2.2, for one block of each lane.
#[inline(always)]
fn compress<S: Simd>(simd: S, state: &mut [Row; 8], block: &[Row; 16]) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut words: [u32x8<S>; 16] = std::array::from_fn(|at| u32x8::from_slice(simd, &block[at]));
            let before: [u32x8<S>; 8] = std::array::from_fn(|at| u32x8::from_slice(simd, &state[at]));
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;
            for (round, constants) in ROUND.as_chunks::<16>().0.iter().enumerate() {
                for (at, constant) in constants.iter().enumerate() {
                    if round > 0 {
                        let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
                        let early = rotate(early, 7) ^ rotate(early, 18) ^ (early >> 3);
                        let late = rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10);
                        words[at] = words[at] + early + words[(at + 9) % 16] + late;
                    }
                    let choice = g ^ (e & (f ^ g));
                    let majority = (a & b) | (c & (a | b));
                    let first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + (words[at] + *constant);
                    let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
                    (h, g, f, e, d, c, b, a) = (g, f, e, d + first, c, b, a, first + second);
                }
            }
            for ((row, before), after) in state.iter_mut().zip(before).zip([a, b, c, d, e, f, g, h]) {
                (before + after).store_slice(row);
            }
        },
    );
}

#[inline(always)]
fn rotate<S: Simd>(x: u32x8<S>, right: u32) -> u32x8<S> {
    (x >> right) | (x << (32 - right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whatever this machine would choose, the lanes are tried.
    fn check(inputs: &[&[u8]]) {
        let expected: Vec<[u8; 32]> = inputs.iter().map(|input| sha256(&[input])).collect();
        assert_eq!(in_lanes(Level::new(), inputs), expected);
        assert_eq!(in_lanes(Level::baseline(), inputs), expected);
        assert_eq!(sha256_all(inputs), expected);
    }

    /// FIPS 180-4's examples, as NIST publishes them.
    #[test]
    fn the_standards_examples() {
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".as_slice();
        let inputs = [b"abc".as_slice(), two_blocks, b""].repeat(4);
        check(&inputs);
        let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hashes: Vec<String> = in_lanes(Level::new(), &inputs).into_iter().map(hex).collect();
        assert_eq!(hashes[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hashes[4], "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        assert_eq!(hashes[8], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn every_length_of_the_last_block() {
        let bytes: Vec<u8> = (0..=255).collect();
        let inputs: Vec<&[u8]> = (0..=200).map(|length| &bytes[..length]).collect();
        check(&inputs);
    }

    proptest! {
        #[test]
        fn any_number_of_any_length(inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..40)) {
            check(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
