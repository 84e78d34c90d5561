//! The directory of snapshots: private to its user, and written in whole files.

use crate::{SetupError, defaults};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// A temporary file that is older is one that a process left behind when it died.
const LEFT_BEHIND: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the directory if it is not there, and finds out whether it can be used.
    pub(super) fn open(path: &Path) -> Result<Self, SetupError> {
        let refuse = |why: String| {
            SetupError::new(format!(
                "the directory \"{}\" for snapshots {why}: name one that this user can make or \
                 write in, and nobody else",
                path.display()
            ))
        };
        make(path).map_err(|error| refuse(format!("cannot be made: {error}")))?;
        let folder = Self { path: path.to_owned() };
        let probe = folder.temporary("probe");
        let made = create(&probe).and_then(|file| file.metadata());
        let _ = fs::remove_file(&probe);
        let ours = made.map_err(|error| refuse(format!("cannot be written: {error}")))?;
        let directory = fs::metadata(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        check(&directory, &ours).map_err(refuse)?;
        folder.sweep();
        Ok(folder)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// The content of a file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// It is no plain file, too large, or cannot be read.
    pub(super) fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(file);
        // Looked at before it is opened: opening a pipe would wait for somebody to write.
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(is) if !is.is_file() => return Err(io::Error::other("it is no plain file")),
            Ok(_) => {}
        }
        let most = defaults::SNAPSHOT_BYTES;
        let mut bytes = Vec::new();
        File::open(&path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > most {
            return Err(io::Error::other(format!("it has more than {most} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Puts `bytes` in the place of what the file held, in one step: whoever reads it, also after
    /// a crash, finds the one or the other.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.temporary(file);
        let written = create(&temporary).and_then(|mut new| {
            new.write_all(bytes)?;
            new.sync_all()?;
            fs::rename(&temporary, self.path(file))
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        // Makes the new name last; not every file system can.
        let _ = File::open(&self.path).and_then(|directory| directory.sync_all());
        Ok(())
    }

    /// A name that no other process or thread uses.
    fn temporary(&self, file: &str) -> PathBuf {
        let (process, random) = (std::process::id(), fastrand::u64(..));
        self.path.join(format!(".{file}.{process}-{random:016x}.tmp"))
    }

    /// Removes what processes that died while they wrote have left behind.
    fn sweep(&self) {
        let ours = |name: &Path| {
            let hidden = name.to_str().is_some_and(|name| name.starts_with('.'));
            hidden && name.extension() == Some(OsStr::new("tmp"))
        };
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten().filter(|entry| ours(Path::new(&entry.file_name()))) {
            let age = entry.metadata().and_then(|is| is.modified()).map(|at| at.elapsed());
            if matches!(age, Ok(Ok(age)) if age > LEFT_BEHIND) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Makes a directory, and those above it, for this user alone.
fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Makes a file that is not there yet, for this user alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path)
}

/// Whether nobody but this user, whose file `ours` is, and root can write in the directory.
#[cfg(unix)]
fn check(directory: &fs::Metadata, ours: &fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    if directory.uid() != ours.uid() && directory.uid() != 0 {
        return Err(format!("belongs to the user {}", directory.uid()));
    }
    if directory.mode() & 0o022 != 0 {
        return Err(format!("can be written by others (mode {:o})", directory.mode() & 0o7777));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(_: &fs::Metadata, _: &fs::Metadata) -> Result<(), String> {
    Ok(())
}
