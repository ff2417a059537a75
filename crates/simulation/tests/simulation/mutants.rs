//! Checks that random lives reveal a missing rule; otherwise the simulation might verify nothing.
//!
//! Rules that random lives seldom reach are in `led`. Those that need many lives run on demand, in `.ci/simulation`.

use crate::live;
use crate::mutant::{self, Mutant};

/// One of the first lives shows the violation.
fn shows(mutant: &'static Mutant, within: u64) {
    for seed in 1..=within {
        let world = live(seed, Some(mutant));
        if let Some(broken) = world.broken.first() {
            println!("seed {seed}: {broken}");
            assert!(broken.contains(mutant.shows), "seed {seed} shows another violation: {broken}");
            return;
        }
    }
    panic!("no violation in {within} lives");
}

macro_rules! left_out {
    ($($(#[$ignored:meta])? $name:ident: $mutant:ident in $within:literal;)*) => {
        $(
            #[test]
            $(#[$ignored])?
            fn $name() {
                shows(&mutant::$mutant, $within);
            }
        )*
    };
}

left_out! {
    a_job_is_written_over_any_revision: JOB_REVISION in 10;
    a_ticket_is_written_over_any_revision: TICKET_REVISION in 30;
    an_end_gives_nothing_back: GIVEN_BACK in 30;
    an_end_leaves_its_slot: FREED_SLOT in 30;
    #[ignore = "it shows in few lives: .ci/simulation lives them"]
    a_job_ends_over_any_revision: END_REVISION in 200;
    #[ignore = "it shows in few lives: .ci/simulation lives them"]
    a_job_is_claimed_over_any_revision: CLAIM_REVISION in 200;
    #[ignore = "it shows in few lives: .ci/simulation lives them"]
    the_end_of_a_job_writes_its_ticket_over_any_revision: TICKET_REVISION_AT_AN_END in 200;
}
