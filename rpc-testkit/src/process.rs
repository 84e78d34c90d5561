//! Processes that a test starts from its own binary, to kill, pause and stop for real.
//!
//! A test binary has one ignored test that calls [`role`] and does what it says; it is what
//! [`Process::start`] runs. A program calls [`role`] first of all, for [`Process::start_program`].
//! The process ends with the one that started it, however that ends.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
    process::{Command as Signal, ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

const ROLE: &str = "RPC_TESTKIT_ROLE";
/// What the test harness prints is not what the process says.
const SAID: &str = "rpc-testkit says: ";

/// What this process was started for: the words given to [`Process::start`]. `None` in a process
/// that was not started so. From here on the process ends with the one that started it.
pub fn role() -> Option<Vec<String>> {
    let role = env::var(ROLE).ok()?;
    std::thread::spawn(|| {
        // Open for as long as the other process lives.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    Some(role.split('\n').map(str::to_owned).collect())
}

/// Tells the process that started this one a line.
pub fn say(line: &str) {
    // Behind what the harness has printed without an end of line.
    let _ = writeln!(io::stdout(), "\n{SAID}{line}");
    let _ = io::stdout().flush();
}

/// A process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    said: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Runs the ignored test `entry` of this test binary as a process of its own. [`role`] is
    /// `words` there; what it writes to its standard error goes to the file `log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(entry: &str, words: &[&str], log: PathBuf) -> io::Result<Self> {
        Self::spawn(&["--exact", entry, "--ignored", "--nocapture"], words, log)
    }

    /// Runs this program once more, without arguments. [`role`] is `words` there; what it writes to
    /// its standard error goes to the file `log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_program(words: &[&str], log: PathBuf) -> io::Result<Self> {
        Self::spawn(&[], words, log)
    }

    fn spawn(args: &[&str], words: &[&str], log: PathBuf) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(args)
            .env(ROLE, words.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(pid), Some(stdout)) = (child.id(), child.stdout.take()) else {
            return Err(io::Error::other("the process has no output"));
        };
        let stdin = child.stdin.take();
        Ok(Self { child, pid, said: BufReader::new(stdout).lines(), log, _stdin: stdin })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The next line that it [says](say).
    ///
    /// # Errors
    ///
    /// When it ends without; with what it wrote to its standard error.
    pub async fn hear(&mut self) -> io::Result<String> {
        while let Some(line) = self.said.next_line().await? {
            if let Some(said) = line.strip_prefix(SAID) {
                return Ok(said.to_owned());
            }
        }
        Err(io::Error::other(format!("process {} ended; it wrote:\n{}", self.pid, self.log())))
    }

    /// Whether it has not ended yet; one that is stopped has not.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to its standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal by name: `KILL`, `TERM`, `STOP`, `CONT`.
    ///
    /// # Panics
    ///
    /// If there is no such process any more.
    pub fn signal(&self, name: &str) {
        let sent = Signal::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to {}", self.pid);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}
