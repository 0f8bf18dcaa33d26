//! RESP3, the protocol of Redis, as far as Tenure speaks it: commands as bytes, and bytes as
//! values. It does no I/O. No length that the other side names is trusted: memory is used only for
//! bytes that have arrived, and bytes that cannot be an answer are an error at once.

use std::fmt;

/// The longest answer in bytes. A longer one answers none of our commands.
const ANSWER_MAX: usize = 64 << 20;
/// The longest line in bytes: a length, a number, an error.
const LINE_MAX: usize = 64 << 10;
/// The most levels of lists in lists. Our answers have four.
const DEPTH_MAX: usize = 16;
/// The most elements for which room is made before they arrive.
const ROOM_MAX: usize = 512;

/// A command as it travels.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command {
    bytes: Vec<u8>,
}

impl Command {
    /// The beginning of a command of `words` words, which must follow, with about `bytes` bytes.
    pub(crate) fn with_capacity(words: usize, bytes: usize) -> Self {
        let mut command = Self { bytes: Vec::with_capacity(bytes + words * 8 + 16) };
        command.head(b'*', words);
        command
    }

    /// A whole command.
    pub(crate) fn of(words: &[&str]) -> Self {
        let mut command = Self::with_capacity(words.len(), words.iter().map(|w| w.len()).sum());
        words.iter().for_each(|word| command.word(word.as_bytes()));
        command
    }

    pub(crate) fn word(&mut self, word: &[u8]) {
        self.head(b'$', word.len());
        self.bytes.extend_from_slice(word);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its first word, for messages.
    pub(crate) fn name(&self) -> String {
        let name = self.bytes.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
        String::from_utf8_lossy(name).trim_end().to_owned()
    }

    /// A word that is a number.
    pub(crate) fn number(&mut self, number: u64) {
        let (digits, begin) = digits(number);
        self.word(&digits[begin..]);
    }

    /// A marker and a number. Most bytes of a command are its words; most of the work is here.
    fn head(&mut self, marker: u8, number: usize) {
        let (digits, begin) = digits(number as u64);
        self.bytes.push(marker);
        self.bytes.extend_from_slice(&digits[begin..]);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// A number's digits, and where they begin. Many times as fast as by formatting.
pub(crate) fn digits(number: u64) -> ([u8; 20], usize) {
    let mut digits = [0; 20];
    let (mut begin, mut rest) = (digits.len(), number);
    loop {
        begin -= 1;
        digits[begin] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            return (digits, begin);
        }
    }
}

/// Arguments may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.name()).finish()
    }
}

/// An answer or a push of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Int(i64),
    SimpleString(String),
    BulkString(Vec<u8>),
    /// An error: a code, a space, a text.
    Error(String),
    Array(Vec<Value>),
    /// Names and values by turns.
    Map(Vec<Value>),
    /// A message that was not asked for, or the confirmation of a subscription.
    Push(Vec<Value>),
}

/// The reason why the bytes are no RESP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

/// Makes values of the bytes of a connection, in whatever pieces they come.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// The number of bytes that are done with.
    done: usize,
    /// The lists that have begun and not ended, the outermost first.
    open: Vec<Open>,
    /// The size of the value under way, as far as it is done with.
    size: usize,
}

#[derive(Debug)]
struct Open {
    kind: fn(Vec<Value>) -> Value,
    left: usize,
    items: Vec<Value>,
}

enum Element {
    Whole(Value),
    List(fn(Vec<Value>) -> Value, usize),
}

impl Reader {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.done));
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the connection is in the middle of a value.
    pub(crate) fn is_within(&self) -> bool {
        !self.open.is_empty() || self.done < self.bytes.len()
    }

    /// The next value, if all of it has arrived.
    // `cargo xtask counts` finds it by its name.
    #[inline(never)]
    pub(crate) fn next(&mut self) -> Result<Option<Value>, Nonsense> {
        while let Some(element) = self.element()? {
            let mut value = match element {
                Element::Whole(value) => value,
                Element::List(kind, 0) => kind(Vec::new()),
                Element::List(kind, left) => {
                    if self.open.len() >= DEPTH_MAX {
                        return Err(Nonsense("lists within lists"));
                    }
                    let items = Vec::with_capacity(left.min(ROOM_MAX));
                    self.open.push(Open { kind, left, items });
                    continue;
                }
            };
            loop {
                let Some(mut list) = self.open.pop() else {
                    self.size = 0;
                    return Ok(Some(value));
                };
                list.items.push(value);
                list.left -= 1;
                if list.left > 0 {
                    self.open.push(list);
                    break;
                }
                value = (list.kind)(list.items);
            }
        }
        Ok(None)
    }

    /// The next element, if all of it has arrived; otherwise no byte is used.
    fn element(&mut self) -> Result<Option<Element>, Nonsense> {
        let rest = &self.bytes[self.done..];
        let Some(marker) = rest.first() else { return Ok(None) };
        if !b"+-:$=*_#,%~>".contains(marker) {
            return Err(Nonsense("a byte that begins no answer"));
        }
        let Some(end) = rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
            let endless = rest.len() >= LINE_MAX;
            return if endless { Err(Nonsense("a line without an end")) } else { Ok(None) };
        };
        let Some((line, [b'\r'])) = rest[1..end].split_at_checked(end.saturating_sub(2)) else {
            return Err(Nonsense("a line that ends otherwise"));
        };
        let mut used = end + 1;
        let element = match marker {
            b'$' | b'=' => {
                let Some(length) = length(line)? else { return self.done(used, Value::Nil) };
                let Some(body) = rest[used..].get(..length + 2) else {
                    return if self.size + length > ANSWER_MAX { Err(TOO_LONG) } else { Ok(None) };
                };
                if &body[length..] != b"\r\n" {
                    return Err(Nonsense("a text of another length"));
                }
                used += body.len();
                // A text for people begins with what kind of text it is: `txt:`.
                let text = &body[..length];
                let text = if *marker == b'=' { text.get(4..).unwrap_or_default() } else { text };
                Element::Whole(Value::BulkString(text.to_vec()))
            }
            b'*' | b'~' | b'>' | b'%' => {
                let Some(count) = length(line)? else { return self.done(used, Value::Nil) };
                match marker {
                    b'>' => Element::List(Value::Push, count),
                    b'%' => Element::List(Value::Map, count * 2),
                    _ => Element::List(Value::Array, count),
                }
            }
            b':' => Element::Whole(Value::Int(number(line)?)),
            b'_' => Element::Whole(Value::Nil),
            b'-' => Element::Whole(Value::Error(text(line))),
            _ => Element::Whole(Value::SimpleString(text(line))),
        };
        self.done += used;
        self.size += used;
        if self.size > ANSWER_MAX { Err(TOO_LONG) } else { Ok(Some(element)) }
    }

    fn done(&mut self, used: usize, value: Value) -> Result<Option<Element>, Nonsense> {
        self.done += used;
        self.size += used;
        Ok(Some(Element::Whole(value)))
    }
}

const TOO_LONG: Nonsense = Nonsense("an answer without an end");

/// RESP length; `None` for -1 (null).
fn length(line: &[u8]) -> Result<Option<usize>, Nonsense> {
    match number(line)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= ANSWER_MAX => Ok(Some(length)),
            _ => Err(Nonsense("a length that cannot be")),
        },
    }
}

fn number(line: &[u8]) -> Result<i64, Nonsense> {
    let digits = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    digits.ok_or(Nonsense("a number that is none"))
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All values in `bytes`, which come in pieces of so many.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Value>, Nonsense> {
        let (mut reader, mut values) = (Reader::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            reader.feed(piece);
            while let Some(value) = reader.next()? {
                values.push(value);
            }
        }
        Ok(values)
    }

    #[test]
    fn a_command_is_packed_and_told_by_its_name() {
        let mut command = Command::with_capacity(3, 12);
        [&b"EVAL"[..], b"", b"\r\n012345678"].iter().for_each(|word| command.word(word));
        assert_eq!(command.as_bytes(), b"*3\r\n$4\r\nEVAL\r\n$0\r\n\r\n$11\r\n\r\n012345678\r\n");
        assert_eq!(format!("{command:?}"), "Command(\"EVAL\")");
        assert_eq!(Command::of(&["PING"]).as_bytes(), b"*1\r\n$4\r\nPING\r\n");
    }

    #[test]
    fn answers_are_read_in_whatever_pieces_they_come() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$2\r\n\r\n\r\n*-1\r\n_\r\n$-1\r\n#t\r\n*0\r\n\
                      *2\r\n*1\r\n:1\r\n$0\r\n\r\n%1\r\n+a\r\n:1\r\n=6\r\ntxt:hi\r\n\
                      >2\r\n+message\r\n+x\r\n";
        use Value::{Array, BulkString, Int, Map, Nil, Push, SimpleString};
        let simple = |text: &str| SimpleString(text.into());
        let expected = vec![
            simple("OK"),
            Value::Error("ERR no".into()),
            Int(-7),
            BulkString(b"\r\n".into()),
            Nil,
            Nil,
            Nil,
            simple("t"),
            Array(vec![]),
            Array(vec![Array(vec![Int(1)]), BulkString(vec![])]),
            Map(vec![simple("a"), Int(1)]),
            BulkString(b"hi".into()),
            Push(vec![simple("message"), simple("x")]),
        ];
        for piece in 1..=bytes.len() {
            assert_eq!(read(bytes, piece).as_ref(), Ok(&expected), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_answer_is_found_at_once() {
        let (deep, long) = ("*1\r\n".repeat(DEPTH_MAX + 1), "+".repeat(LINE_MAX));
        let huge = format!("*2\r\n${0}\r\n", ANSWER_MAX - 3);
        for rubbish in [
            "HTTP",
            "\r\n",
            "+OK\n",
            "\n",
            ":\r\n",
            ":1x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "*99999999999999999999\r\n",
            "$999999999\r\n",
            "%-3\r\n",
            &huge,
            &deep,
            &long,
        ] {
            assert!(
                read(rubbish.as_bytes(), 7).is_err(),
                "{:?}",
                &rubbish[..rubbish.len().min(30)]
            );
        }
    }

    #[test]
    fn a_length_makes_no_room_before_the_bytes_come() {
        let mut reader = Reader::default();
        reader.feed(format!("*{ANSWER_MAX}\r\n:1\r\n").as_bytes());
        assert_eq!(reader.next(), Ok(None));
        assert!(reader.is_within());
        assert!(reader.open[0].items.capacity() <= ROOM_MAX);
    }

    proptest! {
        /// Any bytes, cut anywhere, give the same values, or nonsense.
        #[test]
        fn nothing_makes_it_stumble(
            parts in prop::collection::vec(
                prop_oneof![
                    "[-+:$=*%~>#_]([0-9]|-1)?\r\n", "[a-z]{0,3}\r\n", "\\PC{0,3}", "[\r\n]"
                ],
                0..20,
            ),
            piece in 1_usize..9,
        ) {
            let bytes = parts.concat().into_bytes();
            let (whole, pieces) = (read(&bytes, bytes.len().max(1)), read(&bytes, piece));
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
            if whole.is_ok() {
                prop_assert_eq!(whole, pieces);
            }
        }
    }
}
