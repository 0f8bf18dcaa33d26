//! Frames of the wire, RESP2 and RESP3: what servers answer, and how calls are written. It never
//! reads more than it is given.

use std::fmt;
use std::io::Write;
use std::ops::Range;

/// A reply of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A short word, such as `OK`.
    Simple(String),
    /// A refusal, beginning with its class.
    Error(String),
    /// A number.
    Int(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// Nothing: the null of RESP2 and of RESP3.
    Nil,
    /// A list; in RESP3 also a set. A map of RESP3 is the list of its keys and values in turn.
    Array(Vec<Reply>),
    /// A message that answers no call (RESP3).
    Push(Vec<Reply>),
    /// The other types of RESP3 (doubles, booleans), as they are written.
    Other(String),
}

impl Reply {
    /// Its text, if it is a word, a string or a refusal.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::Other(text) => Some(text.clone()),
            Self::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// The number.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("a number was expected, not {other:?}"),
        }
    }

    /// The elements.
    ///
    /// # Panics
    /// If it is no list.
    #[must_use]
    #[track_caller]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::Array(list) | Self::Push(list) => list,
            other => panic!("a list was expected, not {other:?}"),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    /// Whether it is a refusal that begins with `class`, such as `NOPERM`.
    #[must_use]
    pub fn is_error(&self, class: &str) -> bool {
        matches!(self, Self::Error(text) if text.starts_with(class))
    }

    /// The first frame of `bytes` and its length; none if it is not complete.
    ///
    /// # Errors
    /// The bytes are not of this protocol.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NotResp> {
        let mut parser = Parser { bytes, at: 0 };
        match parser.frame() {
            Ok(reply) => Ok(Some((reply, parser.at))),
            Err(Stop::Incomplete) => Ok(None),
            Err(Stop::NotResp) => {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
                Err(NotResp(said))
            }
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Nil => f.write_str("(nil)"),
            Self::Array(list) | Self::Push(list) => f.debug_list().entries(list).finish(),
            _ => f.write_str(&self.text().unwrap_or_default()),
        }
    }
}

/// A call as it travels.
#[must_use]
pub fn call(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = write!(bytes, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
    }
    bytes
}

/// The bytes are no RESP; how they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotResp(String);

impl fmt::Display for NotResp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is no RESP: {:?}", self.0)
    }
}

impl std::error::Error for NotResp {}

enum Stop {
    Incomplete,
    NotResp,
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn frame(&mut self) -> Result<Reply, Stop> {
        let kind = *self.bytes.get(self.at).ok_or(Stop::Incomplete)?;
        self.at += 1;
        let line = self.line()?;
        let line = str::from_utf8(&self.bytes[line]).map_err(|_| Stop::NotResp)?;
        let number = || line.parse::<i64>().map_err(|_| Stop::NotResp);
        Ok(match kind {
            b'+' => Reply::Simple(line.to_owned()),
            b'-' => Reply::Error(line.to_owned()),
            b':' => Reply::Int(number()?),
            b'_' => Reply::Nil,
            b',' | b'#' | b'(' => Reply::Other(line.to_owned()),
            b'$' | b'=' | b'!' => match usize::try_from(number()?) {
                Ok(length) => self.bulk(kind, length)?,
                Err(_) => Reply::Nil,
            },
            b'*' | b'~' | b'>' | b'%' => match usize::try_from(number()?) {
                Ok(length) => self.list(kind, length)?,
                Err(_) => Reply::Nil,
            },
            _ => return Err(Stop::NotResp),
        })
    }

    /// Up to the end of the line, which it steps over.
    fn line(&mut self) -> Result<Range<usize>, Stop> {
        let rest = &self.bytes[self.at..];
        let length = rest.windows(2).position(|w| w == b"\r\n").ok_or(Stop::Incomplete)?;
        let line = self.at..self.at + length;
        self.at = line.end + 2;
        Ok(line)
    }

    fn bulk(&mut self, kind: u8, length: usize) -> Result<Reply, Stop> {
        let end = self.at + length;
        let bytes = self.bytes.get(self.at..end).ok_or(Stop::Incomplete)?.to_vec();
        if self.bytes.get(end..end + 2).ok_or(Stop::Incomplete)? != b"\r\n" {
            return Err(Stop::NotResp);
        }
        self.at = end + 2;
        Ok(match kind {
            b'!' => Reply::Error(String::from_utf8_lossy(&bytes).into_owned()),
            // Three letters and a colon say what kind of text it is.
            b'=' => Reply::Bulk(bytes.get(4..).unwrap_or_default().to_vec()),
            _ => Reply::Bulk(bytes),
        })
    }

    fn list(&mut self, kind: u8, length: usize) -> Result<Reply, Stop> {
        let length = if kind == b'%' { length * 2 } else { length };
        let list = (0..length).map(|_| self.frame()).collect::<Result<Vec<_>, _>>()?;
        Ok(if kind == b'>' { Reply::Push(list) } else { Reply::Array(list) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_read_and_none_before_it_is_complete() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let list = |elements: Vec<Reply>| Reply::Array(elements);
        let cases = [
            ("+OK\r\n", Reply::Simple("OK".into())),
            ("-NOPERM no\r\n", Reply::Error("NOPERM no".into())),
            (":-7\r\n", Reply::Int(-7)),
            ("$3\r\na\r\n\r\n", bulk("a\r\n")),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("_\r\n", Reply::Nil),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
                list([Reply::Int(1), list([bulk("x")].into())].into()),
            ),
            ("%1\r\n$1\r\nk\r\n#t\r\n", list([bulk("k"), Reply::Other("t".into())].into())),
            (">1\r\n$1\r\nx\r\n", Reply::Push(vec![bulk("x")])),
            ("=7\r\ntxt:abc\r\n", bulk("abc")),
            ("!3\r\nERR\r\n", Reply::Error("ERR".into())),
        ];
        for (wire, expected) in cases {
            let whole = format!("{wire}+NEXT\r\n");
            assert_eq!(
                Reply::parse(whole.as_bytes()),
                Ok(Some((expected, wire.len()))),
                "{wire:?}"
            );
            for end in 0..wire.len() {
                assert_eq!(Reply::parse(&wire.as_bytes()[..end]), Ok(None), "{wire:?} to {end}");
            }
        }
        assert!(Reply::parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert_eq!(call(&["GET", "a b"]), b"*2\r\n$3\r\nGET\r\n$3\r\na b\r\n");
    }
}
