//! The saver's alternating states: PATH and PATH.prev take turns, under the flock of PATH's file.

use super::*;

/// What is there.
struct Pair {
    path: Option<There>,
    previous: Option<There>,
    newest_is_previous: bool,
}

impl Pair {
    fn newest(&self) -> Option<&There> {
        if self.newest_is_previous { self.previous.as_ref() } else { self.path.as_ref() }
    }

    fn older(&self) -> Option<&There> {
        if self.newest_is_previous { self.path.as_ref() } else { self.previous.as_ref() }
    }
}

/// A save that knows what it writes.
struct Content<'a> {
    generation: u64,
    time: i64,
    payload: &'a [u8],
}

impl Content<'_> {
    fn bytes(&self, pair: u64, grouped: bool, longer: u64) -> Vec<u8> {
        let slot = record::Slot { used: self.payload.len(), pair, grouped };
        let capacity = record::capacity(self.payload.len()).max(longer as usize);
        record::format_slot(self.generation, self.time, false, slot, capacity, self.payload)
    }

    fn told(&self, status: i32, on_disk: i32) -> Done<Told> {
        Ok(Told { status, on_disk, generation: self.generation })
    }
}

/// What stands for two files whose names are on the disk.
fn pair_of(path: &There, previous: &There) -> u64 {
    let files = [path.stat, previous.stat];
    files.iter().fold(1u64, |pair, stat| {
        pair.wrapping_mul(1_000_003).wrapping_add(stat.ino).wrapping_mul(31).wrapping_add(stat.btime_ns as u64)
    })
}

fn is_slot(there: &There) -> bool {
    there.says.as_ref().is_some_and(|says| says.slot.is_some())
}

impl Saver<'_> {
    pub fn alternate(&mut self, request: &Request, previous_name: &str) -> Done<Told> {
        let pair = self.find(request.name, previous_name)?;
        let time = self.now()?;
        let content = Content { generation: self.next(&pair, time), time, payload: request.payload };
        if request.flags & IF_GENERATION != 0 {
            let there = pair.newest().and_then(There::generation);
            let none = pair.path.is_none() && pair.previous.is_none();
            if none != (request.expected == 0) || !none && there != Some(request.expected) {
                return Err(E_CONFLICT);
            }
        }
        let fits = |older: &There| is_slot(older) && older.stat.nlink == 1;
        let trusts = self.fault == Fault::NewestUnverified;
        let durable = pair.newest().is_some_and(|newest| (newest.durable() || trusts) && is_slot(newest));
        if durable && pair.older().is_some_and(fits) && self.names_are_synced(&pair) {
            return self.in_place(request, previous_name, &pair, &content);
        }
        let bytes = content.bytes(0, false, 0);
        let (temp, mut fd) = self.temporary(request.name)?;
        // PATH.prev stays where it is the state, and on the disk.
        let stays = pair.newest_is_previous && pair.newest().is_some_and(There::durable);
        let flags = (request.flags | KEEP_PREVIOUS) & if stays { !IF_GENERATION } else { !0 };
        let request = Request { flags, ..*request };
        let replaced = if stays { &None } else { &pair.path };
        let finish = self.finish(&request, previous_name, (replaced, &pair.previous), (&temp, &mut fd), (&bytes, false));
        let (status, on_disk) = finish.inspect_err(|_| self.remove(&temp))?;
        content.told(status, on_disk)
    }

    /// Finds the newer one, with the flock of PATH's file.
    fn find(&mut self, name: &str, previous_name: &str) -> Done<Pair> {
        let mut path = self.look(name)?;
        if let (Some(there), true) = (&path, self.fault != Fault::LocksSlot) {
            self.flock(there.fd).map_err(|error| if error == -libc::EAGAIN { E_BUSY } else { error })?;
            if !self.is_named(name, &there.stat)? {
                return Err(E_BUSY);
            }
            // Somebody may have written it before.
            path = Some(self.read(there.fd)?);
        }
        let previous = self.look(previous_name)?;
        let number = |there: &Option<There>| {
            let there = there.as_ref().filter(|there| is_slot(there))?;
            let record = if self.fault == Fault::NewestUnverified { &there.says } else { &there.record };
            record.as_ref().map(|record| record.generation)
        };
        // Only what was written there can be newer there.
        let written_there = |there: &There| there.says.as_ref().and_then(|says| says.slot).is_some_and(|slot| slot.pair != 0);
        let newest_is_previous = number(&previous) > number(&path) && previous.as_ref().is_some_and(written_there);
        let pair = Pair { path, previous, newest_is_previous };
        let grouped = |there: &There| there.says.as_ref().and_then(|says| says.slot).is_some_and(|slot| slot.grouped);
        if let Some(newest) = pair.newest().filter(|newest| grouped(newest) && self.fault != Fault::GroupedUnsynced) {
            // Another sync would answer 0, whatever is on the disk.
            self.sync_data(newest.fd).inspect_err(|_| self.mark(newest.fd))?;
        }
        Ok(pair)
    }

    fn next(&self, pair: &Pair, time: i64) -> u64 {
        let said = |there: Option<&There>| there.and_then(|there| there.says.as_ref()).map_or(0, |says| says.generation);
        let last = said(pair.path.as_ref()).max(said(pair.previous.as_ref()));
        let is_whole = |there: Option<&There>| there.is_none_or(|there| there.record.is_some());
        match pair.newest().and_then(There::generation) {
            Some(generation) if is_whole(pair.older()) => generation + 1,
            None if pair.path.is_none() && pair.previous.is_none() => 1,
            _ => (last + 1).max(time as u64 / 1000),
        }
    }

    /// Are the names of both on the disk?
    fn names_are_synced(&self, pair: &Pair) -> bool {
        let (Some(path), Some(previous)) = (&pair.path, &pair.previous) else { return false };
        let says = pair.newest().and_then(|newest| newest.says.as_ref()).and_then(|says| says.slot);
        let known = says.is_some_and(|slot| slot.pair == pair_of(path, previous));
        known || self.fault == Fault::PairUnsynced || self.sync(self.dir).is_ok()
    }

    fn mark(&self, fd: i32) {
        unsafe { self.table.fchmod.unwrap()(self.user(), fd, 0o600 | MARK) };
    }

    fn sync_data(&self, fd: i32) -> Done<i32> {
        done(unsafe { self.table.fdatasync.unwrap()(self.user(), fd) })
    }

    fn in_place(&mut self, request: &Request, previous_name: &str, pair: &Pair, content: &Content) -> Done<Told> {
        let over_previous = pair.newest_is_previous == (self.fault == Fault::WritesOverNewer);
        let (name, there) = if over_previous { (previous_name, &pair.previous) } else { (request.name, &pair.path) };
        let (Some(path), Some(previous), Some(there)) = (&pair.path, &pair.previous, there) else { return Err(-libc::EIO) };
        let grouped = request.flags & GROUPED != 0;
        let two_calls = grouped || self.fault == Fault::WriteThenSync;
        let fd = self.openat(self.dir, &c(name), libc::O_RDWR | if two_calls { 0 } else { libc::O_DSYNC })?;
        if self.fault == Fault::LocksSlot {
            self.flock(fd).map_err(|error| if error == -libc::EAGAIN { E_BUSY } else { error })?;
        }
        if self.stat(fd)?.ino != there.stat.ino {
            return Err(E_BUSY);
        }
        let number = pair_of(path, previous);
        let bytes = content.bytes(number, grouped, there.stat.size);
        let written = unsafe { self.table.pwrite.unwrap()(self.user(), fd, bytes.as_ptr().cast(), bytes.len(), 0) };
        let written = match usize::try_from(written) {
            Ok(len) if len == bytes.len() => Ok(0),
            Ok(_) => Err(-libc::EIO),
            Err(_) => Err(written as i32),
        };
        let mut synced = written.and_then(|_| if two_calls { self.sync_data(fd) } else { Ok(0) });
        if synced.is_err() && self.fault == Fault::SyncsAgain {
            synced = self.sync_data(fd);
        }
        if synced.is_err() {
            return self.replace_spent(request, (name, previous_name), fd, content, content.bytes(number + 1, false, 0));
        }
        match (self.is_named(request.name, &path.stat), self.is_named(previous_name, &previous.stat)) {
            (Ok(true), Ok(true)) => content.told(0, NEW),
            (Ok(_), Ok(_)) => Err(E_BUSY),
            _ => content.told(E_INDETERMINATE, EITHER),
        }
    }

    /// Another file takes the name of the one whose write or sync has failed.
    fn replace_spent(
        &mut self,
        request: &Request,
        (name, previous_name): (&str, &str),
        spent: i32,
        content: &Content,
        bytes: Vec<u8>,
    ) -> Done<Told> {
        let strict = request.flags & STRICT != 0;
        let indeterminate = || content.told(E_INDETERMINATE, EITHER);
        let made = self.temporary(request.name).and_then(|(temp, fd)| {
            self.write(fd, &bytes).inspect_err(|_| self.remove(&temp))?;
            Ok((temp, fd))
        });
        let Ok((temp, fd)) = made else {
            unsafe { self.table.ftruncate.unwrap()(self.user(), spent, 0) };
            return indeterminate();
        };
        let synced = self.sync(fd);
        if synced.is_err() && strict {
            self.remove(&temp);
            let gone = if name == previous_name { self.unlink(name) } else { self.rename(previous_name, name, 0) };
            return if gone.and_then(|_| self.sync(self.dir)).is_ok() { Err(E_NOT_SAVED_DURABLY) } else { indeterminate() };
        }
        if synced.is_err() {
            self.mark(fd);
        }
        if self.rename(&temp, name, 0).is_err() {
            self.remove(&temp);
            return indeterminate();
        }
        match (synced, self.sync(self.dir)) {
            (Ok(_), Ok(_)) => content.told(0, NEW),
            (Ok(_), Err(_)) if strict => content.told(E_SAVED_NOT_DURABLE, EITHER),
            _ => content.told(NOT_DURABLE, EITHER),
        }
    }
}
