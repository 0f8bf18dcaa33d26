//! Writing under a lease, to data in the server of the lock.

use crate::engine;
use crate::types::{DataCommand, DataValue, Operation, Result};

use super::Lease;

impl Lease {
    /// Carries out commands on data in the Redis or Valkey server of this lock, if the lease is
    /// held *at the moment at which the server carries them out*. So a holder that was paused
    /// cannot write after its successor, without any fence.
    ///
    /// The look at the lease and all commands are one step of the server: nobody else's command
    /// comes in between. The answers come in the order of the commands. As in a transaction of the
    /// server (MULTI), a command that fails does not undo those before it; those behind it are not
    /// carried out.
    ///
    /// The commands run with the rights of the user of this connection. That user needs the right
    /// to them and to their keys, beside the rights that SAFETY.md names. At most 1,000 commands
    /// of at most 4,000 words.
    ///
    /// *Not promised:* anything about writes that do not come this way; that the data survives a
    /// failover that the server does not replicate; one slot of a cluster.
    ///
    /// # If the reply is lost
    /// It is an error of kind [`Unavailable`](crate::ErrorKind::Unavailable) that says that the
    /// commands may have been carried out. They are never sent twice. If they arrive late, they are
    /// carried out only while this lease is held.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are carried out.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) at every other store, a quorum too, before
    /// anything is sent. [`ErrorKind::Lost`](crate::ErrorKind::Lost) if the lease is not held;
    /// nothing was written then. [`ErrorKind::Refused`](crate::ErrorKind::Refused) if the server
    /// refuses a command; the message says which, and how many were carried out before.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// use tenure::DataCommand;
    /// let guard = locks.mutex("report").acquire().await?;
    /// let body = DataCommand::from(["SET", "report:body", "all sold"]);
    /// let count = DataCommand::from(["INCR", "report:count"]);
    /// let answers = guard.write([body, count]).await?;
    /// println!("written for the {:?}. time", answers[1].as_int());
    /// # Ok(()) }
    /// ```
    pub async fn write(
        &self,
        commands: impl IntoIterator<Item = DataCommand>,
    ) -> Result<Vec<DataValue>> {
        self.check_process(Operation::Write)?;
        self.verdict(Operation::Write)?;
        let commands: Vec<_> = commands.into_iter().collect();
        engine::write(self.engine(), self.state(), &commands).await
    }
}
