//! The keys in use, as a majority of nodes lists them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::protocol::{Inspection, State, majority};
use crate::runtime::{Limit, shown};
use crate::store::{Answer, StoreError, StoreErrorClass};
use crate::types::Key;

use super::{Shared, merge};

type Page = Vec<(Key, Inspection)>;

/// At most `limit` keys that a majority holds, in order.
pub(super) async fn list(
    shared: &Arc<Shared>,
    prefix: &str,
    after: Option<&Key>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut page = Page::new();
    let mut after = after.cloned();
    while page.len() < limit {
        let pages = pages(shared, prefix, after.as_ref(), limit).await?;
        // A node with a full page may have more keys behind its last one.
        let full = pages.iter().filter(|page| page.len() >= limit);
        let horizon = full.filter_map(|page| Some(page.last()?.0.clone())).min();
        let mut by_key: BTreeMap<&Key, Vec<&Inspection>> = BTreeMap::new();
        for (key, seen) in pages.iter().flatten() {
            if horizon.as_ref().is_none_or(|last| key <= last) {
                by_key.entry(key).or_default().push(seen);
            }
        }
        for (key, seen) in by_key {
            let merged = merge::merged(&seen, shared.nodes.len());
            if merged.state != State::Free {
                page.push((key.clone(), merged));
            }
        }
        match horizon {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    page.truncate(limit);
    Ok(page)
}

/// The pages of all nodes that answer in time: at least a majority.
async fn pages(
    shared: &Arc<Shared>,
    prefix: &str,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Page>, StoreError> {
    let mut alarm = Limit::new(shared.now() + shared.options.node_timeout());
    let ask = |node: &'_ Arc<super::Node>| -> Answer<'_, Page> {
        let node = Arc::clone(node);
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        Box::pin(async move {
            node.vet().await?;
            node.store().list(&prefix, after.as_ref(), limit).await
        })
    };
    let mut asking: Vec<_> = shared.nodes.iter().map(|node| Some(ask(node))).collect();
    let mut pages = Vec::new();
    let mut failure = None;
    poll_fn(|cx| {
        for slot in &mut asking {
            let Some(Poll::Ready(answer)) = slot.as_mut().map(|a| a.as_mut().poll(cx)) else {
                continue;
            };
            *slot = None;
            match answer {
                Ok(page) => pages.push(page),
                Err(error) => failure = Some(error),
            }
        }
        let is_over =
            asking.iter().all(Option::is_none) || alarm.poll(&*shared.runtime, cx).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    if pages.len() >= majority(shared.nodes.len()) {
        return Ok(pages);
    }
    Err(failure.unwrap_or_else(|| StoreError {
        class: StoreErrorClass::Transient,
        message: format!(
            "{} of {} nodes listed their keys within {}, and {} are needed",
            pages.len(),
            shared.nodes.len(),
            shown(shared.options.node_timeout()),
            majority(shared.nodes.len())
        ),
        may_have_run: false,
        source: None,
    }))
}
