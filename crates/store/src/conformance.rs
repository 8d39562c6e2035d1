//! What every store keeps, as cases. The tests of a store, in whatever crate, run all of them with one line:
//!
//! ```ignore
//! spanwise_store::conformance!(open); // fn open() -> (impl Store, impl Sized): an empty store, and what must live as long as it
//! ```
#![expect(clippy::unwrap_used, reason = "these are tests: one that cannot go on stops with the reason")]

mod apps;
mod artifacts;
mod catalog;
pub mod examples;
mod journal;
mod notifications;
mod queries;
mod registry;
mod retention;
mod tracked;
mod triggers;

pub use apps::*;
pub use artifacts::*;
pub use catalog::*;
pub use journal::*;
pub use notifications::*;
pub use queries::*;
pub use registry::*;
pub use retention::*;
pub use tracked::*;
pub use triggers::*;

/// Makes a test of each case, for a function that opens an empty store.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance!($open:
            a_name_is_taken_once,
            names_are_unique_in_org_project_and_domain_only,
            events_come_back_in_order,
            a_conflict_leaves_nothing_of_the_batch,
            values_are_kept_when_later_rows_leave_them_out,
            rows_show_the_last_state,
            old_finished_runs_are_pruned_and_live_ones_are_not,
            unicode_and_empty_values_survive,
            a_run_is_created_with_its_first_events,
            conditions_and_their_phases_are_stored,
            events_without_a_gap_only,
            projects_are_those_of_runs_and_of_deployed_tasks,
            one_action_of_each_run_is_read_at_once,
            runs_are_filtered_by_scope_and_task,
            runs_are_filtered_by_phase_and_time,
            runs_are_filtered_by_their_last_change_and_by_the_version_of_their_task,
            runs_that_wait_for_a_signal_are_found_as_paused,
            runs_are_filtered_by_labels_whatever_they_are_made_of,
            lists_of_runs_are_paged_in_both_orders,
            unfinished_runs_are_listed_the_oldest_first,
            the_events_of_one_action_come_in_order,
            exports_are_pending_until_they_are_done,
            events_are_read_on_from_a_number,
            a_definition_is_kept_once_under_its_digest,
            a_definition_is_stored_with_what_is_made_from_it_or_not_at_all,
            a_task_is_deployed_once_in_each_version,
            a_list_of_tasks_has_each_once_in_its_newest_version,
            an_app_is_kept_in_its_revisions,
            an_app_that_is_deleted_leaves_nothing,
            an_app_counts_as_what_is_kept,
            cached_outputs_are_replaced_under_their_key,
            definitions_go_with_the_last_that_refers_to_them,
            old_cached_outputs_are_pruned,
            the_key_of_a_run_never_comes_again,
            nothing_is_old_by_a_clock_that_jumped,
            the_newest_fact_is_that_of_runs_actions_and_what_is_kept_beside_them,
            every_value_that_is_kept_is_shown,
            a_cache_without_end_takes_no_run_with_it,
            what_was_cached_in_the_time_of_a_run_goes_with_it_by_size,
            the_oldest_finished_runs_go_while_the_store_is_too_large,
            the_last_revision_of_a_trigger_counts,
            slots_of_a_trigger_are_settled,
            runs_are_found_by_the_trigger_that_has_fired_them,
            what_a_trigger_is_made_from_stays_as_long_as_it_does,
            a_notification_is_due_when_its_run_has_ended,
            each_receiver_with_trouble_is_found,
            the_oldest_notification_of_each_receiver_is_due_first,
            what_has_become_of_notifications_is_kept_as_long_as_their_run,
            notifications_of_one_receiver_are_given_up_by_the_age_of_their_runs,
            a_project_is_registered_once_and_changed_as_often_as_somebody_wants,
            settings_are_changed_by_who_has_seen_their_last_version,
            settings_of_a_scope_come_from_the_widest_to_its_own,
            a_version_is_kept_once,
            versions_are_filtered_by_all_that_is_known_of_them,
            of_each_partition_the_newest_version_is_found,
            the_keys_of_an_artifact_are_fixed_once,
            the_number_of_a_version_never_comes_again,
            what_an_attempt_has_made_is_kept_with_its_success,
            the_versions_that_a_run_was_given_are_found_from_both_sides,
            versions_are_settled_for_each_trigger,
            a_tracked_run_whose_end_is_in_doubt_is_unfinished_and_stays,
        );
    };
    ($open:path: $($case:ident,)*) => {
        $(#[test]
        fn $case() {
            let (store, _alive) = $open();
            $crate::conformance::$case(&store);
        })*
    };
}
