//! The rules of PROTOCOL.md once more, from its words: nothing here calls the crate for what it is to be held against.

use ciborium::Value;
use distchat_crdt::{Key, MessageId, Signature, Signer, Timestamp};
use sha2::{Digest, Sha256};

/// When the examples take place: milliseconds since 1970.
pub const START_MS: u64 = 1_790_000_000_000;

pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

/// Section 2.
pub fn room_id(name: &str) -> [u8; 32] {
    sha256(&[b"distchat/1/room\0", name.as_bytes()])
}

pub fn topic(room: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"distchat/1/topic\0", room])
}

/// Section 3: an item's head, in its shortest form.
pub fn head(major: u8, argument: u64) -> Vec<u8> {
    let bytes = argument.to_be_bytes();
    let (info, from) = match argument {
        0..=23 => return vec![major << 5 | argument as u8],
        24..=0xff => (24, 7),
        0x100..=0xffff => (25, 6),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 0),
    };
    [&[major << 5 | info], &bytes[from..]].concat()
}

pub fn uint(value: u64) -> Vec<u8> {
    head(0, value)
}

pub fn bytes(content: &[u8]) -> Vec<u8> {
    [head(2, content.len() as u64), content.to_vec()].concat()
}

pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

pub fn reference(key: &Key) -> Vec<u8> {
    array(&[uint(key.time.0), bytes(&key.id.0)])
}

/// A message's nine fields before the signature, each encoded, and then the signature.
pub fn sign(signer: &dyn Signer, unsigned: &[u8]) -> Vec<u8> {
    let Signature(signature) = signer.sign(&[b"distchat/1/message\0", unsigned].concat());
    [unsigned, &bytes(&signature)].concat()
}

/// Section 6: key number `n` of the examples.
pub fn key(n: u64) -> Key {
    let time = Timestamp((START_MS + 700 * n) * 65_536 + n % 3);
    Key { time, id: MessageId(sha256(&[&n.to_be_bytes()])) }
}

/// Section 6: the root without a tree. The keys ascend.
pub fn root(keys: &[[u8; 40]]) -> [u8; 32] {
    if keys.len() <= 16 {
        return sha256(&[b"distchat/1/leaf\0", &keys.concat()]);
    }
    let digit = |key: &[u8; 40], at: usize| key[at / 2] >> (4 * (1 - at % 2)) & 15;
    let at = (0..80).find(|at| keys.iter().any(|key| digit(key, *at) != digit(&keys[0], *at))).unwrap();
    let mut bitmap = 0_u16;
    let mut hashes = Vec::new();
    for group in keys.chunk_by(|a, b| digit(a, at) == digit(b, at)) {
        bitmap |= 1 << digit(&group[0], at);
        hashes.extend(root(group));
    }
    sha256(&[b"distchat/1/inner\0", &bitmap.to_le_bytes(), &hashes])
}

/// Section 7: what stands for a key or a hash in a session.
pub fn short(nonce: u64, what: &[u8]) -> Vec<u8> {
    sha256(&[b"distchat/1/short\0", &nonce.to_be_bytes(), what])[..6].to_vec()
}

pub fn proof(room: &[u8; 32], from: &[u8], to: &[u8]) -> [u8; 32] {
    sha256(&[b"distchat/1/enter\0", room, &[from.len() as u8], from, &[to.len() as u8], to])
}

/// Section 8: the key under which a room's payloads are encrypted.
pub fn gossip_key(room: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"distchat/1/gossip\0", room])
}

pub fn gossip_nonce(key: &[u8; 32], payload: &[u8]) -> Vec<u8> {
    sha256(&[b"distchat/1/nonce\0", key, payload])[..24].to_vec()
}

pub fn gossip_id(topic: &[u8; 32], sealed: &[u8]) -> Vec<u8> {
    sha256(&[hex(topic).as_bytes(), sealed])[..20].to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// CBOR in diagnostic notation (RFC 8949 section 8), of long byte strings only the beginning.
pub fn diagnostic(encoded: &[u8]) -> String {
    fn show(value: &Value) -> String {
        let list = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>().join(", ");
        match value {
            Value::Integer(n) => i128::from(*n).to_string(),
            Value::Bytes(bytes) if bytes.len() > 9 => format!("h'{} ...'", hex(&bytes[..4])),
            Value::Bytes(bytes) => format!("h'{}'", hex(bytes)),
            Value::Text(text) => format!("{text:?}"),
            Value::Null => "null".to_owned(),
            Value::Array(items) => format!("[{}]", list(items)),
            Value::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{}: {}", show(k), show(v))).collect();
                format!("{{{}}}", entries.join(", "))
            }
            other => panic!("{other:?} occurs in no frame"),
        }
    }
    show(&ciborium::from_reader(encoded).unwrap())
}

/// Section 10.
pub fn bundle_frame(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let name_len = (name.len() as u16).to_be_bytes();
    let content_len = (content.len() as u32).to_be_bytes();
    let head = [&b"\x89dchat\r\n"[..], &[1, kind], &name_len, &content_len].concat();
    let frame = [&head, name.as_bytes(), content].concat();
    let checksum = sha256(&[b"distchat/1/bundle\0", &frame]);
    [frame, checksum.to_vec()].concat()
}
