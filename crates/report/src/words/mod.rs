//! The only place where wording lives: what the report calls things and how its sentences run.
//!
//! A sentence never says more than the grade allows: who held a lock is stated only where it is proven.

mod alarm;
mod around;
mod because;
mod cause;
mod container;
mod culprit;
mod deed;
mod explain;
mod memory;
mod others;
mod picture;
mod quiet;
mod summary;

pub(crate) use alarm::alarm;
pub(crate) use because::because;
pub(crate) use cause::{
    Kind, cause_label, cause_of, kind_label, kind_of, kind_of_cause, kind_of_site, nobody_charged,
};
pub(crate) use culprit::{
    WENT_ON, began, deed_short, operation, operation_sized, thread, thread_in_table, thread_short,
    without_culprit,
};
pub(crate) use explain::{
    CAUSE_UNKNOWN, grade_label, grade_meaning, headline, held_as, how, is_sure, other_freeze,
    this_ended, wait_ended, why_no_symbol,
};
pub(crate) use memory::{calls_left_out, why_no_size};
pub(crate) use others::others;
pub(crate) use picture::{
    HEAT_NOTE, HEAT_UNIT, KERNEL_FRAMES, MEMORY_ROW, OPERATION_ROW, RESIDENT_ROW, SITES_NOTE,
    THREADS_AXIS, USER_FRAMES, axis_caption, blocked_title, figure, flame_note, flame_title,
    freeze_label, heat_caption, heat_cell, heat_title, lanes_left_out, provenance, resident_part,
    role_heading, sites_scope, sites_title, timeline_title,
};
pub(crate) use quiet::{function, is_harm, is_harm_in, site_cause, site_group};
pub(crate) use summary::{
    at_least, findings_summary, is_family, paragraph, when, who_froze, window_summary,
};
