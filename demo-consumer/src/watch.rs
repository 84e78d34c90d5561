//! Keeps calling, and shows how the calls spread as providers come and go.

mod board;

use crate::{
    mix::{Kind, Mix},
    settings::Watch,
    stop::stop,
};
use board::Board;
use rpc_client::Client;
use rpc_core::SetupError;
use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

/// Calls that have ended and are not on the board yet.
const QUEUE: usize = 1024;
/// Calls in flight at most: beyond, none is added until one has ended.
const IN_FLIGHT: usize = 512;

/// Watches until it is time to end; whether no call failed.
///
/// # Errors
///
/// Signals cannot be listened for.
pub(crate) async fn watch(client: &Client, settings: &Watch) -> Result<bool, SetupError> {
    let mut stop = stop(settings.seconds)?;
    let mix = Arc::new(Mix::new(client));
    let (ended, mut results) = mpsc::channel(QUEUE);
    let room = Arc::new(tokio::sync::Semaphore::new(IN_FLIGHT));
    let live = !settings.plain && io::stdout().is_terminal();
    let mut screen = Screen { live, height: 0 };
    let mut board = Board::new(Instant::now());
    let mut calls = interval(Duration::from_secs(1) / settings.calls_per_second);
    calls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut show = interval(Duration::from_millis(if live { 250 } else { 1000 }));
    show.tick().await;
    let mut number = 0;
    // All arms are cancel safe: they wait, and take nothing before they are chosen.
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = calls.tick() => {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                let (mix, ended) = (Arc::clone(&mix), ended.clone());
                let (kind, key) = (Kind::of(number), format!("watch-{number}"));
                number += 1;
                tokio::spawn(async move {
                    let result = mix.call(kind, &key).await;
                    drop(permit);
                    // Refused when the watch is over.
                    let _ = ended.send((kind, result)).await;
                });
            }
            Some((kind, result)) = results.recv() => match result {
                Ok(stamp) => board.answered(&stamp.provider, Instant::now()),
                Err(failure) => {
                    let text = format!("{} failed: {}", kind.name(), failure.text);
                    if !live {
                        println!("{text}");
                    }
                    board.failed(text);
                }
            },
            _ = show.tick() => {
                let lines = if live { board.table(Instant::now()) } else { vec![board.line()] };
                screen.show(&lines);
            }
        }
    }
    println!("{}", board.summary());
    Ok(board.failures() == 0)
}

/// Where the board is shown: over itself on a terminal, else line by line.
struct Screen {
    live: bool,
    /// Lines that are to be written over.
    height: usize,
}

impl Screen {
    fn show(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.live && self.height > 0 {
            // Up to the first line of the old table, and clear from there on.
            text = format!("\x1b[{}A\x1b[J", self.height);
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.height = lines.len();
        // In one piece, so that the table does not flicker. If nobody reads it, nobody misses it.
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
