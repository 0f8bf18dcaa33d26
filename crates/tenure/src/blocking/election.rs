//! Elections for programs without `async`.

use std::ops::Deref;
use std::time::Duration;

use pollster::block_on;

use crate::guard::{Lease, Released};
use crate::kinds::Leader;
use crate::types::{Error, LostReason, Result};

use super::{Election, Guard};

impl Election {
    /// See [`Election::campaign`](crate::Election::campaign). It blocks meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn campaign(&self, value: impl AsRef<str>) -> Result<Leadership> {
        block_on(self.lock().campaign(value)).map(Leadership)
    }

    /// See [`Election::try_campaign`](crate::Election::try_campaign).
    ///
    /// # Errors
    /// As there.
    pub fn try_campaign(&self, value: impl AsRef<str>) -> Result<Option<Leadership>> {
        Ok(block_on(self.lock().try_campaign(value))?.map(Leadership))
    }

    /// See [`Election::leader`](crate::Election::leader).
    ///
    /// # Errors
    /// As there.
    pub fn leader(&self) -> Result<Option<Leader>> {
        block_on(self.lock().leader())
    }

    /// The leaders of [`Election::observe`](crate::Election::observe), one after the other. The
    /// iterator never ends, and blocks until the next change.
    pub fn observe(&self) -> Leaders {
        Leaders(self.lock().observe())
    }
}

/// [`tenure::Leaders`](crate::Leaders) for blocking use.
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is asked"]
pub struct Leaders(crate::Leaders);

impl Leaders {
    /// See [`Leaders::with_interval`](crate::Leaders::with_interval).
    pub fn with_interval(self, interval: Duration) -> Self {
        Self(self.0.with_interval(interval))
    }
}

impl Iterator for Leaders {
    type Item = Result<Option<Leader>>;

    fn next(&mut self) -> Option<Self::Item> {
        block_on(self.0.next())
    }
}

/// [`tenure::Leadership`](crate::Leadership) for blocking use.
#[derive(Debug)]
#[must_use = "a leadership that is dropped at once is resigned at once"]
pub struct Leadership(crate::Leadership);

impl Leadership {
    /// See [`Leadership::term`](crate::Leadership::term).
    #[must_use]
    pub fn term(&self) -> crate::Fence {
        self.0.term()
    }

    /// See [`Leadership::lease`](crate::Leadership::lease).
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.lease()
    }

    /// See [`Lease::lost`](crate::Lease::lost).
    #[must_use]
    pub fn lost(&self) -> LostReason {
        block_on(self.0.lost())
    }

    /// See [`Leadership::set_value`](crate::Leadership::set_value).
    ///
    /// # Errors
    /// As there.
    pub fn set_value(&mut self, value: impl AsRef<str>) -> Result<()> {
        block_on(self.0.set_value(value))
    }

    /// See [`Leadership::resign`](crate::Leadership::resign).
    ///
    /// # Errors
    /// As there.
    pub fn resign(self) -> Result<Released> {
        block_on(self.0.resign())
    }

    /// See [`Leadership::run`](crate::Leadership::run), and
    /// [`Mutex::run`](crate::blocking::Mutex::run): the loss cannot interrupt the work.
    ///
    /// # Errors
    /// As there.
    pub fn run<T, E>(self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Error>,
    {
        Guard::from(self).run(work)
    }
}

impl Deref for Leadership {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}

impl From<crate::Leadership> for Leadership {
    fn from(leadership: crate::Leadership) -> Self {
        Self(leadership)
    }
}

impl From<Leadership> for Guard {
    fn from(leadership: Leadership) -> Self {
        crate::Guard::from(leadership.0).into()
    }
}
