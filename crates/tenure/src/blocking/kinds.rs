//! The kinds of locks without `async`. Each is its async one, and blocks on its methods.

use std::time::Duration;

use pollster::block_on;

use crate::engine::Renewal;
use crate::guard::Lease;
use crate::protocol::Inspection;
use crate::scope::{Compensated, Failure, Finished};
use crate::ticket::Ticket;
use crate::types::{Error, Fence, Result};

use super::Guard;

/// Defines methods of `$kind` that are those of the async one. `$read` makes the answer of that
/// one's answer.
macro_rules! same {
    ($kind:ident, $read:expr; $($name:ident($($option:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(
            #[doc = concat!("See [`", stringify!($kind), "::", stringify!($name), "`](crate::")]
            #[doc = concat!(stringify!($kind), "::", stringify!($name), "). It blocks meanwhile.")]
            ///
            /// # Errors
            /// As there.
            pub fn $name(&self, $($option: $type),*) -> Result<$answer> {
                block_on(self.0.$name($($option),*)).map($read)
            }
        )+
    };
}

/// Defines methods of `$kind` that pass options on.
macro_rules! options {
    ($kind:ident; $($name:ident($($option:ident: $type:ty),*);)+) => {
        $(
            #[doc = concat!("See [`", stringify!($kind), "::", stringify!($name), "`](crate::")]
            #[doc = concat!(stringify!($kind), "::", stringify!($name), ").")]
            pub fn $name(self, $($option: $type),*) -> Self {
                Self(self.0.$name($($option),*))
            }
        )+
    };
}

/// Defines a kind, with all that kinds have in common.
macro_rules! kind {
    ($kind:ident, $must_use:literal) => {
        #[doc = concat!("[`tenure::", stringify!($kind), "`](crate::", stringify!($kind), ")")]
        /// for blocking use.
        #[derive(Debug, Clone)]
        #[must_use = $must_use]
        pub struct $kind(crate::$kind);

        impl From<crate::$kind> for $kind {
            fn from(lock: crate::$kind) -> Self {
                Self(lock)
            }
        }

        impl From<$kind> for crate::$kind {
            fn from(lock: $kind) -> Self {
                lock.0
            }
        }

        impl $kind {
            options! { $kind;
                with_ttl(ttl: Duration);
                with_wait(limit: Duration);
                with_retry(tries: u32, delay: Duration);
                with_renewal(renewal: Renewal);
                with_min_hold(span: Duration);
                with_max_hold(span: Duration);
                with_owner(value: impl AsRef<str>);
                with_label(text: impl AsRef<str>);
            }

            #[doc = concat!("See [`", stringify!($kind), "::validate`](crate::")]
            #[doc = concat!(stringify!($kind), "::validate).")]
            ///
            /// # Errors
            /// As there.
            pub fn validate(&self) -> Result<()> {
                self.0.validate()
            }

            same! { $kind, Guard::from;
                adopt(ticket: &Ticket) -> Guard;
            }

            same! { $kind, |answer| answer;
                inspect() -> Inspection;
                held_by_anyone() -> bool;
                held_by_me() -> bool;
                force_release() -> u32;
                force_release_up_to(up_to: Fence) -> u32;
            }
        }
    };
}

/// Defines the verbs and scopes of a kind that is acquired in one way.
macro_rules! acquire {
    ($kind:ident) => {
        impl $kind {
            same! { $kind, Guard::from;
                acquire() -> Guard;
            }

            same! { $kind, |held| held.map(Guard::from);
                try_acquire() -> Option<Guard>;
            }

            /// Acquires, runs `work` on this thread, and gives the lock back. As the async `run`,
            /// but the loss of the lock cannot interrupt the work. It is reported at the end,
            /// unless the work itself has failed.
            ///
            /// # Errors
            /// Those of [`acquire`](Self::acquire); the work's own;
            /// [`Lost`](crate::ErrorKind::Lost).
            pub fn run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<T, E>
            where
                E: From<Error>,
            {
                self.acquire()?.run(work)
            }

            /// Does the same as [`run`](Self::run) if it need not wait; `None` if it had to.
            ///
            /// # Errors
            /// Those of [`try_acquire`](Self::try_acquire); the work's own;
            /// [`Lost`](crate::ErrorKind::Lost).
            pub fn try_run<T, E>(
                &self,
                work: impl FnOnce(Lease) -> Result<T, E>,
            ) -> Result<Option<T>, E>
            where
                E: From<Error>,
            {
                self.try_acquire()?.map(|guard| guard.run(work)).transpose()
            }

            /// Acquires, runs `work`, and says with its value whether the lock was lost meanwhile.
            ///
            /// # Errors
            /// Those of [`acquire`](Self::acquire).
            pub fn run_to_end<V>(&self, work: impl FnOnce(Lease) -> V) -> Result<Finished<V>> {
                Ok(self.acquire()?.run_to_end(work))
            }

            /// Does the same for work that can fail: after a failure of the work, or the loss of
            /// the lock, `compensation` runs before the lock is given back.
            ///
            /// # Errors
            /// Those of [`acquire`](Self::acquire).
            pub fn run_compensated<T, E, C>(
                &self,
                work: impl FnOnce(Lease) -> Result<T, E>,
                compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> C,
            ) -> Result<Compensated<T, E, C>> {
                Ok(self.acquire()?.run_compensated(work, compensation))
            }
        }
    };
}

kind!(Mutex, "nothing is locked before it is acquired");
acquire!(Mutex);

impl Mutex {
    options! { Mutex; with_plain_value(); }

    same! { Mutex, Guard::from;
        steal() -> Guard;
    }
}

kind!(Election, "nobody is a candidate before the campaign");

impl Election {
    /// The async one.
    pub(super) fn lock(&self) -> &crate::Election {
        &self.0
    }
}

kind!(RwLock, "nothing is locked before it is read or written");

impl RwLock {
    same! { RwLock, Guard::from;
        read() -> Guard;
        write() -> Guard;
    }

    same! { RwLock, |held| held.map(Guard::from);
        try_read() -> Option<Guard>;
        try_write() -> Option<Guard>;
    }
}

kind!(Semaphore, "no permit is held before it is acquired");
acquire!(Semaphore);

impl Semaphore {
    /// See [`Semaphore::permits`](crate::Semaphore::permits).
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.0.permits()
    }

    same! { Semaphore, |answer| answer;
        set_permits(permits: u32) -> Option<u32>;
    }

    same! { Semaphore, Guard::from;
        acquire_many(units: u32) -> Guard;
    }

    same! { Semaphore, |held| held.map(Guard::from);
        try_acquire_many(units: u32) -> Option<Guard>;
    }
}
