//! Shared memory: a file of `AtomicU64` words that every worker maps.
//!
//! The replay filter and the metrics live in such files. This is the only `unsafe` code of the project. It promises that
//! the words stay mapped and backed for as long as a [`SharedWords`] lives: the space is allocated when the file is
//! made, so that a full disk is an error at start that names path and size, never a SIGBUS in the middle of a call. The
//! file is ours alone (owner, mode 0600, one name, no symbolic link followed); what the words mean is left to the users.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

use pyproxy_core::replay::Memory;
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

const WORD_BYTES: usize = size_of::<AtomicU64>();

/// A mapping of whole words, shared between processes, unmapped when dropped.
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to no thread, and the only access that is given out is to atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above; `&[AtomicU64]` may be used from any number of threads at once.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Makes a new file of `count` zero words, every block allocated, and maps it. `path` must not exist.
    ///
    /// # Errors
    /// The name is taken, there is no room, or the file system refuses; names path and size.
    pub(crate) fn create(path: &Path, count: usize) -> Result<Self, ShmError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed =
            |what, cause: io::Error| ShmError { path: path.to_owned(), bytes: count * WORD_BYTES, what, cause };
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed("create", e.into()))?;
        allocate(&file, count * WORD_BYTES)
            .map_err(|e| failed("allocate", e))
            .and_then(|()| map_file(&file, count).map_err(|e| failed("map", e)))
            .inspect_err(|_| {
                // A file without its blocks is of no use to anyone; that it may stay behind changes nothing.
                let _ = fs::remove_file(path);
            })
    }

    /// Makes a new file under a name of its own, lets `fill` write it, and then puts it in the place of `path`, so that
    /// nobody ever opens half a file. Who has the old one mapped keeps the old one.
    ///
    /// # Errors
    /// As [`SharedWords::create`], or the file cannot be renamed.
    pub(crate) fn replace(path: &Path, count: usize, fill: impl FnOnce(&[AtomicU64])) -> Result<Self, ShmError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        // Left by a start that was killed here; whoever may call us holds the state directory's lock.
        let _ = fs::remove_file(&new);
        let words = Self::create(&new, count)?;
        fill(words.words());
        fs::rename(&new, path).map_err(|cause| ShmError {
            path: path.to_owned(),
            bytes: count * WORD_BYTES,
            what: "rename into place",
            cause,
        })?;
        Ok(words)
    }

    /// Maps an existing file, all of it; with `count`, only if it has exactly so many words.
    ///
    /// # Errors
    /// It is not there, not a regular file of ours with mode 0600 and one name, or not of this size.
    pub(crate) fn open(path: &Path, count: Option<usize>) -> Result<Self, ShmError> {
        let failed = |cause: io::Error| ShmError {
            path: path.to_owned(),
            bytes: count.unwrap_or(0) * WORD_BYTES,
            what: "open",
            cause,
        };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let found = checked_words(&file).map_err(failed)?;
        if let Some(count) = count
            && found != count
        {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("expected {} bytes, found {}", count * WORD_BYTES, found * WORD_BYTES),
            )));
        }
        map_file(&file, found).map_err(failed)
    }

    /// Maps the memory that a descriptor names: one of memfd_create(2), inherited from whoever allocated and sealed it.
    ///
    /// # Errors
    /// It is not open, not memory that can be written, or smaller than `count` words.
    pub(crate) fn of_descriptor(descriptor: RawFd, count: usize) -> Result<Self, ShmError> {
        let failed = |cause: io::Error| ShmError {
            path: PathBuf::from(format!("(descriptor {descriptor})")),
            bytes: count * WORD_BYTES,
            what: "map",
            cause,
        };
        if descriptor < 0 {
            return Err(failed(rustix::io::Errno::BADF.into()));
        }
        // SAFETY: borrowed for this call only; one that is not open is refused by fstat.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let stat = rustix::fs::fstat(descriptor).map_err(|e| failed(e.into()))?;
        if usize::try_from(stat.st_size).unwrap_or(0) < count * WORD_BYTES {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, format!("only {} bytes", stat.st_size))));
        }
        let file = descriptor.try_clone_to_owned().map_err(failed)?;
        map_file(&file, count).map_err(failed)
    }

    /// Words that no other process sees, for tests and for embedding in one process.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn anonymous(count: usize) -> Result<Self, ShmError> {
        let bytes = count * WORD_BYTES;
        let failed =
            |cause| ShmError { path: PathBuf::from("(anonymous)"), bytes, what: "map", cause: io::Error::from(cause) };
        if count == 0 {
            return Err(failed(rustix::io::Errno::INVAL));
        }
        // SAFETY: a new private mapping at an address that the kernel chooses aliases nothing that exists.
        let start = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }
        .map_err(failed)?;
        Ok(Self::of_mapping(start, count))
    }

    /// The words, for as long as the mapping lives.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `start` is page aligned, hence aligned for AtomicU64; `count` words are mapped readable and writable
        // until `drop`, and every bit pattern is a valid u64. Everyone, in this process and in others, reaches them
        // through atomics only; the file's blocks are allocated and the file is ours, so nobody else shortens it.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    fn of_mapping(start: *mut core::ffi::c_void, count: usize) -> Self {
        // Both are hints: larger pages save translation misses, and a core dump needs neither tag keys nor gigabytes.
        for advice in [Advice::LinuxHugepage, Advice::LinuxDontDump] {
            // SAFETY: the range is the mapping that was just made; neither advice changes what its words hold.
            let _ = unsafe { rustix::mm::madvise(start, count * WORD_BYTES, advice) };
        }
        let start = NonNull::new(start.cast()).expect("mmap never maps the null page unless asked to");
        Self { start, count }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what was mapped, and no borrow of its words outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.count * WORD_BYTES) };
    }
}

impl Memory for SharedWords {
    fn words(&self) -> &[AtomicU64] {
        self.words()
    }
}

fn map_file(file: &OwnedFd, count: usize) -> io::Result<SharedWords> {
    let bytes = count * WORD_BYTES;
    // SAFETY: a new mapping at an address that the kernel chooses aliases nothing in this process; `bytes` of the file
    // are allocated (`create`) or were found there (`open`).
    let start = unsafe {
        rustix::mm::mmap(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file.as_fd(), 0)
    }?;
    Ok(SharedWords::of_mapping(start, count))
}

/// Gives the file all its blocks, zeroed, and a mode that no umask had a say in.
fn allocate(file: &OwnedFd, bytes: usize) -> io::Result<()> {
    if bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no words at all"));
    }
    rustix::fs::fchmod(file, Mode::RUSR | Mode::WUSR)?;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, bytes),
        other => Ok(other?),
    }
}

/// What posix_fallocate(3) does where the file system cannot: writing every block allocates it.
fn write_zeros(file: &OwnedFd, bytes: usize) -> io::Result<()> {
    let mut out = fs::File::from(file.try_clone()?);
    let zeros = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len());
        out.write_all(&zeros[..part])?;
        left -= part;
    }
    Ok(())
}

/// How many words the file has, if it is one that nobody else can have planted or can write.
fn checked_words(file: &OwnedFd) -> io::Result<usize> {
    let stat = rustix::fs::fstat(file)?;
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return refused("not a regular file".to_owned());
    }
    let us = rustix::process::geteuid().as_raw();
    if stat.st_uid != us {
        return refused(format!("owned by user {}, expected {us}", stat.st_uid));
    }
    if stat.st_mode & 0o7777 != 0o600 {
        return refused(format!("mode {:04o}, expected 0600", stat.st_mode & 0o7777));
    }
    if stat.st_nlink != 1 {
        return refused(format!("{} names, expected one; someone may have kept a link to it", stat.st_nlink));
    }
    let bytes = usize::try_from(stat.st_size).unwrap_or(0);
    if bytes == 0 || bytes % WORD_BYTES != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{bytes} bytes are no whole number of words")));
    }
    Ok(bytes / WORD_BYTES)
}

/// Why shared memory cannot be had: always with path and size.
#[derive(Debug)]
pub(crate) struct ShmError {
    path: PathBuf,
    bytes: usize,
    what: &'static str,
    cause: io::Error,
}

impl ShmError {
    /// The kind of the cause, to tell "not there" from "not ours".
    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for ShmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`", self.what, self.path.display())?;
        if self.bytes > 0 {
            write!(f, " ({} bytes)", self.bytes)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl From<ShmError> for pyo3::PyErr {
    fn from(error: ShmError) -> Self {
        let text = error.to_string();
        match error.kind() {
            io::ErrorKind::NotFound => pyo3::exceptions::PyFileNotFoundError::new_err(text),
            io::ErrorKind::AlreadyExists => pyo3::exceptions::PyFileExistsError::new_err(text),
            io::ErrorKind::PermissionDenied => pyo3::exceptions::PyPermissionError::new_err(text),
            _ => pyo3::exceptions::PyOSError::new_err(text),
        }
    }
}
