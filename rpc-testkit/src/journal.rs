//! Who ran what: each handler writes the key of its call down before it answers.
//!
//! Each process appends to a file of its own in a folder that all share. A process that is killed
//! loses nothing of it, since the kernel has it already.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// The folder of a test; deleted when this is dropped.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
}

/// One execution of a handler.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The process that ran it.
    pub process: u32,
    /// When it began, since the Unix epoch.
    pub at: Duration,
}

/// The executions by key.
pub type Executions = HashMap<String, Vec<Execution>>;

/// The time since the Unix epoch, which all processes of a machine share. Where tokio's clock is
/// paused, it goes as that goes.
pub fn now() -> Duration {
    static BEGAN: LazyLock<(Duration, Instant)> = LazyLock::new(|| {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), Instant::now())
    });
    let (epoch, began) = *BEGAN;
    let now = Instant::now();
    // The first call may have been made where the clock was paused, ahead of others.
    (epoch + now.saturating_duration_since(began))
        .saturating_sub(began.saturating_duration_since(now))
}

impl Journal {
    /// A new, empty folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("rpc-journal-{}-{number}", std::process::id()));
        // Left by a process that had our number.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All executions so far.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub fn read(&self) -> io::Result<Executions> {
        let mut executions = Executions::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(process) = name.parse() else { continue };
            for line in fs::read_to_string(&path)?.lines() {
                let (key, at) = line.split_once(' ').unwrap_or((line, ""));
                let at = Duration::from_micros(at.parse().unwrap_or_default());
                let execution = Execution { process, at };
                executions.entry(key.to_owned()).or_default().push(execution);
            }
        }
        Ok(executions)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The file of one process.
#[derive(Debug)]
pub struct Pen {
    file: File,
}

impl Pen {
    /// Opens the file of this process in the folder of a [`Journal`].
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(std::process::id().to_string());
        Ok(Self { file: File::options().create(true).append(true).open(path)? })
    }

    /// Notes that the handler of the call with this key runs.
    ///
    /// # Panics
    ///
    /// If it cannot be written: the test would mean nothing.
    pub fn note(&self, key: &str) {
        let line = format!("{key} {}\n", now().as_micros());
        // In one write, so that lines never mix.
        let written = (&self.file).write_all(line.as_bytes());
        assert!(written.is_ok(), "the journal cannot be written: {written:?}");
    }
}
