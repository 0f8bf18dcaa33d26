//! A Lua script, known to the server by the digest of its source. It does not run itself.

use std::borrow::Cow;
use std::sync::OnceLock;

#[derive(Debug)]
pub(crate) struct Script {
    /// For logs.
    pub(crate) name: &'static str,
    pub(crate) source: Cow<'static, str>,
    pub(crate) sha1: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source: Cow::Borrowed(source), sha1: OnceLock::new() }
    }

    pub(crate) fn sha1(&self) -> &str {
        self.sha1.get_or_init(|| sha1_smol::Sha1::from(&*self.source).digest().to_string())
    }
}
