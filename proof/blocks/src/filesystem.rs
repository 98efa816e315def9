//! The file systems: how each is made and mounted.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file system with its options.
#[derive(Clone, Copy, Debug)]
pub struct Flavor {
    pub name: &'static str,
    pub kind: &'static str,
    pub make: &'static [&'static str],
    pub options: &'static str,
    pub block_size: u32,
    /// overlayfs on top of it.
    pub overlay: bool,
    /// What it relies on the device to write whole, in sectors. Torn below that, it is the file system that
    /// breaks (btrfs: its superblock), not us.
    pub atom: u32,
    /// Megabytes.
    pub size: u64,
}

const EXT4: &[&str] = &["-q", "-F", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
const EXT4_1K: &[&str] = &["-q", "-F", "-b", "1024", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"];

const fn ext4(name: &'static str, make: &'static [&'static str], options: &'static str) -> Flavor {
    Flavor { name, kind: "ext4", make, options, block_size: 512, overlay: false, atom: 1, size: 16 }
}

const fn xfs(name: &'static str, make: &'static [&'static str], options: &'static str) -> Flavor {
    Flavor { name, kind: "xfs", make, options, block_size: 512, overlay: false, atom: 1, size: 32 }
}

const fn btrfs(name: &'static str, make: &'static [&'static str], options: &'static str) -> Flavor {
    Flavor { name, kind: "btrfs", make, options, block_size: 512, overlay: false, atom: 8, size: 110 }
}

/// What CI runs.
pub const MAIN: [Flavor; 3] = [ext4("ext4", EXT4, ""), xfs("xfs", &["-q", "-f"], "nouuid"), btrfs("btrfs", &["-q", "-f"], "")];

/// overlayfs, on ext4.
pub const OVERLAY: Flavor = Flavor { overlay: true, ..ext4("overlay/ext4", EXT4, "") };

/// What the soak adds.
pub const MATRIX: [Flavor; 14] = [
    ext4("ext4 data=writeback", EXT4, "data=writeback"),
    ext4("ext4 data=journal", EXT4, "data=journal"),
    ext4("ext4 nodelalloc", EXT4, "nodelalloc"),
    ext4("ext4 noauto_da_alloc", EXT4, "noauto_da_alloc"),
    ext4("ext4 1k blocks", EXT4_1K, ""),
    ext4("ext4 commit=1", EXT4, "commit=1"),
    Flavor { block_size: 4096, atom: 8, ..ext4("ext4 4K sectors", EXT4, "") },
    xfs("xfs wsync", &["-q", "-f"], "nouuid,wsync"),
    xfs("xfs 1k blocks", &["-q", "-f", "-b", "size=1024"], "nouuid"),
    xfs("xfs logbsize=32k", &["-q", "-f"], "nouuid,logbsize=32k"),
    btrfs("btrfs flushoncommit", &["-q", "-f"], "flushoncommit"),
    btrfs("btrfs notreelog", &["-q", "-f"], "notreelog"),
    btrfs("btrfs max_inline=0", &["-q", "-f"], "max_inline=0"),
    Flavor { overlay: true, ..xfs("overlay/xfs", &["-q", "-f"], "nouuid") },
];

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub fn mount(source: &Path, target: &Path, kind: &str, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let (kind, options) = (CString::new(kind).unwrap(), CString::new(options).unwrap());
    let result = unsafe { libc::mount(c(source).as_ptr(), c(target).as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub fn unmount(target: &Path) {
    let target = c(target);
    // Anything that was just closed may still be on its way out.
    for _ in 0..200 {
        if unsafe { libc::umount2(target.as_ptr(), 0) } == 0 {
            return;
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::EBUSY) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}

/// The programs that are needed and not there.
pub fn missing_tools() -> Vec<&'static str> {
    let there = |name: &&str| {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        path.split(':').any(|dir| Path::new(dir).join(name).exists())
    };
    ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"].into_iter().filter(|name| !there(name)).collect()
}

impl Flavor {
    /// With room for three large states.
    pub fn large(&self) -> Flavor {
        Flavor { size: self.size + 32, ..*self }
    }

    /// Makes it, in a sparse file.
    pub fn make(&self, image: &Path) -> io::Result<()> {
        let _ = std::fs::remove_file(image);
        std::fs::File::create(image)?.set_len(self.size << 20)?;
        let mut command = Command::new(format!("mkfs.{}", self.kind));
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        // mkfs.xfs refuses less than 300 MB, but for the xfs developers' own tests.
        command.env("PATH", path).env("TEST_DIR", "t").env("TEST_DEV", "t").env("QA_CHECK_FS", "t");
        if self.kind == "xfs" {
            command.args(["-s", &format!("size={}", self.block_size)]);
        }
        let out = command.args(self.make).arg(image).stdin(Stdio::null()).output()?;
        if out.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("mkfs.{}: {}", self.kind, String::from_utf8_lossy(&out.stderr))))
        }
    }
}

/// A mounted one.
pub struct Mounted<'a> {
    at: &'a Path,
    overlay: bool,
}

impl<'a> Mounted<'a> {
    pub fn new(flavor: &Flavor, device: &Path, at: &'a Path, read_only: bool) -> io::Result<Mounted<'a>> {
        // overlayfs wants to write to its upper directory.
        let flags = if read_only && !flavor.overlay { libc::MS_RDONLY } else { 0 } | libc::MS_NOATIME;
        mount(device, at, flavor.kind, flags, flavor.options)?;
        let mut mounted = Mounted { at, overlay: false };
        if flavor.overlay {
            for name in ["lower", "upper", "work", "merged"] {
                std::fs::create_dir_all(at.join(name))?;
            }
            let options = format!(
                "lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work",
                at.to_str().ok_or(io::ErrorKind::InvalidInput)?
            );
            mount(Path::new("overlay"), &at.join("merged"), "overlay", libc::MS_NOATIME, &options)?;
            mounted.overlay = true;
        }
        Ok(mounted)
    }

    /// Where the program works.
    pub fn folder(&self) -> std::path::PathBuf {
        self.at.join(if self.overlay { "merged" } else { "d" })
    }

    /// Makes everything up to now durable; of this file system only, never of all.
    pub fn sync(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let folder = std::fs::File::open(self.at)?;
        if unsafe { libc::syncfs(folder.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.overlay {
            unmount(&self.at.join("merged"));
        }
        unmount(self.at);
    }
}
