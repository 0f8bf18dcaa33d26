//! Work under a lock, the same for all kinds: acquire, run, release. It never hides the outcome of
//! the work.

/// Defines the methods of a kind that run work under it. The text `$example` makes a lock of the
/// kind.
macro_rules! scopes {
    ($example:literal) => {
        /// Waits for the lock, runs `work` under it, and gives it back.
        ///
        /// If the lock is lost, the work's future is dropped at its next await and the answer is an
        /// error of kind [`Lost`](crate::ErrorKind::Lost): an `Ok` means that the lock was held
        /// from the first to the last line of the work. An error or panic of the work comes first,
        /// always. If the store cannot be reached for the release, the work's result stands.
        ///
        /// The work gets the [`Lease`] by value. With it the work reads the fence, learns whether
        /// the lock is at risk or lost, and extends the lease. Work that fails only with Tenure's
        /// errors ends in [`tenure::ok`](crate::ok).
        ///
        /// # If the reply is lost
        /// As with [`acquire`](Self::acquire); the release goes on in the background.
        ///
        /// # Cancel safety
        /// Dropping the future leaves the line, or drops the work's future and releases in the
        /// background.
        ///
        /// # Errors
        /// Those of [`acquire`](Self::acquire); the work's own; [`Lost`](crate::ErrorKind::Lost).
        ///
        /// # Examples
        /// ```
        /// # async fn write_report(_: tenure::Fence) {}
        /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
        #[doc = concat!("let report = ", $example, ";")]
        /// let work = |lease: tenure::Lease| async move {
        ///     write_report(lease.fence()).await;
        ///     tenure::ok(())
        /// };
        /// report.run(work).await
        /// # }
        /// ```
        pub async fn run<T, E, Fut>(&self, work: impl FnOnce(Lease) -> Fut) -> Result<T, E>
        where
            Fut: Future<Output = Result<T, E>>,
            E: From<Error>,
        {
            self.acquire().await?.run(work).await
        }

        /// Runs `work` under the lock if it is free and nobody stands in line; `None` if it is not.
        ///
        /// # If the reply is lost
        /// As with [`try_acquire`](Self::try_acquire); the release goes on in the background.
        ///
        /// # Cancel safety
        /// As with [`run`](Self::run).
        ///
        /// # Errors
        /// Those of [`try_acquire`](Self::try_acquire); the work's own;
        /// [`Lost`](crate::ErrorKind::Lost).
        ///
        /// # Examples
        /// ```
        /// # async fn clean_up() -> std::io::Result<u32> { Ok(1) }
        /// # async fn f(locks: tenure::Locks) -> Result<(), Box<dyn std::error::Error>> {
        #[doc = concat!("let nightly = ", $example, ";")]
        /// let cleaned = nightly.try_run(|_lease| async { Ok(clean_up().await?) }).await;
        /// match cleaned.map_err(|e: Box<dyn std::error::Error>| e)? {
        ///     Some(count) => println!("cleaned {count}"),
        ///     None => println!("another instance is at it"),
        /// }
        /// # Ok(()) }
        /// ```
        pub async fn try_run<T, E, Fut>(
            &self,
            work: impl FnOnce(Lease) -> Fut,
        ) -> Result<Option<T>, E>
        where
            Fut: Future<Output = Result<T, E>>,
            E: From<Error>,
        {
            match self.try_acquire().await? {
                Some(guard) => guard.run(work).await.map(Some),
                None => Ok(None),
            }
        }

        /// Waits for the lock, runs `work` to its end even if the lock is lost, and gives the lock
        /// back. [`Finished`] has the work's value, whether the lock was lost, and how the release
        /// went.
        ///
        /// # If the reply is lost
        /// As with [`acquire`](Self::acquire); the release goes on in the background.
        ///
        /// # Cancel safety
        /// As with [`run`](Self::run).
        ///
        /// # Errors
        /// Those of [`acquire`](Self::acquire).
        ///
        /// # Examples
        /// ```
        /// # async fn charge(_: tenure::Fence) -> u32 { 42 }
        /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
        #[doc = concat!("let payment = ", $example, ";")]
        /// let work = |lease: tenure::Lease| async move { charge(lease.fence()).await };
        /// let receipt = payment.run_to_end(work).await?.or_lost()?;
        /// # assert_eq!(receipt, 42); Ok(()) }
        /// ```
        pub async fn run_to_end<V, Fut>(
            &self,
            work: impl FnOnce(Lease) -> Fut,
        ) -> Result<Finished<V>>
        where
            Fut: Future<Output = V>,
        {
            Ok(self.acquire().await?.run_to_end(work).await)
        }

        /// Like [`run_to_end`](Self::run_to_end), for work that can fail. After any failure, of the
        /// work or by the loss of the lock, `compensation` runs before the lock is given back. See
        /// [`Guard::run_compensated`](crate::Guard::run_compensated).
        ///
        /// # If the reply is lost
        /// As with [`acquire`](Self::acquire); the release goes on in the background.
        ///
        /// # Cancel safety
        /// As with [`run`](Self::run); a compensation that has not begun is not begun.
        ///
        /// # Errors
        /// Those of [`acquire`](Self::acquire).
        ///
        /// # Examples
        /// ```
        /// # async fn book(_: tenure::Fence) -> tenure::Result<u32> { Ok(1) }
        /// # async fn undo_booking() {}
        /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
        #[doc = concat!("let seat = ", $example, ";")]
        /// let work = |lease: tenure::Lease| async move { book(lease.fence()).await };
        /// let booked = seat.run_compensated(work, |_lease, _failure| undo_booking()).await?;
        /// println!("booking {}", booked.into_result()?);
        /// # Ok(()) }
        /// ```
        pub async fn run_compensated<T, E, Fut, C, CFut>(
            &self,
            work: impl FnOnce(Lease) -> Fut,
            compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> CFut,
        ) -> Result<Compensated<T, E, C>>
        where
            Fut: Future<Output = Result<T, E>>,
            CFut: Future<Output = C>,
        {
            Ok(self.acquire().await?.run_compensated(work, compensation).await)
        }
    };
}

pub(super) use scopes;
