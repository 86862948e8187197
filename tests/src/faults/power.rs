//! What a power cut can leave of a data directory.
//!
//! The model is as harsh as POSIX allows, sector by sector: until a file is synced any part of what was written to it may
//! have reached the disk, in any order; until a directory is synced any number of the first changes of names in it may. What
//! was synced is there. Sectors of 512 bytes are written whole or not at all. Shared memory is gone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::trace::Step;

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// A directory's content: files with their bytes, and directories without.
pub type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A disk with what is not on it for certain.
#[derive(Debug, Default)]
pub struct Cache {
    /// What is on the disk for certain, by number.
    contents: Vec<Vec<u8>>,
    durable: BTreeMap<PathBuf, Node>,
    /// What the program sees.
    names: BTreeMap<PathBuf, Node>,
    open: BTreeMap<u64, (PathBuf, Node)>,
    /// In the order in which it was done.
    pending: Vec<Pending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Directory,
}

#[derive(Clone, Debug)]
enum Pending {
    Write { content: usize, at: u64, bytes: Vec<u8> },
    Length { content: usize, length: u64 },
    Name { path: PathBuf, node: Option<Node> },
}

/// A moment and a way in which the power goes, of what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many of the first changes have reached the disk whole.
    First(usize),
    /// The changes before that one have, and of it so many sectors.
    Torn(usize, u64),
    /// No change but so many sectors of that one.
    Alone(usize, u64),
    /// Each sector with about one chance in so many, from that seed.
    Random(u64, u64),
}

impl Cache {
    /// Does a step.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Said(_) => {}
            Step::Open { file, path, created, emptied } => {
                if *created {
                    let node = self.new_file();
                    self.name(path.clone(), Some(node));
                }
                // What was there before anything was written down is a directory.
                let node = self.names.get(path).copied().unwrap_or(Node::Directory);
                self.open.insert(*file, (path.clone(), node));
                if let (true, Node::File(content)) = (*emptied, node) {
                    self.pending.push(Pending::Length { content, length: 0 });
                }
            }
            Step::Write { file, at, bytes } => {
                let content = self.content(*file);
                self.pending.push(Pending::Write { content, at: *at, bytes: bytes.clone() });
            }
            Step::Truncate { file, length } => {
                let content = self.content(*file);
                self.pending.push(Pending::Length { content, length: *length });
            }
            Step::Sync { file } => self.sync(*file),
            Step::Rename { from, to } => {
                let node = self.names.get(from).copied();
                self.name(to.clone(), node);
                self.name(from.clone(), None);
            }
            Step::Unlink(path) => self.name(path.clone(), None),
            Step::Mkdir(path) => self.name(path.clone(), Some(Node::Directory)),
        }
    }

    fn new_file(&mut self) -> Node {
        self.contents.push(Vec::new());
        Node::File(self.contents.len() - 1)
    }

    fn content(&self, file: u64) -> usize {
        match self.open.get(&file) {
            Some((_, Node::File(content))) => *content,
            other => panic!("{other:?} is written to"),
        }
    }

    fn name(&mut self, path: PathBuf, node: Option<Node>) {
        put(&mut self.names, &path, node);
        self.pending.push(Pending::Name { path, node });
    }

    fn sync(&mut self, file: u64) {
        let (path, node) = self.open.get(&file).expect("what is synced is open").clone();
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|pending| match pending {
            Pending::Write { content, .. } | Pending::Length { content, .. } => node == Node::File(*content),
            Pending::Name { path: name, .. } => node == Node::Directory && name.parent() == Some(&path),
        });
        self.pending = later;
        let now: Vec<Pending> = now;
        for pending in &now {
            apply(&mut self.contents, &mut self.durable, pending);
        }
    }

    /// All cuts that are not drawn by lot: from nothing pending on the disk to all of it.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut cuts = vec![Cut::First(0)];
        for (number, pending) in self.pending.iter().enumerate() {
            if let Pending::Write { at, bytes, .. } = pending {
                for sectors in 1..sectors(*at, bytes.len()) {
                    cuts.extend([Cut::Torn(number, sectors), Cut::Alone(number, sectors)]);
                }
                cuts.push(Cut::Alone(number, u64::MAX));
            }
            cuts.push(Cut::First(number + 1));
        }
        cuts
    }

    /// Whether nothing is pending.
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty()
    }

    /// What is there after the cut.
    pub fn after(&self, cut: Cut) -> Image {
        let (mut contents, mut names) = (self.contents.clone(), self.durable.clone());
        let mut take = |pending: &Pending| apply(&mut contents, &mut names, pending);
        match cut {
            Cut::First(count) => self.pending.iter().take(count).for_each(take),
            Cut::Torn(number, sectors) => {
                self.pending.iter().take(number).for_each(&mut take);
                take(&torn(&self.pending[number], |sector| sector < sectors));
            }
            Cut::Alone(number, sectors) => take(&torn(&self.pending[number], |sector| sector < sectors)),
            Cut::Random(seed, of) => {
                let mut random = Random(seed);
                let named = self.pending.iter().filter(|pending| matches!(pending, Pending::Name { .. })).count();
                let mut names_left = random.below(named as u64 + 1);
                for pending in &self.pending {
                    match pending {
                        Pending::Write { at, bytes, .. } => {
                            for number in 0..sectors(*at, bytes.len()) {
                                if random.below(of) == 0 {
                                    take(&torn(pending, |sector| sector == number));
                                }
                            }
                        }
                        Pending::Length { .. } if random.below(of) == 0 => take(pending),
                        Pending::Name { .. } if names_left > 0 => {
                            names_left -= 1;
                            take(pending);
                        }
                        Pending::Length { .. } | Pending::Name { .. } => {}
                    }
                }
            }
        }
        names
            .into_iter()
            .map(|(path, node)| match node {
                Node::File(content) => (path, Some(contents[content].clone())),
                Node::Directory => (path, None),
            })
            .collect()
    }
}

/// Makes a directory of it.
pub fn restore(image: &Image, into: &Path) {
    for (path, content) in image {
        let path = into.join(path);
        // Its directory may be one of those that are lost. Then so is it.
        if !path.parent().is_some_and(Path::is_dir) {
            continue;
        }
        let made = match content {
            Some(bytes) => fs::write(path, bytes),
            None => fs::create_dir(path),
        };
        made.expect("the scratch directory can be written");
    }
}

fn put(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}

fn apply(contents: &mut [Vec<u8>], names: &mut BTreeMap<PathBuf, Node>, pending: &Pending) {
    match pending {
        Pending::Write { content, at, bytes } if !bytes.is_empty() => {
            let (content, at) = (&mut contents[*content], usize::try_from(*at).expect("a length"));
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(bytes);
        }
        Pending::Write { .. } => {}
        Pending::Length { content, length } => {
            contents[*content].resize(usize::try_from(*length).expect("a length"), 0);
        }
        Pending::Name { path, node } => put(names, path, *node),
    }
}

/// Over how many sectors a write goes.
fn sectors(at: u64, length: usize) -> u64 {
    (at + length as u64).div_ceil(SECTOR) - at / SECTOR
}

/// The part of a write that lies in the sectors that are kept, which are neighbours. They are counted from its first.
fn torn(pending: &Pending, keep: impl Fn(u64) -> bool) -> Pending {
    let Pending::Write { content, at, bytes } = pending else { return pending.clone() };
    let kept: Vec<u64> = (0..sectors(*at, bytes.len())).filter(|sector| keep(*sector)).collect();
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
        return Pending::Write { content: *content, at: *at, bytes: Vec::new() };
    };
    let begin = |sector: u64| ((at / SECTOR + sector) * SECTOR).max(*at);
    let (from, to) = (begin(*first), begin(last + 1).min(at + bytes.len() as u64));
    let part = &bytes[(from - at) as usize..(to - at) as usize];
    Pending::Write { content: *content, at: from, bytes: part.to_vec() }
}

/// SplitMix64: a few lines, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// The next number below that one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, number: u64) -> Step {
        Step::Open { file: number, path: name.into(), created: true, emptied: false }
    }

    fn write(file: u64, at: u64, bytes: &[u8]) -> Step {
        Step::Write { file, at, bytes: bytes.to_vec() }
    }

    fn cache(steps: &[Step]) -> Cache {
        let mut cache = Cache::default();
        cache.step(&Step::Open { file: 99, path: "".into(), created: false, emptied: false });
        steps.iter().for_each(|step| cache.step(step));
        cache
    }

    #[test]
    fn only_what_was_synced_is_there_for_certain() {
        let written = [file("a", 1), write(1, 0, b"hello")];
        assert_eq!(cache(&written).after(Cut::First(0)), Image::new());
        let named = [&written[..], &[Step::Sync { file: 99 }]].concat();
        assert_eq!(cache(&named).after(Cut::First(0)), Image::from([("a".into(), Some(Vec::new()))]));
        let synced = [&named[..], &[Step::Sync { file: 1 }, write(1, 5, b" there")]].concat();
        assert_eq!(cache(&synced).after(Cut::First(0)), Image::from([("a".into(), Some(b"hello".to_vec()))]));
        assert_eq!(cache(&synced).after(Cut::First(1)), Image::from([("a".into(), Some(b"hello there".to_vec()))]));
        let renamed = [&synced[..], &[Step::Rename { from: "a".into(), to: "b".into() }]].concat();
        let names = |cut| cache(&renamed).after(cut).into_keys().collect::<Vec<_>>();
        assert_eq!(names(Cut::First(1)), [PathBuf::from("a")]);
        assert_eq!(names(Cut::First(3)), [PathBuf::from("b")]);
    }

    #[test]
    fn a_write_is_torn_between_sectors() {
        let cache = cache(&[file("a", 1), Step::Sync { file: 99 }, write(1, 500, &[1; 600])]);
        let torn = |sectors| cache.after(Cut::Torn(0, sectors))[Path::new("a")].clone().unwrap();
        assert_eq!([torn(0).len(), torn(1).len(), torn(2).len(), torn(3).len()], [0, 512, 1024, 1100]);
        assert_eq!(torn(1)[499..502], [0, 1, 1]);
        assert_eq!(cache.cuts().len(), 1 + 4 + 1 + 1);
    }
}
