//! The order of include/steadfast.h: the one table of its sections. Whatever the source exports must be named here.

/// A section of the header.
pub struct Section {
    pub title: &'static str,
    /// What stands under the title.
    pub about: &'static str,
    pub parts: &'static [Part],
}

/// A part of a section. The comments of all but an enum as a whole stand in the source.
#[derive(Clone, Copy)]
pub enum Part {
    /// What the enum is about, and its members. `STEADFAST_E_*` is every constant that begins so.
    Enum(&'static str, &'static [&'static str]),
    /// A struct that is defined further down, and what is said about it here.
    Declared(&'static str, &'static str),
    /// A type or a function.
    Item(&'static str),
}

use Part::{Declared, Enum, Item};

pub const SECTIONS: &[Section] = &[
    Section {
        title: "Versions and codes",
        about: "",
        parts: &[
            Item("steadfast_version"),
            Item("steadfast_abi_version"),
            Enum(
                "Done.",
                &["STEADFAST_OK", "STEADFAST_NOT_DURABLE", "STEADFAST_RECOVERED", "STEADFAST_UNVERIFIED", "STEADFAST_CHANGED"],
            ),
            Enum(
                "Verdicts about a lock, from steadfast_lock_clean_stale and steadfast_lock_inspect. They are answers, not degrees of\n\
                 success.",
                &[
                    "STEADFAST_LOCK_ABSENT",
                    "STEADFAST_LOCK_REMOVED",
                    "STEADFAST_LOCK_HELD",
                    "STEADFAST_LOCK_UNDECIDED",
                    "STEADFAST_LOCK_IGNORED",
                    "STEADFAST_LOCK_CHANGED",
                    "STEADFAST_LOCK_STALE",
                ],
            ),
            Enum("Not done: the errors of the library. All others are negated errno values.", &["STEADFAST_E_*"]),
            Item("steadfast_status_name"),
            Item("steadfast_status_message"),
        ],
    },
    Section {
        title: "The report",
        about: "\nEvery function about states and locks that can fail takes a report, or NULL. The report says which call failed, what is on disk, and the\n\
                rest in words.",
        parts: &[
            Enum("steadfast_report.step: the call that failed.", &["STEADFAST_STEP_*"]),
            Enum("steadfast_report.on_disk: what a power cut at this moment would leave.", &["STEADFAST_ON_DISK_*"]),
            Item("steadfast_report"),
        ],
    },
    Section {
        title: "States",
        about: "\nA state is a file: 256 bytes of header, which coreutils can verify, and then the caller's bytes (steadfast_state(5)).\n\
                PATH is the path given to the call. PATH.prev holds the previous generation, where it is kept.",
        parts: &[
            Item("steadfast_context"),
            Enum("steadfast_save_options.flags.", &["STEADFAST_SAVE_*"]),
            Item("steadfast_save_options"),
            Item("steadfast_state_save"),
            Item("steadfast_save_entry"),
            Item("steadfast_state_save_batch"),
            Enum("steadfast_load_options.flags.", &["STEADFAST_LOAD_*"]),
            Item("steadfast_load_options"),
            Enum("steadfast_state.source: which file was loaded.", &["STEADFAST_SOURCE_*"]),
            Item("steadfast_state"),
            Item("steadfast_state_load"),
            Item("steadfast_state_load_into"),
            Item("steadfast_state_free"),
            Item("steadfast_update_fn"),
            Item("steadfast_state_update"),
            Item("steadfast_state_remove"),
            Item("steadfast_writer"),
            Item("steadfast_writer_open"),
            Item("steadfast_writer_write"),
            Item("steadfast_writer_fd"),
            Item("steadfast_writer_commit"),
            Item("steadfast_writer_abort"),
            Item("steadfast_reader"),
            Item("steadfast_reader_open"),
            Item("steadfast_reader_read"),
            Item("steadfast_reader_close"),
            Item("steadfast_watch"),
            Item("steadfast_watch_open"),
            Item("steadfast_watch_wait"),
            Item("steadfast_watch_fd"),
            Item("steadfast_watch_close"),
        ],
    },
    Section {
        title: "Locks",
        about: "\nThe holder of a lock has a file at PATH, with its PID in decimal and a newline (steadfast_lock(5)). If the holder\n\
                dies, the file stays until the next steadfast_lock_acquire or steadfast_lock_clean_stale removes it. So a process\n\
                may exit without a release. Locks are for one host.",
        parts: &[
            Enum(
                "steadfast_lock_options.flags.",
                &["STEADFAST_LOCK_TRUST_START_TIME", "STEADFAST_LOCK_EINTR_RETURNS", "STEADFAST_LOCK_INHERIT"],
            ),
            Item("steadfast_lock_options"),
            Item("steadfast_lock"),
            Item("steadfast_lock_acquire"),
            Item("steadfast_lock_release"),
            Item("steadfast_lock_check"),
            Item("steadfast_lock_adopt"),
            Item("steadfast_lock_clean_stale"),
            Item("steadfast_lock_inspect"),
        ],
    },
    Section {
        title: "Directories",
        about: "\nWhat a killed process leaves is removed when its name is used again. If the name is never used again, a sweep removes it.",
        parts: &[
            Enum("steadfast_directory_sweep: its flags.", &["STEADFAST_SWEEP_*"]),
            Item("steadfast_sweep_fn"),
            Item("steadfast_directory_sweep"),
        ],
    },
    Section {
        title: "Contexts",
        about: "\nA context says where relative paths begin and which system calls are used. NULL is the default context: the working\n\
                directory and the real calls. Most programs need no other.",
        parts: &[
            Declared("steadfast_hooks", "A table of system calls; section 7 defines it."),
            Enum("steadfast_context_options.flags.", &["STEADFAST_CONTEXT_*"]),
            Item("steadfast_context_options"),
            Item("steadfast_context_new_with"),
            Item("steadfast_context_new"),
            Item("steadfast_context_free"),
        ],
    },
    Section {
        title: "Hooks and fault injection",
        about: "\nFor tests: every system call of the library goes through a table of function pointers, so that a test can make one\n\
                fail, count it, delay it or replace it. A program that only saves and locks needs nothing from here.",
        parts: &[
            Enum("steadfast_stat.attributes.", &["STEADFAST_STAT_*"]),
            Item("steadfast_stat"),
            Item("steadfast_pollfd"),
            Enum("The clock hook: which clock.", &["STEADFAST_CLOCK_*"]),
            Enum("The fsync_many hook: a bit of its count.", &["STEADFAST_SYNC_DATA"]),
            Enum("The sigxfsz hook: its operations.", &["STEADFAST_SIGXFSZ_BLOCK", "STEADFAST_SIGXFSZ_RESTORE"]),
            Enum(
                "The sigxfsz hook: the bits of its state.",
                &["STEADFAST_SIGXFSZ_WAS_BLOCKED", "STEADFAST_SIGXFSZ_WAS_PENDING", "STEADFAST_SIGXFSZ_RAISED"],
            ),
            Enum(
                "The ofdlock hook: its operations on an open file description lock (fcntl(2), F_OFD_SETLK) over a range of bytes.",
                &["STEADFAST_OFDLOCK_*"],
            ),
            Enum(
                "The writeback hook: its operations on the dirty pages of a range of bytes. Neither makes anything durable.",
                &["STEADFAST_WRITEBACK_*"],
            ),
            Enum(
                "The aio hook: its operations, in the order in which they come. One write is under way at a time.",
                &["STEADFAST_AIO_*"],
            ),
            Enum("steadfast_hooks.absent: act as if the platform lacked this.", &["STEADFAST_ABSENT_*"]),
            Item("steadfast_hooks"),
            Item("steadfast_hooks_default"),
            Enum(
                "steadfast_context_new_failing: which hook's calls are counted. The numbers are the places of the hooks in the table.",
                &["STEADFAST_CALL_*"],
            ),
            Item("steadfast_context_new_failing"),
        ],
    },
];
