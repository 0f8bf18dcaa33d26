//! The contracts, kind by kind.

pub(crate) mod election;
pub(crate) mod multi_lock;
pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod reentrant;
pub(crate) mod rwlock;
pub(crate) mod semaphore;

/// Makes one test of each case of the mutex.
macro_rules! mutex_contract {
    ($world:expr) => {
        crate::cases::contract! { $world, mutex;
            acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                wait_ends_and_names_the_holder, retries_wait_in_line,
                released_key_goes_to_the_waiter, line_is_first_come_first_served,
                heartbeats_keep_the_place, dropped_waiter_leaves_the_line,
                dead_waiter_does_not_hold_up_the_line, crashed_holder_is_succeeded,
                dead_heir_is_succeeded_as_soon_as_its_lease_ends,
                handover_needs_no_heartbeat, crowd_never_overlaps,
                shares_and_a_mutex_exclude_each_other, units_change_in_place,
                limit_changes_in_place;
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
        crate::cases::contract! { $world, mutex;
            acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                wait_ends_and_names_the_holder, crashed_holder_is_succeeded,
                crowd_never_overlaps;
            unqueued: no_queue_is_promised_and_nobody_stands_in_one,
                released_key_goes_to_one_who_waits, waiting_ends_with_its_limit,
                dropped_waiter_leaves_nothing, fixed_value_does_not_wait_for_itself,
                close_ends_waiting, requests_may_be_repeated, shares_are_refused,
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

/// Makes one test of all cases of the mutex that another kind shares with it. The store gives a
/// part of a key as it gives a whole one, so these are the cases to which it matters what is
/// claimed.
macro_rules! shared_contract {
    ($world:expr) => {
        crate::cases::side_by_side! { $world;
            mutex acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                wait_ends_and_names_the_holder, retries_wait_in_line,
                released_key_goes_to_the_waiter, line_is_first_come_first_served,
                heartbeats_keep_the_place, dropped_waiter_leaves_the_line,
                dead_waiter_does_not_hold_up_the_line, crashed_holder_is_succeeded,
                crowd_never_overlaps;
            mutex holding: renewal_keeps_the_lease, renewal_off_ends_with_the_ttl,
                own_interval_is_kept, max_hold_loses, min_hold_keeps_the_key_taken,
                extend_to_lasts_at_least_so_long, extend_by_adds, loss_is_announced_every_way,
                at_risk_comes_before_the_loss, forced_holder_learns_at_its_next_renewal;
            mutex releasing: release_says_released, release_after_expiry_says_gone,
                release_leaves_a_successor_alone, drop_releases_in_the_background,
                drop_of_everything_still_releases,
                close_gives_all_back, close_ends_waiting;
            mutex identity: fixed_value_excludes_itself, fixed_value_does_not_wait_for_itself,
                fixed_values_are_compared_whole, label_and_waiters_are_shown,
                default_label_names_the_process, fences_grow_whatever_ends_a_lease,
                requests_may_be_repeated, withdrawn_owner_gets_nothing;
            mutex refusing: bad_keys_are_refused, bad_terms_are_refused,
                bad_owner_values_are_refused, errors_name_key_and_store;
        }
    };
}

/// A semaphore of one permit.
macro_rules! one_of_one_contract {
    ($world:expr) => {
        crate::cases::shared_contract! {
            async { $world.await.about(crate::lock::Share::OneOfOne).await }
        }
    };
}

/// A semaphore of five permits, of which others have four; and what only a semaphore has.
macro_rules! one_of_five_contract {
    ($world:expr) => {
        crate::cases::shared_contract! {
            async { $world.await.about(crate::lock::Share::LastOfFive).await }
        }

        mod permits {
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;

            crate::cases::side_by_side! { $world;
                semaphore permits: as_many_are_held_as_there_are, many_are_granted_together,
                    many_are_not_overtaken_by_few, all_of_them_wait_like_a_mutex,
                    permits_of_the_dead_come_back, crowd_reaches_the_number_and_never_more,
                    dropped_claim_for_many_lets_few_pass, force_release_takes_all,
                    ticket_keeps_its_permits, holders_are_told_apart_by_their_values,
                    scopes_give_their_permits_back, everything_has_its_blocking_name;
                semaphore number: more_are_granted_at_once, fewer_take_effect_as_they_come_back,
                    none_is_changed_where_none_is_held;
                semaphore refusing: another_number_is_refused_with_both,
                    another_number_follows_when_none_is_held, bad_numbers_are_refused;
            }
        }
    };
}

/// The write lock, which passes for a mutex; and what only a read-write lock has.
macro_rules! rwlock_contract {
    ($world:expr) => {
        crate::cases::shared_contract! {
            async { $world.await.about(crate::lock::Share::Writer).await }
        }

        mod readers {
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;

            crate::cases::side_by_side! { $world;
                rwlock readers: readers_share_and_writers_do_not,
                    mutex_and_writer_exclude_each_other, writer_is_not_overtaken_by_readers,
                    readers_of_the_dead_let_the_writer_in, crowd_reads_together_and_writes_alone,
                    dropped_writer_lets_readers_pass, force_release_takes_the_key_from_all_readers,
                    ticket_keeps_its_part, everything_has_its_blocking_name;
                rwlock changes: downgrade_lets_waiting_readers_in,
                    upgrade_alone_gets_a_larger_fence, upgrade_beside_others_keeps_what_it_has,
                    upgrade_does_not_overtake, changed_lease_is_renewed_and_given_back,
                    changes_of_other_guards, lost_guard_is_not_changed;
                rwlock refusing: semaphore_beside_readers_is_refused;
            }
        }
    };
}

/// The cases of a mutex for a leader, where the store has no queue.
macro_rules! unqueued_election_contract {
    ($world:expr) => {
        mod shared {
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;

            crate::cases::side_by_side! {
                async { $world.await.about(crate::lock::Share::Leader).await };
                mutex acquiring: free_key_is_held_at_once, try_answers_none_while_held,
                    wait_ends_and_names_the_holder, crashed_holder_is_succeeded,
                    crowd_never_overlaps;
                mutex holding: renewal_keeps_the_lease, renewal_off_ends_with_the_ttl,
                    own_interval_is_kept, max_hold_loses, min_hold_keeps_the_key_taken,
                    extend_to_lasts_at_least_so_long, extend_by_adds, loss_is_announced_every_way,
                    at_risk_comes_before_the_loss, forced_holder_learns_at_its_next_renewal;
                mutex releasing: release_says_released, release_after_expiry_says_gone,
                    release_leaves_a_successor_alone, drop_releases_in_the_background,
                    close_gives_all_back;
                mutex identity: fixed_value_excludes_itself, default_label_names_the_process,
                    fences_grow_whatever_ends_a_lease, withdrawn_owner_gets_nothing;
                mutex refusing: bad_keys_are_refused, bad_terms_are_refused,
                    bad_owner_values_are_refused, errors_name_key_and_store;
            }
        }

        crate::cases::leading_contract! { $world }
    };
}

/// A leader, which passes for the holder of a mutex; and what only an election has.
macro_rules! election_contract {
    ($world:expr) => {
        crate::cases::shared_contract! {
            async { $world.await.about(crate::lock::Share::Leader).await }
        }

        crate::cases::leading_contract! { $world }
    };
}

macro_rules! leading_contract {
    ($world:expr) => {
        mod leaders {
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;

            crate::cases::side_by_side! { $world;
                election leading: leader_is_seen_with_value_term_and_label,
                    next_candidate_leads_with_its_own_value, mutex_and_election_exclude_each_other,
                    observers_see_every_leader_and_none, lost_leadership_sets_no_value,
                    dropped_candidate_never_leads, leader_runs_work_and_resigns,
                    everything_has_its_blocking_name;
                election values: any_short_text_is_a_value,
                    longer_value_is_refused_before_anything_is_touched,
                    value_outlives_renewals_and_waiters, late_value_does_nothing;
            }
        }
    };
}

/// A store that cannot carry read-write locks.
macro_rules! refused_rwlock_contract {
    ($world:expr) => {
        crate::cases::side_by_side! { $world;
            rwlock refusing: store_refuses_before_anything_is_touched;
        }
    };
}

/// A store that cannot carry semaphores.
macro_rules! refused_semaphore_contract {
    ($world:expr) => {
        crate::cases::side_by_side! { $world;
            semaphore refusing: store_refuses_before_anything_is_touched;
        }
    };
}

/// A job that runs once per tick.
macro_rules! once_contract {
    ($world:expr) => {
        crate::cases::side_by_side! { $world;
            once ticks: one_of_many_runs_and_the_others_are_told, grid_has_one_run_in_each_tick,
                tick_may_begin_with_the_last_run,
                run_that_takes_longer_than_its_tick_is_not_overlapped,
                other_locks_and_runs_exclude_each_other,
                bad_periods_are_refused_before_anything_is_touched;
            once recording: outcome_is_on_record_for_all,
                failed_run_leaves_its_tick_to_those_who_retry, run_of_the_dead_has_failed,
                dropped_guard_has_failed, run_that_lost_its_lease_changes_no_later_one,
                withdrawn_run_leaves_its_tick, requests_may_be_repeated,
                work_is_run_and_its_error_is_on_record, work_that_lost_its_lease_has_failed,
                everything_has_its_blocking_name;
        }
    };
}

/// Makes one test of all cases, which run side by side.
macro_rules! side_by_side {
    ($world:expr; $($kind:ident $chapter:ident: $($case:ident),+;)+) => {
        #[test]
        fn every_case() {
            let cases: &[crate::world::NamedCase] = &[$($((
                concat!(stringify!($chapter), "::", stringify!($case)),
                || crate::world::run(|| async {
                    crate::cases::$kind::$chapter::$case($world.await).await;
                }),
            )),+),+];
            crate::world::run_side_by_side(cases);
        }
    };
}

/// Makes one test of each case of the multi-lock. Each of its keys is a mutex, whose contract has
/// all else.
macro_rules! multi_lock_contract {
    ($world:expr) => {
        crate::cases::contract! { $world, multi_lock;
            acquiring: all_are_held_with_a_fence_each, try_answers_none_and_holds_none,
                try_shows_no_part_of_it_to_others, permits_of_one_key_are_in_the_way,
                it_waits_for_every_key, opposite_orders_never_deadlock,
                single_locks_are_excluded_and_exclude, limit_counts_for_all_together,
                error_of_a_later_key_gives_the_earlier_back,
                bad_keys_and_options_are_refused_before_anything_is_touched,
                key_that_the_store_refuses_is_refused_first;
            giving_up: dropped_half_way_holds_none, dropped_waiter_holds_none,
                roll_back_knows_no_min_hold, min_hold_keeps_all_keys_taken,
                loss_of_an_early_key_begins_anew, close_gives_all_back;
            holding: one_lost_is_all_lost, all_leases_are_renewed_and_extended,
                run_holds_all_and_gives_back, run_to_end_says_which_key_was_lost,
                compensation_runs_while_all_are_held, token_is_cancelled_with_the_first_loss,
                owner_and_label_are_those_of_every_key,
                guards_go_both_ways, everything_has_its_blocking_name;
        }
    };
}

/// Makes one test of each case of the reentrant mutex. Its first level is a mutex, whose contract
/// has all else.
macro_rules! reentrant_contract {
    ($world:expr) => {
        crate::cases::contract! { $world, reentrant;
            levels: levels_enter_at_once_with_one_fence, the_last_level_releases,
                levels_leave_in_any_order, loss_is_a_loss_for_all_levels,
                close_is_a_loss_for_all_levels, scopes_exclude_each_other,
                keys_and_handles_are_kept_apart, options_are_those_of_the_first_level;
            siblings: siblings_share_one_lease, sibling_takes_over_from_a_dropped_acquire,
                sibling_takes_over_from_a_failed_acquire, limit_counts_while_a_sibling_acquires,
                dropped_acquire_leaves_the_count_right;
            scopes: current_scope_is_that_of_the_task, run_needs_no_scope_and_nests,
                run_leaves_its_level_only, work_to_its_end_is_a_level,
                compensation_runs_in_the_scope, permits_are_in_the_way,
                blocking_levels_nest, without_a_scope_it_is_refused,
                scope_forgets_keys_that_it_does_not_hold;
        }
    };
}

macro_rules! contract {
    ($world:expr, $kind:ident; $($chapter:ident: $($case:ident),+;)+) => {
        $(mod $chapter {
            use crate::cases::$kind::$chapter as cases;
            #[allow(unused_imports, reason = "what the row's expression needs")]
            use super::*;
            $(#[test]
            fn $case() {
                crate::world::run(|| async { cases::$case($world.await).await });
            })+
        })+
    };
}

pub(crate) use {
    contract, election_contract, leading_contract, multi_lock_contract, mutex_contract,
    once_contract, one_of_five_contract, one_of_one_contract, reentrant_contract,
    refused_rwlock_contract, refused_semaphore_contract, rwlock_contract, shared_contract,
    side_by_side, unqueued_election_contract, unqueued_mutex_contract,
};
