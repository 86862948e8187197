//! Texts that are short as a rule and may be as long as any other: how much of them is looked at, wherever they come from.

/// As many bytes of a name are looked at; of what is in them, [`super::MAX_NICK`] characters are shown.
pub(crate) const NICK_BYTES: usize = 512;
/// As many bytes of a reaction are looked at. The longest emoji there are take 35.
pub(crate) const EMOJI_BYTES: usize = 256;

/// What somebody thinks of a message, by the bytes behind its key, of which no more than [`EMOJI_BYTES`] need be there; `None`
/// if that is no text. A character that is cut there is not part of it.
pub(crate) fn emoji(text: &[u8]) -> Option<&str> {
    let start = text.get(..EMOJI_BYTES).unwrap_or(text);
    match std::str::from_utf8(start) {
        Ok(whole) => Some(whole),
        Err(error) if start.len() == EMOJI_BYTES && error.error_len().is_none() => {
            start.get(..error.valid_up_to()).and_then(|start| std::str::from_utf8(start).ok())
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaction_is_text_and_not_long() {
        let long = "👍".repeat(1000);
        for (text, expect) in [
            ("👍".as_bytes(), Some("👍")),
            (b"", Some("")),
            (b"\xff", None),
            // Cut by whoever wrote it.
            ("👍".as_bytes().get(..3).unwrap(), None),
            (long.as_bytes(), Some(long.get(..EMOJI_BYTES).unwrap())),
        ] {
            assert_eq!(emoji(text), expect);
        }
        let odd = format!("x{long}");
        assert_eq!(emoji(odd.as_bytes()), odd.get(..EMOJI_BYTES - 3));
        assert_eq!(emoji(odd.as_bytes().get(..EMOJI_BYTES).unwrap()), odd.get(..EMOJI_BYTES - 3));
    }
}
