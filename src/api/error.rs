//! Why a call failed, and what it left.

use crate::hooks::{ECANCELED, EINTR, EINVAL, Errno};
use crate::status::{self, *};
use std::boxed::Box;
use std::path::{Path, PathBuf};
use std::string::String;
use std::{fmt, io};

/// The result of a call.
pub type Result<T, E = Error> = core::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:ident;)*) => {
        /// What kind of error it is. More kinds may come.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $name,)*
            /// An argument or an option cannot be used, or contradicts another one. Nothing was done.
            InvalidInput,
            /// The descriptor of [`LockOptions::cancel_on`](crate::LockOptions::cancel_on) has ended the wait.
            Canceled,
            /// A signal has ended the wait.
            Interrupted,
            /// A system call failed: [`Error::raw_os_error`] and [`Error::step`] say why and where.
            Os,
        }

        impl ErrorKind {
            fn of(outcome: &Outcome) -> ErrorKind {
                const CANCELED: i32 = Errno::of(ECANCELED).code();
                const INTERRUPTED: i32 = Errno::of(EINTR).code();
                const INVALID: i32 = Errno::of(EINVAL).code();
                match outcome.status {
                    $($code => ErrorKind::$name,)*
                    CANCELED => ErrorKind::Canceled,
                    INTERRUPTED => ErrorKind::Interrupted,
                    INVALID if i32::from(outcome.step) == STEADFAST_STEP_ARGUMENTS => ErrorKind::InvalidInput,
                    _ => ErrorKind::Os,
                }
            }
        }
    };
}

kinds! {
    /// Damage: the file is empty.
    Empty = STEADFAST_E_EMPTY;
    /// Damage: the file is shorter than its header says.
    Truncated = STEADFAST_E_TRUNCATED;
    /// Damage: the file is longer than its header says.
    Trailing = STEADFAST_E_TRAILING;
    /// Damage: the SHA-256 does not match.
    Digest = STEADFAST_E_DIGEST;
    /// It is no state file.
    Format = STEADFAST_E_FORMAT;
    /// The state is intact, but in a later format.
    Newer = STEADFAST_E_NEWER;
    /// The state is intact, but has another schema than [`State::require_schema`](crate::State::require_schema) asks for.
    Schema = STEADFAST_E_SCHEMA;
    /// There is no state, but a previous one: load it with [`State::recover`](crate::State::recover).
    Lost = STEADFAST_E_LOST;
    /// The state is longer than the caller allows.
    TooLarge = STEADFAST_E_TOO_LARGE;
    /// Another generation is there than the one that was expected: [`Error::generation`] is its number.
    Conflict = STEADFAST_E_CONFLICT;
    /// The path is a symbolic link.
    Symlink = STEADFAST_E_SYMLINK;
    /// The path is a directory, a device, a FIFO or a socket.
    NotRegular = STEADFAST_E_NOT_REGULAR;
    /// With [`State::strict`](crate::State::strict): the state could not be made durable. Nothing was replaced.
    NotSavedDurably = STEADFAST_E_NOT_SAVED_DURABLY;
    /// With [`State::strict`](crate::State::strict): the state was replaced, but the sync of the directory failed.
    SavedNotDurable = STEADFAST_E_SAVED_NOT_DURABLE;
    /// The state was saved, and is not known to survive a power cut. Only [`Saved::durable`](crate::Saved::durable),
    /// [`Removed::durable`](crate::Removed::durable) and [`Results::durable`](crate::Results::durable) make an error of that.
    NotDurable = STEADFAST_NOT_DURABLE;
    /// The rename failed, and it is unknown whether it took effect. A load tells.
    Indeterminate = STEADFAST_E_INDETERMINATE;
    /// The lock is held, or it cannot be known whether it is.
    Locked = STEADFAST_E_LOCKED;
    /// The lock file was removed or replaced by another process. What is there now was not touched.
    LockLost = STEADFAST_E_LOCK_LOST;
    /// The lock or the writer belongs to another process: to the parent of this one, or to a child that has adopted it.
    WrongProcess = STEADFAST_E_WRONG_PROCESS;
    /// The system or the file system lacks what this needs.
    Unsupported = STEADFAST_E_UNSUPPORTED;
    /// With [`State::require_verified`](crate::State::require_verified): nothing verifies the content.
    Unverified = STEADFAST_E_UNVERIFIED;
    /// Another process kept the file busy for longer than the timeout. The old state stands.
    Busy = STEADFAST_E_BUSY;
    /// A system call gave an impossible answer.
    Hook = STEADFAST_E_HOOK;
    /// A case that cannot occur has occurred: a defect of this library. Please report it.
    Internal = STEADFAST_E_INTERNAL;
}

impl ErrorKind {
    /// Is the state damaged? An I/O error is never reported as damage, and damage never as an I/O error.
    pub fn is_damage(self) -> bool {
        matches!(self, ErrorKind::Empty | ErrorKind::Truncated | ErrorKind::Trailing | ErrorKind::Digest)
    }
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident = $step:ident;)*) => {
        /// The step of a call at which a system call failed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Step {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Step {
            pub(super) fn of(outcome: &Outcome) -> Option<Step> {
                match i32::from(outcome.step) {
                    $($step => Some(Step::$name),)*
                    _ => None,
                }
            }
        }
    };
}

steps! {
    /// Save, step 1: opening the directory. Also for locks, and for a context's directory.
    OpenDirectory = STEADFAST_STEP_OPEN_DIRECTORY;
    /// Save, step 2: opening what is there, without following a link.
    InspectTarget = STEADFAST_STEP_INSPECT_TARGET;
    /// Save, step 3: reading what is there, and waiting for its flock.
    ReadCurrent = STEADFAST_STEP_READ_CURRENT;
    /// Save, step 4: creating and locking the temporary file.
    CreateTemp = STEADFAST_STEP_CREATE_TEMP;
    /// Save, step 5: writing.
    Write = STEADFAST_STEP_WRITE;
    /// Save, step 6: setting owner, ACL and mode.
    SetMode = STEADFAST_STEP_SET_MODE;
    /// Save, step 7: syncing the file.
    SyncFile = STEADFAST_STEP_SYNC_FILE;
    /// Save, step 8: keeping the previous generation.
    KeepPrevious = STEADFAST_STEP_KEEP_PREVIOUS;
    /// Save, step 9: the rename.
    Rename = STEADFAST_STEP_RENAME;
    /// Save, step 10: syncing the directory.
    SyncDirectory = STEADFAST_STEP_SYNC_DIRECTORY;
    /// Save: making a parent directory, or syncing the directory that holds its name.
    MakeParent = STEADFAST_STEP_MAKE_PARENT;
    /// Reading a symbolic link.
    ReadLink = STEADFAST_STEP_READ_LINK;
    /// Load and locks: opening the file.
    OpenFile = STEADFAST_STEP_OPEN_FILE;
    /// Load and locks: reading the file.
    ReadFile = STEADFAST_STEP_READ_FILE;
    /// Allocating memory.
    Allocate = STEADFAST_STEP_ALLOCATE;
    /// Reading the clock.
    Clock = STEADFAST_STEP_CLOCK;
    /// Locks: finding out whether the owner lives. Writers: whether this is the process that opened it.
    CheckOwner = STEADFAST_STEP_CHECK_OWNER;
    /// Locks: the flock of the lock file.
    LockFile = STEADFAST_STEP_LOCK_FILE;
    /// Locks: comparing the name with the open file.
    Compare = STEADFAST_STEP_COMPARE;
    /// Removing the name.
    Unlink = STEADFAST_STEP_UNLINK;
    /// Locks: creating or writing the record.
    CreateLock = STEADFAST_STEP_CREATE_LOCK;
    /// Locks: giving the record its name.
    Link = STEADFAST_STEP_LINK;
    /// Waiting.
    Wait = STEADFAST_STEP_WAIT;
    /// The arguments, before any system call.
    Arguments = STEADFAST_STEP_ARGUMENTS;
}

/// What a power cut at this moment would leave of a state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum OnDisk {
    /// What was there before.
    Old,
    /// The new state.
    New,
    /// One of the two. The old one may then be PATH.prev: load with [`State::recover`](crate::State::recover).
    Either,
    /// Perhaps no whole state: only a load can tell.
    Unknown,
}

impl OnDisk {
    pub(super) fn of(outcome: &Outcome) -> OnDisk {
        match i32::from(outcome.on_disk) {
            STEADFAST_ON_DISK_OLD => OnDisk::Old,
            STEADFAST_ON_DISK_NEW => OnDisk::New,
            STEADFAST_ON_DISK_EITHER => OnDisk::Either,
            _ => OnDisk::Unknown,
        }
    }
}

/// Why a call failed, at which step, and what is on the disk now.
///
/// Its text is one sentence that names the path.
///
/// ```
/// use steadfast::{ErrorKind, OnDisk, State};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("app.state");
/// let state = State::new(&path);
/// state.save(b"one").unwrap().durable().unwrap();
/// let error = state.save_if(7, b"two").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// assert_eq!(error.generation(), Some(1)); // is there
/// assert_eq!(error.on_disk(), OnDisk::Old);
/// assert_eq!(error.path(), path);
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    outcome: Outcome,
    path: PathBuf,
}

impl Error {
    pub(super) fn new(outcome: Outcome, path: &Path) -> Error {
        Error(Box::new(Inner { outcome, path: path.to_path_buf() }))
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of(&self.0.outcome)
    }

    /// What a power cut at this moment would leave. [`OnDisk::Old`] after calls that save nothing.
    pub fn on_disk(&self) -> OnDisk {
        OnDisk::of(&self.0.outcome)
    }

    /// The step at which a system call failed.
    pub fn step(&self) -> Option<Step> {
        Step::of(&self.0.outcome)
    }

    /// errno of the system call that failed, or that led to this.
    pub fn raw_os_error(&self) -> Option<i32> {
        os_error(&self.0.outcome)
    }

    /// The path that the call was given.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The generation that is there, after [`ErrorKind::Conflict`] and [`ErrorKind::Schema`].
    pub fn generation(&self) -> Option<u64> {
        Some(self.0.outcome.generation).filter(|&generation| generation != 0)
    }

    /// The process that holds the lock, or that was waited for, where it is known.
    pub fn pid(&self) -> Option<u32> {
        pid(&self.0.outcome)
    }

    /// The name of the code in C: "STEADFAST_E_DIGEST", "ENOSPC".
    pub fn code_name(&self) -> &'static str {
        status::name(self.0.outcome.status).to_str().unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(&self.0.outcome, &self.0.path))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("on_disk", &self.on_disk())
            .field("step", &self.step())
            .field("raw_os_error", &self.raw_os_error())
            .field("message", &sentence(&self.0.outcome, &self.0.path))
            .finish()
    }
}

impl std::error::Error for Error {}

/// The error stays inside: [`io::Error::get_ref`] and `downcast_ref` give it back.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error.kind() {
            kind if kind.is_damage() => io::ErrorKind::InvalidData,
            ErrorKind::Format | ErrorKind::Newer | ErrorKind::Schema | ErrorKind::Unverified => io::ErrorKind::InvalidData,
            ErrorKind::Lost => io::ErrorKind::NotFound,
            ErrorKind::TooLarge => io::ErrorKind::FileTooLarge,
            ErrorKind::Locked => io::ErrorKind::WouldBlock,
            ErrorKind::Busy => io::ErrorKind::ResourceBusy,
            ErrorKind::InvalidInput | ErrorKind::Symlink | ErrorKind::NotRegular => io::ErrorKind::InvalidInput,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::Interrupted => io::ErrorKind::Interrupted,
            ErrorKind::Os => error.raw_os_error().map_or(io::ErrorKind::Other, |e| io::Error::from_raw_os_error(e).kind()),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// errno of an outcome: it is in the status where nothing else is known.
pub(super) fn os_error(outcome: &Outcome) -> Option<i32> {
    let errno = if outcome.os_error != 0 { outcome.os_error } else { outcome.status.saturating_neg() };
    Some(errno).filter(|errno| (1..=4095).contains(errno))
}

/// The process of an outcome.
pub(super) fn pid(outcome: &Outcome) -> Option<u32> {
    u32::try_from(outcome.pid).ok().filter(|&pid| pid != 0)
}

/// The sentence of an outcome, with the whole path.
pub(super) fn sentence(outcome: &Outcome, path: &Path) -> String {
    const MOST: usize = 512;
    let path = path.as_os_str().as_encoded_bytes();
    let mut text = std::vec![0; path.len().saturating_add(MOST)];
    status::sentence(outcome, path, &mut text);
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
}
