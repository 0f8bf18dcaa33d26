//! Commands on data beside the locks of a server, and their answers. It sends nothing.

use std::fmt;

/// A command on data in the server of the locks, for [`Lease::write`](crate::Lease::write).
///
/// ```
/// use tenure::DataCommand;
/// let set = DataCommand::from(["SET", "report", "all sold"]);
/// let append = DataCommand::new("RPUSH").arg("log").arg(b"raw \xff bytes");
/// # drop((set, append));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DataCommand {
    words: Vec<Vec<u8>>,
}

impl DataCommand {
    /// A command of this name, without arguments yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { words: vec![name.into()] }
    }

    /// Adds an argument, as it is.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.words.push(argument.as_ref().to_vec());
        self
    }

    /// The name and the arguments.
    #[must_use]
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }
}

/// The name, and then the arguments.
impl<W: AsRef<[u8]>, const N: usize> From<[W; N]> for DataCommand {
    fn from(words: [W; N]) -> Self {
        Self { words: words.iter().map(|word| word.as_ref().to_vec()).collect() }
    }
}

/// Leaves out the arguments: they may be nobody's business.
impl fmt::Debug for DataCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, arguments) = (self.words.first(), self.words.len().saturating_sub(1));
        let name = name.map(|name| String::from_utf8_lossy(name));
        write!(f, "DataCommand({} and {arguments} arguments)", name.unwrap_or_default())
    }
}

/// The answer of a server to one command on data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataValue {
    /// Nothing is there.
    Nil,
    /// A number. One of more than 53 bits may be rounded, since it passes through a script.
    Int(i64),
    /// A text or bytes; `OK` as well.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<DataValue>),
}

impl DataValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}
