//! A change of the value beside a claim. It changes nothing else.

use crate::types::{Fence, Owner, Value};

use super::super::request::Reply;
use super::KeyState;

impl KeyState {
    /// Sets the value of the lease of `owner` that has this fence. A request from before a later
    /// one is known by its revision, and does nothing.
    pub(super) fn set_value(&mut self, owner: &Owner, fence: Fence, value: &Value) -> Reply {
        if self.is_buried(owner) {
            return Reply::Withdrawn;
        }
        let Some(holder) = self.holder_mut(owner) else {
            return Reply::Gone;
        };
        if holder.fence != fence {
            return Reply::Mismatch("its lease was changed since this was sent".into());
        }
        let before = holder.value.as_ref().map_or(0, Value::revision);
        if value.revision() < before {
            return Reply::Mismatch("a later value was set since this was sent".into());
        }
        if value.revision() > before {
            holder.value = Some(value.clone());
        }
        Reply::ValueSet
    }
}
