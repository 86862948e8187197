//! What is done about a history that cannot be used: one that is damaged, or that was written under another key.
//!
//! It is moved aside, never deleted, under a name that says what it is and since when, and a new one takes its place, with all
//! messages that can still be read out of the old one and that pass the rooms' own rules. The rest comes back from peers. The new
//! one is finished before the old one is moved, so a crash leaves either the old one, as it was, or both; see [`exchange`].
//!
//! A history of a newer program, a directory in its place, a file that we may not read: these are refused and left as they are.

pub(super) mod begun;
mod carve;
mod exchange;
pub(super) mod log;
mod told;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use distchat_crdt::{AuthorId, Message, RoomId, RoomName, Verifier, Zip215};
use rusqlite::{Connection, OptionalExtension, params};

use super::{RoomNo, Store, error::StoreError, mend, query, schema};
use crate::private;
use carve::{Found, carve};

/// A history up to this size is looked through at each start, which takes some milliseconds a megabyte. In a longer one damage
/// is noticed when what is damaged is read.
const SHORT: u64 = 8 << 20;
/// How many bytes of messages are poured into the new history at once.
const BATCH: usize = 16 << 20;

/// Why a history is moved aside.
enum Why {
    Damaged(String),
    /// It was written under that author's key.
    Of(AuthorId),
}

/// Opens the history of that author, or creates it; says what a person should know about how it was found. That is kept, and said
/// again, until [`Store::told`]. Blocks.
pub(crate) fn open(path: &Path, own: AuthorId) -> Result<(Store, Vec<String>), StoreError> {
    let failed = |error: io::Error| StoreError::io(path, &error);
    exchange::finish(path).map_err(failed)?;
    if let Some(why) = reason(path, own).map_err(|error| error.at(Some(path)))? {
        salvage(path, own, &why).map_err(|error| error.at(Some(path)))?;
        exchange::finish(path).map_err(failed)?;
    }
    let store = Store::open(Some(path))?;
    Ok((store, told::read(path)))
}

/// Somebody was given what was found of the history.
pub(super) fn told(path: &Path) {
    if let Err(error) = told::clear(path) {
        tracing::warn!(%error, "what was told of the history is told again by the next start");
    }
}

/// Notes that a history was found to be damaged while it was in use. The next start sees to it.
pub(super) fn note(path: &Path, error: &StoreError) {
    if let StoreError::Damaged { detail, .. } = error {
        let mut options = OpenOptions::new();
        let noted = private::open(options.write(true).create(true).truncate(true), &noted(path))
            .and_then(|mut file| file.write_all(detail.as_bytes()));
        if let Err(error) = noted {
            tracing::warn!(%error, "that the history is damaged could not be noted");
        }
    }
}

fn noted(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}

/// The name of a file of the database itself, as SQLite makes it.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(what);
    name.into()
}

/// How long a file is; one that is not there has no bytes.
fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Err(error) if is_absent(&error) => Ok(0),
        metadata => Ok(metadata?.len()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the history cannot stay, and why. Notes what else there is to tell of it.
fn reason(path: &Path, own: AuthorId) -> Result<Option<Why>, StoreError> {
    if let Ok(detail) = fs::read_to_string(noted(path)) {
        return Ok(Some(Why::Damaged(detail)));
    }
    let looked = match look(path, own) {
        // A disk may have failed once, which SQLite takes for damage.
        Err(StoreError::Damaged { .. }) => look(path, own),
        looked => looked,
    };
    match looked {
        Ok(owner) => Ok(owner.filter(|owner| *owner != own).map(Why::Of)),
        Err(StoreError::Damaged { detail, .. } | StoreError::Row { detail, .. }) => Ok(Some(Why::Damaged(detail))),
        Err(error) => Err(error),
    }
}

/// Looks at the files, and then, unless that would destroy something, into the history; says whose it is. What there is to tell
/// is noted before the history is opened: of what SQLite makes of it then no later start could tell.
fn look(path: &Path, own: AuthorId) -> Result<Option<AuthorId>, StoreError> {
    let tell = |what: String| told::add(path, &what).map_err(|error| StoreError::io(path, &error));
    // SQLite shortens a log that is broken off, whyever it is.
    let log = beside(path, "-wal");
    let state = log::state(&log).or_else(|error| unreadable(error).map(log::State::Changed));
    match state.map_err(|error| StoreError::io(&log, &error))? {
        log::State::Sound => {}
        log::State::Doubtful => tell(format!(
            "the last change to the history {} was not written whole, as when the power fails, or was damaged since: if \
             something is missing, what other nodes hold of it comes back from them",
            path.display()
        ))?,
        log::State::Changed(detail) => return Err(StoreError::damaged(detail)),
    }
    match begun::state(path).map_err(|error| StoreError::io(path, &error))? {
        begun::State::Begun if path.with_file_name("search.sqlite3").exists() => tell(format!(
            "the history {} was gone or empty, though there had been one: what other nodes hold comes back from them",
            path.display()
        ))?,
        begun::State::Begun => {}
        begun::State::Held => check_header(path)?,
        begun::State::Lost(detail) => return Err(StoreError::damaged(detail)),
    }
    let conn = schema::open_writer(Some(path))?;
    let size = length(path).and_then(|file| Ok(file + length(&log)?)).map_err(|error| StoreError::io(path, &error))?;
    if size <= SHORT {
        let said: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if said != "ok" {
            return Err(StoreError::damaged(said));
        }
    }
    owner(&conn, own)
}

/// What is damaged if the disk does not give a part of a file. If it gives nothing at all, salvaging says so.
fn unreadable(error: io::Error) -> io::Result<String> {
    // EIO, and ERROR_CRC.
    const FAILED: i32 = if cfg!(windows) { 23 } else { 5 };
    match error.raw_os_error() {
        Some(FAILED) => Ok(format!("a part of it cannot be read: {error}")),
        _ => Err(error),
    }
}

/// What SQLite believes without asking: some of it makes a file read-only, or one of another kind. There is less in a file whose
/// first tables are only in the log so far.
fn check_header(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::io(path, &error);
    let mut header = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::damaged("it is cut off in its first bytes"));
        }
        Err(error) => return Err(StoreError::damaged(unreadable(error).map_err(failed)?)),
        Ok(()) => {}
    }
    // SQLite's word for 65,536 is 1, which is none of ours either.
    let page = u64::from(u16::from_be_bytes([header[16], header[17]]));
    if length(path).map_err(failed)? < page {
        return Err(StoreError::damaged("it is cut off in its first page"));
    }
    let is_sound = header.starts_with(b"SQLite format 3\0")
        && matches!(header[18..20], [1, 1] | [2, 2])
        && header[20..24] == [0, 64, 32, 32]
        && (header[40..60] == [0; 20] || header[44..48] == [0, 0, 0, 4] && header[52..60] == [0, 0, 0, 0, 0, 0, 0, 1])
        && header[64..68] == [0; 4]
        && header[72..92] == [0; 20];
    if is_sound { Ok(()) } else { Err(StoreError::damaged("its first bytes are not those of a history")) }
}

/// Whose history it is. If that is not known yet, it is from now on.
fn owner(conn: &Connection, own: AuthorId) -> Result<Option<AuthorId>, StoreError> {
    let kept = conn.query_row("SELECT author FROM owner", [], |row| row.get(0).map(AuthorId));
    if let Some(owner) = kept.optional()? {
        return Ok(Some(owner));
    }
    // An older program has not written that down, but whose messages are its own.
    let wrote = "SELECT substr(bytes, 39, 32) FROM message INDEXED BY message_own
        WHERE own = 1 GROUP BY 1 ORDER BY substr(bytes, 39, 32) = ? DESC LIMIT 1";
    let wrote = conn.query_row(wrote, [own.0], |row| row.get(0).map(AuthorId)).optional()?;
    if wrote.is_none_or(|wrote| wrote == own) {
        conn.execute("INSERT INTO owner VALUES (?)", [own.0])?;
    }
    Ok(wrote)
}

/// Makes a new history of what can be read out of this one, which is moved aside next.
fn salvage(path: &Path, own: AuthorId, why: &Why) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::io(path, &error);
    // There may be nothing but a log.
    schema::create_private(path).map_err(failed)?;
    let part = exchange::begin(path).map_err(failed)?;
    let poured = pour(path, &part, own)?;
    let word = match why {
        Why::Damaged(_) => "damaged".to_owned(),
        Why::Of(author) => format!("of-{}", author.short()),
    };
    exchange::decide(path, &word, |aside| tell(path, aside, why, &poured)).map_err(failed)
}

/// What a person is told of it.
fn tell(path: &Path, aside: &Path, why: &Why, poured: &Poured) -> String {
    let (path, aside) = (path.display(), aside.display());
    let what = match why {
        Why::Damaged(detail) => format!("the history {path} was damaged ({detail})"),
        Why::Of(author) => format!("the history {path} was written under another key, by {}", author.short()),
    };
    let mut told = format!("{what}: it was moved to {aside}, and {} messages were taken over from it", poured.messages);
    if poured.damaged > 0 {
        told += &format!("; in {} places there was one that cannot be used any more", poured.damaged);
    }
    if poured.unnamed > 0 {
        told +=
            &format!("; {} rooms lost their names and are there again when they are opened by them", poured.unnamed);
    }
    told + "; what other nodes hold comes back from them"
}

/// What was taken over.
#[derive(Default)]
struct Poured {
    messages: u64,
    damaged: u64,
    unnamed: u64,
}

/// Makes a new history of the messages in an old one's files.
fn pour(path: &Path, new: &Path, own: AuthorId) -> Result<Poured, StoreError> {
    let conn = schema::open_writer(Some(new))?;
    conn.execute("INSERT INTO owner VALUES (?)", [own.0])?;
    let verifier = Zip215::new(rand::random());
    let mut pouring = Pouring { conn: &conn, own, verifier, rooms: BTreeMap::new(), batch: Vec::new(), bytes: 0 };
    let mut poured = Poured::default();
    carve(path, &beside(path, "-wal"), &mut |found| {
        match found {
            Found::Message { message, row } => pouring.take(*message, row)?,
            Found::Room(name) => drop(query::room(&conn, &name)?),
            Found::Damaged => poured.damaged += 1,
        }
        Ok::<(), StoreError>(())
    })?;
    pouring.flush()?;

    let mut statement = conn.prepare("SELECT no, name FROM room")?;
    let rooms = statement.query_map([], |row| Ok((RoomNo(row.get(0)?), row.get::<_, String>(1)?)))?;
    let rooms: Vec<_> = rooms.collect::<Result<_, _>>()?;
    drop(statement);
    for (room, name) in rooms {
        if RoomName::parse(&name).is_err() {
            poured.unnamed += 1;
            continue;
        }
        let judged = mend::judge(&conn, room, own)?;
        poured.damaged += mend::rewrite(&conn, room, own, &judged)?.aside;
    }
    poured.messages = conn.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0))?.cast_unsigned();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)?;
    Ok(poured)
}

/// When a message came, and whether it was late, if its row could be read.
type Arrival = Option<(i64, bool)>;

/// Messages on their way into a new history.
struct Pouring<'a> {
    conn: &'a Connection,
    own: AuthorId,
    verifier: Zip215,
    rooms: BTreeMap<RoomId, RoomNo>,
    batch: Vec<(RoomNo, Message, Arrival)>,
    bytes: usize,
}

impl Pouring<'_> {
    fn take(&mut self, message: Message, row: Arrival) -> Result<(), StoreError> {
        // What is left of a message is no damage, and no message.
        if row.is_none() && !self.is_signed(&message) {
            return Ok(());
        }
        let room = match self.rooms.get(&message.room()) {
            Some(room) => *room,
            None => {
                let room = self.room(message.room())?;
                self.rooms.insert(message.room(), room);
                room
            }
        };
        self.bytes += message.bytes().len();
        self.batch.push((room, message, row));
        if self.bytes >= BATCH { self.flush() } else { Ok(()) }
    }

    fn is_signed(&self, message: &Message) -> bool {
        self.verifier.verify(&message.author(), &message.signed_bytes(), &message.signature())
    }

    /// The room of that id. Until its name is found it bears one that nobody can open it by.
    fn room(&self, id: RoomId) -> Result<RoomNo, StoreError> {
        let find = "SELECT no FROM room WHERE id = ?";
        if let Some(no) = self.conn.query_row(find, [id.0], |row| row.get(0)).optional()? {
            return Ok(RoomNo(no));
        }
        let digits: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        self.conn.execute("INSERT INTO room (name, id) VALUES (?, ?)", params![format!("/{digits}"), id.0])?;
        Ok(RoomNo(self.conn.last_insert_rowid()))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        // Of several copies the one in a row counts.
        batch.sort_by_key(|(room, message, row)| (*room, message.key(), row.is_none()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = i64::try_from(now).unwrap_or(0);
        let tx = self.conn.unchecked_transaction()?;
        let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (room, message, row) in &batch {
            let key = message.key();
            let (arrived, late) = row.unwrap_or((now, false));
            insert.execute(params![
                room.0,
                key.time.0.cast_signed(),
                key.id.0,
                message.kind(),
                message.seq().cast_signed(),
                message.body_at() as i64,
                message.author() == self.own,
                arrived,
                message.bytes(),
                late,
            ])?;
        }
        drop(insert);
        Ok(tx.commit()?)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::io(Path::new("-"), &error)
    }
}
