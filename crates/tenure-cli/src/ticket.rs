//! A lock between two commands: a ticket holds it, and no process.
//!
//! ```text
//! grant      from the command line to a lock that is held
//! acquire    tenure acquire: prints the ticket
//! text       the ticket of a command line, of the environment, or of stdin
//! verbs      tenure renew, extend, release and check
//! state      the lease of a ticket, for people and as JSON
//! form       lines for a shell
//! ```

mod acquire;
pub(crate) mod form;
pub(crate) mod grant;
pub(crate) mod state;
mod text;
mod verbs;

pub(crate) use acquire::acquire;
pub(crate) use verbs::{check, extend, release, renew};
