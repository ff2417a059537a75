//! Which use cases write which items, and why some two of them need no race of their own.

/// Of every use case that decides something: the items that it writes and others write, too. Not here: that somebody
/// looks at a job, and that a row is put off. These decide nothing and are over no revision.
pub(crate) const USE_CASES: &[(&str, &str)] = &[
    // A job begins and runs.
    ("trigger", "JOB TICKET PR DELIVERY BUDGET IDEMPOTENCY"),
    ("revision", "JOB TICKET PR REVIEW DELIVERY BUDGET"),
    ("start", "JOB"),
    ("place", "JOB"),
    ("claim", "JOB RUNNER"),
    ("admit", "JOB"),
    ("phase", "JOB"),
    ("death", "JOB"),
    // It stands still, goes on, ends.
    ("pause", "JOB TICKET"),
    ("continue", "JOB TICKET"),
    ("answer", "JOB TICKET INPUT"),
    ("yield", "JOB TICKET RUNNER ATTEMPT BUDGET PR"),
    ("requeue", "JOB TICKET RUNNER ATTEMPT"),
    ("finish", "JOB TICKET RUNNER ATTEMPT BUDGET PR"),
    ("cancel", "JOB TICKET BUDGET PR"),
    ("expiry", "JOB TICKET BUDGET PR"),
    ("give-up", "JOB TICKET RUNNER ATTEMPT BUDGET PR"),
    ("ghost", "JOB TICKET RUNNER ATTEMPT BUDGET PR"),
    ("late-result", "ATTEMPT PR TICKET"),
    // Tickets.
    ("snapshot", "TICKET"),
    ("new-ticket", "JOB TICKET TEXT DELIVERY BUDGET IDEMPOTENCY"),
    ("entry", "TICKET DELIVERY"),
    ("settle", "TICKET"),
    ("mark", "TICKET"),
    ("tool-text", "TEXT"),
    ("edit", "TEXT DELIVERY IDEMPOTENCY"),
    // Pull requests, reviews, the ledger, hooks.
    ("link", "PR TICKET"),
    ("tell", "PR"),
    ("forge-news", "PR TICKET JOB"),
    ("take", "REVIEW"),
    ("wait", "REVIEW TICKET DELIVERY"),
    ("remember", "REVIEW DELIVERY"),
    ("absorb", "REVIEW"),
    ("refuse", "REVIEW"),
    ("edited", "REVIEW"),
    ("record", "DELIVERY"),
    ("conclude", "DELIVERY"),
    ("repeat", "DELIVERY"),
    ("hook-repair", "HOOK"),
    ("hook-change", "HOOK"),
    ("hook-removal", "HOOK HEARD"),
    ("hook-heard", "HEARD"),
    // Projects, repositories, forges, and how repositories are looked at.
    ("settings", "SETTINGS"),
    ("repository-connect", "REPO REPONAME"),
    ("repository-rename", "REPO REPONAME"),
    ("repository-removal", "REPO REPONAME POLL SETTINGS"),
    ("poll-look", "POLL"),
    ("poll-change", "POLL"),
    ("integration-connect", "INTEGRATION"),
    ("integration-removal", "INTEGRATION"),
    // Models' accounts, secrets, what attempts keep.
    ("account-shut", "BREAKER"),
    ("account-close", "BREAKER"),
    ("rotation", "ROTATION"),
    ("keep", "ARTIFACTS"),
    // Tokens.
    ("token-made", "TOKEN IDEMPOTENCY"),
    ("first-token", "TOKEN FIRST"),
    ("token-use", "TOKEN"),
    ("token-revoked", "TOKEN"),
    // Runners.
    ("heartbeat", "RUNNER"),
    ("registration", "RUNNER NAME PROFILE"),
    ("drain", "RUNNER"),
    ("offline", "RUNNER"),
    ("removal", "RUNNER NAME PROFILE"),
    ("empty-slot", "RUNNER"),
];

/// Kinds of items on which no two use cases meet, and why: no use case names them.
pub(crate) const ALONE: &[(&str, &str)] = &[
    ("CLASS", "it is put where none is, says what its key does, and nobody changes it"),
    ("CONTEXT", "its key is the hash of what it says"),
    ("EVENTS", "a batch is put where none is, and nobody changes it"),
    ("SIGNIN", "it is put where none is, and nobody changes it"),
    ("SWEEPER", "the sweep alone writes it, and later ones over earlier ones"),
];

/// That any of `some` and any of `others` may write `item` at once without a race of the two: `race` has the same two
/// conditions meet.
pub(crate) struct Covered {
    pub(crate) item: &'static str,
    pub(crate) some: &'static str,
    /// `*`: whoever writes it.
    pub(crate) others: &'static str,
    pub(crate) race: &'static str,
    pub(crate) because: &'static str,
}

pub(crate) const COVERED: &[Covered] = &[
    Covered {
        item: "JOB",
        some: "*",
        others: "*",
        race: "revisions_count_every_change_that_was_read_and_made_again",
        because: "each replaces the job over the one revision that it read",
    },
    Covered {
        item: "TICKET",
        some: "trigger revision pause continue answer yield requeue finish cancel expiry give-up ghost late-result \
               new-ticket entry settle link forge-news",
        others: "trigger revision pause continue answer yield requeue finish cancel expiry give-up ghost late-result \
                 new-ticket entry settle link forge-news",
        race: "one_of_many_changes_of_a_ticket_is_stored",
        because: "each replaces the ticket over the one revision that it read",
    },
    Covered {
        item: "TICKET",
        some: "snapshot",
        others: "*",
        race: "a_ticket_that_is_moved_while_its_job_ends_stays_where_it_was_moved_and_is_free",
        because: "it raises the revision and sets only what no other update sets; all others are over the revision, or \
                  add to the map of what waits",
    },
    Covered {
        item: "TICKET",
        some: "mark wait",
        others: "*",
        race: "the_end_of_a_job_and_what_is_remembered_during_it_never_miss_each_other",
        because: "it raises the revision while that job is active, and all others are over the revision, or set what \
                  the tool tells",
    },
    Covered {
        item: "INPUT",
        some: "answer",
        others: "answer",
        race: "of_many_answers_each_is_kept_once_and_the_first_is_the_answer",
        because: "nobody else writes it",
    },
    Covered {
        item: "ATTEMPT",
        some: "*",
        others: "*",
        race: "what_was_pushed_is_the_end_or_is_kept_as_late",
        because: "it is put where none is, with a job's revision, and what comes late is noted on one that is there",
    },
    Covered {
        item: "BUDGET",
        some: "*",
        others: "*",
        race: "what_is_taken_from_a_day_and_given_back_at_once_adds_up",
        because: "each adds or takes away, with a job's revision, and only who takes asks what is left",
    },
    Covered {
        item: "PR",
        some: "*",
        others: "*",
        race: "one_of_many_changes_of_a_pull_request_is_stored",
        because: "each replaces the pull request over the one revision that it read, or puts it where none is",
    },
    Covered {
        item: "TEXT",
        some: "new-ticket",
        others: "tool-text edit",
        race: "one_of_many_writes_a_new_ticket",
        because: "it writes over whatever stands there; that its ticket is new decides",
    },
    Covered {
        item: "DELIVERY",
        some: "trigger revision remember record wait new-ticket entry edit",
        others: "trigger revision remember record wait new-ticket entry edit",
        race: "a_review_is_remembered_with_its_entry_beside_other_decisions_or_not_at_all",
        because: "each puts an entry over none or over one that is not final",
    },
    Covered {
        item: "DELIVERY",
        some: "conclude",
        others: "*",
        race: "a_review_that_is_covered_never_reads_as_refused",
        because: "it goes by whether the entry is final and names a job, which is what the others write",
    },
    Covered {
        item: "DELIVERY",
        some: "repeat",
        others: "*",
        race: "many_repeats_are_noted_without_loss_until_there_is_no_room",
        because: "it adds a time to a list that decides nothing",
    },
    Covered {
        item: "REVIEW",
        some: "revision",
        others: "take wait",
        race: "a_refused_review_that_is_sent_again_waits_anew_or_has_its_job",
        because: "each goes over a review that nobody knows or that was refused, as a remembering does",
    },
    Covered {
        item: "REVIEW",
        some: "edited",
        others: "*",
        race: "that_a_review_was_edited_is_never_written_over",
        because: "it sets an attribute that every other write leaves as it is",
    },
    Covered {
        item: "RUNNER",
        some: "yield requeue finish give-up ghost empty-slot",
        others: "yield requeue finish give-up ghost empty-slot claim",
        race: "many_jobs_never_take_more_slots_than_a_runner_has",
        because: "each writes one slot by its job's name, with that job's revision or over its very claim",
    },
    Covered {
        item: "RUNNER",
        some: "yield requeue ghost empty-slot",
        others: "registration",
        race: "a_process_that_takes_over_brings_no_slot_back_that_a_finish_freed",
        because: "they free a slot as a finish does, and it is over the slots that it read",
    },
    Covered {
        item: "RUNNER",
        some: "yield requeue ghost empty-slot",
        others: "removal",
        race: "a_runner_that_is_removed_leaves_no_job_behind",
        because: "they free a slot as a finish does, and it goes only without slots",
    },
    Covered {
        item: "RUNNER",
        some: "yield requeue finish empty-slot",
        others: "heartbeat",
        race: "what_is_heard_beside_claims_takes_neither_a_slot_nor_a_newer_word_away",
        because: "they write a slot by its name, and it writes none",
    },
    Covered {
        item: "RUNNER",
        some: "yield ghost empty-slot",
        others: "offline",
        race: "a_job_is_finished_or_lost_with_its_runner_and_ended_once",
        because: "they free a slot, and it writes none; a ghost's end is over the epoch that it raises",
    },
    Covered {
        item: "RUNNER",
        some: "drain",
        others: "requeue finish ghost empty-slot",
        race: "a_runner_that_gives_its_job_back_while_it_is_drained_keeps_the_wish_and_no_slot",
        because: "it sets the wish alone, and they free a slot as giving back does",
    },
    Covered {
        item: "IDEMPOTENCY",
        some: "*",
        others: "*",
        race: "one_of_many_requests_with_one_key_makes_its_token",
        because: "each puts what was asked for where nothing is, or over what is forgotten by now",
    },
    Covered {
        item: "HEARD",
        some: "hook-removal",
        others: "hook-heard",
        race: "of_many_deliveries_in_a_minute_one_is_noted_and_all_refused_ones_are_counted",
        because: "it goes whatever it says, and what is noted says of which hook it was heard, as the next of its name \
                  finds it",
    },
    Covered {
        item: "SETTINGS",
        some: "settings",
        others: "repository-removal",
        race: "one_of_many_changes_of_a_project_is_stored",
        because: "each replaces the project over the one revision that it read",
    },
    Covered {
        item: "REPO",
        some: "repository-connect",
        others: "*",
        race: "one_of_many_repositories_gets_a_name",
        because: "it writes what its forge says now over whatever stands there, and a name that is left behind leads to \
                  the same repository",
    },
    Covered {
        item: "REPONAME",
        some: "repository-connect",
        others: "*",
        race: "a_name_that_many_repositories_want_is_given_to_one",
        because: "it puts a name where none is or over its own, as a new name is put, and nobody takes away another's",
    },
    Covered {
        item: "TOKEN",
        some: "token-made first-token",
        others: "token-made first-token",
        race: "one_of_many_tokens_of_one_hash_is_stored",
        because: "each puts a token where none is",
    },
    Covered {
        item: "TOKEN",
        some: "token-made first-token",
        others: "token-use token-revoked",
        race: "of_many_uses_at_once_one_is_written_while_others_revoke",
        because: "a token is put where none is, and then the one sets when it was used last and the others that it is \
                  taken back",
    },
];
