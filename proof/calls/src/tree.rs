//! The files of a directory, remembered and put back.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const ATTRIBUTE: &std::ffi::CStr = c"user.steadfast";

#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub bytes: Vec<u8>,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub attribute: Option<Vec<u8>>,
    pub link: Option<PathBuf>,
    pub ino: u64,
}

/// By name; directories below it are there with their paths.
pub type Tree = BTreeMap<String, File>;

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path")
}

pub fn take(directory: &Path) -> Tree {
    let mut tree = Tree::new();
    walk(directory, "", &mut tree);
    tree
}

fn walk(directory: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            walk(&path, &format!("{name}/"), tree);
            continue;
        }
        let link = meta.is_symlink().then(|| fs::read_link(&path).unwrap_or_default());
        let regular = meta.is_file();
        let mut value = [0u8; 256];
        let got = unsafe { libc::lgetxattr(c(&path).as_ptr(), ATTRIBUTE.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        let attribute = (regular && got >= 0).then(|| value[..got as usize].to_vec());
        let file = File {
            bytes: if regular { fs::read(&path).unwrap_or_default() } else { Vec::new() },
            mode: meta.mode() & 0o7777,
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            attribute,
            link,
            ino: meta.ino(),
        };
        tree.insert(name, file);
    }
}

/// Makes the directory what it was. A file in `keep` is in use and must not have changed: it stays.
pub fn put(directory: &Path, tree: &Tree, keep: Option<&str>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if Some(entry.file_name().to_string_lossy().as_ref()) == keep {
            continue;
        }
        let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
    }
    for (name, file) in tree.iter().filter(|(name, _)| Some(name.as_str()) != keep) {
        let path = directory.join(name);
        if let Some(target) = &file.link {
            symlink(target, &path).expect("a link");
            continue;
        }
        // Two names of one file are two names again.
        let first =
            tree.iter().find(|(_, other)| other.ino == file.ino).filter(|(first, other)| *first != name && *other == file);
        if let Some((first, _)) = first {
            fs::hard_link(directory.join(first), &path).expect("a second name");
            continue;
        }
        fs::write(&path, &file.bytes).expect("a file of the template");
        let name = c(&path);
        unsafe {
            if file.owner != (libc::geteuid(), libc::getegid()) {
                libc::chown(name.as_ptr(), file.owner.0, file.owner.1);
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).expect("its mode");
            if let Some(value) = &file.attribute {
                libc::setxattr(name.as_ptr(), ATTRIBUTE.as_ptr(), value.as_ptr().cast(), value.len(), 0);
            }
            let time = libc::timespec { tv_sec: file.mtime.0, tv_nsec: file.mtime.1 };
            libc::utimensat(libc::AT_FDCWD, name.as_ptr(), [time, time].as_ptr(), 0);
        }
    }
}

/// Of a file as `state` tells it, or of a plain one.
pub fn content(file: &File) -> Option<(u64, u8)> {
    plain(file).or_else(|| state(&file.bytes))
}

/// The generation and the character of a plain file that its attribute confirms, by the attribute's documented form.
fn plain(file: &File) -> Option<(u64, u8)> {
    let attribute = file.attribute.as_ref().filter(|attribute| attribute.len() == 60)?;
    let number =
        |from: usize, len: usize| attribute[from..from + len].iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    let mtime = file.mtime.0 * 1_000_000_000 + file.mtime.1;
    let whole = Sha256::digest(&file.bytes)[..] == attribute[..32]
        && number(40, 6) == file.bytes.len() as u64
        && (attribute[46], attribute[47] & 1) == (1, 0)
        && number(48, 8) == mtime as u64;
    let same = file.bytes.iter().all(|byte| byte == &file.bytes[0]);
    (whole && same && !file.bytes.is_empty()).then_some((number(32, 8), file.bytes[0]))
}

/// Is it known not to be on the disk: by the sticky bit, by its header, or by the attribute of a plain file?
pub fn unsynced(file: &File) -> bool {
    if plain(file).is_some() {
        return file.attribute.as_ref().is_some_and(|attribute| attribute[47] & 2 != 0);
    }
    let header = file.bytes.get(..256).and_then(|header| std::str::from_utf8(header).ok()).unwrap_or_default();
    file.mode & 0o1000 != 0 || header.split(' ').any(|word| word.trim_end() == "unsynced=1")
}

/// The generation and the payload's character of a whole state file: read by its documented format, not by the library.
pub fn state(bytes: &[u8]) -> Option<(u64, u8)> {
    let digest: String = Sha256::digest(bytes.get(68..)?).iter().map(|byte| format!("{byte:02x}")).collect();
    let number = |key| number(bytes, key);
    let all = &bytes[256.min(bytes.len())..];
    // What follows the payload of one of two that take turns fills it up.
    let (payload, rest) = all.split_at_checked(number("!used=").unwrap_or(all.len() as u64) as usize)?;
    let whole = bytes.starts_with(digest.as_bytes()) && number("len=")? == all.len() as u64;
    let same = payload.iter().all(|byte| byte == &payload[0]) && rest.iter().all(|&byte| byte == b'\n');
    (whole && same && !payload.is_empty()).then_some((number("gen=")?, payload[0]))
}

/// What the header says of this key.
fn number(bytes: &[u8], key: &str) -> Option<u64> {
    let text = std::str::from_utf8(bytes.get(..256)?).ok()?;
    text.split(' ').find_map(|word| word.strip_prefix(key))?.parse().ok()
}

/// Is it one of the two files of an alternating state?
pub fn is_slot(file: &File) -> bool {
    number(&file.bytes, "!used=").is_some()
}

/// The name of the file that is the state at `target`: of two that take turns the newer whole one.
pub fn newest(tree: &Tree, target: &str) -> String {
    let previous = format!("{target}.prev");
    let generation = |name: &str| tree.get(name).filter(|file| is_slot(file)).and_then(content).map(|(generation, _)| generation);
    let alternates = tree.get(target).is_some_and(is_slot);
    if alternates && generation(&previous) > generation(target) { previous } else { target.into() }
}
