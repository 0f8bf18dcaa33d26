//! The contracts, kind by kind.

pub(crate) mod mutex;

/// Makes one test of each case of the mutex.
macro_rules! mutex_contract {
    ($world:expr) => {
        crate::cases::contract! { $world;
            acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                wait_ends_and_names_the_holder, retries_wait_in_line,
                released_key_goes_to_the_waiter, line_is_first_come_first_served,
                heartbeats_keep_the_place, dropped_waiter_leaves_the_line,
                dead_waiter_does_not_hold_up_the_line, crashed_holder_is_succeeded,
                dead_heir_is_succeeded_as_soon_as_its_lease_ends,
                handover_needs_no_heartbeat, crowd_never_overlaps;
            holding: renewal_keeps_the_lease, renewal_off_ends_with_the_ttl,
                own_interval_is_kept, max_hold_loses, min_hold_keeps_the_key_taken,
                extend_to_lasts_at_least_so_long, extend_by_adds, loss_is_announced_every_way,
                at_risk_comes_before_the_loss, at_risk_is_put_off_by_renewals,
                forced_holder_learns_at_its_next_renewal, guard_outlives_its_runtime,
                blocked_program_keeps_its_lease;
            releasing: release_says_released, release_after_expiry_says_gone,
                release_leaves_a_successor_alone, drop_releases_in_the_background,
                drop_of_everything_still_releases,
                close_gives_all_back, close_ends_waiting;
            identity: fixed_value_excludes_itself, fixed_value_does_not_wait_for_itself,
                fixed_values_are_compared_whole, label_and_waiters_are_shown,
                default_label_names_the_process, fences_grow_whatever_ends_a_lease,
                requests_may_be_repeated, withdrawn_owner_gets_nothing;
            refusing: keys_are_kept_apart, bad_keys_are_refused, bad_terms_are_refused,
                bad_owner_values_are_refused, another_limit_is_a_mismatch,
                errors_name_key_and_store, list_pages_in_order;
        }
    };
}

/// The same where the store has no queue: what concerns the line is left out, and what takes its
/// place is there.
macro_rules! unqueued_mutex_contract {
    ($world:expr) => {
        crate::cases::contract! { $world;
            acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                wait_ends_and_names_the_holder, crashed_holder_is_succeeded,
                crowd_never_overlaps;
            unqueued: no_queue_is_promised_and_nobody_stands_in_one,
                released_key_goes_to_one_who_waits, waiting_ends_with_its_limit,
                dropped_waiter_leaves_nothing, fixed_value_does_not_wait_for_itself,
                close_ends_waiting, requests_may_be_repeated, more_than_one_unit_is_refused,
                errors_name_every_node;
            holding: renewal_keeps_the_lease, renewal_off_ends_with_the_ttl,
                own_interval_is_kept, max_hold_loses, min_hold_keeps_the_key_taken,
                extend_to_lasts_at_least_so_long, extend_by_adds, loss_is_announced_every_way,
                at_risk_comes_before_the_loss, at_risk_is_put_off_by_renewals,
                forced_holder_learns_at_its_next_renewal, guard_outlives_its_runtime,
                blocked_program_keeps_its_lease;
            releasing: release_says_released, release_after_expiry_says_gone,
                release_leaves_a_successor_alone, drop_releases_in_the_background,
                close_gives_all_back;
            identity: fixed_value_excludes_itself, default_label_names_the_process,
                fences_grow_whatever_ends_a_lease, withdrawn_owner_gets_nothing;
            refusing: keys_are_kept_apart, bad_keys_are_refused, bad_terms_are_refused,
                bad_owner_values_are_refused, errors_name_key_and_store, list_pages_in_order;
        }
    };
}

macro_rules! contract {
    ($world:expr; $($chapter:ident: $($case:ident),+;)+) => {
        $(mod $chapter {
            use crate::cases::mutex::$chapter as cases;
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;
            $(#[test]
            fn $case() {
                crate::world::run(|| async { cases::$case($world.await).await });
            })+
        })+
    };
}

pub(crate) use {contract, mutex_contract, unqueued_mutex_contract};
