/* Ways of saving that the library had, or never should have. The judge must see them lose something. */
#ifndef MUTANTS_H
#define MUTANTS_H

#include "power.h"

/* Writes over PATH.prev in place, syncs it, exchanges the two names and syncs the directory. */
struct answer old_recycle(const struct save *save);
/* Saves without a sync, and does not mark the state as such: a later KEEP_PREVIOUS puts it over a durable PATH.prev. */
struct answer old_no_sync(const struct save *save);
/* Saves durably, but counts from the header at PATH alone: over a damaged state it begins again with 1. */
struct answer old_generation(const struct save *save);
/* Syncs the file by syncfs, and its name by fsync of the directory: btrfs loses the name when another process renames as well. */
struct answer syncfs_then_fsync(const struct save *save);
/* Keeps the previous state by renaming PATH to PATH.prev: for a moment there is no PATH. */
struct answer rename_previous(const struct save *save);
/* Saves a plain file without a sync, and its attribute before the content: its time is another one then, and a torn content somebody's
 * change. */
struct answer attribute_first(const struct save *save);
/* Writes a record in place, and syncs it, without a copy of what was there. */
struct answer no_copy(const struct save *save);
/* Saves a plain file without a mark that it was not synced: a later KEEP_PREVIOUS puts it over a durable PATH.prev. */
struct answer unmarked_plain(const struct save *save);

#endif
