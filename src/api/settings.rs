//! The options of a save, which a state and a batch both have.

/// Gives a type with a field `saving`, a SaveRequest, the methods that set it.
macro_rules! save_settings {
    ($Type:ty) => {
        /// How a save is done.
        impl $Type {
            /// Failing to make the file or its directory durable is an error instead of
            /// [`Durability::NotDurable`](crate::Durability::NotDurable).
            pub fn strict(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_STRICT, on)
            }

            /// The verified previous generation stays as PATH.prev; a damaged or unsynced one never replaces a durable one. The
            /// name needs room for ".prev".
            pub fn keep_previous(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_KEEP_PREVIOUS, on)
            }

            /// PATH and PATH.prev take turns, so that a durable save needs one flush: PATH alone is not the state any more. A save of
            /// a plain file with it is [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
            pub fn alternate(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_ALTERNATE, on)
            }

            /// A symbolic link at the path is followed, in a sticky directory only if it is yours or the directory owner's.
            /// Otherwise it is [`ErrorKind::Symlink`](crate::ErrorKind::Symlink).
            pub fn follow_symlink(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_FOLLOW_SYMLINK, on)
            }

            /// Missing parent directories are created, durably, with mode 0777 less the umask.
            pub fn create_parents(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_CREATE_PARENTS, on)
            }

            /// Nothing is synced: the save is atomic and verified, and always
            /// [`Durability::NotDurable`](crate::Durability::NotDurable). It contradicts `strict`.
            pub fn no_sync(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_NO_SYNC, on)
            }

            /// The file that is replaced also hands on its attributes `user.*` and its SELinux and SMACK labels. Owner, group,
            /// mode and access ACL it always does.
            pub fn keep_attributes(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_KEEP_ATTRIBUTES, on)
            }

            /// Permission bits of a new file, whatever the umask; 0, the default, means 0600.
            pub fn mode(mut self, mode: u32) -> Self {
                self.saving.mode = mode;
                self
            }

            /// A file that is there already gets the [`mode`](Self::mode) as well, and may be opened to more by it.
            pub fn replace_mode(self, on: bool) -> Self {
                self.with_save(STEADFAST_SAVE_SET_MODE, on)
            }

            /// The program's own format number, stored with the state.
            pub fn schema(mut self, schema: u32) -> Self {
                self.saving.schema = schema;
                self
            }

            /// How long a save waits for other processes: for a lease on the file, and where it compares, for the flock of
            /// others that do. 10 seconds by default; `None` is no limit. Then it is
            /// [`ErrorKind::Busy`](crate::ErrorKind::Busy).
            pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
                self.saving.timeout_ms = timeout_ms(timeout);
                self
            }

            fn with_save(mut self, flag: u32, on: bool) -> Self {
                self.saving.set(flag, on);
                self
            }
        }
    };
}

pub(super) use save_settings;
