//! A command that is run for an event: without a shell, with the event on its standard input.

use rpc_core::{SetupError, defaults};
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process, time::timeout};

/// A process that was killed has this long to be gone.
const KILL: Duration = Duration::from_secs(1);

/// A program and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    program: String,
    args: Vec<String>,
    /// Time for one event.
    limit: Duration,
}

impl Command {
    /// # Errors
    ///
    /// There is no program in it.
    pub(crate) fn new(mut parts: Vec<String>) -> Result<Self, SetupError> {
        if parts.is_empty() {
            let text = "`pressure_command` is empty: write a program and its arguments";
            return Err(SetupError::new(text));
        }
        let args = parts.split_off(1);
        Ok(Self { program: parts.remove(0), args, limit: defaults::PRESSURE_LIMIT })
    }

    /// Runs it with `input`, and waits until it has ended: 10 s at most, then it is killed.
    ///
    /// # Errors
    ///
    /// It cannot be run, or does not end well.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the process is killed.
    pub(super) async fn run(&self, input: &str) -> Result<(), String> {
        let mut child = process::Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", self.program))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // Who does not read it does not need it.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let limit = self.limit;
        let ended = timeout(limit, async { tokio::join!(feed, child.wait()).1 }).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{} ended with {status}", self.program)),
            Ok(Err(error)) => Err(format!("{} cannot be waited for: {error}", self.program)),
            Err(_) => {
                // Before the next one is run.
                let _ = timeout(KILL, child.kill()).await;
                Err(format!("{} had not ended after {limit:?} and was killed", self.program))
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};
    use tokio::time::{Instant, sleep};

    fn command(parts: &[&str]) -> Command {
        Command::new(parts.iter().map(|&part| part.to_owned()).collect()).unwrap()
    }

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rpc-command-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[tokio::test]
    async fn the_event_is_on_its_standard_input_and_no_shell_reads_the_arguments() {
        let path = file("input $HOME; *");
        let ended = command(&["tee", path.to_str().unwrap()]).run("{\"a\":1}").await;
        assert_eq!((ended, fs::read_to_string(&path).unwrap().as_str()), (Ok(()), "{\"a\":1}"));
        fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn one_that_fails_says_how_and_one_that_does_not_read_is_no_fault() {
        assert_eq!(command(&["true"]).run(&"x".repeat(1_000_000)).await, Ok(()));
        let why = command(&["sh", "-c", "exit 3"]).run("{}").await.unwrap_err();
        assert!(why.contains("sh ended with") && why.contains('3'), "{why}");
        let why = command(&["/no/such/program"]).run("{}").await.unwrap_err();
        assert!(why.starts_with("/no/such/program cannot be run: "), "{why}");
        // Much is printed, and thrown away.
        let print = "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2";
        assert_eq!(command(&["sh", "-c", print]).run("{}").await, Ok(()));
    }

    #[tokio::test]
    async fn one_that_never_ends_is_killed() {
        let path = file("pid");
        let script =
            format!("echo $$ > '{0}.new'; mv '{0}.new' '{0}'; exec sleep 1000", path.display());
        let mut command = command(&["sh", "-c", &script]);
        command.limit = Duration::from_secs(2);
        let why = command.run("{}").await.unwrap_err();
        assert_eq!(why, "sh had not ended after 2s and was killed");
        let pid = fs::read_to_string(&path).unwrap();
        let process = PathBuf::from(format!("/proc/{}", pid.trim()));
        let end = Instant::now() + Duration::from_secs(10);
        while process.exists() {
            assert!(Instant::now() < end, "{} lives", process.display());
            sleep(Duration::from_millis(5)).await;
        }
        fs::remove_file(path).unwrap();
    }
}
