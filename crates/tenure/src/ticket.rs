//! Tickets: a lease on its way from one holder to the next, as a small text that another task,
//! process or host turns into a guard. Two guards never come from one ticket.

mod checksum;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::guard::Guard;
use crate::protocol::{HolderView, Inspection};
use crate::types::{Fence, InvalidKey, InvalidOwner, Key, Owner, Result};

/// A lease that its guard has handed over, for another task, process or host to adopt.
///
/// Send it with the job, as text ([`Display`](fmt::Display) and [`FromStr`]), and turn it into a
/// guard there with [`Locks::adopt`](crate::Locks::adopt). A text that was cut, or that has more
/// than the ticket, is refused. Everybody who has the text can do so: treat it as a secret of the
/// job. It can be adopted once, until the time given to
/// [`Guard::hand_over`] is over. The fence stays the same.
///
/// Steps that end in between, such as those of a script, need no guard:
/// [`Locks::renew_ticket`](crate::Locks::renew_ticket),
/// [`extend_ticket`](crate::Locks::extend_ticket),
/// [`check_ticket`](crate::Locks::check_ticket) and
/// [`release_ticket`](crate::Locks::release_ticket) leave the ticket as it is. Nothing renews the
/// lease meanwhile.
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// use std::time::Duration;
/// let guard = locks.mutex("order:7").acquire().await?;
/// let job = guard.hand_over(Duration::from_secs(60)).await?.to_string();
/// // ... in another task, process or host:
/// let ticket = job.parse().expect("a ticket");
/// let guard = locks.adopt(&ticket).await?;
/// # drop(guard); Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    key: Key,
    owner: Owner,
    fence: Fence,
    /// Whole milliseconds.
    keep: Option<Duration>,
}

/// The first field of every ticket: a name, and the version of the form.
const MARK: &str = "tenure-ticket:2";
/// That of an earlier form, which is read and kept: it does not say for how long.
const WITHOUT_KEEP: &str = "tenure-ticket:1";

impl Ticket {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The fencing token of the lease, which the adopted guard will have too.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The time for which the lease was handed over, in whole milliseconds; `None` in a ticket of
    /// version 1, whose text has none. A renewal does not change it.
    #[must_use]
    pub fn keep(&self) -> Option<Duration> {
        self.keep
    }

    /// The holder that still is this ticket, in a state of its key; `None` once the ticket was
    /// adopted or released, or its time is over. The store is asked by
    /// [`Locks::check_ticket`](crate::Locks::check_ticket).
    #[must_use]
    pub fn holder_in<'a>(&self, seen: &'a Inspection) -> Option<&'a HolderView> {
        seen.holders.iter().find(|holder| holder.owner == self.owner && !holder.kept)
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }
}

impl Guard {
    /// Hands the lease over without releasing it: the ticket lets another program adopt it. The
    /// lease lasts for `keep` from now on (10 ms to 30 days), or for the time it has left if that
    /// is longer. If nobody adopts it by then, the key is free. This program holds it no more.
    ///
    /// The limits of `with_max_hold` and `with_min_hold` end with this guard. The adopter names new
    /// ones.
    ///
    /// # If the reply is lost
    /// It is an error, and the lease is released in the background: no ticket, no lock.
    ///
    /// # Cancel safety
    /// Dropping the future releases in the background.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) if the lock is lost,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a `keep` out of limits, or the
    /// store's failure. After an error the lock is released in the background.
    ///
    /// # Examples
    /// ```
    /// # async fn enqueue(_: String) {}
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// let ticket = guard.hand_over(std::time::Duration::from_secs(60)).await?;
    /// enqueue(ticket.to_string()).await;
    /// # Ok(()) }
    /// ```
    pub async fn hand_over(self, keep: Duration) -> Result<Ticket> {
        self.extend_to(keep).await?;
        self.settle_part().await?;
        let (key, owner, fence) = (self.key().clone(), self.owner().clone(), self.fence());
        let ticket = Ticket { key, owner, fence, keep: Some(whole_millis(keep)) };
        self.settle();
        Ok(ticket)
    }
}

/// Rounds up.
fn whole_millis(span: Duration) -> Duration {
    let millis = span.as_micros().div_ceil(1000);
    Duration::from_millis(millis.try_into().unwrap_or(u64::MAX))
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, owner, fence, keep } = self;
        let (value, attempt) = (owner.value(), owner.attempt());
        let holder = format!("{}:{value}:{key}", value.len());
        let Some(keep) = keep else {
            return write!(f, "{WITHOUT_KEEP}:{attempt:x}:{fence}:{holder}");
        };
        let fields = format!("{attempt:x}:{fence}:{}:{holder}", keep.as_millis());
        write!(f, "{MARK}:{}:{fields}", checksum::of(&fields))
    }
}

/// Leaves out the owner: with it, a reader of the log could adopt the lease.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("key", &self.key)
            .field("fence", &self.fence)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTicket {
    /// It does not have the form of a ticket of this version.
    #[error("this is no ticket of this version of Tenure (it would begin with {MARK:?})")]
    Form,
    /// It was cut or changed, or has more than the ticket.
    #[error("this ticket was cut or changed, or more text stands behind it")]
    Damaged,
    /// Its key is not valid.
    #[error("the ticket's key is not valid: {0}")]
    Key(#[from] InvalidKey),
    /// Its owner is not valid.
    #[error("the ticket's owner is not valid: {0}")]
    Owner(#[from] InvalidOwner),
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let Fields { attempt, fence, keep, owner, key } = fields(text)?;
        Owner::check(owner)?;
        Ok(Self { key: Key::new(key)?, owner: Owner::from_parts(owner, attempt), fence, keep })
    }
}

/// The fields of a ticket's text, before they are checked.
struct Fields<'a> {
    attempt: u64,
    fence: Fence,
    keep: Option<Duration>,
    owner: &'a str,
    key: &'a str,
}

/// Splits a ticket's text.
fn fields(text: &str) -> Result<Fields<'_>, InvalidTicket> {
    if let Some(fields) = text.strip_prefix(WITHOUT_KEEP) {
        return fields.strip_prefix(':').and_then(without_keep).ok_or(InvalidTicket::Form);
    }
    match text.strip_prefix(MARK) {
        Some("") => Err(InvalidTicket::Damaged),
        Some(fields) => {
            let fields = fields.strip_prefix(':').ok_or(InvalidTicket::Form)?;
            checked(fields).and_then(with_keep).ok_or(InvalidTicket::Damaged)
        }
        None => Err(InvalidTicket::Form),
    }
}

/// The text behind the checksum; `None` if it is not the checksum of that text.
fn checked(text: &str) -> Option<&str> {
    let (sum, fields) = text.split_once(':')?;
    (sum == checksum::of(fields)).then_some(fields)
}

fn with_keep(text: &str) -> Option<Fields<'_>> {
    let (attempt, text) = text.split_once(':')?;
    let (fence, text) = text.split_once(':')?;
    let (keep, text) = text.split_once(':')?;
    let keep = Duration::from_millis(keep.parse().ok()?);
    Fields::of(attempt, fence, Some(keep), text)
}

fn without_keep(text: &str) -> Option<Fields<'_>> {
    let (attempt, text) = text.split_once(':')?;
    let (fence, text) = text.split_once(':')?;
    Fields::of(attempt, fence, None, text)
}

impl<'a> Fields<'a> {
    /// The owner's value in `holder` may contain colons, so its length stands before it.
    fn of(attempt: &str, fence: &str, keep: Option<Duration>, holder: &'a str) -> Option<Self> {
        let (length, text) = holder.split_once(':')?;
        let (owner, key) = text.split_at_checked(length.parse().ok()?)?;
        Some(Self {
            attempt: u64::from_str_radix(attempt, 16).ok()?,
            fence: Fence::new(fence.parse().ok()?),
            keep,
            owner,
            key: key.strip_prefix(':')?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ticket_survives_its_text(
            value in "[^\\p{Cc}]{1,60}",
            name in "[^\\p{Cc}]{1,60}",
            attempt in any::<u64>(),
            fence in any::<u64>(),
            keep in any::<Option<u64>>(),
        ) {
            let owner = Owner::from_parts(&value, attempt);
            let (key, fence) = (Key::new(name).expect("a key"), Fence::new(fence));
            let ticket = Ticket { key, owner, fence, keep: keep.map(Duration::from_millis) };
            prop_assert_eq!(ticket.to_string().parse(), Ok(ticket));
        }

        #[test]
        fn any_other_text_is_refused(text in "(tenure-ticket:[12])?[:0-9a-f€]{0,40}") {
            if let Ok(ticket) = text.parse::<Ticket>() {
                prop_assert_eq!(ticket.to_string().parse(), Ok(ticket));
            }
        }
    }

    #[test]
    fn the_text_is_stable_and_its_owner_not_in_the_log() {
        for (text, keep) in [
            (
                "tenure-ticket:2:24433650:ff:7:600000:3:a:b:options:7",
                Some(Duration::from_secs(600)),
            ),
            ("tenure-ticket:1:ff:7:3:a:b:options:7", None),
        ] {
            let ticket: Ticket = text.parse().expect("a ticket");
            assert_eq!(ticket.to_string(), text);
            assert_eq!((ticket.owner().value(), ticket.key().as_str()), ("a:b", "options:7"));
            assert_eq!((ticket.fence(), ticket.keep()), (Fence::new(7), keep));
            assert!(!format!("{ticket:?}").contains("a:b"), "{ticket:?}");
        }
        assert_eq!("tenure-ticket:3:ff:7:3:a:b:k".parse::<Ticket>(), Err(InvalidTicket::Form));
    }

    #[test]
    fn a_text_that_was_cut_or_has_more_is_no_ticket_of_another_key() {
        let whole = "tenure-ticket:2:24433650:ff:7:600000:3:a:b:options:7";
        assert!(whole.parse::<Ticket>().is_ok());
        for cut in 0..whole.len() {
            for text in [&whole[..cut], &whole[whole.len() - cut..]] {
                assert!(text.parse::<Ticket>().is_err(), "{text:?} is taken for a ticket");
            }
            let without = format!("{}{}", &whole[..cut], &whole[cut + 1..]);
            assert!(without.parse::<Ticket>().is_err(), "{without:?} is taken for a ticket");
        }
        for more in ["7", " ", "\n", ":", ".", "\0", "é", whole] {
            let text = format!("{whole}{more}");
            assert_eq!(text.parse::<Ticket>(), Err(InvalidTicket::Damaged), "{text:?}");
            let text = format!("{more}{whole}");
            assert!(text.parse::<Ticket>().is_err(), "{text:?}");
        }
        let cut = "tenure-ticket:2:24433650:ff:7:600000:3:a:b:options:";
        assert_eq!(cut.parse::<Ticket>(), Err(InvalidTicket::Damaged));
    }

    #[test]
    fn the_time_in_a_ticket_is_never_less_than_what_was_asked_for() {
        for (micros, millis) in [(10_000, 10), (10_001, 11), (0, 0)] {
            let whole = whole_millis(Duration::from_micros(micros));
            assert_eq!(whole, Duration::from_millis(millis));
        }
    }
}
