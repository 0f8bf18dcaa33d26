//! Looks at the store, at intervals, and carries out the forced releases that were confirmed. It
//! never waits for the screen.

use std::sync::mpsc::Sender;
use std::time::Duration;

use tenure::runtime::Runtime;
use tenure::store::Access;
use tenure::{Key, Locks};
use tokio::sync::mpsc::UnboundedReceiver;

use super::model::Target;
use super::row::Row;
use super::screen::News;
use crate::hindrance::Hindrance;
use crate::local::Local;
use crate::printable::printable;
use crate::store::Located;

/// Number of keys that are asked for at a time. A server is searched as a whole for each page.
const PAGE: usize = 4096;

pub(crate) struct Reader<'a> {
    /// For looks alone.
    pub(crate) locks: &'a Locks,
    pub(crate) store: &'a Located,
    /// The limit of opening the store for a forced release.
    pub(crate) store_timeout: Duration,
    pub(crate) prefix: &'a str,
    /// From the begin of one look to the begin of the next.
    pub(crate) interval: Duration,
    pub(crate) runtime: &'a dyn Runtime,
    pub(crate) news: &'a Sender<News>,
}

impl Reader<'_> {
    /// Looks at all keys again and again. The pause after a look is at least as long as the look.
    pub(crate) async fn look(&self) {
        let local = Local::here();
        loop {
            let begun = self.runtime.now();
            self.tell(News::Begun);
            match self.all(&local).await {
                Ok(()) => self.tell(News::Complete),
                Err(error) => self.tell(News::Failed(printable(&error.to_string()))),
            }
            let ended = self.runtime.now();
            let rested = ended + ended.since(begun);
            self.runtime.sleep_until(rested.max(begun + self.interval)).await;
        }
    }

    /// Why the store may not show all locks.
    async fn remark(&self) -> tenure::Result<Option<String>> {
        let now = self.runtime.wall_micros();
        let hindrance = Hindrance::of_store(self.locks, self.prefix, now).await?;
        let text = hindrance.map(|hindrance| hindrance.text).or_else(|| self.store.missing());
        Ok(text.map(|text| printable(&text)))
    }

    /// One look at all keys.
    async fn all(&self, local: &Local) -> tenure::Result<()> {
        self.tell(News::Remark(self.remark().await?));
        let mut after: Option<Key> = None;
        loop {
            let page = self.locks.list(self.prefix, after.as_ref(), PAGE).await?;
            let now = self.runtime.now();
            after = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| key.clone());
            let rows = page.into_iter().map(|(key, seen)| Row::new(key, seen, now, local));
            self.tell(News::Rows(rows.collect()));
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Carries out forced releases. Never ends.
    pub(crate) async fn obey(&self, orders: &mut UnboundedReceiver<Target>) {
        while let Some(target) = orders.recv().await {
            let told = match self.release(&target).await {
                Ok(told) => told,
                Err(error) => error.to_string(),
            };
            self.tell(News::Told(printable(&told)));
        }
    }

    /// Takes the key from the holders that were shown, if it has them and no others.
    async fn release(&self, target: &Target) -> tenure::Result<String> {
        let opened = self.store.open_for(Access::Locks, self.store_timeout, self.runtime).await?;
        let released = self.release_at(&opened, target).await;
        // Nothing is held here.
        let _ = opened.close(Duration::ZERO).await;
        released
    }

    async fn release_at(&self, locks: &Locks, target: &Target) -> tenure::Result<String> {
        let key = target.key.as_str();
        let lock = locks.mutex(key);
        let seen = lock.inspect().await?;
        let fences = |holders: &[tenure::protocol::HolderView]| {
            let mut fences: Vec<_> = holders.iter().map(|holder| holder.fence).collect();
            fences.sort_unstable();
            fences
        };
        let nothing = format!("{key}: nothing to release, nobody holds it any more");
        let wanted = fences(&target.holders);
        let (Some(last), Some(holder)) = (wanted.last(), seen.holders.first()) else {
            return Ok(nothing);
        };
        if fences(&seen.holders) != wanted {
            return Ok(format!(
                "{key} was not released: its holders have changed; now {} has it, fence {}",
                holder.label, holder.fence
            ));
        }
        // A holder that comes now has a larger fence, and keeps the key.
        if lock.force_release_up_to(*last).await? == 0 {
            return Ok(nothing);
        }
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        Ok(format!("{key} was released by force: fence {} has lost it", wanted.join(", ")))
    }

    /// A screen that has ended wants no news.
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }
}
