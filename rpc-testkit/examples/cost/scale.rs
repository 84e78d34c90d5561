//! What grows, and what does not: each in a process of its own, which prints lines of a table.

use crate::{
    Failure,
    contract::CostClient,
    registry, row,
    stage::{Scene, Stage, connect, runtime, serve},
};
use clap::ValueEnum;
use rpc_client::bench::Table;
use rpc_core::{
    defaults,
    wire::{Limits, Preface},
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Idle connections that are made.
const IDLE: u32 = 960;
/// Endpoints of one service that a client dials ahead of need.
const DIALLED: u32 = 64;
const _: () = assert!(DIALLED as usize == defaults::MAX_DIALLED);

/// What is measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Part {
    /// CPU time of a call by the endpoints known, and memory of each
    Endpoints,
    /// CPU time of a call by the services followed and served
    Services,
    /// CPU time of a call by the calls outstanding, and memory of each
    Outstanding,
    /// CPU time that calls take which only wait
    Waiting,
    /// Memory of idle connections on the client's side
    Clients,
    /// Memory of idle connections on the server's side
    Servers,
    /// Bytes that consumers read from ZooKeeper when one provider of many comes or goes
    Registry,
}

pub(crate) fn run(part: Part) -> Result<(), Failure> {
    let runtime = runtime(false)?;
    match part {
        Part::Endpoints => {
            runtime.block_on(memory_of_endpoints())?;
            for endpoints in [1, 100, 10_000] {
                runtime.block_on(known(endpoints))?;
            }
            Ok(())
        }
        Part::Services => {
            for services in [false, true] {
                runtime.block_on(followed(services))?;
            }
            Ok(())
        }
        Part::Outstanding => {
            runtime.block_on(memory_of_calls())?;
            for calls in [1, 10, 100, 1000, 10_000, 100_000] {
                runtime.block_on(outstanding(calls))?;
            }
            Ok(())
        }
        Part::Waiting => runtime.block_on(waiting()),
        Part::Clients => runtime.block_on(clients()),
        Part::Servers => runtime.block_on(servers()),
        Part::Registry => runtime.block_on(registry::run()),
    }
}

/// Resident bytes of this process.
fn resident() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).ok_or("no second field")?.parse()?;
    Ok(pages * 4096)
}

/// CPU time of this thread so far, as the kernel's scheduler counts it.
fn cpu() -> Result<Duration, Failure> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().ok_or("no field")?.parse()?))
}

/// CPU time of one call, client and server: the least of some rounds, since others use the machine.
async fn per_call(stage: &Stage, calls: u32, at_once: usize) -> Result<String, Failure> {
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let before = cpu()?;
        stage.calls(calls as usize, at_once).await?;
        least = least.min(cpu()?.saturating_sub(before));
    }
    Ok(format!("{:.2} us", (least / calls).as_secs_f64() * 1e6))
}

/// What a client has for endpoints that it only knows. Nobody listens there.
async fn memory_of_endpoints() -> Result<(), Failure> {
    const MANY: u32 = 10_000;
    let mut memory = Vec::new();
    let mut kept = Vec::new();
    // The first client is there to have everything made that is made once.
    for endpoints in [DIALLED + 1, DIALLED + 1, MANY] {
        let before = resident()?;
        let client = connect(endpoints, 9).await?;
        let proxy: CostClient = client.get();
        sleep(Duration::from_millis(2500)).await;
        memory.push(resident()?.saturating_sub(before));
        kept.push((client, proxy));
    }
    let bytes = memory[2].saturating_sub(memory[1]) / u64::from(MANY - DIALLED - 1);
    row("memory of an endpoint that is known and not dialled", &format!("{bytes} bytes"));
    Ok(())
}

async fn known(endpoints: u32) -> Result<(), Failure> {
    let stage = Stage::set(Scene { endpoints, ..Scene::PLAIN }).await?;
    for at_once in [1, 64] {
        let cost = per_call(&stage, 50_000, at_once).await?;
        row(&format!("call, {endpoints} endpoints known, {at_once} outstanding"), &cost);
    }
    let dials = stage.client.stats().dials;
    row(&format!("connections, {endpoints} endpoints known"), &dials.to_string());
    Ok(())
}

async fn followed(services: bool) -> Result<(), Failure> {
    let stage = Stage::set(Scene { services, ..Scene::PLAIN }).await?;
    let count = if services { 1001 } else { 1 };
    // What is followed is dialled in the background, which is not to be part of a call.
    for _ in 0..200 {
        if stage.client.stats().dials >= count {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let cost = per_call(&stage, 20_000, 64).await?;
    row(&format!("call, {count} services, 64 outstanding"), &cost);
    row(&format!("connections, {count} services"), &stage.client.stats().dials.to_string());
    Ok(())
}

async fn memory_of_calls() -> Result<(), Failure> {
    const CALLS: u32 = 100_000;
    let mut stage = Stage::set(Scene::PLAIN).await?;
    let before = resident()?;
    stage.hold(CALLS, Duration::from_hours(1));
    stage.until_held(CALLS).await;
    sleep(Duration::from_secs(1)).await;
    let bytes = resident()?.saturating_sub(before) / u64::from(CALLS);
    row(
        "memory of a call that waits, client and server with their tasks",
        &format!("{bytes} bytes"),
    );
    Ok(())
}

async fn outstanding(calls: u32) -> Result<(), Failure> {
    let mut stage = Stage::set(Scene::PLAIN).await?;
    let at_once = calls as usize;
    let count = if calls < 10 { 50_000 } else { 200_000 };
    let cost = per_call(&stage, count, at_once).await?;
    row(&format!("call, {calls} outstanding, all answered in turn"), &cost);
    stage.hold(calls, Duration::from_hours(1));
    stage.until_held(calls).await;
    let cost = per_call(&stage, 200_000, 64).await?;
    row(&format!("call, 64 outstanding beside {calls} that wait"), &cost);
    Ok(())
}

async fn waiting() -> Result<(), Failure> {
    const CALLS: u32 = 100_000;
    let seconds = Duration::from_secs(3);
    for timeout in [Duration::from_mins(10), Duration::from_secs(10)] {
        let mut stage = Stage::set(Scene::PLAIN).await?;
        stage.hold(CALLS, timeout);
        stage.until_held(CALLS).await;
        sleep(Duration::from_millis(500)).await;
        let (before, begun) = (cpu()?, Instant::now());
        sleep(seconds).await;
        let share = cpu()?.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let what = format!("share of a core, {CALLS} calls that wait, deadlines in {timeout:?}");
        row(&what, &format!("{:.2} %", share * 100.0));
    }
    let table = Table::new().await?;
    for within in [Duration::from_mins(1), Duration::from_secs(1)] {
        let before = cpu()?;
        let left = table.sweeps(1000, CALLS, within);
        let took = cpu()?.saturating_sub(before).as_secs_f64() * 100.0;
        let what = format!(
            "share of a core for deadlines, {CALLS} calls of which {} end within a second",
            CALLS as usize - left
        );
        row(&what, &format!("{took:.1} %"));
    }
    Ok(())
}

fn preface() -> Vec<u8> {
    let mut bytes = Vec::new();
    Preface::new(None, Limits::default()).put(&mut bytes);
    bytes
}

/// Connections of peers that cost this process nothing but their sockets.
async fn servers() -> Result<(), Failure> {
    let (_server, port) = serve(false).await?;
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let mut peers = Vec::with_capacity(IDLE as usize + 64);
    let mut before = 0;
    for number in 0..IDLE + 64 {
        // The first ones are there to have everything made that is made once.
        if number == 64 {
            before = resident()?;
        }
        let mut peer = TcpStream::connect(addr)?;
        peer.write_all(&preface())?;
        peer.set_nonblocking(true)?;
        while peer.read(&mut [0; 256]).is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        peers.push(peer);
    }
    let bytes = resident()?.saturating_sub(before) / u64::from(IDLE);
    row("memory of an idle connection, server", &format!("{bytes} bytes"));
    Ok(())
}

/// Connections to a listener that does nothing but greet.
async fn clients() -> Result<(), Failure> {
    let listener = TcpListener::bind("0.0.0.0:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let (mut peers, mut kept) = (Vec::with_capacity(IDLE as usize + 64), Vec::new());
    let mut before = 0;
    let number = IDLE / DIALLED;
    // The first client is there to have everything made that is made once.
    for client in 0..=number {
        let proxy: CostClient = connect(DIALLED, port).await?.get();
        kept.push(proxy);
        while peers.len() < ((client + 1) * DIALLED) as usize {
            match listener.accept() {
                Ok((mut peer, _)) => {
                    peer.write_all(&preface())?;
                    peers.push(peer);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    sleep(Duration::from_millis(1)).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
        sleep(Duration::from_millis(500)).await;
        if client == 0 {
            before = resident()?;
        }
    }
    let bytes = resident()?.saturating_sub(before) / u64::from(number * DIALLED);
    row("memory of an idle connection and its endpoint, client", &format!("{bytes} bytes"));
    Ok(())
}
