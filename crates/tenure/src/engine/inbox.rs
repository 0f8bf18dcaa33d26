//! The inbox of this process, where the store's pushes arrive. A push is a hint: everything works,
//! only later, if none comes.

use std::sync::{Arc, Weak};

use crate::observe;
use crate::runtime::{Moment, shielded, timeout};
use crate::store::{Inbox, StoreError};

use super::queue::push_arrived;
use super::{Engine, timed_out};

/// The address of the inbox, which is opened when it is first needed. The caller has no place in
/// line yet, so after `patience` it goes on without an address.
pub(super) async fn address(engine: &Arc<Engine>, patience: Moment) -> Option<Arc<str>> {
    let opened = engine.inbox.get_or_try_init(|| open(engine));
    match timeout(&*engine.runtime, patience, opened).await? {
        Ok(address) => address.clone(),
        Err(error) => {
            observe::no_inbox(&*engine.runtime, &error.to_string());
            None
        }
    }
}

async fn open(engine: &Arc<Engine>) -> Result<Option<Arc<str>>, StoreError> {
    let limit = engine.now() + engine.options.store_timeout;
    let opened = timeout(&*engine.runtime, limit, engine.store.inbox()).await;
    let Some(inbox) = opened.ok_or_else(timed_out)?? else { return Ok(None) };
    let address = Arc::clone(&inbox.address);
    engine.runtime.spawn(Box::pin(read(Arc::downgrade(engine), inbox)));
    Ok(Some(address))
}

/// Reads the pushes until the engine is gone.
async fn read(engine: Weak<Engine>, mut inbox: Inbox) {
    let Some(gone) = engine.upgrade().map(|engine| engine.gone.clone()) else { return };
    loop {
        let push = tokio::select! {
            biased;
            () = gone.cancelled() => return,
            push = inbox.pushes.recv() => match push {
                Some(push) => Some(push),
                None => return,
            },
            () = inbox.missed.notified() => None,
        };
        let Some(engine) = engine.upgrade() else { return };
        // Both wake tasks of the program.
        match push {
            Some(push) => shielded(|| push_arrived(&engine, &push)),
            None => shielded(|| engine.tables.recheck_all(engine.now())),
        };
    }
}
